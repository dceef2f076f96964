use std::time::Duration;

use bus::embedded::Embedded;
use bus::{BusSettings, Consumer, Producer, Role};
use contracts::topics;
use contracts::wire::Wire as _;
use domain::ErpCommand;
use domain::FinancialState::{Paid, Pending};
use order_router::Settings;
use order_router::config::DEFAULTS;
use pipeline::{OutRecord, Record, Source as _, SourceEvent};
use service_kit::settings::load_from;
use service_kit::{Exit, Life};
use store::StoreSettings;

use super::group::RULES;
use super::shop::{order, order_record, refund, refund_record};

const SOON: Duration = Duration::from_secs(60);

fn broker() -> (Embedded, BusSettings) {
    let target = "erp-main".parse().unwrap();
    let names = topics::table([&target]).into_iter().map(|it| (format!("t.{}", it.name), 2)).collect();
    let embedded = Embedded::start(names).unwrap();
    let settings = embedded.settings("t.");
    (embedded, settings)
}

async fn settings(bus: BusSettings, rules: &std::path::Path) -> Settings {
    let variables = [("TRADEWIND__TARGETS", "[\"erp-main\"]"), ("TRADEWIND__RULES__FILE", rules.to_str().unwrap())];
    let loaded = load_from::<Settings, _, _>(DEFAULTS, None, "TRADEWIND", variables).unwrap();
    Settings { bus, store: StoreSettings::new(testkit::database().await), ..loaded.settings }
}

fn rules_file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

async fn produce(producer: &Producer, record: Record) {
    let topic = format!("t.{}", record.partition.topic).into();
    let record = OutRecord { topic, key: record.key, value: record.value, headers: record.headers, timestamp_ms: record.timestamp_ms };
    producer.produce(&record).await.unwrap();
}

async fn next_command(consumer: &mut Consumer) -> &'static str {
    loop {
        match tokio::time::timeout(SOON, consumer.next()).await.expect("a command comes").expect("the consumer goes on") {
            SourceEvent::Record(record) => return ErpCommand::decode(&record.value).unwrap().operation.name(),
            SourceEvent::Revoked { answer, .. } => drop(answer.send(Vec::new())),
            SourceEvent::Assigned(_) | SourceEvent::Lost(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_become_commands_until_the_stop() {
    let (_broker, bus) = broker();
    let rules = rules_file(RULES);
    let life = Life::default();
    let running = tokio::spawn(order_router::run(settings(bus.clone(), rules.path()).await, life.clone()));
    let (mut commands, handle) = Consumer::start(&bus, "test", "test", &["t.tradewind.commands.erp.erp-main.v1"]).unwrap();
    let producer = Producer::new(&bus, "test", Role::Relay).unwrap();

    produce(&producer, order_record(1, order("7", Pending))).await;
    assert_eq!(next_command(&mut commands).await, "place_order");
    produce(&producer, order_record(2, order("7", Paid))).await;
    assert_eq!(next_command(&mut commands).await, "confirm_order");
    produce(&producer, refund_record(1, refund("r1", "7"))).await;
    assert_eq!(next_command(&mut commands).await, "book_refund");
    assert!(life.readiness.is_ready());

    life.stop.cancel();
    let ended = tokio::time::timeout(SOON, running).await.expect("it stops").unwrap().unwrap();
    assert_eq!(ended.left_over, 0);
    drop(commands);
    assert!(handle.close(SOON).await);
}

#[tokio::test]
async fn rules_with_mistakes_are_a_matter_of_settings_and_nothing_starts() {
    let rules = rules_file(&RULES.replace("order.country", "order.contry").replace("erp-main", "erp-mian"));
    let settings = settings(BusSettings::local("127.0.0.1:1"), rules.path()).await;
    let error = order_router::run(settings, Life::default()).await.unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Settings);
    let said = format!("{error:#}");
    for part in [
        ":9:14: there is no field `order.contry`: did you mean `order.country`?",
        ":10:10: there is no target `erp-mian`: the settings have `erp-main`",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[tokio::test]
async fn a_database_without_the_schema_is_refused() {
    let rules = rules_file(RULES);
    let mut settings = settings(BusSettings::local("127.0.0.1:1"), rules.path()).await;
    settings.store = StoreSettings::new(testkit::empty_database().await);
    let error = order_router::run(settings, Life::default()).await.unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Refused);
    assert!(format!("{error:#}").contains("run `tradewind migrate` first"), "{error:#}");
}
