use bus::embedded::Embedded;
use bus::fullness::PARTITION_BYTES_SAFE;
use bus::{ProduceError, Publisher};

use super::support::{SOON, Stage, table};

fn stage(embedded: &Embedded) -> Stage {
    Stage { settings: embedded.settings("demo."), topic: "demo.orders".into() }
}

#[tokio::test]
async fn a_full_partition_refuses_until_it_was_read() {
    let embedded = Embedded::start(vec![("demo.orders".to_owned(), 1)]).unwrap();
    let stage = stage(&embedded);
    let mut reader = stage.reader();
    let publisher = Publisher::new(stage.producer().await);
    let large = vec![stage.record("a", &"x".repeat(512 << 10))];
    let mut produced = 0;
    let refused = loop {
        match publisher.publish(&large).await {
            Ok(_) => produced += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, ProduceError::PartitionFull { .. }), "{refused:?}");
    let fullness = stage.settings.fullness().unwrap();
    assert!(fullness.fullest_partition_bytes() >= PARTITION_BYTES_SAFE);
    for offset in 0..produced {
        let record = reader.record_within(SOON).await.expect("nothing was pushed out");
        assert_eq!(record.offset, offset);
        reader.settle(&record);
    }
    assert_eq!(fullness.fullest_partition_bytes(), 0);
    publisher.publish(&large).await.unwrap();
    reader.close().await;
}

#[tokio::test]
async fn its_topics_are_there_and_nobody_administers_them() {
    let embedded = Embedded::start(vec![("demo.orders".to_owned(), 1)]).unwrap();
    let stage = stage(&embedded);
    let topics = [table("orders", 6)];
    assert!(bus::topics::check(&stage.settings, &topics, 1, 1).await.unwrap().is_empty());
    assert!(bus::topics::apply(&stage.settings, &topics, 3, 2).await.unwrap().done.is_empty());
}

#[tokio::test]
async fn offsets_move_as_on_a_real_broker() {
    let embedded = Embedded::start(vec![("demo.orders".to_owned(), 1)]).unwrap();
    let stage = stage(&embedded);
    stage.filled(3).await;
    let mut reader = stage.reader();
    let record = reader.record_within(SOON).await.unwrap();
    reader.settle(&record);
    reader.close().await;
    assert_eq!(stage.committed(0).await, Some(1));
    let mut reader = stage.reader();
    assert_eq!(reader.record_within(SOON).await.unwrap().offset, 1);
    reader.close().await;
}
