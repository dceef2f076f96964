use std::time::{Duration, Instant};

use pipeline::SourceControl as _;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::support::{SOON, Stage};

#[tokio::test]
async fn a_new_group_starts_at_the_beginning() {
    let Some(stage) = Stage::with_partitions(3).await else { return };
    stage.filled(30).await;
    let mut reader = stage.reader();
    let mut values = Vec::new();
    for _ in 0..30 {
        let record = reader.record_within(SOON).await.unwrap();
        values.push(String::from_utf8(record.value.to_vec()).unwrap().parse::<usize>().unwrap());
    }
    values.sort_unstable();
    assert_eq!(values, (0..30).collect::<Vec<_>>());
    reader.close().await;
}

#[tokio::test]
async fn a_restart_after_each_record_neither_skips_nor_repeats() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(6).await;
    for expected in 0..6 {
        let mut reader = stage.reader();
        let record = reader.record_within(SOON).await.unwrap();
        assert_eq!(record.offset, expected);
        reader.settle(&record);
        reader.close().await;
        assert_eq!(stage.committed(0).await, Some(expected + 1), "the next record to read");
    }
}

#[tokio::test]
async fn what_was_read_and_not_settled_is_read_again() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(3).await;
    for _ in 0..2 {
        let mut reader = stage.reader();
        assert_eq!(reader.record_within(SOON).await.unwrap().offset, 0);
        assert_eq!(reader.record_within(SOON).await.unwrap().offset, 1);
        reader.close().await;
    }
    assert_eq!(stage.committed(0).await, None);
}

#[tokio::test]
async fn stored_offsets_are_committed_without_being_asked_for() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(3).await;
    let mut reader = stage.reader();
    let record = reader.record_within(SOON).await.unwrap();
    reader.settle(&record);
    testkit::eventually_eq(SOON, Some(1), async || stage.committed(0).await).await;
    reader.close().await;
}

#[tokio::test]
async fn a_paused_partition_is_silent_and_goes_on_where_it_was() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(10).await;
    let mut reader = stage.reader();
    assert_eq!(reader.record_within(SOON).await.unwrap().offset, 0);
    reader.handle.pause(&[stage.partition(0)]);
    // What was on its way to us before the pause still comes.
    let mut last = 0;
    while let Some(record) = reader.record_within(Duration::from_millis(500)).await {
        assert_eq!(record.offset, last + 1);
        last = record.offset;
    }
    let more = stage.filled(1).await[0].offset;
    assert!(reader.record_within(Duration::from_millis(500)).await.is_none(), "paused");
    reader.handle.resume(&[stage.partition(0)]);
    while last < more {
        last += 1;
        assert_eq!(reader.record_within(SOON).await.unwrap().offset, last);
    }
    reader.close().await;
}

#[tokio::test]
async fn a_partition_whose_next_record_was_deleted_stands_still() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(10).await;
    let mut reader = stage.reader();
    let record = reader.record_within(SOON).await.unwrap();
    reader.settle(&record);
    reader.close().await;
    delete_before(&stage, 5).await;
    let mut reader = stage.reader();
    let handle = std::sync::Arc::clone(&reader.handle);
    let stands_still = testkit::eventually_eq(SOON, true, async || handle.is_out_of_range());
    tokio::select! {
        _ = stands_still => {}
        record = reader.record() => panic!("offset {} came, though 1 to 4 were never read", record.offset),
    }
    stage.filled(1).await;
    assert!(reader.record_within(Duration::from_millis(500)).await.is_none(), "nobody decided where to go on");
    reader.close().await;
    assert_eq!(stage.committed(0).await, Some(1));
}

async fn delete_before(stage: &Stage, offset: i64) {
    let admin: AdminClient<DefaultClientContext> = ClientConfig::new().set("bootstrap.servers", &stage.settings.brokers).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&stage.topic, 0, Offset::Offset(offset)).unwrap();
    admin.delete_records(&list, &AdminOptions::new()).await.unwrap();
}

/// The client by itself looks again when a second is over: half of one on average, three in all. A wake-up takes a few milliseconds,
/// and may take a hundred times as long here.
#[tokio::test]
async fn a_resumed_partition_is_read_on_at_once() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(1).await;
    let mut reader = stage.reader();
    reader.record().await;
    let mut took = Duration::ZERO;
    for round in 0..6 {
        reader.handle.pause(&[stage.partition(0)]);
        // Long enough that it sleeps, at another moment of its second each time.
        tokio::time::sleep(Duration::from_millis(1_200 + round * 170)).await;
        stage.filled(1).await;
        let begun = Instant::now();
        reader.handle.resume(&[stage.partition(0)]);
        reader.record().await;
        took += begun.elapsed();
    }
    assert!(took < Duration::from_millis(1_500), "{took:?}");
    reader.close().await;
}
