//! Rows of long ago are gone, the account stands, and nothing is done twice because of it.

use bus::{Consumer, Producer, Role};
use contracts::topics;
use pipeline::{OutRecord, Record, Source as _, SourceEvent};
use sandbox::payloads::PaymentWish;
use sqlx::AssertSqlSafe;
use store::account::Account;
use testkit::eventually_eq;

use e2e::{ERP, Installation, Program, SOON, Setup, assert_in_order, assert_once, mugs, stock_agrees};

/// What tells the age of a row.
const AGES: [(&str, &str); 5] = [
    ("raw_record", "seen_at"),
    ("decision", "decided_at"),
    ("decision", "published_at"),
    ("output", "published_at"),
    ("outbox", "published_at"),
];

/// A year passes for every row that was settled.
async fn a_year_passes(it: &Installation) {
    let mut sql = "update effects.effect set settled_at = settled_at - interval '1 year';".to_owned();
    sql += "update effects.effect_step set lease_until = lease_until - interval '1 year', updated_at = updated_at - interval '1 year';";
    sql += "update letters.output set published_at = published_at - interval '1 year';";
    for schema in ["ingest", "router", "effects", "stock"] {
        for (table, column) in AGES {
            let is_there = match table {
                "raw_record" => schema == "ingest",
                "outbox" => schema == "effects",
                _ => true,
            };
            if is_there {
                sql += &format!("update {schema}.{table} set {column} = {column} - interval '1 year';");
            }
        }
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(it.store.pool()).await.unwrap();
}

const LEFT: &str =
    "select (select count(*) from account.decision) + (select count(*) from account.output) + (select count(*) from ingest.raw_record)
    + (select count(*) from effects.effect_step) + (select count(*) from effects.outbox)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_comes_again_when_all_about_it_is_forgotten_is_not_done_again() {
    let Some(mut it) = Installation::start(Setup::default()).await else { return };
    let first = it.shop.place_order(&mugs(PaymentWish::Paid)).unwrap();
    for _ in 0..4 {
        it.shop.place_order(&mugs(PaymentWish::Paid)).unwrap();
    }
    let before = it.settled().await;
    assert!(before.balances(), "{before:?}");
    stock_agrees(&it).await;
    let before = it.settled().await;

    a_year_passes(&it).await;
    // It looks for old rows when it starts.
    it.process(Program::Replayer).kill_and_restart();
    eventually_eq(SOON, 0, async || it.count(LEFT).await).await;
    assert_eq!(it.account().await, before, "nothing is left of the ledgers, and everything is accounted for");
    let said = it.tradewind(&["--json", "account"]).await.json();
    let counts = said["lines"].as_array().unwrap().iter().map(|it| it["count"].as_i64().unwrap());
    assert_eq!(counts.sum::<i64>(), total(&before));

    // What the shop sent comes again, and what the adapter was told.
    it.shop.send_again(&first.deliveries);
    let commands = commands(&it, 5).await;
    let producer = Producer::new(&it.bus, "again", Role::Relay).unwrap();
    for command in &commands {
        producer.produce(&again(command)).await.unwrap();
    }
    eventually_eq(SOON, true, async || it.count("select count(*) from effects.decision where published_at is not null").await >= 5).await;
    let after = it.settled().await;
    assert!(after.balances() && total(&after) > total(&before), "{after:?}");
    assert_eq!((after.count("dead"), after.count("held")), (0, 0), "{:?}", it.letters().await);
    assert_once(&it);
    assert_in_order(&it);
    stock_agrees(&it).await;
}

fn total(account: &Account) -> i64 {
    account.lines.iter().map(|it| it.count).sum()
}

/// What the adapter was told, once there is so much of it.
async fn commands(it: &Installation, count: usize) -> Vec<Record> {
    let topic = it.bus.topic(&topics::commands(&ERP.parse().unwrap()));
    let (mut consumer, handle) = Consumer::start(&it.bus, "again", "again", &[&topic]).unwrap();
    let mut records = Vec::new();
    while records.len() < count {
        match tokio::time::timeout(SOON, consumer.next()).await.expect("they are there").expect("the consumer goes on") {
            SourceEvent::Record(record) => records.push(record),
            SourceEvent::Revoked { answer, .. } => drop(answer.send(Vec::new())),
            SourceEvent::Assigned(_) | SourceEvent::Lost(_) => {}
        }
    }
    handle.close(SOON).await;
    records
}

fn again(record: &Record) -> OutRecord {
    OutRecord {
        topic: record.partition.topic.clone(),
        key: record.key.clone(),
        value: record.value.clone(),
        headers: record.headers.clone(),
        timestamp_ms: record.timestamp_ms,
    }
}
