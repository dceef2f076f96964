use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bus::{BusSettings, Consumer, Producer, Publisher, Role};
use contracts::headers::Headers;
use contracts::topics::{Topic, Visibility};
use erp_adapter::metrics::Metrics;
use erp_adapter::relay::{Publish, Relay};
use fault::{Class, Fault};
use pipeline::{OutRecord, Position, Source as _, SourceEvent};
use store::{Store, StoreSettings, outbox};
use uuid::Uuid;

use super::rig::{SOON, TARGET};

const RECORDS: usize = 200;

/// A process that dies takes what its client had not sent with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lay_in_the_queue_of_a_process_that_is_gone_is_produced_by_the_next() {
    let Some(server) = testkit::own::kafka().await else { return };
    let bus = BusSettings::local(server.url.clone()).with_prefix(testkit::prefix());
    let topic = Topic {
        name: "inventory".to_owned(),
        key: "stock",
        partitions: 1,
        retention: Duration::from_secs(3_600),
        message_bytes_max: 1 << 20,
        visibility: Visibility::Internal,
    };
    bus::topics::apply(&bus, &[topic], 1, 1).await.unwrap();
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    let records: Vec<_> = (0..RECORDS).map(|it| (Uuid::new_v4(), captured(&bus.topic("inventory"), it))).collect();
    store.transaction(move |tx| Box::pin(async move { outbox::insert_captured(tx, TARGET, &records).await })).await.unwrap();

    let dying = relay(&bus, &store).await;
    server.kill().await;
    assert!(tokio::time::timeout(Duration::from_secs(1), dying.once()).await.is_err(), "nobody can have confirmed it");
    drop(dying);
    let open = outbox::pending_captured(&store, TARGET, 1_000).await.unwrap().len();
    assert_eq!(open, RECORDS, "nothing is marked before it is confirmed");

    server.start().await;
    let next = testkit::eventually(SOON, async || Ok::<_, String>(relay(&bus, &store).await)).await;
    assert_eq!(testkit::eventually(SOON, async || next.once().await).await, RECORDS);
    assert_eq!(next.once().await.unwrap(), 0);
    assert_eq!(read(&bus).await, (0..RECORDS).map(|it| it.to_string()).collect::<Vec<_>>());
}

/// A broker that takes everything but one record.
#[derive(Clone, Default)]
struct Picky {
    taken: Arc<Mutex<Vec<String>>>,
    is_cured: Arc<AtomicBool>,
}

#[async_trait]
impl Publish for Picky {
    async fn publish(&self, records: &[OutRecord]) -> Result<Vec<Position>, Fault> {
        if !self.is_cured.load(Ordering::Relaxed) && records.iter().any(|it| it.value == "7") {
            return Err(Fault::new(Class::Validation, "kafka_refused", "it is too large"));
        }
        let mut taken = self.taken.lock().unwrap();
        taken.extend(records.iter().map(|it| String::from_utf8(it.value.to_vec()).unwrap()));
        Ok(records.iter().zip(taken.len() as i64..).map(|(it, offset)| Position::of(it, 0, offset)).collect())
    }
}

#[tokio::test]
async fn a_record_that_kafka_refuses_for_good_holds_up_none_but_itself() {
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    let records: Vec<_> = (0..20).map(|it| (Uuid::new_v4(), captured("inventory", it))).collect();
    store.transaction(move |tx| Box::pin(async move { outbox::insert_captured(tx, TARGET, &records).await })).await.unwrap();
    let broker = Picky::default();
    let relay = relay_over(&store, broker.clone());
    assert_eq!(relay.once().await.unwrap_err().code, "kafka_refused", "who is asked again too soon would be asked for ever");
    let others: Vec<_> = (0..20).filter(|it| *it != 7).map(|it| it.to_string()).collect();
    assert_eq!(*broker.taken.lock().unwrap(), others);
    assert_eq!(outbox::pending_captured(&store, TARGET, 1_000).await.unwrap().len(), 1);
    broker.is_cured.store(true, Ordering::Relaxed);
    assert_eq!(relay.once().await.unwrap(), 1);
}

fn captured(topic: &str, number: usize) -> OutRecord {
    let (topic, key, value) = (topic.into(), "erp-main/stock/main/MUG".into(), number.to_string().into());
    OutRecord { topic, key, value, headers: Headers::default(), timestamp_ms: 0 }
}

/// Of one process.
async fn relay(bus: &BusSettings, store: &Store) -> Relay<Publisher> {
    let producer = Producer::new(bus, "relay", Role::Relay).unwrap();
    producer.warm_up(&bus.topic("inventory"), SOON).await.unwrap();
    relay_over(store, Publisher::new(producer))
}

fn relay_over<P>(store: &Store, publisher: P) -> Relay<P> {
    let (target, group) = (TARGET.to_owned(), "erp-adapter-erp-main".to_owned());
    Relay { store: store.clone(), target, group, publisher, metrics: Metrics::new(TARGET) }
}

async fn read(bus: &BusSettings) -> Vec<String> {
    let (mut consumer, handle) = Consumer::start(bus, "reader", "reader", &[&bus.topic("inventory")]).unwrap();
    let mut values = Vec::new();
    while values.len() < RECORDS {
        let event = tokio::time::timeout(SOON, consumer.next()).await.expect("records are missing").unwrap();
        if let SourceEvent::Record(record) = event {
            values.push(String::from_utf8(record.value.to_vec()).unwrap());
        }
    }
    drop(consumer);
    assert!(handle.close(SOON).await);
    values
}
