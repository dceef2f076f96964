//! Webhooks that never come: what they would have told is found, once, and what is known costs nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use contracts::headers::FOUND_BY;
use contracts::topics;
use domain::EntityKind;
use sandbox::faults::{Fault, Rule};
use sandbox::payloads::OrderWish;
use sandbox::shopify::Shop;
use store::effects::Sole;
use storefront_ingest::Settings;
use storefront_ingest::shell::sweeper::{Asked, Progress, ask, progress};
use testkit::{eventually, eventually_eq};

use super::rig::{Rig, SOON};

const HOUR: Duration = Duration::from_secs(3600);

/// Sweeps without a pause, and nothing else by itself.
pub(super) fn sweeping(rig: &Rig) -> Settings {
    let mut settings = rig.settings();
    let sweep = &mut settings.sweep;
    sweep.enabled = true;
    sweep.interval = Duration::from_millis(200);
    sweep.pause = Duration::from_millis(50);
    sweep.settle = Duration::ZERO;
    sweep.subscriptions_interval = HOUR;
    settings
}

/// What happens in the shop, and nobody is told.
pub(super) fn unheard<T>(shop: &Shop, happens: impl FnOnce(&Shop) -> T) -> T {
    shop.hold();
    let happened = happens(shop);
    shop.lose();
    happened
}

pub(super) fn place(shop: &Shop, orders: usize) -> Vec<u64> {
    (0..orders).map(|_| shop.place_order(&OrderWish::default()).unwrap().id).collect()
}

/// As many whole sweeps of orders as told end from now on.
pub(super) async fn swept(rig: &Rig, times: usize) {
    for _ in 0..times {
        let sql = "select coalesce(max(extract(epoch from swept_at) * 1000000), 0)::bigint from ingest.sweep where kind = 'order'";
        let before = rig.count(sql).await;
        eventually(SOON, async || if rig.count(sql).await > before { Ok(()) } else { Err("no sweep has ended") }).await;
    }
}

pub(super) async fn orders(rig: &Rig) -> i64 {
    rig.count("select count(*) from ingest.entity where kind = 'order' and not deleted").await
}

/// Each event of the topic once, and the account balances.
pub(super) async fn balances(rig: &Rig) {
    eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread").await).await;
    let account = rig.settled().await;
    assert!(account.balances(), "{:?}", account.checks);
    assert_eq!((account.count("dead"), account.count("held"), account.count("missing")), (0, 0, 0), "{:?}", account.lines);
    let twice = "select count(*) from (select topic, partition, \"offset\" from ingest.output group by 1, 2, 3 having count(*) > 1) t";
    assert_eq!(rig.count(twice).await, 0);
    let (events, versions) = ("select count(*) from ingest.output", "select coalesce(sum(seq), 0)::bigint from ingest.entity");
    assert_eq!(rig.count(events).await, rig.count(versions).await, "one event per version");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_webhook_told_is_found_once() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start_with(sweeping(&rig)).await;
    let shop = rig.shop.shop();
    let told = place(shop, 3);
    shop.settled(SOON).await.unwrap();
    eventually_eq(SOON, 3, async || orders(&rig).await).await;

    // Timestamps have whole seconds: later than what is known.
    let this_second = "select count(*) from ingest.entity where updated_at >= date_trunc('second', now())";
    eventually_eq(SOON, 0, async || rig.count(this_second).await).await;
    let unheard_of = unheard(shop, |shop| {
        shop.annotate(told[0], "nobody was told").unwrap();
        place(shop, 5)
    });
    eventually_eq(SOON, 8, async || orders(&rig).await).await;
    let noted = "select count(*) from ingest.entity where kind = 'order' and position('nobody was told'::bytea in body) > 0";
    eventually_eq(SOON, 1, async || rig.count(noted).await).await;
    balances(&rig).await;

    // What is known costs listings, and no reads.
    swept(&rig, 1).await;
    let reads = || shop.log().effects().received("order").count();
    let before = reads();
    swept(&rig, 3).await;
    assert_eq!(reads(), before);
    let ordered = "select count(*) from ingest.sighting";
    eventually_eq(SOON, 0, async || rig.count(ordered).await).await;

    // Whoever writes to customers can tell what was found from what was told.
    let events = usize::try_from(rig.count("select count(*) from ingest.output where topic like '%orders.v1'").await).unwrap();
    let found: Vec<String> = rig
        .records(topics::ORDERS, events)
        .await
        .iter()
        .filter(|it| it.headers.text(FOUND_BY) == Some("sweep"))
        .map(|it| it.key_text())
        .collect();
    for id in unheard_of.iter().chain([&told[0]]) {
        assert!(found.contains(&format!("shop-eu/order/{id}")), "{id}");
    }
    assert!(!found.contains(&format!("shop-eu/order/{}", told[1])));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_that_comes_after_the_sweep_saves_the_read() {
    let Some(rig) = Rig::new().await else { return };
    let mut settings = sweeping(&rig);
    settings.sweep.settle = HOUR;
    let running = rig.start_with(settings).await;
    let shop = rig.shop.shop();
    shop.hold();
    place(shop, 3);
    eventually_eq(SOON, 3, async || rig.count("select count(*) from ingest.reread where kind = 'order' and wanted is not null").await)
        .await;
    shop.release(sandbox::shopify::Release::AsHeld);
    eventually_eq(SOON, 3, async || orders(&rig).await).await;
    balances(&rig).await;
    assert_eq!(shop.log().effects().received("order").count(), 0, "nothing had to be read");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_service_goes_on_with_its_backfill() {
    let Some(rig) = Rig::new().await else { return };
    let shop = rig.shop.shop();
    let day = Utc::now() - TimeDelta::days(3);
    unheard(shop, |shop| {
        for (n, id) in place(shop, 300).into_iter().enumerate() {
            shop.backdate(id, day + TimeDelta::seconds(i64::try_from(n).unwrap() / 7)).unwrap();
        }
    });
    let environment = [
        ("TRADEWIND__SWEEP__ENABLED", "true"),
        ("TRADEWIND__SWEEP__INTERVAL", "1h"),
        ("TRADEWIND__SWEEP__SETTLE", "0s"),
        // Long enough to be killed between the first page and the second.
        ("TRADEWIND__SWEEP__PAUSE", "2s"),
        ("TRADEWIND__SWEEP__WAITING_MAX", "10"),
    ];
    let mut service = rig.process_with(&environment).await;
    let since = day - TimeDelta::days(1);
    let wish = async |connection| ask(&rig.store, connection, EntityKind::Order, since).await.unwrap();
    let asked = eventually(SOON, async || match wish("shop-eu").await {
        Asked::Ordered(id) => Ok(id),
        other => Err(other),
    });
    let id = asked.await;
    assert_eq!(
        wish("shop-eu").await,
        Asked::Busy { id, since: since - TimeDelta::nanoseconds(i64::from(since.timestamp_subsec_nanos() % 1000)) }
    );
    assert_eq!(wish("shop-us").await, Asked::Unknown { known: vec!["shop-eu".to_owned()] });

    let latest = async || progress(&rig.store, Some("shop-eu")).await.unwrap().remove(0);
    eventually(SOON, async || match latest().await {
        it if it.listed == 250 => Ok(()),
        it => Err(it),
    })
    .await;
    service.kill();
    let Progress { listed, state, .. } = latest().await;
    assert_eq!((listed, state.as_str()), (250, "listing"));
    service.restart();
    rig.door_is_open().await;
    let done = eventually(SOON, async || match latest().await {
        it if it.state == "done" => Ok(it),
        it => Err(it),
    })
    .await;
    assert_eq!((done.id, done.listed, done.ordered, done.done), (id, 300, 300, 300), "no page twice");
    // Read is not yet mapped: the killed process's share of the topic is free only when its session is over.
    eventually_eq(SOON, 300, async || orders(&rig).await).await;
    balances(&rig).await;
    let floor =
        "select count(*) from ingest.sweep s join ingest.backfill b on b.source = s.source and b.kind = s.kind and s.floor = b.since";
    assert_eq!(rig.count(floor).await, 1, "scans look as far back from now on");
    // Known by now: the same again reads nothing.
    assert!(matches!(wish("shop-eu").await, Asked::Ordered(_)));
    let again = eventually(SOON, async || match latest().await {
        it if it.id != id && it.state == "done" => Ok(it),
        it => Err(it),
    })
    .await;
    assert_eq!((again.listed, again.ordered), (300, 0));
    service.terminate(SOON).await;
}

/// By the shop, to which one is too old, and by the connector, which doesn't know what an earlier version wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_is_refused_ends_no_listing() {
    let Some(rig) = Rig::new().await else { return };
    unheard(rig.shop.shop(), |shop| place(shop, 3));
    let yesterday = Utc::now() - TimeDelta::days(1);
    let old = serde_json::json!({ "since": yesterday, "after": "old", "given": 250 }).to_string();
    for (table, cursor) in [("ingest.scan", old.as_str()), ("ingest.backfill", "of another version")] {
        let sql = format!("insert into {table} (source, kind, since, state, cursor) values ('shop-eu', 'order', $1, 'listing', $2)");
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(yesterday).bind(cursor).execute(rig.store.pool()).await.unwrap();
    }
    let running = rig.start_with(sweeping(&rig)).await;
    for table in ["ingest.scan", "ingest.backfill"] {
        let sql = format!("select listed from {table} where kind = 'order' and state = 'done'");
        let listed = async || sqlx::query_scalar(sqlx::AssertSqlSafe(sql.clone())).fetch_optional(rig.store.pool()).await.unwrap();
        eventually_eq(SOON, Some(3_i64), listed).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_subscription_is_made_again_and_what_it_missed_is_swept() {
    let Some(rig) = Rig::new().await else { return };
    let mut settings = sweeping(&rig);
    settings.sweep.interval = HOUR;
    settings.sweep.overlap = Duration::ZERO;
    settings.sweep.subscriptions_interval = Duration::from_millis(200);
    let running = rig.start_with(settings.clone()).await;
    let present = "select count(*) from ingest.sweep where present_position is not null";
    eventually_eq(SOON, 2, async || rig.count(present).await).await;
    running.stop().await;
    // Only the order of the watchdog brings the sweep back to where all were last seen.
    sqlx::query("update ingest.sweep set position = now() + interval '1 hour'").execute(rig.store.pool()).await.unwrap();

    let shop = rig.shop.shop();
    let lost = ["orders/create", "orders/updated", "orders/paid", "refunds/create"];
    assert_eq!(shop.unsubscribe(&lost), 4);
    place(shop, 4);
    shop.settled(SOON).await.unwrap();
    let running = rig.start_with(settings).await;
    eventually_eq(SOON, 4, async || orders(&rig).await).await;
    let topics: Vec<String> = shop.subscriptions().into_iter().map(|it| it.topic).collect();
    for topic in lost {
        assert_eq!(topics.iter().filter(|it| *it == topic).count(), 1, "{topic}");
    }
    let acked = shop.counts().acked;
    place(shop, 1);
    let counts = shop.settled(SOON).await.unwrap();
    assert!(counts.acked > acked, "webhooks come again");
    eventually_eq(SOON, 5, async || orders(&rig).await).await;
    balances(&rig).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_cannot_be_made_brings_the_sweep_back_once() {
    let Some(rig) = Rig::new().await else { return };
    let mut settings = sweeping(&rig);
    settings.sweep.interval = HOUR;
    settings.sweep.subscriptions_interval = Duration::from_millis(100);
    let running = rig.start_with(settings).await;
    let present = "select count(*) from ingest.sweep where present_position is not null";
    eventually_eq(SOON, 2, async || rig.count(present).await).await;

    let shop = rig.shop.shop();
    let refused = shop.plan().add(Rule::new(Fault::status(403)).on("webhookSubscriptionCreate").always()).unwrap();
    let tries = || shop.plan().rules().iter().find(|it| it.id == refused).unwrap().hit;
    assert_eq!(shop.unsubscribe(&["refunds/create"]), 1);
    eventually(SOON, async || if tries() >= 1 { Ok(()) } else { Err("nobody missed it") }).await;
    sqlx::query("update ingest.sweep set position = now() + interval '1 hour'").execute(rig.store.pool()).await.unwrap();
    let seen = tries();
    eventually(SOON, async || if tries() >= seen + 4 { Ok(()) } else { Err(tries()) }).await;
    assert_eq!(rig.count("select count(*) from ingest.sweep where position > now()").await, 2, "it listed all of it before");
    shop.plan().remove(refused);
    eventually_eq(SOON, 1, async || shop.subscriptions().iter().filter(|it| it.topic == "refunds/create").count()).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_told_when_a_sweep_finds_that_something_happened() {
    let Some(rig) = Rig::new().await else { return };
    let environment = [
        ("TRADEWIND__SWEEP__ENABLED", "true"),
        ("TRADEWIND__SWEEP__INTERVAL", "300ms"),
        ("TRADEWIND__SWEEP__PAUSE", "100ms"),
        ("TRADEWIND__SWEEP__SETTLE", "0s"),
        ("TRADEWIND__SWEEP__SILENCE", "2s"),
    ];
    let mut service = rig.process_with(&environment).await;
    let pulse = "select count(*) from ingest.pulse where last_delivery_at < now() - interval '3 seconds'";
    eventually_eq(SOON, 1, async || rig.count(pulse).await).await;
    assert!(!service.log().contains("the webhooks are broken"), "nothing happened in the shop");
    unheard(rig.shop.shop(), |shop| place(shop, 2));
    service.logs(SOON, "the webhooks are broken").await;
    assert!(service.log().contains("docs/runbooks/webhooks-silent.md"));
    eventually_eq(SOON, 2, async || orders(&rig).await).await;
    let metrics = eventually(SOON, async || {
        let answer = super::rig::send(http::Method::GET, &format!("http://127.0.0.1:{}/metrics", rig.admin), &[], None).await;
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        if text.contains("tradewind_first_seen_by_sweep_total{") { Ok(text) } else { Err(text) }
    })
    .await;
    let line = |name: &str| metrics.lines().find(|it| it.starts_with(name) && it.contains("shop-eu")).unwrap_or_default().to_owned();
    let lost = metrics.lines().find(|it| it.starts_with("tradewind_first_seen_by_sweep_total{") && it.contains("order")).unwrap();
    assert!(lost.contains("found_by=\"sweep\"") && lost.ends_with(" 2"), "{lost}");
    assert!(line("storefront_last_delivery_age_seconds").contains("connection=\"shop-eu\""), "{metrics}");
    service.terminate(SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_instance_sweeps_a_connection_and_the_next_takes_over() {
    let Some(rig) = Rig::new().await else { return };
    let mut other = Sole::new(&rig.store, "storefront-ingest/sweep/shop-eu").await.unwrap();
    assert!(other.is_ours().await.unwrap());
    let running = rig.start_with(sweeping(&rig)).await;
    unheard(rig.shop.shop(), |shop| place(shop, 1));
    // It runs: it says when the last delivery came, as every instance does.
    eventually_eq(SOON, 1, async || rig.count("select count(*) from ingest.pulse").await).await;
    assert_eq!(rig.count("select count(*) from ingest.sweep").await, 0);
    assert_eq!(rig.shop.log().effects().received("orders").count(), 0);
    drop(other);
    eventually_eq(SOON, 1, async || orders(&rig).await).await;

    // The lock goes with its connection, and is taken again.
    let cut = "select count(pg_terminate_backend(pid)) from pg_locks
               where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(rig.count(cut).await, 1);
    unheard(rig.shop.shop(), |shop| place(shop, 1));
    eventually_eq(SOON, 2, async || orders(&rig).await).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_that_was_refused_goes_on_where_it_was() {
    let Some(rig) = Rig::new().await else { return };
    let shop = rig.shop.shop();
    let running = rig.start_with(sweeping(&rig)).await;
    swept(&rig, 1).await;
    shop.throttle(2);
    shop.plan().add(Rule::new(Fault::status(502)).on("customers")).unwrap();
    unheard(shop, |shop| place(shop, 3));
    eventually_eq(SOON, 3, async || orders(&rig).await).await;
    let customers: BTreeSet<u64> = shop.orders().iter().filter_map(|it| it.customer.as_ref().map(|it| it.id)).collect();
    let known = "select count(*) from ingest.entity where kind = 'customer'";
    eventually_eq(SOON, i64::try_from(customers.len()).unwrap(), async || rig.count(known).await).await;
    balances(&rig).await;
    running.stop().await;
}
