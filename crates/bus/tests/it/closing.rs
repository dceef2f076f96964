use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::support::{SOON, Stage};

const DEADLINE: Duration = Duration::from_secs(2);

/// A reader with something to commit, and its broker.
async fn reader_of_own_broker() -> Option<(testkit::Server, Stage, super::support::Reader)> {
    let server = testkit::own::kafka().await?;
    let stage = Stage::on(server.url.clone(), 1).await;
    stage.filled(3).await;
    let mut reader = stage.reader();
    let record = reader.record_within(SOON).await.unwrap();
    reader.settle(&record);
    Some((server, stage, reader))
}

#[tokio::test]
async fn closing_keeps_its_deadline_when_the_broker_is_gone_or_frozen() {
    let Some((server, stage, reader)) = reader_of_own_broker().await else { return };
    let mut second = stage.reader();
    server.freeze();
    let begun = Instant::now();
    let _late_or_not = reader.handle.close(DEADLINE).await;
    assert!(begun.elapsed() < DEADLINE + Duration::from_secs(1), "{:?}", begun.elapsed());
    server.thaw();
    server.kill().await;
    let begun = Instant::now();
    let _come_or_not = second.record_within(Duration::from_millis(10)).await;
    let _late_or_not = second.handle.close(DEADLINE).await;
    assert!(begun.elapsed() < DEADLINE + Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_handle_that_is_dropped_without_closing_leaves_the_group_too() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(2).await;
    let mut reader = stage.reader();
    let record = reader.record_within(SOON).await.unwrap();
    reader.settle(&record);
    drop(reader);
    let mut next = stage.reader();
    assert_eq!(next.record_within(SOON).await.unwrap().offset, 1);
    next.close().await;
}

#[tokio::test]
async fn commands_after_the_close_are_ignored() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(1).await;
    let mut reader = stage.reader();
    let record = reader.record_within(SOON).await.unwrap();
    assert!(reader.handle.close(SOON).await);
    reader.settle(&record);
    assert_eq!(stage.committed(0).await, None);
}

/// Each reads a little and is stopped with records in its hands, while more are written all the time.
#[tokio::test]
async fn consumers_that_are_stopped_under_load_end_within_their_grace() {
    let Some(stage) = Stage::with_partitions(3).await else { return };
    let (producer, writing) = (stage.producer().await, stage.clone());
    let load = tokio::spawn(async move {
        for number in 0_u64.. {
            producer.produce(&writing.record(&format!("key-{}", number % 50), &number.to_string())).await.unwrap();
        }
    });
    let mut settled = BTreeSet::new();
    for round in 0..testkit::rounds(15, 500) {
        let mut reader = stage.reader();
        for _ in 0..1 + round % 40 {
            let record = reader.record_within(SOON).await.unwrap();
            assert!(settled.insert((record.partition.number, record.offset)), "read twice: {record:?}");
            reader.settle(&record);
        }
        let begun = Instant::now();
        assert!(reader.close_within(DEADLINE).await, "round {round}: still at it after {:?}", begun.elapsed());
    }
    load.abort();
}
