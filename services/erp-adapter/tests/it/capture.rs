use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contracts::wire::{ChangeKind, Changed, Entity};
use erp_adapter::capture::{Capture, CaptureSettings};
use erp_adapter::ledger::Signals;
use erp_adapter::metrics::Metrics;
use erp_adapter::relay::{Publish, Relay};
use erp_adapter::sole;
use fault::{Class, Fault};
use pipeline::{OutRecord, Position};
use store::{Store, StoreSettings};
use tokio::task::JoinHandle;

use super::rig::{SOON, TARGET};
use super::stock::FakeStock;

#[derive(Clone, Default)]
struct Topic {
    records: Arc<Mutex<Vec<OutRecord>>>,
    failures: Arc<Mutex<usize>>,
}

#[async_trait]
impl Publish for Topic {
    async fn publish(&self, records: &[OutRecord]) -> Result<Vec<Position>, Fault> {
        let mut failures = self.failures.lock().unwrap();
        if *failures > 0 {
            *failures -= 1;
            return Err(Fault::new(Class::Outage, "kafka_unconfirmed", "no answer"));
        }
        let mut topic = self.records.lock().unwrap();
        let first = topic.len();
        topic.extend(records.to_vec());
        Ok((first..topic.len()).map(|n| Position::of(&topic[n], 0, i64::try_from(n).unwrap())).collect())
    }
}

impl Topic {
    /// As `sku on hand @ sequence kind paths`.
    fn told(&self) -> Vec<String> {
        let records = self.records.lock().unwrap();
        let told = records.iter().map(|record| {
            assert_eq!(record.headers.text("ce_source"), Some("tradewind/erp-main"));
            let changed = Changed::decode(record.headers.text("ce_type").unwrap(), &record.value).unwrap();
            let Entity::Stock(level) = changed.entity else { panic!("only stock is captured") };
            assert_eq!(record.key, format!("erp-main/stock/main/{}", level.sku).as_bytes());
            assert_eq!(changed.change.kind == ChangeKind::Created, changed.change.sequence == 1);
            format!("{} {} @ {} {}", level.sku, level.on_hand, changed.change.sequence, changed.change.changed_paths.join("+"))
                .trim_end()
                .to_owned()
        });
        told.collect()
    }
}

struct Rig {
    store: Store,
    stock: Arc<FakeStock>,
    topic: Topic,
    signals: Arc<Signals>,
}

impl Rig {
    async fn new() -> Self {
        let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
        Self { store, stock: Arc::default(), topic: Topic::default(), signals: Arc::default() }
    }

    fn capture(&self) -> Capture {
        self.capture_every(Duration::from_millis(20))
    }

    fn capture_every(&self, interval: Duration) -> Capture {
        Capture {
            store: self.store.clone(),
            target: TARGET.parse().unwrap(),
            source: Arc::clone(&self.stock) as _,
            topic: "inventory".to_owned(),
            settings: CaptureSettings { interval, comparison_interval: Duration::from_secs(3600), missing_max: 1 },
            metrics: Metrics::new(TARGET),
        }
    }

    fn relay(&self) -> Relay<Topic> {
        let (store, publisher) = (self.store.clone(), self.topic.clone());
        Relay { store, target: TARGET.to_owned(), group: "erp-adapter-erp-main".to_owned(), publisher, metrics: Metrics::new(TARGET) }
    }

    /// As one process of several.
    fn start(&self, capture: Capture) -> JoinHandle<()> {
        let (relay, signals) = (self.relay(), Arc::clone(&self.signals));
        tokio::spawn(async move { sole::run(&capture, &relay, &signals).await })
    }

    async fn until_told(&self, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        testkit::eventually_eq(SOON, expected, async || self.topic.told()).await;
    }

    /// Where a record lies is noted after it is produced: a process that dies in between produces it once more.
    async fn until_noted(&self, expected: i64) {
        let noted = "select count(*) from effects.output where topic = 'inventory'";
        testkit::eventually_eq(SOON, expected, async || sqlx::query_scalar(noted).fetch_one(self.store.pool()).await.unwrap()).await;
    }
}

#[tokio::test]
async fn what_is_there_is_told_first_and_then_what_changes() {
    let rig = Rig::new().await;
    rig.stock.set("MUG", 10);
    rig.stock.set("CUP", 5);
    let _process = rig.start(rig.capture());
    rig.until_told(&["CUP 5 @ 1", "MUG 10 @ 1"]).await;
    rig.stock.set("MUG", 9);
    rig.until_told(&["CUP 5 @ 1", "MUG 10 @ 1", "MUG 9 @ 2 on_hand"]).await;
    rig.stock.set_with("MUG", 9, &["shop/order/1"]);
    rig.until_told(&["CUP 5 @ 1", "MUG 10 @ 1", "MUG 9 @ 2 on_hand", "MUG 9 @ 3 reserved+open_sales"]).await;
    rig.until_noted(4).await;
}

#[tokio::test]
async fn an_item_that_shows_up_ends_the_wait_of_those_that_miss_it() {
    let rig = Rig::new().await;
    for (n, missing) in [(1, "item:MUG"), (2, "item:CUP")] {
        let sql = "insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, origin_topic, origin_partition, origin_offset,
                     origin_time_ms, key, value, headers, missing, retry_at)
                   values (gen_random_uuid(), 'erp-adapter-erp-main', gen_random_uuid(), 'shop', 'order', $1, 'waiting', 'commands', 0, 0, 0,
                     '', '', '', $2, now() + interval '1 hour')";
        sqlx::query(sql).bind(format!("shop/order/{n}")).bind(missing).execute(rig.store.pool()).await.unwrap();
    }
    rig.stock.set("MUG", 10);
    let _process = rig.start(rig.capture());
    rig.until_told(&["MUG 10 @ 1"]).await;
    let due: Vec<String> =
        sqlx::query_scalar("select missing from letters.letter where retry_at <= now()").fetch_all(rig.store.pool()).await.unwrap();
    assert_eq!(due, ["item:MUG"]);
}

#[tokio::test]
async fn looking_again_is_no_news_in_whatever_process() {
    let rig = Rig::new().await;
    rig.stock.set("MUG", 10);
    let first = rig.start(rig.capture());
    rig.until_told(&["MUG 10 @ 1"]).await;
    rig.until_noted(1).await;
    first.abort();
    let _second = rig.start(rig.capture());
    rig.stock.set("MUG", 10);
    rig.stock.set("CUP", 1);
    rig.until_told(&["MUG 10 @ 1", "CUP 1 @ 1"]).await;
    let reads = rig.stock.reads();
    testkit::eventually_eq(SOON, true, async || rig.stock.reads() > reads + 5).await;
    assert_eq!(rig.topic.told().len(), 2);
}

#[tokio::test]
async fn an_older_observation_never_overtakes_a_newer_one() {
    let rig = Rig::new().await;
    rig.stock.set("MUG", 10);
    let capture = rig.capture();
    assert_eq!(capture.changes().await.unwrap(), 0, "the first one only takes the time");
    assert_eq!(capture.compare().await.unwrap(), 1);
    // Observed before the comparison was, and read after it.
    rig.stock.set("MUG", 7);
    rig.stock.set_late(10);
    assert_eq!(capture.changes().await.unwrap_err().code, "erp_clock_back");
    rig.stock.set_late(0);
    assert_eq!(capture.changes().await.unwrap(), 1, "it is read again, and not lost");
    rig.stock.set("MUG", 6);
    rig.stock.set_late(400);
    assert_eq!(capture.changes().await.unwrap(), 1, "nobody waits for long until a clock has caught up");
}

#[tokio::test]
async fn what_the_target_has_no_more_is_told_to_be_gone_once_all_was_compared() {
    let rig = Rig::new().await;
    for sku in ["CUP", "MUG", "TEE"] {
        rig.stock.set(sku, 10);
    }
    let capture = Capture { settings: CaptureSettings { comparison_interval: Duration::ZERO, ..rig.capture().settings }, ..rig.capture() };
    // The page with all of them, and the one behind it.
    let whole = async || capture.compare().await.unwrap() + capture.compare().await.unwrap();
    assert_eq!((whole().await, whole().await), (3, 0), "all are there");
    rig.stock.archive("CUP");
    assert_eq!(whole().await, 1);
    assert_eq!(whole().await, 0, "once");
    rig.stock.restore("CUP");
    assert_eq!(whole().await, 1);
    for sku in ["CUP", "MUG"] {
        rig.stock.archive(sku);
    }
    assert_eq!(whole().await, 0, "two at once are more than may be: perhaps we may not see them any more");
    let _process = rig.start(rig.capture());
    rig.until_told(&["CUP 10 @ 1", "MUG 10 @ 1", "TEE 10 @ 1", "CUP 0 @ 2 on_hand", "CUP 10 @ 3 on_hand"]).await;
}

#[tokio::test]
async fn one_process_captures_and_another_takes_over() {
    let rig = Rig::new().await;
    rig.stock.set("MUG", 10);
    let first = rig.start(rig.capture());
    rig.until_told(&["MUG 10 @ 1"]).await;
    let other = Arc::new(FakeStock::default());
    other.set("MUG", 10);
    let second = rig.start(Capture { source: Arc::clone(&other) as _, ..rig.capture() });
    let reads = rig.stock.reads();
    testkit::eventually_eq(SOON, true, async || rig.stock.reads() > reads + 20).await;
    assert_eq!(other.reads(), 0, "it waits");
    first.abort();
    testkit::eventually_eq(SOON, true, async || other.reads() > 0).await;
    second.abort();
}

#[tokio::test]
async fn a_target_and_a_broker_that_are_away_are_waited_for() {
    let rig = Rig::new().await;
    rig.stock.set("MUG", 10);
    rig.stock.fail(4);
    *rig.topic.failures.lock().unwrap() = 2;
    let _process = rig.start(rig.capture());
    rig.until_told(&["MUG 10 @ 1"]).await;
}

#[tokio::test]
async fn an_applied_command_brings_its_stock_back_at_once() {
    let rig = Rig::new().await;
    rig.stock.set("MUG", 10);
    let _process = rig.start(rig.capture_every(Duration::from_secs(3600)));
    rig.until_told(&["MUG 10 @ 1"]).await;
    rig.stock.set("MUG", 9);
    rig.signals.applied.notify_one();
    rig.until_told(&["MUG 10 @ 1", "MUG 9 @ 2 on_hand"]).await;
}
