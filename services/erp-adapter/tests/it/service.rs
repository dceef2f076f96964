//! The whole service, over a real Kafka and a real PostgreSQL, with a platform of its own.

use std::sync::Arc;
use std::time::Duration;

use bus::{BusSettings, Consumer, Producer, Role};
use connector::erp::{Guarantee, OperationGuarantees};
use connector::{ErpConnection, ErpPlatform, PlatformError, Platforms};
use contracts::topics;
use contracts::wire::{Outcome, OutcomeState, Wire as _};
use domain::TargetId;
use erp_adapter::Settings;
use pipeline::{OutRecord, Record, Source as _, SourceEvent};
use serde_json::Value;
use service_kit::Life;
use tokio_util::sync::CancellationToken;

use super::erp::FakeErp;
use super::rig::{SOON, TARGET, World, order};
use super::stock::FakeStock;

struct Fake(Arc<FakeErp>, Arc<FakeStock>);

impl ErpPlatform for Fake {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn guarantees(&self) -> Vec<OperationGuarantees> {
        Vec::new()
    }

    fn open(&self, _: &TargetId, settings: &Value) -> Result<ErpConnection, PlatformError> {
        assert_eq!(settings["warehouse"], 5);
        Ok(ErpConnection { erp: Arc::clone(&self.0) as _, stock: Arc::clone(&self.1) as _ })
    }
}

/// The next record of a consumer; assignments are taken as they come.
async fn next(consumer: &mut Consumer) -> Record {
    loop {
        let event = tokio::time::timeout(SOON, consumer.next()).await.expect("a record comes in time");
        if let SourceEvent::Record(record) = event.expect("the consumer goes on") {
            return record;
        }
    }
}

fn settings(brokers: &str, prefix: &str, database: &str) -> Settings {
    let file = format!(
        "[bus]\nbrokers = \"{brokers}\"\nprefix = \"{prefix}\"\n[store]\nurl = \"{database}\"\n
         [targets.{TARGET}]\nplatform = \"fake\"\nwarehouse = 5\nstock_interval = \"50ms\"\n"
    );
    let mut written = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut written, file.as_bytes()).unwrap();
    service_kit::settings::load(erp_adapter::config::DEFAULTS, Some(written.path()), "NOT_SET").unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_come_in_outcomes_and_stock_go_out_and_a_stop_leaves_nothing() {
    let Some(brokers) = testkit::kafka().await else { return };
    let (prefix, database) = (testkit::prefix(), testkit::database().await);
    let bus = BusSettings::local(&brokers).with_prefix(&prefix);
    let target: TargetId = TARGET.parse().unwrap();
    let applied = bus::topics::apply(&bus, &topics::table([&target]), 1, 1).await.unwrap();
    assert!(applied.left.is_empty(), "{applied:?}");

    let (erp, stock) = (Arc::new(FakeErp::new(Guarantee::Unique)), Arc::new(FakeStock::default()));
    stock.set("MUG", 10);
    let platforms = Platforms::default().with_erp(Fake(Arc::clone(&erp), Arc::clone(&stock)));
    let life = Life::new(CancellationToken::new());
    let run = tokio::spawn(erp_adapter::run(settings(&brokers, &prefix, &database), platforms, life.clone()));

    // A world only to make commands with.
    let world = World::new(FakeErp::new(Guarantee::Unique)).await;
    let command = world.send(&order("1"), "place", 1);
    let producer = Producer::new(&bus, "test", Role::Relay).unwrap();
    let record = world.records.lock().unwrap()[0].clone();
    let topic = bus.topic(&topics::commands(&target));
    let out = OutRecord { topic: topic.as_str().into(), key: record.key, value: record.value, headers: record.headers, timestamp_ms: 1 };
    producer.produce(&out).await.unwrap();

    let (mut outcomes, _outcomes) = Consumer::start(&bus, "test", "test-outcomes", &[&bus.topic(topics::OUTCOMES)]).unwrap();
    let outcome = Outcome::decode(&next(&mut outcomes).await.value).unwrap();
    assert_eq!((outcome.command_id, outcome.state), (command, OutcomeState::Applied));
    assert_eq!(erp.booked(), ["1 create", "1 confirm"]);
    let (mut inventory, _inventory) = Consumer::start(&bus, "test", "test-inventory", &[&bus.topic(topics::INVENTORY)]).unwrap();
    assert_eq!(next(&mut inventory).await.key, "erp-main/stock/main/MUG");

    life.stop.cancel();
    let ended = tokio::time::timeout(Duration::from_secs(20), run).await.expect("it stops in time").unwrap().unwrap();
    assert_eq!(ended.left_over, 0);
}

#[tokio::test]
async fn a_platform_that_nobody_registered_is_a_mistake_of_the_settings() {
    let settings = settings("127.0.0.1:1", "", "postgres://t@127.0.0.1:1/x");
    let error = erp_adapter::run(settings, Platforms::default(), Life::default()).await.unwrap_err();
    assert_eq!(service_kit::Exit::of(&error), service_kit::Exit::Settings);
    assert!(format!("{error:#}").contains("`fake` is no platform"), "{error:#}");
}
