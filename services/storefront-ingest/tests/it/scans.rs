//! What no sweep can see, and a scan of everything does.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use contracts::headers::FOUND_BY;
use contracts::topics;
use contracts::wire::Wire as _;
use domain::Order;
use testkit::{eventually, eventually_eq};

use super::rig::{Rig, SOON};
use super::sweeps::{balances, orders, place, sweeping, swept, unheard};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_without_a_word_is_found_by_the_scan() {
    let Some(rig) = Rig::new().await else { return };
    let mut settings = sweeping(&rig);
    settings.sweep.scan_interval = Duration::from_millis(500);
    settings.sweep.missing_max = 0;
    let running = rig.start_with(settings.clone()).await;
    let shop = rig.shop.shop();
    let ids = place(shop, 4);
    shop.settled(SOON).await.unwrap();
    eventually_eq(SOON, 4, async || orders(&rig).await).await;
    unheard(shop, |shop| shop.delete_order(ids[1]).unwrap());

    // A source that hides things must not look like one that has lost them.
    let missing = "select missing from ingest.scan where kind = 'order'";
    eventually_eq(SOON, 1, async || rig.count(missing).await).await;
    let looked_for = "select count(*) from ingest.reread where reason = 'its source did not list it'";
    assert_eq!((orders(&rig).await, rig.count(looked_for).await), (4, 0));
    running.stop().await;

    settings.sweep.missing_max = 10;
    let running = rig.start_with(settings).await;
    eventually_eq(SOON, 3, async || orders(&rig).await).await;
    eventually_eq(SOON, 0, async || rig.count(missing).await).await;
    assert_eq!(rig.count("select count(*) from ingest.scan_seen").await % 3, 0, "of a scan that runs, or of none");
    balances(&rig).await;
    let events = usize::try_from(rig.count("select count(*) from ingest.output where topic like '%orders.v1'").await).unwrap();
    let records = rig.records(topics::ORDERS, events).await;
    let by_scan = records.iter().filter(|it| it.headers.text(FOUND_BY) == Some("scan"));
    assert_eq!(by_scan.map(|it| it.key_text()).collect::<Vec<_>>(), [format!("shop-eu/order/{}", ids[1])]);
    running.stop().await;
}

/// Shopify hides orders of more than sixty days from apps that may not see all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_platform_hides_is_neither_missed_nor_gone() {
    let Some(rig) = Rig::new().await else { return };
    let mut settings = sweeping(&rig);
    let running = rig.start_with(settings.clone()).await;
    let shop = rig.shop.shop();
    let ids = place(shop, 2);
    shop.settled(SOON).await.unwrap();
    eventually_eq(SOON, 2, async || orders(&rig).await).await;
    // A delivery or a re-read that is mapped later would bring back the body that is changed below.
    rig.settled().await;
    balances(&rig).await;
    running.stop().await;

    // Both are no longer shown; one of them was placed long ago.
    let body: Vec<u8> = sqlx::query_scalar("select body from ingest.entity where id = $1")
        .bind(ids[0].to_string())
        .fetch_one(rig.store.pool())
        .await
        .unwrap();
    let mut old = Order::decode(&body).unwrap();
    old.placed_at = Some(Utc::now() - TimeDelta::days(61));
    sqlx::query("update ingest.entity set body = $1 where id = $2")
        .bind(old.encode().to_vec())
        .bind(ids[0].to_string())
        .execute(rig.store.pool())
        .await
        .unwrap();
    unheard(shop, |shop| ids.iter().for_each(|id| drop(shop.delete_order(*id).unwrap())));
    settings.sweep.scan_interval = Duration::from_millis(500);
    let running = rig.start_with(settings).await;
    eventually_eq(SOON, 1, async || orders(&rig).await).await;
    let scans = "select count(*) from ingest.scan where kind = 'order' and state = 'done' and missing = 0";
    eventually_eq(SOON, 1, async || rig.count(scans).await).await;

    // Nor where it is looked for by itself; a scan may have asked for that once already, to be certain of its version.
    eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread").await).await;
    let asked = "insert into ingest.reread (source, kind, id, reason) values ('shop-eu', 'order', $1, 'a test') on conflict do nothing";
    sqlx::query(asked).bind(ids[0].to_string()).execute(rig.store.pool()).await.unwrap();
    eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread").await).await;
    balances(&rig).await;
    assert_eq!(orders(&rig).await, 1);
    let hidden = "select count(distinct aggregate) from ingest.decision where reason = 'may_be_hidden'";
    assert_eq!(rig.count(hidden).await, 1);

    // Its word is another matter.
    let told = "insert into ingest.reread (source, kind, id, reason) values ('shop-eu', 'order', $1, 'its source says that it is gone')
                on conflict (source, kind, id) do update set reason = excluded.reason";
    sqlx::query(told).bind(ids[0].to_string()).execute(rig.store.pool()).await.unwrap();
    eventually_eq(SOON, 0, async || orders(&rig).await).await;
    running.stop().await;
}

/// A sweep can't see behind its position; a scan goes back to its horizon.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_listing_once_left_out_is_found_by_the_scan() {
    let Some(rig) = Rig::new().await else { return };
    let mut settings = sweeping(&rig);
    settings.sweep.overlap = Duration::ZERO;
    let shop = rig.shop.shop();
    let running = rig.start_with(settings.clone()).await;
    swept(&rig, 1).await;
    let hidden = unheard(shop, |shop| {
        let id = place(shop, 1)[0];
        shop.backdate(id, Utc::now() - TimeDelta::minutes(20)).unwrap();
        id
    });
    swept(&rig, 2).await;
    assert_eq!(orders(&rig).await, 0);
    running.stop().await;
    sqlx::query("update ingest.sweep set floor = now() - interval '1 hour'").execute(rig.store.pool()).await.unwrap();
    settings.sweep.scan_interval = Duration::from_millis(100);
    let running = rig.start_with(settings).await;
    eventually_eq(SOON, 1, async || orders(&rig).await).await;
    let known: String = sqlx::query_scalar("select id from ingest.entity where kind = 'order'").fetch_one(rig.store.pool()).await.unwrap();
    assert_eq!(known, hidden.to_string());
    running.stop().await;
}

/// Two changes in one second have one version. A sweep lists nothing new; the scan reads once what it can't be certain of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_change_within_a_second_is_found_by_the_scan() {
    let Some(rig) = Rig::new().await else { return };
    let mut settings = sweeping(&rig);
    let running = rig.start_with(settings.clone()).await;
    let shop = rig.shop.shop();
    let id = place(shop, 1)[0];
    shop.settled(SOON).await.unwrap();
    eventually_eq(SOON, 1, async || orders(&rig).await).await;
    running.stop().await;
    unheard(shop, |shop| shop.annotate(id, "nobody was told").unwrap());
    let version = "select updated_at from ingest.entity where kind = 'order'";
    let told: DateTime<Utc> = sqlx::query_scalar(version).fetch_one(rig.store.pool()).await.unwrap();
    shop.backdate(id, told).unwrap();
    let noted = "select count(*) from ingest.entity where kind = 'order' and position('nobody was told'::bytea in body) > 0";
    let running = rig.start_with(settings.clone()).await;
    swept(&rig, 2).await;
    assert_eq!(rig.count(noted).await, 0);
    running.stop().await;

    // From then on a read is certain.
    let lately = "select count(*) from ingest.entity where updated_at > now() - interval '5 seconds'";
    eventually_eq(SOON, 0, async || rig.count(lately).await).await;
    settings.sweep.scan_interval = Duration::from_millis(100);
    let running = rig.start_with(settings).await;
    eventually_eq(SOON, 1, async || rig.count(noted).await).await;
    scanned(&rig).await;
    let reads = || shop.log().effects().received("order").count();
    let before = reads();
    scanned(&rig).await;
    assert_eq!(reads(), before, "it is certain now");
    balances(&rig).await;
    running.stop().await;
}

/// One whole scan of orders from now on, and what it ordered is read.
async fn scanned(rig: &Rig) {
    let sql =
        "select coalesce(max(extract(epoch from begun_at) * 1000000), 0)::bigint from ingest.scan where kind = 'order' and state = 'done'";
    let before = rig.count(sql).await;
    eventually(SOON, async || if rig.count(sql).await > before { Ok(()) } else { Err("no scan has ended") }).await;
    eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread").await).await;
}
