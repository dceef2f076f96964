//! One trace: from the shop's webhook over Kafka to the request to the ERP, whatever is logged.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::Path;

use bus::embedded::Embedded;
use connector::Platforms;
use contracts::topics;
use sandbox::payloads::PaymentWish;
use sandbox::shopify::TOPICS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use service_kit::{Ended, Life, Validate};
use telemetry::testing::Span;
use testkit::eventually;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use e2e::{ERP, SHOP, SOON, Setup, configure, doubles, mugs};

/// Services as tasks of this process, which keeps what they trace.
struct Tasks {
    lives: Vec<Life>,
    stop: CancellationToken,
    running: JoinSet<anyhow::Result<Ended>>,
}

impl Tasks {
    fn spawn<F>(&mut self, run: impl FnOnce(Life) -> F)
    where
        F: Future<Output = anyhow::Result<Ended>> + Send + 'static,
    {
        let life = Life::new(self.stop.clone());
        self.lives.push(life.clone());
        self.running.spawn(run(life));
    }

    async fn ready(&self) {
        for life in &self.lives {
            tokio::time::timeout(SOON, life.readiness.ready()).await.expect("they get ready in time");
        }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            assert_eq!(ended.unwrap().unwrap().left_over, 0);
        }
    }
}

fn settings<T: DeserializeOwned + Serialize + Validate>(dir: &Path, service: &str, defaults: &str) -> T {
    service_kit::settings::load(defaults, Some(&dir.join(format!("{service}.toml"))), "NO_VARIABLES").unwrap()
}

/// From a span to the root of its trace.
fn way<'a>(span: &'a Span, spans: &'a [Span]) -> Vec<&'a Span> {
    let up = |it: &&'a Span| it.parent.as_ref().and_then(|parent| spans.iter().find(|it| it.span_id == *parent));
    std::iter::successors(Some(span), up).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_and_the_request_to_the_erp_are_one_trace_even_when_only_errors_are_logged() {
    let seen = telemetry::testing::install_once(&telemetry::Settings::default());
    let target = ERP.parse().unwrap();
    let broker = Embedded::start(topics::table([&target]).into_iter().map(|it| (it.name, it.partitions)).collect()).unwrap();
    let (shop, erp) = doubles(Setup::default());
    let (dir, database) = (tempfile::tempdir().unwrap(), testkit::database().await);
    configure(dir.path(), &broker.brokers, &database, &shop, &shop.base_url(), &erp.url(), &erp.ids()).await;

    let mut tasks = Tasks { lives: Vec::new(), stop: CancellationToken::new(), running: JoinSet::new() };
    let platforms = || Platforms::default().with_storefront(connector_shopify::Shopify).with_erp(connector_tryton::Tryton);
    let mut router: order_router::Settings = settings(dir.path(), "order-router", order_router::config::DEFAULTS);
    router.bus = broker.settings("");
    tasks.spawn(|life| order_router::run(router, life));
    let mut adapter: erp_adapter::Settings = settings(dir.path(), "erp-adapter", erp_adapter::config::DEFAULTS);
    adapter.bus = broker.settings("");
    tasks.spawn(|life| erp_adapter::run(adapter, platforms(), life));
    let mut ingest: storefront_ingest::Settings = settings(dir.path(), "storefront-ingest", storefront_ingest::DEFAULTS);
    ingest.bus = broker.settings("");
    ingest.door.listen.set_port(testkit::free_port());
    let door = ingest.door.listen;
    tasks.spawn(|life| storefront_ingest::run(ingest, platforms(), life));
    tasks.ready().await;
    shop.subscribe(&format!("http://{door}/webhooks/{SHOP}"), &TOPICS);

    let expected = [
        ("server", "POST /webhooks/{connection}".to_owned()),
        ("consumer", "process tradewind.raw.v1".to_owned()),
        ("consumer", "process tradewind.orders.v1".to_owned()),
        ("consumer", format!("process tradewind.commands.erp.{ERP}.v1")),
        ("client", format!("place_order/create {ERP}")),
    ];
    let mut known = BTreeSet::new();
    for level in ["info", "error"] {
        seen.guard().log_level().set(level).unwrap();
        shop.place_order(&mugs(PaymentWish::Paid)).unwrap();
        let trace = eventually(SOON, async || {
            let spans = seen.spans();
            let is_new = |it: &&Span| (it.kind, &it.name) == ("client", &expected[4].1) && !known.contains(&it.trace_id);
            let created = spans.iter().find(is_new).ok_or_else(Vec::new)?;
            // A span is there once it has ended: what began it all may be the last.
            let mut way: Vec<_> = way(created, &spans).into_iter().map(|it| (it.kind, it.name.clone())).collect();
            way.reverse();
            if way == expected { Ok(created.trace_id.clone()) } else { Err(way) }
        });
        let trace = trace.await;
        let spans = seen.trace(&trace);
        assert!(
            expected.iter().all(|(kind, name)| spans.iter().any(|it| (it.kind, &it.name) == (*kind, name))),
            "at level {level}: {spans:?}"
        );
        known.insert(trace);
    }
    tasks.stop().await;
}
