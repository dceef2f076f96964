use std::time::Duration;

use bus::{BusSettings, Consumer, Producer, Publisher, Role};
use contracts::headers::Headers;
use contracts::topics::{Topic, Visibility};
use erp_adapter::metrics::Metrics;
use erp_adapter::relay::Relay;
use pipeline::{OutRecord, Source as _, SourceEvent};
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

fn captured(topic: &str, number: usize) -> OutRecord {
    let (topic, key, value) = (topic.into(), "erp-main/stock/main/MUG".into(), number.to_string().into());
    OutRecord { topic, key, value, headers: Headers::default(), timestamp_ms: 0 }
}

/// Of one process.
async fn relay(bus: &BusSettings, store: &Store) -> Relay<Publisher> {
    let producer = Producer::new(bus, "relay", Role::Relay).unwrap();
    producer.warm_up(&bus.topic("inventory"), SOON).await.unwrap();
    Relay {
        store: store.clone(),
        target: TARGET.to_owned(),
        group: "erp-adapter-erp-main".to_owned(),
        publisher: Publisher::new(producer),
        metrics: Metrics::new(TARGET),
    }
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
