//! A sweeper whose lock went to another process, or whose position was set back, while it was in the middle of a sweep.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use connector::storefront::{Delivery, ListFrom, ListPage, Listed, Listing, Mapped, Mapper};
use domain::EntityKind;
use fault::Fault;
use service_kit::settings::load_from;
use store::{Store, StoreSettings};
use storefront_ingest::config::SweepSettings;
use storefront_ingest::core::sweep::start;
use storefront_ingest::metrics::Metrics;
use storefront_ingest::shell::pulse::Pulse;
use storefront_ingest::shell::sweeper::Sweeper;
use storefront_ingest::{DEFAULTS, Settings};
use testkit::eventually;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::group::{at, shop};
use super::rig::SOON;

/// Has one entity on its first page and nothing else.
struct Source {
    store: Store,
    asked: Mutex<Vec<ListFrom>>,
    /// The first answer comes when another process has gone on already.
    is_slow: bool,
}

const ELSEWHERE: i64 = 500;

impl Mapper for Source {
    fn map(&self, _delivery: &Delivery) -> Result<Mapped, Fault> {
        Ok(Mapped::Unmapped)
    }
}

#[async_trait]
impl Listing for Source {
    fn kinds(&self) -> &'static [EntityKind] {
        &[EntityKind::Order]
    }

    async fn page(&self, _: EntityKind, from: &ListFrom) -> Result<ListPage, Fault> {
        let is_first = {
            let mut asked = self.asked.lock().unwrap();
            asked.push(from.clone());
            asked.len() == 1
        };
        if !is_first {
            return Ok(ListPage::default());
        }
        if self.is_slow {
            go_elsewhere(&self.store).await;
        }
        Ok(ListPage { listed: vec![Listed { id: "1".to_owned(), updated_at: at(1) }], next: Some("next".to_owned()) })
    }

    fn spare(&self) -> Option<f64> {
        None
    }
}

async fn go_elsewhere(store: &Store) {
    let moved = sqlx::query("update ingest.sweep set position = $1").bind(at(ELSEWHERE)).execute(store.pool()).await.unwrap();
    assert_eq!(moved.rows_affected(), 1);
}

impl Source {
    async fn new(is_slow: bool) -> Arc<Self> {
        let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
        Arc::new(Self { store, asked: Mutex::default(), is_slow })
    }

    /// One re-read that waits is enough for the sweep to wait, too.
    fn swept(self: &Arc<Self>) -> (CancellationToken, JoinHandle<()>) {
        let sweeper = Sweeper {
            store: self.store.clone(),
            connection: shop(),
            listing: Arc::clone(self) as _,
            mapper: Arc::clone(self) as _,
            subscriptions: None,
            settings: settings(),
            pulse: Arc::new(Pulse::new([&shop()])),
            metrics: Metrics::default(),
        };
        let stop = CancellationToken::new();
        (stop.clone(), tokio::spawn(sweeper.run(stop)))
    }

    async fn asked(&self, n: usize) -> ListFrom {
        eventually(SOON, async || self.asked.lock().unwrap().get(n).cloned().ok_or("not asked so often")).await
    }

    async fn ordered(&self) -> i64 {
        sqlx::query_scalar("select count(*) from ingest.reread").fetch_one(self.store.pool()).await.unwrap()
    }
}

fn settings() -> SweepSettings {
    let variables = [("TRADEWIND__CONNECTIONS__SHOP__PLATFORM", "shopify")];
    let loaded = load_from::<Settings, _, _>(DEFAULTS, None, "TRADEWIND", variables).unwrap().settings.sweep;
    SweepSettings { interval: Duration::from_millis(100), pause: Duration::from_millis(20), waiting_max: 1, ..loaded }
}

fn from_elsewhere() -> ListFrom {
    ListFrom::Since(start(at(ELSEWHERE), settings().overlap))
}

#[tokio::test]
async fn a_page_of_a_sweeper_that_was_overtaken_is_not_stored() {
    let source = Source::new(true).await;
    let (stop, task) = source.swept();
    assert_eq!(source.asked(1).await, from_elsewhere(), "where the other is, not behind its own page");
    stop.cancel();
    task.await.unwrap();
    let position: DateTime<Utc> = sqlx::query_scalar("select position from ingest.sweep").fetch_one(source.store.pool()).await.unwrap();
    assert_eq!(position, at(ELSEWHERE));
    assert_eq!(source.ordered().await, 0, "with the position goes what was ordered");
    assert!(matches!(source.asked(0).await, ListFrom::Since(it) if it > Utc::now() - TimeDelta::hours(1)), "a new connection");
}

/// What lies between its last page and the new position would never be listed.
#[tokio::test]
async fn a_sweep_whose_position_was_set_back_begins_there() {
    let source = Source::new(false).await;
    let (stop, task) = source.swept();
    eventually(SOON, async || if source.ordered().await == 1 { Ok(()) } else { Err("nothing was ordered") }).await;
    go_elsewhere(&source.store).await;
    assert_eq!(source.asked.lock().unwrap().len(), 1, "enough is waiting");
    sqlx::query("delete from ingest.reread").execute(source.store.pool()).await.unwrap();
    assert_eq!(source.asked(1).await, from_elsewhere());
    stop.cancel();
    task.await.unwrap();
}
