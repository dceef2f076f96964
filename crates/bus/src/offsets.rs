//! How far groups have come and where topics end: the account's witness, read from the broker, never from our tables.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::log::Logged;
use crate::{BusSettings, Error};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionOffsets {
    /// The next offset that the group reads. `None`: it has never committed there.
    pub committed: Option<i64>,
    /// The oldest offset that is still there.
    pub start: i64,
    /// The next offset to be written.
    pub end: i64,
}

/// Reads offsets of one group; joins nothing.
pub struct Offsets {
    config: ClientConfig,
    /// Another one after each failure: this one may have lost its brokers for good, see `lonely`.
    consumer: Mutex<Arc<BaseConsumer<Logged>>>,
    brokers: String,
}

impl Offsets {
    /// `group` without prefix.
    pub fn of_group(settings: &BusSettings, group: &str) -> Result<Self, Error> {
        Self::of_named_group(settings, &settings.group(group))
    }

    /// By its full name: somebody else's group too.
    pub(crate) fn of_named_group(settings: &BusSettings, group: &str) -> Result<Self, Error> {
        let mut config = settings.consumer("offsets", group);
        config.set("group.id", group);
        let consumer = Mutex::new(Arc::new(config.create_with_context(Logged::default()).map_err(Error::Client)?));
        Ok(Self { config, consumer, brokers: settings.brokers.clone() })
    }

    /// By partition of the topic. Blocking calls run on a thread made for it.
    pub async fn read(&self, topic: &str, deadline: Duration) -> Result<BTreeMap<i32, PartitionOffsets>, Error> {
        let (consumer, topic) = (Arc::clone(&self.consumer.lock().expect("nobody panics with it")), topic.to_owned());
        let read = tokio::task::spawn_blocking(move || read_blocking(&consumer, &topic, deadline));
        let read = read.await.expect("reading offsets does not panic");
        if read.is_err() {
            self.start_anew();
        }
        read.map_err(|source| Error::Unreachable { brokers: self.brokers.clone(), source })
    }

    fn start_anew(&self) {
        match self.config.create_with_context(Logged::default()) {
            Ok(anew) => {
                let old = std::mem::replace(&mut *self.consumer.lock().expect("nobody panics with it"), Arc::new(anew));
                // It ends its threads, which takes a moment.
                tokio::task::spawn_blocking(move || drop(old));
            }
            Err(error) => tracing::warn!(%error, "no other client for offsets could be made"),
        }
    }
}

fn read_blocking(consumer: &BaseConsumer<Logged>, topic: &str, deadline: Duration) -> KafkaResult<BTreeMap<i32, PartitionOffsets>> {
    let metadata = consumer.fetch_metadata(Some(topic), deadline)?;
    if let Some(error) = metadata.topics().iter().find_map(|it| it.error()) {
        return Err(KafkaError::MetadataFetch(error.into()));
    }
    let partitions: Vec<i32> =
        metadata.topics().iter().flat_map(|it| it.partitions()).map(rdkafka::metadata::MetadataPartition::id).collect();
    let mut list = TopicPartitionList::new();
    for partition in &partitions {
        list.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(list, deadline)?;
    committed.elements().iter().try_for_each(|it| it.error())?;
    let mut offsets = BTreeMap::new();
    for partition in partitions {
        let (start, end) = consumer.fetch_watermarks(topic, partition, deadline)?;
        let committed = match committed.find_partition(topic, partition).map(|it| it.offset()) {
            Some(Offset::Offset(offset)) => Some(offset),
            _ => None,
        };
        offsets.insert(partition, PartitionOffsets { committed, start, end });
    }
    Ok(offsets)
}
