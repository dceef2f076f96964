use std::sync::Arc;

use bus::embedded::Embedded;
use contracts::headers::Headers;
use pipeline::OutRecord;

use super::support::{SOON, Stage};

fn strange(topic: &Arc<str>) -> OutRecord {
    let mut headers = Headers::default();
    headers.push("ce_id", "e1");
    headers.push("twice", "a");
    headers.push("twice", "b");
    headers.push("empty", "");
    headers.push("bytes", vec![0, 0xff, 0xfe, b'\n']);
    OutRecord {
        topic: topic.clone(),
        key: vec![0, 1, 0xff].into(),
        value: (0..=255_u8).cycle().take(70_000).collect::<Vec<_>>().into(),
        headers,
        timestamp_ms: 1_700_000_000_123,
    }
}

/// Returns the time that it bears.
async fn comes_back_as_it_went(stage: &Stage) -> i64 {
    let sent = strange(&stage.topic);
    let position = stage.producer().await.produce(&sent).await.unwrap();
    let mut reader = stage.reader();
    let read = reader.record_within(SOON).await.unwrap();
    assert_eq!((&read.partition, read.offset), (&position.partition, position.offset));
    assert_eq!((&read.key, &read.headers), (&sent.key, &sent.headers));
    assert!(read.value == sent.value);
    reader.close().await;
    read.timestamp_ms
}

#[tokio::test]
async fn a_record_comes_back_byte_for_byte_and_as_old_as_its_place_in_the_topic() {
    let Some(stage) = Stage::with_partitions(3).await else { return };
    let time = comes_back_as_it_went(&stage).await;
    assert!(time > strange(&stage.topic).timestamp_ms, "the producer's clock must not decide when a record is deleted");
}

#[tokio::test]
async fn a_record_comes_back_byte_for_byte_from_the_embedded_broker_too() {
    let embedded = Embedded::start(vec![("demo.orders".to_owned(), 3)]).unwrap();
    let stage = Stage { settings: embedded.settings("demo."), topic: "demo.orders".into() };
    assert_eq!(comes_back_as_it_went(&stage).await, strange(&stage.topic).timestamp_ms);
}

/// Kafka's own test vectors for its partitioner's hash.
#[test]
fn the_reference_hash_is_the_one_of_the_java_client() {
    for (text, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        assert_eq!(murmur2(text.as_bytes()).cast_signed(), hash, "{text}");
    }
}

#[tokio::test]
async fn a_key_lands_where_a_java_client_would_put_it() {
    let Some(stage) = Stage::with_partitions(7).await else { return };
    let producer = stage.producer().await;
    for number in 0..50 {
        let key = format!("shop-1/order/{number}");
        let expected = (murmur2(key.as_bytes()) & 0x7fff_ffff) % 7;
        let position = producer.produce(&stage.record(&key, "x")).await.unwrap();
        assert_eq!(position.partition.number, expected.cast_signed(), "{key}");
    }
}

#[tokio::test]
async fn a_decision_is_produced_in_order_and_positions_are_too() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    let positions = stage.filled(500).await;
    assert_eq!(positions.iter().map(|it| it.offset).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    let mut reader = stage.reader();
    for expected in 0..500 {
        assert_eq!(reader.record_within(SOON).await.unwrap().value, expected.to_string());
    }
    reader.close().await;
}

/// Murmur2 with the Java client's seed, written from its definition.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ u32::try_from(data.len()).unwrap();
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0_u32, |tail, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}
