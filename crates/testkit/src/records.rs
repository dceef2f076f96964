//! What lies in Kafka, read by a client that has nothing to do with ours.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

pub struct Seen {
    pub partition: i32,
    pub offset: i64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Seen {
    /// Empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.and_then(|(_, value)| std::str::from_utf8(value).ok()).unwrap_or_default()
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().into_iter().flat_map(|it| it.iter());
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().unwrap_or_default().to_vec(),
            value: message.payload().unwrap_or_default().to_vec(),
            headers: headers.map(|it| (it.key.to_owned(), it.value.unwrap_or_default().to_vec())).collect(),
        }
    }
}

/// Every record that is in the topic now; those of one partition in their order.
pub async fn read_all(brokers: &str, topic: &str) -> anyhow::Result<Vec<Seen>> {
    let (brokers, topic) = (brokers.to_owned(), topic.to_owned());
    let read = move || {
        let consumer = consumer(&brokers)?;
        let metadata = consumer.fetch_metadata(Some(&topic), WAIT)?;
        let partitions = metadata.topics().first().map_or(0, |it| it.partitions().len());
        let mut from = TopicPartitionList::new();
        for partition in 0..i32::try_from(partitions)? {
            from.add_partition_offset(&topic, partition, Offset::Beginning)?;
        }
        consumer.assign(&from)?;
        let (mut seen, mut ended) = (Vec::new(), BTreeSet::new());
        while ended.len() < partitions {
            match consumer.poll(WAIT).with_context(|| format!("{topic} could not be read to its end"))? {
                Ok(message) => seen.push(Seen::of(&message)),
                Err(KafkaError::PartitionEOF(partition)) => drop(ended.insert(partition)),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(seen)
    };
    tokio::task::spawn_blocking(read).await.context("the reader panicked")?
}

/// The record at this place.
pub fn read(brokers: &str, topic: &str, partition: i32, offset: i64) -> anyhow::Result<Seen> {
    let consumer = consumer(brokers)?;
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(topic, partition, Offset::Offset(offset))?;
    consumer.assign(&at)?;
    let seen = Seen::of(&consumer.poll(WAIT).context("nothing is there")??);
    anyhow::ensure!(seen.offset == offset, "offset {} is there", seen.offset);
    Ok(seen)
}

fn consumer(brokers: &str) -> anyhow::Result<BaseConsumer> {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", brokers)
        .set("group.id", "testkit")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true");
    Ok(settings.create()?)
}

const WAIT: Duration = Duration::from_secs(10);
