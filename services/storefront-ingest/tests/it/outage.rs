//! Kafka away, the database away, both away; a spool that is full; a record that Kafka will never take.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use bus::BusSettings;
use contracts::{headers, topics};
use http::header::RETRY_AFTER;
use pipeline::OutRecord;
use sandbox::payloads::OrderWish;
use sandbox::shopify::WebhookSettings;
use store::spool;
use testkit::{eventually, eventually_eq, own};

use super::rig::{Rig, SOON, hasty, table};

/// What was ever spooled, by its counter.
const SPOOLED: &str = "select case when is_called then last_value else 0 end from ingest.spool_id_seq";
const IN_SPOOL: &str = "select count(*) from ingest.spool";

/// The door's promise: an answer within the five seconds that senders give.
const PATIENCE_OF_SENDERS: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_kafka_is_away_everything_is_acked_and_follows_in_order() {
    let Some(kafka) = own::kafka().await else { return };
    // One at a time, so that the shop's order is known.
    let rig = Rig::on(kafka.url.clone(), WebhookSettings { concurrency: 1, ..hasty() }).await;
    let running = rig.start().await;
    let place = async |orders: usize| {
        for _ in 0..orders {
            rig.shop.place_order(&OrderWish::default()).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    place(20).await;
    tokio::join!(kafka.kill(), place(100));
    let counts = rig.shop.settled(SOON).await.unwrap();
    assert_eq!((counts.given_up, counts.failed_attempts), (0, 0), "{counts:?}");
    assert!(rig.count(IN_SPOOL).await > 50);
    tokio::join!(kafka.start(), place(50));
    let sent = rig.shop.settled(SOON).await.unwrap();
    assert_eq!(sent.failed_attempts, 0);

    let account = rig.settled().await;
    assert!(account.balances(), "{:?}", account.checks);
    assert_eq!(rig.distinct().await, i64::try_from(sent.acked).unwrap(), "each acked delivery once");
    assert_eq!(account.count("dead"), 0);
    in_order_of_arrival(&rig).await;

    eventually(SOON, async || {
        let before = rig.count(SPOOLED).await;
        assert_eq!(rig.deliver(&testkit::prefix(), "{}").await.status, 200);
        let after = rig.count(SPOOLED).await;
        if after == before { Ok(()) } else { Err(after) }
    })
    .await;
    assert!(rig.settled().await.balances());
    running.stop().await;
}

/// Repeats apart, records lie in each partition as they reached the door.
async fn in_order_of_arrival(rig: &Rig) {
    let records = rig.count("select count(*) from ingest.raw_record").await;
    let mut last: BTreeMap<i32, String> = BTreeMap::new();
    let mut seen = HashSet::new();
    for record in rig.records(topics::RAW, usize::try_from(records).unwrap()).await {
        if !seen.insert(record.headers.event_id()) {
            continue;
        }
        let received = record.headers.text(headers::RECEIVED_AT).unwrap().to_owned();
        let before = last.insert(record.partition.number, received.clone());
        assert!(before.is_none_or(|it| it <= received), "{} at {}", record.offset, record.partition);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_kafka_and_the_database_away_senders_are_asked_to_come_back() {
    let Some(kafka) = own::kafka().await else { return };
    let database = own::postgres().await;
    // The retries lie within half a minute.
    let webhooks = WebhookSettings { time_scale: 500.0, ..WebhookSettings::default() };
    let rig = Rig::beside(kafka.url.clone(), &database, webhooks).await;
    let running = rig.start().await;
    eventually_eq(SOON, true, async || running.life.readiness.is_ready()).await;

    kafka.kill().await;
    database.freeze();
    for silence in ["frozen", "dead"] {
        if silence == "dead" {
            database.thaw();
            database.kill().await;
        }
        let begun = Instant::now();
        let answer = rig.deliver("w1", "{}").await;
        assert!(begun.elapsed() < PATIENCE_OF_SENDERS, "{silence}: {:?}", begun.elapsed());
        assert_eq!((answer.status.as_u16(), &answer.headers[RETRY_AFTER]), (503, &"5".parse().unwrap()), "{silence}");
    }
    for _ in 0..10 {
        rig.shop.place_order(&OrderWish::default()).unwrap();
    }
    let why = eventually(SOON, async || running.life.readiness.waiting().pop().ok_or("still ready")).await;
    assert_eq!(why, ("durable acks".to_owned(), "neither Kafka nor the database takes any".to_owned()));
    eventually(SOON, async || if rig.shop.counts().failed_attempts >= 10 { Ok(()) } else { Err(rig.shop.counts()) }).await;
    assert_eq!(rig.shop.counts().acked, 0);

    database.start().await;
    eventually_eq(SOON, true, async || running.life.readiness.is_ready()).await;
    let counts = rig.shop.settled(SOON).await.unwrap();
    assert_eq!(counts.given_up, 0);
    kafka.start().await;
    let account = rig.settled().await;
    assert!(account.balances(), "{:?}", account.checks);
    // One was sent by hand and never acked; it may be there all the same, when the frozen database woke.
    let distinct = rig.distinct().await - rig.count("select count(*) from letters.letter").await;
    assert_eq!(distinct, i64::try_from(counts.acked).unwrap());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kafka_alone_is_enough_also_when_both_were_away() {
    let Some(kafka) = own::kafka().await else { return };
    let database = own::postgres().await;
    let rig = Rig::beside(kafka.url.clone(), &database, hasty()).await;
    let running = rig.start().await;
    eventually_eq(SOON, true, async || running.life.readiness.is_ready()).await;
    kafka.kill().await;
    assert_eq!(rig.deliver("w1", "{}").await.status, 200, "spooled");
    database.kill().await;
    assert_eq!(rig.deliver("w2", "{}").await.status, 503);

    kafka.start().await;
    let mut number = 2;
    eventually_eq(SOON, 200, async || {
        number += 1;
        rig.deliver(&format!("w{number}"), "{}").await.status.as_u16()
    })
    .await;
    database.start().await;
    assert!(rig.settled().await.balances());
    assert_eq!(rig.count("select count(*) from ingest.spool").await, 0);
    running.stop().await;
}

/// Such as a standby that was promoted elsewhere, or a full disk: it answers whoever reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_can_only_be_read_makes_no_door_ready() {
    let Some(kafka) = own::kafka().await else { return };
    let database = own::postgres().await;
    let rig = Rig::beside(kafka.url.clone(), &database, hasty()).await;
    let running = rig.start().await;
    eventually_eq(SOON, true, async || running.life.readiness.is_ready()).await;
    let only_read = async |setting: &'static str| {
        sqlx::query(setting).execute(rig.store.pool()).await.unwrap();
        sqlx::query("select pg_reload_conf()").execute(rig.store.pool()).await.unwrap();
    };

    kafka.kill().await;
    assert_eq!(rig.deliver("w1", "{}").await.status, 200, "spooled");
    only_read("alter system set default_transaction_read_only = on").await;
    let why = eventually(SOON, async || running.life.readiness.waiting().pop().ok_or("still ready")).await;
    assert_eq!(why, ("durable acks".to_owned(), "neither Kafka nor the database takes any".to_owned()));
    assert_eq!(rig.deliver("w2", "{}").await.status, 503);

    only_read("alter system reset default_transaction_read_only").await;
    eventually_eq(SOON, true, async || running.life.readiness.is_ready()).await;
    assert_eq!(rig.deliver("w2", "{}").await.status, 200);
    assert_eq!(rig.count(IN_SPOOL).await, 2, "nothing is left of looking");
    running.stop().await;
}

/// A letter is durable before its record is passed, and the mapper's letters are rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_letters_can_not_be_written_no_offset_moves_and_then_all_are_there() {
    let Some(kafka) = testkit::kafka().await else { return };
    let database = own::postgres().await;
    let rig = Rig::beside(kafka, &database, hasty()).await;
    let running = rig.start().await;
    eventually_eq(SOON, true, async || running.life.readiness.is_ready()).await;

    database.kill().await;
    for number in 0..10 {
        assert_eq!(rig.deliver(&format!("w{number}"), "{}").await.status, 200, "Kafka has it");
    }
    let away = Duration::from_secs(testkit::rounds(3, 60) as u64);
    let begun = Instant::now();
    while begun.elapsed() < away {
        assert_eq!(rig.committed().await, 0);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    database.start().await;
    let account = rig.settled().await;
    assert!(account.balances(), "{:?}", account.checks);
    assert_eq!(rig.count("select count(*) from letters.letter where state = 'dead'").await, 10);
    assert_eq!(rig.committed().await, 10);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_door_that_opens_before_kafka_is_there_is_ready() {
    let Some(kafka) = own::kafka().await else { return };
    let rig = Rig::on(kafka.url.clone(), hasty()).await;
    kafka.kill().await;
    let running = rig.start().await;
    assert_eq!(rig.deliver("w1", "{}").await.status, 200);
    eventually_eq(SOON, true, async || running.life.readiness.is_ready()).await;
    assert_eq!(rig.count(IN_SPOOL).await, 1);
    kafka.start().await;
    let account = rig.settled().await;
    assert_eq!((account.count("dead"), rig.count(IN_SPOOL).await), (1, 0));
    running.stop().await;
}

/// One is cut off from Kafka and has it spooled, the other one is not: it brings those deliveries to Kafka as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_that_disagree_about_kafka_bring_everything_there_once() {
    let Some(kafka) = testkit::kafka().await else { return };
    let (prefix, database) = (testkit::prefix(), testkit::database().await);
    let bus = BusSettings::local(kafka).with_prefix(prefix.clone());
    bus::topics::apply(&bus, &table(), 1, 1).await.unwrap();
    let nowhere = BusSettings::local(format!("127.0.0.1:{}", testkit::free_port())).with_prefix(prefix);
    let (rig, cut_off) = (Rig::with(bus, database.clone(), hasty()).await, Rig::with(nowhere, database, hasty()).await);
    let (running, beside) = (rig.start().await, cut_off.start().await);
    for number in 0..10 {
        assert_eq!(rig.deliver(&format!("here {number}"), "{}").await.status, 200);
        assert_eq!(cut_off.deliver(&format!("there {number}"), "{}").await.status, 200);
    }
    assert_eq!(rig.count(IN_SPOOL).await, 10);
    let half_a_minute = "update ingest.spool set received_at = received_at - interval '30 seconds'";
    sqlx::query(half_a_minute).execute(rig.store.pool()).await.unwrap();
    eventually_eq(SOON, 0, async || rig.count(IN_SPOOL).await).await;
    let account = rig.settled().await;
    assert!(account.balances(), "{:?}", account.checks);
    assert_eq!((rig.distinct().await, account.count("dead")), (20, 20));
    running.stop().await;
    beside.stop().await;
}

/// Before the disk is: other things need it too. What an earlier process left counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_spool_sends_deliveries_back() {
    let bus = BusSettings::local(format!("127.0.0.1:{}", testkit::free_port())).with_prefix("t.");
    let rig = Rig::with(bus, testkit::database().await, hasty()).await;
    let mut settings = rig.settings();
    settings.door.spool_bytes_max = 4 << 20;
    // Refused is what has no room, not what takes long.
    settings.door.spool_budget = SOON;
    let body = vec![b' '; 1500 << 10];
    let running = rig.start_with(settings.clone()).await;
    for id in ["w1", "w2"] {
        assert_eq!(rig.deliver(id, body.clone()).await.status, 200);
    }
    let refused = rig.deliver("w3", body.clone()).await;
    assert_eq!((refused.status.as_u16(), &refused.headers[RETRY_AFTER]), (503, &"60".parse().unwrap()));
    assert_eq!(rig.deliver("w4", "{}").await.status, 200, "what fits is taken");
    running.stop().await;

    let running = rig.start_with(settings).await;
    eventually_eq(SOON, 503, async || rig.deliver("w5", body.clone()).await.status.as_u16()).await;
    assert_eq!(rig.count("select count(distinct instance) from ingest.spool").await, 1, "no row is touched while Kafka is away");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_kafka_will_never_take_becomes_a_letter_and_the_drain_goes_on() {
    let Some(kafka) = testkit::kafka().await else { return };
    let bus = BusSettings::local(kafka).with_prefix(testkit::prefix());
    let small: Vec<_> = table().into_iter().map(|it| topics::Topic { message_bytes_max: 50_000, ..it }).collect();
    bus::topics::apply(&bus, &small, 1, 1).await.unwrap();
    let rig = Rig::with(bus, testkit::database().await, hasty()).await;
    let running = rig.start().await;
    // What compresses well is no large record.
    let body: Vec<u8> = std::iter::repeat_with(|| uuid::Uuid::new_v4().into_bytes()).take(10_000).flatten().collect();
    assert_eq!(rig.deliver("large", body.clone()).await.status, 200);
    assert_eq!(rig.deliver("small", "{}").await.status, 200);
    eventually_eq(SOON, 2, async || rig.count("select count(*) from letters.letter").await).await;
    assert_eq!(rig.count(IN_SPOOL).await, 0);
    let sql = "select value from letters.letter where code = 'kafka_record_refused'";
    let kept: Vec<u8> = sqlx::query_scalar(sql).fetch_one(rig.store.pool()).await.unwrap();
    assert!(kept == body, "to the last byte");
    let account = rig.settled().await;
    assert!(account.balances());
    assert_eq!(account.count("dead"), 2);
    running.stop().await;
}

/// As when one partition has no leader; here it is a topic that nobody has made yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_not_be_produced_now_keeps_nothing_else_back() {
    let Some(rig) = Rig::new().await else { return };
    let record = |topic: &str, number: usize| OutRecord {
        topic: rig.bus.topic(topic).into(),
        key: format!("shop-eu/order/{number}").into(),
        value: "{}".into(),
        headers: headers::Headers::default(),
        timestamp_ms: chrono::Utc::now().timestamp_millis(),
    };
    for number in 0..150 {
        spool::put(&rig.store, "gone", &record("missing", number)).await.unwrap();
    }
    spool::put(&rig.store, "gone", &record(topics::RAW, 150)).await.unwrap();
    sqlx::query("update ingest.spool set received_at = received_at - interval '30 seconds'").execute(rig.store.pool()).await.unwrap();
    let running = rig.start().await;
    eventually_eq(SOON, 150, async || rig.count(IN_SPOOL).await).await;

    let missing = topics::Topic { name: "missing".to_owned(), ..table().remove(0) };
    bus::topics::apply(&rig.bus, &[missing], 1, 1).await.unwrap();
    eventually_eq(SOON, 0, async || rig.count(IN_SPOOL).await).await;
    running.stop().await;
}
