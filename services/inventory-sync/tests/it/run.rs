use std::sync::Arc;
use std::time::Duration;

use bus::{Consumer, Producer, Role};
use connector::storefront::{Delivery, DeliveryFacts, Mapped, Mapper, ReRead, Webhooks};
use connector::{ConnectionSettings, PlatformError, Platforms, StorefrontConnection, StorefrontPlatform};
use contracts::headers::Headers;
use contracts::topics::{self, groups};
use contracts::wire::OutcomeState::Applied;
use domain::{AggregateKey, ConnectionId, EntityRef};
use fault::Fault;
use http::HeaderMap;
use inventory_sync::Settings;
use inventory_sync::config::DEFAULTS;
use pipeline::{OutRecord, Record, SourceControl as _};
use service_kit::settings::load_from;
use service_kit::{Exit, Life};
use store::StoreSettings;
use testkit::eventually_eq;

use super::fake_shop::FakeShop;
use super::group::stock_settings;
use super::recount::{broker, next, next_record};
use super::world::*;

const SOON: Duration = Duration::from_secs(60);

/// A platform whose every shop is the same one in memory, which sends nothing.
struct Memory(Arc<FakeShop>);

struct Silent;

impl Webhooks for Silent {
    fn is_signed(&self, _: &HeaderMap) -> bool {
        false
    }

    fn verify(&self, _: &HeaderMap, _: &[u8]) -> Option<usize> {
        None
    }

    fn facts(&self, connection: &ConnectionId, _: &HeaderMap, _: &[u8]) -> DeliveryFacts {
        let aggregate = AggregateKey::raw(connection, "none");
        DeliveryFacts { topic: String::new(), identity: String::new(), aggregate, triggered_at: None, api_version: None }
    }
}

impl Mapper for Silent {
    fn map(&self, _: &Delivery) -> Result<Mapped, Fault> {
        Ok(Mapped::Unmapped)
    }
}

#[async_trait::async_trait]
impl ReRead for Silent {
    async fn read(&self, _: &EntityRef) -> Result<Option<(String, bytes::Bytes)>, Fault> {
        Ok(None)
    }
}

impl StorefrontPlatform for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn open(&self, _: &ConnectionId, _: &serde_json::Value) -> Result<StorefrontConnection, PlatformError> {
        Ok(StorefrontConnection {
            webhooks: Arc::new(Silent),
            mapper: Arc::new(Silent),
            reread: Arc::new(Silent),
            listing: None,
            subscriptions: None,
            stock: Arc::clone(&self.0) as _,
        })
    }
}

async fn settings(bus: bus::BusSettings) -> Settings {
    let variables = [("TRADEWIND__STOCK__TARGETS", "[\"erp-main\"]")];
    let loaded = load_from::<Settings, _, _>(DEFAULTS, None, "TRADEWIND", variables).unwrap();
    let connection = ConnectionSettings { platform: "memory".to_owned(), settings: serde_json::Map::new() };
    Settings {
        bus,
        store: StoreSettings::new(testkit::database().await),
        stock: stock_settings(),
        connections: [("shop".to_owned(), connection)].into(),
        ..loaded.settings
    }
}

async fn produce(producer: &Producer, record: Record) {
    let topic = format!("t.{}", record.partition.topic);
    let out =
        OutRecord { topic: topic.into(), key: record.key, value: record.value, headers: record.headers, timestamp_ms: record.timestamp_ms };
    producer.produce(&out).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn levels_and_orders_become_events_and_levels_until_the_stop() {
    let (_broker, bus) = broker();
    let (shop, life) = (FakeShop::showing(3), Life::default());
    let platforms = Platforms::default().with_storefront(Memory(Arc::clone(&shop)));
    let running = tokio::spawn(inventory_sync::run(settings(bus.clone()).await, platforms, life.clone()));
    let (mut events, handle) = Consumer::start(&bus, "test", "test", &["t.tradewind.availability.v1"]).unwrap();
    let producer = Producer::new(&bus, "test", Role::Relay).unwrap();

    produce(&producer, observed(1, 10, 0, &[])).await;
    assert_eq!(next(&mut events).await, "1: 10");
    eventually_eq(SOON, 10, async || shop.mugs()).await;
    shop.sell(3);
    produce(&producer, ordered("1", 1, 3)).await;
    assert_eq!(next(&mut events).await, "2: 7");
    produce(&producer, outcome("1", "place_order", Applied, 1, 20)).await;
    produce(&producer, observed(3, 11, 3, &[("1", 3)])).await;
    assert_eq!(next(&mut events).await, "3: 8");
    eventually_eq(SOON, 8, async || shop.mugs()).await;
    assert!(life.readiness.is_ready());

    life.stop.cancel();
    let ended = tokio::time::timeout(SOON, running).await.expect("it stops").unwrap().unwrap();
    assert_eq!(ended.left_over, 0);
    drop(events);
    assert!(handle.close(SOON).await);
}

/// Any delivery that no mapper has read may be the order that is missing, for as long as that lasts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_shop_sold_is_not_put_back_while_deliveries_are_unread() {
    let (_broker, bus) = broker();
    let (shop, life) = (FakeShop::showing(3), Life::default());
    let platforms = Platforms::default().with_storefront(Memory(Arc::clone(&shop)));
    let mut settings = settings(bus.clone()).await;
    (settings.stock.drift_wait, settings.stock.full_comparison_interval) = (Duration::from_millis(100), Duration::from_millis(100));
    let running = tokio::spawn(inventory_sync::run(settings, platforms, life.clone()));
    let producer = Producer::new(&bus, "test", Role::Relay).unwrap();
    produce(&producer, observed(1, 10, 0, &[])).await;
    eventually_eq(SOON, 10, async || shop.mugs()).await;

    let raw = bus.topic(topics::RAW);
    let (key, value) = ("shop/raw/1".into(), "{}".into());
    let record = OutRecord { topic: raw.as_str().into(), key, value, headers: Headers::default(), timestamp_ms: 1 };
    producer.produce(&record).await.unwrap();
    shop.sell(3);
    let looks = shop.state().looks;
    eventually_eq(SOON, true, async || shop.state().looks > looks + 3).await;
    assert_eq!(shop.mugs(), 7);

    let (mut mapper, handle) = Consumer::start(&bus, "test", groups::MAPPER, &[&raw]).unwrap();
    let read = next_record(&mut mapper).await;
    handle.store(&[(read.partition, read.offset + 1)]);
    eventually_eq(SOON, 10, async || shop.mugs()).await;

    life.stop.cancel();
    let ended = tokio::time::timeout(SOON, running).await.expect("it stops").unwrap().unwrap();
    assert_eq!(ended.left_over, 0);
    drop(mapper);
    assert!(handle.close(SOON).await);
}

#[tokio::test]
async fn a_platform_that_nobody_knows_is_a_matter_of_settings() {
    let settings = settings(bus::BusSettings::local("127.0.0.1:1")).await;
    let error = inventory_sync::run(settings, Platforms::default(), Life::default()).await.unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Settings);
}

#[tokio::test]
async fn a_database_without_the_schema_is_refused() {
    let mut settings = settings(bus::BusSettings::local("127.0.0.1:1")).await;
    settings.store = StoreSettings::new(testkit::empty_database().await);
    let platforms = Platforms::default().with_storefront(Memory(FakeShop::showing(0)));
    let error = inventory_sync::run(settings, platforms, Life::default()).await.unwrap_err();
    assert_eq!(Exit::of(&error), Exit::Refused);
    assert!(format!("{error:#}").contains("run `tradewind migrate` first"), "{error:#}");
}
