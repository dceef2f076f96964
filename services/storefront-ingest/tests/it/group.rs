//! The mapper's ledger, with somebody in the engine's place who takes each record as far as it goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bus::BusSettings;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use connector::{StorefrontConnection, StorefrontPlatform as _};
use contracts::headers;
use contracts::topics::{self, Parking, groups};
use contracts::wire::Changed;
use domain::{ConnectionId, EntityKind, EntityRef};
use http::{HeaderMap, HeaderValue};
use pipeline::{Batch, CommitError, Entry, Ledger as _, Next, Origin, OutRecord, Partition, Position, Record, Turn, Verdict};
use sandbox::payloads::{Generator, OrderWish, PayloadSettings, ShopOrder};
use sandbox::shopify::{TOPIC, TRIGGERED_AT, WEBHOOK_ID};
use serde_json::json;
use store::decisions::DecisionLedger;
use store::{Owner, Store, StoreSettings};
use storefront_ingest::core::raw;
use storefront_ingest::metrics::Metrics;
use storefront_ingest::shell::mapper::Mapper;
use telemetry::spans;

pub(super) struct Group {
    pub(super) store: Store,
    pub(super) ledger: DecisionLedger<Mapper>,
    shopify: StorefrontConnection,
    offsets: Arc<AtomicI64>,
}

pub(super) fn shop() -> ConnectionId {
    "shop-eu".parse().unwrap()
}

/// A connection that maps and verifies, and reaches nobody.
fn shopify() -> StorefrontConnection {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "hush").unwrap();
    let settings = json!({
        "shop": "example.myshopify.com", "access_token_file": secret, "webhook_secret_files": [secret],
    });
    connector_shopify::Shopify.open(&shop(), &settings).unwrap()
}

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000 + seconds, 0).unwrap()
}

pub(super) fn generator() -> Generator {
    Generator::new(PayloadSettings::default())
}

/// An order of that second.
pub(super) fn new_order(generator: &mut Generator, seconds: i64) -> ShopOrder {
    generator.order(&OrderWish::default(), at(seconds)).unwrap()
}

pub(super) fn order_ref(order: &ShopOrder) -> EntityRef {
    EntityRef::new(shop(), EntityKind::Order, order.id.to_string())
}

impl Group {
    pub(super) async fn new() -> Self {
        Self::over(Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap(), Arc::default())
    }

    /// Another process of the group.
    pub(super) fn beside(&self) -> Self {
        Self::over(self.store.clone(), Arc::clone(&self.offsets))
    }

    fn over(store: Store, offsets: Arc<AtomicI64>) -> Self {
        let shopify = shopify();
        let connections = [(shop(), Arc::clone(&shopify.mapper))].into();
        let mapper = Mapper { connections, bus: BusSettings::local("unused").with_prefix("t."), metrics: Metrics::default() };
        let ledger = DecisionLedger::new(store.clone(), groups::MAPPER, Owner::Ingest, Parking::LatestWins, mapper);
        Self { store, ledger, shopify, offsets }
    }

    /// As it came through the door.
    pub(super) fn webhook(&self, topic: &str, id: &str, triggered_at: DateTime<Utc>, body: impl Into<Bytes>) -> Record {
        let body = body.into();
        let text = |it: &str| HeaderValue::from_str(it).unwrap();
        let headers: HeaderMap =
            [(TOPIC, text(topic)), (WEBHOOK_ID, text(id)), (TRIGGERED_AT, text(&triggered_at.to_rfc3339()))].into_iter().collect();
        let facts = self.shopify.webhooks.facts(&shop(), &headers, &body);
        self.record(raw::of_webhook("t.tradewind.raw.v1", &shop(), &facts, body, triggered_at))
    }

    /// An order's webhook, named and triggered by its time of change.
    pub(super) fn order(&self, topic: &str, order: &ShopOrder) -> Record {
        let id = format!("{topic} {} {}", order.id, order.updated_at);
        self.webhook(topic, &id, order.updated_at, order.to_rest().to_string())
    }

    /// At the end of the topic.
    pub(super) fn record(&self, out: OutRecord) -> Record {
        Record {
            partition: Partition::new(out.topic, 0),
            offset: self.offsets.fetch_add(1, Ordering::Relaxed),
            timestamp_ms: out.timestamp_ms,
            key: out.key,
            value: out.value,
            headers: out.headers,
            origin: Origin::Topic,
        }
    }

    /// Read once more, at another place.
    pub(super) fn again(&self, record: &Record) -> Record {
        Record { offset: self.offsets.fetch_add(1, Ordering::Relaxed), ..record.clone() }
    }

    /// As the engine does it: a transaction that was given up is done again.
    pub(super) async fn commit(&self, turns: Vec<(Record, Turn<Vec<Position>>)>) -> Vec<Next<Vec<OutRecord>>> {
        let entry = |(record, turn): (Record, _)| {
            let span = spans::process("group", &record.partition.topic, 0, 0, &record.headers);
            Arc::new(Entry { record: Arc::new(record), turn, span })
        };
        let batch: Batch<_> = turns.into_iter().map(entry).collect();
        loop {
            match self.ledger.commit(batch.clone()).await {
                Ok(nexts) => return nexts,
                Err(CommitError::Unavailable(_)) => {}
                Err(CommitError::Rejected(fault)) => panic!("{fault:?}"),
            }
        }
    }

    pub(super) async fn arrives(&self, record: &Record) -> Next<Vec<OutRecord>> {
        self.commit(vec![(record.clone(), Turn::Arrived)]).await.remove(0)
    }

    /// What came of it: `Created order 1, Created refund 1`, `done`, `letter <code>`.
    pub(super) async fn settle(&self, record: &Record) -> String {
        let next = self.arrives(record).await;
        self.follow(record, next).await
    }

    pub(super) async fn follow(&self, record: &Record, next: Next<Vec<OutRecord>>) -> String {
        match next {
            Next::Done | Next::Lettered => "done".to_owned(),
            Next::Act(outputs) => {
                self.produced(record, &outputs).await;
                outputs.iter().map(said).collect::<Vec<_>>().join(", ")
            }
            Next::Fail(fault) => {
                let code = fault.code;
                let turn = Turn::Failed { fault: Arc::new(fault), verdict: Verdict::Letter, attempts: 1, report: None };
                assert!(matches!(self.commit(vec![(record.clone(), turn)]).await.remove(0), Next::Done));
                format!("letter {code}")
            }
            Next::Later(_) => "later".to_owned(),
        }
    }

    async fn produced(&self, record: &Record, outputs: &[OutRecord]) {
        let position = |(n, it): (usize, &OutRecord)| Position::of(it, 0, record.offset * 100 + i64::try_from(n).unwrap());
        let positions = outputs.iter().enumerate().map(position).collect();
        assert!(matches!(self.commit(vec![(record.clone(), Turn::Acted(positions))]).await.remove(0), Next::Done));
    }

    /// State and reason of each decision, in the order of arrival.
    pub(super) async fn states(&self) -> Vec<String> {
        let sql = "select concat_ws(' ', state, reason) from ingest.decision order by \"offset\"";
        sqlx::query_scalar(sql).fetch_all(self.store.pool()).await.unwrap()
    }

    /// Sequence and version of an entity, and whether it is gone.
    pub(super) async fn entity(&self, entity: &EntityRef) -> (i64, String, bool) {
        let sql = "select seq, source_version, deleted from ingest.entity where source = $1 and kind = $2 and id = $3";
        let query = sqlx::query_as(sql).bind(entity.connection.as_str()).bind(entity.kind.as_str()).bind(&entity.id);
        query.fetch_one(self.store.pool()).await.unwrap()
    }

    /// What is to be read again, and why.
    pub(super) async fn rereads(&self) -> Vec<String> {
        let sql = "select concat(source, '/', kind, '/', id, ': ', reason) from ingest.reread order by 1";
        sqlx::query_scalar(sql).fetch_all(self.store.pool()).await.unwrap()
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }
}

pub(super) fn changed(out: &OutRecord) -> Changed {
    Changed::decode(out.headers.text(headers::CE_TYPE).unwrap(), &out.value).unwrap()
}

pub(super) fn said(out: &OutRecord) -> String {
    let changed = changed(out);
    let kind = changed.entity.kind();
    assert_eq!(&*out.topic, format!("t.{}", topics::changes(kind)));
    assert_eq!(out.headers.sequence(), Some(changed.change.sequence));
    format!("{:?} {kind} {}", changed.change.kind, changed.change.sequence)
}
