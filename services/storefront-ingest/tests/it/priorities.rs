//! Whose re-reads go first, whose wait while the platform's budget is low, and what is ordered at all.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::{Producer, Role};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use connector::storefront::{ListFrom, ListPage, Listed, Listing, ReRead};
use contracts::topics;
use domain::{EntityKind, EntityRef};
use fault::{Class, Fault};
use storefront_ingest::core::raw;
use storefront_ingest::core::sweep::FoundBy;
use storefront_ingest::metrics::Metrics;
use storefront_ingest::shell::entities::request_rereads;
use storefront_ingest::shell::found::Finding;
use storefront_ingest::shell::reread::ReReads;
use testkit::{eventually, eventually_eq};
use tokio_util::sync::CancellationToken;

use super::group::{Group, at, shop};
use super::rig::{Rig, SOON};

/// A source that answers everything unless it is away, remembers what it was asked, and says whether its budget is low.
#[derive(Default)]
struct Source {
    asked: Mutex<Vec<String>>,
    is_low: AtomicBool,
    is_away: AtomicBool,
    /// How many were asked for at once, of each request.
    at_once: Mutex<Vec<usize>>,
    running: AtomicUsize,
}

#[async_trait]
impl ReRead for Source {
    async fn read(&self, entity: &EntityRef) -> Result<Option<(String, Bytes)>, Fault> {
        self.asked.lock().unwrap().push(entity.id.clone());
        if self.is_away.load(Ordering::Relaxed) {
            let at_once = self.running.fetch_add(1, Ordering::SeqCst) + 1;
            self.at_once.lock().unwrap().push(at_once);
            tokio::time::sleep(Duration::from_millis(20)).await;
            self.running.fetch_sub(1, Ordering::SeqCst);
            return Err(Fault::new(Class::Outage, "shopify_unreachable", "connection refused"));
        }
        Ok(Some(("orders/graphql".to_owned(), Bytes::from_static(b"{}"))))
    }
}

#[async_trait]
impl Listing for Source {
    fn kinds(&self) -> &'static [EntityKind] {
        &[EntityKind::Order]
    }

    async fn page(&self, _: EntityKind, _: &ListFrom) -> Result<ListPage, Fault> {
        Ok(ListPage::default())
    }

    fn spare(&self) -> Option<f64> {
        Some(if self.is_low.load(Ordering::Relaxed) { 0.1 } else { 0.9 })
    }
}

/// Rows that wait, in the order of their age: those of the backfill first.
async fn waiting(rig: &Rig) {
    let sql = "insert into ingest.reread (source, kind, id, reason, found_by, due_at)
               select 'shop-eu', 'order', found_by || n, 'test', nullif(found_by, 'live'), now() - age
               from (values ('backfill', interval '3 hours'), ('scan', interval '2 hours'), ('sweep', interval '1 hour'), ('live', interval '0'))
                 as f (found_by, age), generate_series(1, 16) n";
    sqlx::query(sql).execute(rig.store.pool()).await.unwrap();
}

fn start(rig: &Rig, source: &Arc<Source>) -> CancellationToken {
    let rereads = ReReads {
        store: rig.store.clone(),
        producer: Producer::new(&rig.bus, "test", Role::Relay).unwrap(),
        connections: [(shop(), Arc::clone(source) as _)].into(),
        listings: [(shop(), Arc::clone(source) as _)].into(),
        reserve: 0.5,
        raw_topic: rig.bus.topic(topics::RAW),
        interval: Duration::from_millis(20),
        metrics: Metrics::default(),
    };
    let stop = CancellationToken::new();
    tokio::spawn(rereads.run(stop.clone()));
    stop
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_traffic_goes_before_sweeps_and_sweeps_before_backfills() {
    let Some(rig) = Rig::new().await else { return };
    waiting(&rig).await;
    let source = Arc::new(Source::default());
    let stop = start(&rig, &source);
    eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread").await).await;
    let asked = source.asked.lock().unwrap().clone();
    assert!(asked[..16].iter().all(|it| it.starts_with("live")), "{asked:?}");
    assert!(asked[16..32].iter().all(|it| it.starts_with("sweep")), "{asked:?}");
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_and_backfills_wait_while_the_budget_is_low() {
    let Some(rig) = Rig::new().await else { return };
    waiting(&rig).await;
    let source = Arc::new(Source::default());
    source.is_low.store(true, Ordering::Relaxed);
    let stop = start(&rig, &source);
    eventually_eq(SOON, 32, async || rig.count("select count(*) from ingest.reread").await).await;
    // Live ones are read as ever, one after the other: the others had their turns, and did not take them.
    for n in 0..3_i64 {
        let sql = "insert into ingest.reread (source, kind, id, reason) values ('shop-eu', 'order', 'later' || $1, 'test')";
        sqlx::query(sql).bind(n).execute(rig.store.pool()).await.unwrap();
        eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread where found_by is null").await).await;
    }
    assert_eq!(source.asked.lock().unwrap().len(), 35);
    assert_eq!(rig.count("select count(*) from ingest.reread where found_by in ('scan', 'backfill')").await, 32);
    source.is_low.store(false, Ordering::Relaxed);
    eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread").await).await;
    stop.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_is_away_is_looked_for_by_one_request_at_a_time() {
    let Some(rig) = Rig::new().await else { return };
    waiting(&rig).await;
    let source = Arc::new(Source::default());
    source.is_away.store(true, Ordering::Relaxed);
    let stop = start(&rig, &source);
    eventually(SOON, async || if source.at_once.lock().unwrap().len() >= 24 { Ok(()) } else { Err("it is not looked for") }).await;
    let at_once = source.at_once.lock().unwrap().clone();
    assert!(at_once[16..].iter().all(|it| *it == 1), "{at_once:?}");
    source.is_away.store(false, Ordering::Relaxed);
    eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread").await).await;
    stop.cancel();
}

/// What a delivery asks for is the delivery's, whatever a listing finds before or after it.
#[tokio::test]
async fn what_a_delivery_told_of_is_not_found() {
    let group = Group::new().await;
    let find = async |by, seconds| {
        let finding = Finding { connection: shop(), kind: EntityKind::Order, by, settle: Duration::ZERO };
        let page = [Listed { id: "1".to_owned(), updated_at: at(seconds) }];
        group.store.transaction(move |tx| Box::pin(async move { finding.order(tx, &page).await })).await.unwrap()
    };
    let row = async || -> (Option<String>, Option<DateTime<Utc>>, i64) {
        let sql = "select found_by, wanted, generation from ingest.reread";
        sqlx::query_as(sql).fetch_one(group.store.pool()).await.unwrap()
    };
    assert_eq!(find(FoundBy::Backfill, 0).await, 1);
    assert_eq!(row().await, (Some("backfill".to_owned()), Some(at(0)), 1));
    assert_eq!(find(FoundBy::Sweep, 0).await, 0, "that version is ordered");
    assert_eq!(row().await, (Some("sweep".to_owned()), Some(at(0)), 1), "and waits behind nothing any more");
    assert_eq!(find(FoundBy::Sweep, 1).await, 1, "it changed since");
    assert_eq!(row().await, (Some("sweep".to_owned()), Some(at(1)), 2));
    assert_eq!(find(FoundBy::Scan, 1).await, 0, "that version is ordered");
    let told = [EntityRef::new(shop(), EntityKind::Order, "1")].into();
    let ask = group.store.transaction(move |tx| Box::pin(async move { request_rereads(tx, &told, "told").await }));
    ask.await.unwrap();
    assert_eq!(row().await, (None, None, 3));
    assert_eq!(find(FoundBy::Sweep, 2).await, 1);
    assert_eq!(row().await, (None, None, 4));
}

/// A letter waits for a person: it must not become two by every sweep. What was read in an older version is read again.
#[tokio::test]
async fn what_was_ordered_and_is_still_not_known_is_ordered_again_unless_it_is_a_letter() {
    let group = Group::new().await;
    let find = async || {
        let finding = Finding { connection: shop(), kind: EntityKind::Order, by: FoundBy::Sweep, settle: Duration::ZERO };
        let page = [Listed { id: "1".to_owned(), updated_at: at(0) }];
        group.store.transaction(move |tx| Box::pin(async move { finding.order(tx, &page).await })).await.unwrap()
    };
    let run = async |sql: &'static str| sqlx::query(sql).execute(group.store.pool()).await.unwrap().rows_affected();
    let hours_pass = "update ingest.sighting set ordered_at = ordered_at - interval '2 hours'";
    assert_eq!(find().await, 1);
    let entity = EntityRef::new(shop(), EntityKind::Order, "1");
    let broken = raw::of_reread("t.tradewind.raw.v1", &entity, "orders/graphql", Bytes::from_static(b"{}"), at(1));
    assert!(group.settle(&group.record(broken)).await.starts_with("letter "));
    assert_eq!(find().await, 0);
    assert_eq!(run(hours_pass).await, 1);
    assert_eq!(find().await, 0, "somebody has to look at the letter");
    assert_eq!(run("update letters.letter set state = 'discarded'").await, 1);
    assert_eq!(find().await, 1, "once more in its time");
    assert_eq!(find().await, 0);
}
