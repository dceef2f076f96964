//! Topics of the bench: made, filled, and read to their ends by an eye that shares nothing with the product's consumer.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bus::{BusSettings, Producer, Role};
use contracts::topics::{Topic, Visibility};
use futures_util::future::try_join_all;
use pipeline::OutRecord;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{Offset, TopicPartitionList};

pub(crate) const PARTITIONS: i32 = 6;

pub(crate) fn settings(brokers: &str, prefix: &str) -> BusSettings {
    BusSettings::local(brokers).with_prefix(prefix)
}

/// Makes topics of these names, with the prefix of the settings.
pub(crate) async fn make(settings: &BusSettings, names: &[&str]) -> anyhow::Result<()> {
    let topic = |name: &&str| Topic {
        name: (*name).to_owned(),
        key: "aggregate",
        partitions: PARTITIONS,
        retention: Duration::from_secs(24 * 3600),
        message_bytes_max: 5 << 20,
        visibility: Visibility::Internal,
    };
    let topics: Vec<_> = names.iter().map(topic).collect();
    bus::topics::apply(settings, &topics, 1, 1).await?;
    Ok(())
}

/// Writes all of them, in order.
pub(crate) async fn fill(settings: &BusSettings, records: &[OutRecord]) -> anyhow::Result<()> {
    let producer = Producer::new(settings, "bench", Role::Relay)?;
    for some in records.chunks(1_000) {
        let sent = some.iter().map(|it| producer.enqueue(it)).collect::<Result<Vec<_>, _>>()?;
        try_join_all(sent).await?;
    }
    Ok(())
}

/// What the limits are measured with: the settings of our own clients that cost or save time, and nothing of our code.
pub(crate) fn raw_producer(brokers: &str, linger_ms: u32) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("partitioner", "murmur2_random")
        .set("message.max.bytes", (5 << 20).to_string())
        .set("compression.type", "zstd")
        .set("compression.level", "1")
        .set("linger.ms", linger_ms.to_string());
    config
}

pub(crate) fn raw_consumer(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("group.id", "bench-reader")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "10")
        .set("queued.max.messages.kbytes", "8192")
        .set("fetch.queue.backoff.ms", "10");
    config
}

/// Reads the whole of a topic from its beginning; not before [`BaseConsumer::poll`] is called.
pub(crate) fn assign_all(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<u64> {
    let (mut list, mut records) = (TopicPartitionList::new(), 0);
    for partition in 0..PARTITIONS {
        let (low, high) = consumer.fetch_watermarks(topic, partition, WAIT).with_context(|| format!("{topic} is not there"))?;
        list.add_partition_offset(topic, partition, Offset::Offset(low))?;
        records += u64::try_from(high - low).unwrap_or(0);
    }
    consumer.assign(&list)?;
    Ok(records)
}

/// A record, as an oracle sees it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|it| it.iter());
        Self {
            key: message.key().unwrap_or_default().to_vec(),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(|it| (it.key.to_owned(), it.value.unwrap_or_default().to_vec())).collect(),
        }
    }
}

/// Every record that is in the topic now; those of one partition in their order.
pub(crate) async fn read_all(brokers: &str, topic: &str) -> anyhow::Result<Vec<Seen>> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    let read = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = raw_consumer(&brokers).create()?;
        let expected = assign_all(&consumer, &topic)?;
        let mut seen = Vec::new();
        while (seen.len() as u64) < expected {
            match consumer.poll(WAIT) {
                Some(message) => seen.push(Seen::of(&message?)),
                None => bail!("{topic} has {expected} records, and only {} could be read", seen.len()),
            }
        }
        Ok(seen)
    });
    read.await.context("the reader panicked")?
}

pub(crate) const WAIT: Duration = Duration::from_secs(10);
