//! The service as a process: killed, stopped, frozen out.

use std::time::{Duration, Instant};

use sandbox::payloads::OrderWish;
use sandbox::shopify::{Counts, WebhookSettings, traces};
use testkit::own;

use super::rig::{Rig, SOON, hasty};

/// What the settings say, and what ending takes beyond it.
const GRACE: Duration = Duration::from_secs(13);

/// Retries go on for half a minute.
fn patient() -> WebhookSettings {
    WebhookSettings { time_scale: 500.0, ..WebhookSettings::default() }
}

async fn place(rig: &Rig, orders: usize) {
    for _ in 0..orders {
        rig.shop.place_order(&OrderWish::default()).unwrap();
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
}

/// Every delivery that was acked is there, once; nothing else is.
async fn check(rig: &Rig, counts: Counts) {
    let account = rig.settled().await;
    assert!(account.balances(), "{:?}", account.checks);
    assert_eq!((account.count("dead"), account.count("missing")), (0, 0), "{:?}", account.lines);
    let acked = traces(&rig.shop.log().effects()).values().filter(|it| it.is_acked()).count();
    assert_eq!(u64::try_from(acked).unwrap(), counts.acked);
    assert_eq!(rig.distinct().await, i64::try_from(acked).unwrap());
    let orders = i64::try_from(rig.shop.orders().len()).unwrap();
    assert_eq!(rig.count("select count(*) from ingest.entity where kind = 'order'").await, orders);
    let twice = "select count(*) from (select topic, partition, \"offset\" from ingest.output group by 1, 2, 3 having count(*) > 1) t";
    assert_eq!(rig.count(twice).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_loses_nothing_that_it_acked() {
    let Some(kafka) = testkit::kafka().await else { return };
    let rig = Rig::on(kafka, WebhookSettings { duplicates: 0.1, ..patient() }).await;
    let mut service = rig.process().await;
    for orders in [40, 3, 25, 11, 60] {
        place(&rig, orders).await;
        service.kill();
        place(&rig, 2).await;
        service.restart();
        rig.door_is_open().await;
    }
    place(&rig, 20).await;
    let counts = rig.shop.settled(SOON).await.unwrap();
    assert_eq!(counts.given_up, 0);
    // A repeat is acked a second time.
    let distinct = u64::try_from(traces(&rig.shop.log().effects()).len()).unwrap();
    check(&rig, Counts { acked: distinct, ..counts }).await;
    assert_eq!(service.terminate(GRACE).await.code(), Some(0));
}

/// Its rows wait for the next process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_spooled_is_taken_over() {
    let Some(kafka) = own::kafka().await else { return };
    let rig = Rig::on(kafka.url.clone(), hasty()).await;
    let mut service = rig.process().await;
    place(&rig, 10).await;
    kafka.kill().await;
    place(&rig, 30).await;
    rig.shop.settled(SOON).await.unwrap();
    service.kill();
    assert!(rig.count("select count(*) from ingest.spool").await > 30);
    kafka.start().await;
    service.restart();
    rig.door_is_open().await;
    place(&rig, 10).await;
    let counts = rig.shop.settled(SOON).await.unwrap();
    assert_eq!(counts.given_up, 0);
    check(&rig, counts).await;
    assert_eq!(service.terminate(GRACE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_stop_it_ends_within_its_grace_whatever_is_away() {
    let Some(kafka) = own::kafka().await else { return };
    let rig = Rig::on(kafka.url.clone(), patient()).await;
    let mut service = rig.process().await;
    place(&rig, 20).await;
    assert_eq!(service.terminate(GRACE).await.code(), Some(0));

    service.restart();
    rig.door_is_open().await;
    place(&rig, 5).await;
    kafka.freeze();
    place(&rig, 20).await;
    let begun = Instant::now();
    service.terminate(GRACE).await;
    assert!(begun.elapsed() < GRACE, "{:?}", begun.elapsed());
    kafka.thaw();
    service.restart();
    rig.door_is_open().await;
    let counts = rig.shop.settled(SOON).await.unwrap();
    assert_eq!(counts.given_up, 0);
    check(&rig, counts).await;
}
