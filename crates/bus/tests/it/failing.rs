use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bus::{BusSettings, ProduceError, Producer, Publisher, Role};
use fault::{Class, Classify as _, Fault};
use pipeline::{Actor as _, Origin, Record};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tokio::task::JoinSet;

use super::support::{SOON, Stage};

/// Does not compress.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// A broker that can be told what to answer.
fn scripted() -> (MockCluster<'static, DefaultProducerContext>, Stage) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("t.orders", 1, 1).unwrap();
    let stage = Stage { settings: BusSettings::local(cluster.bootstrap_servers()).with_prefix("t."), topic: "t.orders".into() };
    (cluster, stage)
}

#[tokio::test]
async fn a_record_that_is_too_large_is_refused_for_good_and_its_neighbours_are_not() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    let producer = stage.producer().await;
    // One is over the client's limit, one only over the topic's.
    for bytes in [6 << 20, 2 << 20] {
        let mut large = stage.record("a", "");
        large.value = noise(bytes).into();
        let neighbours =
            (producer.enqueue(&stage.record("b", "before")), producer.enqueue(&large), producer.enqueue(&stage.record("c", "after")));
        neighbours.0.unwrap().await.unwrap();
        let refused = match neighbours.1 {
            Ok(confirmation) => confirmation.await.unwrap_err(),
            Err(error) => error,
        };
        assert!(matches!(refused, ProduceError::Refused { .. }), "{bytes}: {refused:?}");
        neighbours.2.unwrap().await.unwrap();
    }
}

#[tokio::test]
async fn what_the_broker_refuses_for_good_is_a_fault_of_the_record() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    let publisher = Publisher::new(stage.producer().await);
    let mut large = stage.record("a", "");
    large.value = noise(2 << 20).into();
    let input = Record {
        partition: stage.partition(0),
        offset: 0,
        timestamp_ms: 0,
        key: "a".into(),
        value: "".into(),
        headers: Default::default(),
        origin: Origin::Topic,
    };
    let error = publisher.act(&input, vec![stage.record("a", "x"), large]).await.unwrap_err();
    assert_eq!((error.fault.class, error.fault.code), (Class::Validation, "kafka_record_refused"));
    publisher.probe().await.unwrap();
}

/// It stays broken although the broker is well again: by the client's own rule.
#[tokio::test]
async fn a_producer_that_broke_for_good_is_replaced() {
    let (cluster, stage) = scripted();
    // As when a right is given a moment too late.
    cluster.request_errors(RDKafkaApiKey::InitProducerId, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED]);
    let producer = Producer::new(&stage.settings, "relay", Role::Relay).unwrap();
    let refused = producer.produce(&stage.record("a", "1")).await.unwrap_err();
    assert!(matches!(refused, ProduceError::Unconfirmed { .. }), "{refused:?}");
    testkit::eventually(SOON, async || producer.produce(&stage.record("a", "1")).await).await;
}

/// By the client's own rule, here, or because it has lost its brokers: its process has to start anew.
#[tokio::test]
async fn a_consumer_that_broke_for_good_is_a_source_that_ends() {
    let (cluster, stage) = scripted();
    stage.filled(1).await;
    let mut reader = stage.reader();
    reader.record_within(SOON).await.expect("it reads");
    cluster.request_errors(RDKafkaApiKey::Heartbeat, &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID]);
    tokio::time::timeout(SOON, reader.ended()).await.expect("it does not go on in silence");
}

#[tokio::test]
async fn the_door_hears_within_its_budget_that_the_broker_is_away() {
    let Some(server) = testkit::own::kafka().await else { return };
    let stage = Stage::on(server.url.clone(), 1).await;
    let budget = Duration::from_millis(800);
    let producer = Producer::new(&stage.settings, "door", Role::Door { budget }).unwrap();
    producer.warm_up(&stage.topic, SOON).await.unwrap();
    // A broker that has just started may take longer than this budget for its first record.
    testkit::eventually(SOON, async || producer.produce(&stage.record("a", "1")).await).await;
    server.freeze();
    let begun = Instant::now();
    let error = producer.produce(&stage.record("a", "2")).await.unwrap_err();
    assert!(begun.elapsed() < budget + Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(matches!(error, ProduceError::Unconfirmed { .. }), "{error:?}");
    assert_eq!(Fault::from(error).class, Class::Outage);
    assert!(producer.probe(Duration::from_millis(300)).await.is_err());
    // It may have been written all the same, so the same is sent again; readers drop the twin.
    server.thaw();
    testkit::eventually(SOON, async || producer.produce(&stage.record("a", "2")).await).await;
    let mut reader = stage.reader();
    let mut values = vec!["1".to_owned()];
    while values.last().is_some_and(|it| it != "2") {
        let record = reader.record_within(SOON).await.unwrap();
        values.push(String::from_utf8(record.value.to_vec()).unwrap());
    }
    values.dedup();
    assert_eq!(values, ["1", "2"]);
    reader.close().await;
}

#[tokio::test]
async fn a_full_queue_says_so_at_once() {
    let Some(server) = testkit::own::kafka().await else { return };
    let stage = Stage::on(server.url.clone(), 1).await;
    let budget = Duration::from_secs(60);
    let producer = Producer::new(&stage.settings, "door", Role::Door { budget }).unwrap();
    server.kill().await;
    let mut large = stage.record("a", "");
    large.value = noise(1 << 20).into();
    let confirmations: Vec<_> = (0..64).map_while(|_| producer.enqueue(&large).ok()).collect();
    assert!((10..=20).contains(&confirmations.len()), "16 MiB: {}", confirmations.len());
    let error = producer.produce(&large).await.unwrap_err();
    assert_eq!((error.class(), error.code()), (Class::Outage, "kafka_queue_full"));
    assert!(!producer.flush(Duration::from_millis(50)).await);
}

/// Together they ask for many times the room that there is.
const KEYS: usize = 16;
const DECISIONS: usize = 150;
const EACH: usize = 24;

/// Many keys at once, each with one decision after the other, tried until it is out: as the engine does it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_puts_nothing_out_of_order() {
    let Some(server) = testkit::own::kafka().await else { return };
    let mut stage = Stage::on(server.url.clone(), 2).await;
    stage.settings.properties.insert("queue.buffering.max.messages".to_owned(), "64".into());
    let publisher = Publisher::new(stage.producer().await);
    server.kill().await;
    let full = Arc::new(AtomicUsize::new(0));
    let mut keys = JoinSet::new();
    for key in 0..KEYS {
        let (publisher, stage, full) = (publisher.clone(), stage.clone(), Arc::clone(&full));
        keys.spawn(async move {
            for decision in 0..DECISIONS {
                let records: Vec<_> =
                    (0..EACH).map(|it| stage.record(&format!("key-{key}"), &format!("{key} {}", decision * EACH + it))).collect();
                while let Err(error) = publisher.publish(&records).await {
                    assert!(matches!(error, ProduceError::QueueFull | ProduceError::Unconfirmed { .. }), "{error:?}");
                    full.fetch_add(usize::from(matches!(error, ProduceError::QueueFull)), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
    }
    testkit::eventually_eq(SOON, true, async || full.load(Ordering::Relaxed) > 0).await;
    server.start().await;
    while let Some(done) = keys.join_next().await {
        done.unwrap();
    }
    assert_in_order(&stage, KEYS, DECISIONS * EACH).await;
}

/// Readers drop twins; of what is left each key's numbers go up by one.
async fn assert_in_order(stage: &Stage, keys: usize, each: usize) {
    let mut newest = vec![0; keys];
    let mut reader = stage.reader();
    while newest.iter().sum::<usize>() < keys * each {
        let record = reader.record_within(SOON).await.expect("records are missing");
        let text = String::from_utf8(record.value.to_vec()).unwrap();
        let (key, number) =
            text.split_once(' ').map(|(key, number)| (key.parse::<usize>().unwrap(), number.parse::<usize>().unwrap())).unwrap();
        assert!(number <= newest[key], "key {key}: {number} came before {}", newest[key]);
        newest[key] = newest[key].max(number + 1);
    }
    reader.close().await;
}

#[tokio::test]
async fn a_broker_that_dies_and_returns_has_everything_once_and_in_order() {
    let Some(server) = testkit::own::kafka().await else { return };
    let stage = Stage::on(server.url.clone(), 1).await;
    let producer = stage.producer().await;
    let mut confirmations = Vec::new();
    for number in 0..300 {
        confirmations.push(producer.enqueue(&stage.record("a", &number.to_string())).unwrap());
        if number == 150 {
            server.kill().await;
        }
    }
    server.start().await;
    for confirmation in confirmations {
        confirmation.await.unwrap();
    }
    let mut reader = stage.reader();
    for number in 0..300 {
        assert_eq!(reader.record_within(SOON).await.unwrap().value, number.to_string());
    }
    reader.close().await;
}
