//! How much of the embedded broker's partitions nobody has read yet.
//!
//! That broker keeps some 5 MB or 100,000 records of a partition and then forgets the oldest, read or not. All its clients are in
//! one process, so they can count together: producers add what was confirmed, consumers take off what they stored as read. A
//! producer that finds a partition full answers as if the broker were away, and whoever wanted to produce keeps his record.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use pipeline::Partition;

/// Some bytes are on their way when the limit is reached, so it stands below the broker's own.
pub const PARTITION_BYTES_SAFE: u64 = 4 << 20;
pub const PARTITION_RECORDS_SAFE: usize = 80_000;

#[derive(Debug, Default)]
pub struct Fullness {
    topics: Mutex<HashMap<Arc<str>, Topic>>,
}

#[derive(Debug, Default)]
struct Topic {
    /// Groups that read it. What nobody reads nobody misses.
    groups: HashMap<String, HashMap<i32, i64>>,
    partitions: HashMap<i32, Unread>,
    /// Sent and not confirmed. Which partition they go to is librdkafka's decision: any may be it.
    on_their_way: u64,
}

/// Bytes of one record on their way to the broker, until this is dropped.
pub(crate) struct OnTheWay {
    fullness: Arc<Fullness>,
    topic: Arc<str>,
    bytes: u64,
}

#[derive(Debug, Default)]
struct Unread {
    bytes: u64,
    /// Offset and size, in the order of their confirmations.
    records: VecDeque<(i64, u64)>,
}

impl Fullness {
    pub(crate) fn reads(&self, group: &str, topic: &str) {
        let mut topics = self.topics.lock().expect("nobody panics with it");
        topics.entry(Arc::from(topic)).or_default().groups.entry(group.to_owned()).or_default();
    }

    /// `None`: there is no room, the record must not be sent.
    pub(crate) fn send(self: &Arc<Self>, topic: &Arc<str>, bytes: u64) -> Option<OnTheWay> {
        let mut topics = self.topics.lock().expect("nobody panics with it");
        let entry = topics.entry(topic.clone()).or_default();
        if entry.is_full() {
            return None;
        }
        entry.on_their_way += bytes;
        Some(OnTheWay { fullness: Arc::clone(self), topic: topic.clone(), bytes })
    }

    fn produced(&self, partition: &Partition, offset: i64, bytes: u64) {
        let mut topics = self.topics.lock().expect("nobody panics with it");
        let topic = topics.entry(partition.topic.clone()).or_default();
        if topic.groups.is_empty() {
            return;
        }
        let unread = topic.partitions.entry(partition.number).or_default();
        unread.bytes += bytes;
        unread.records.push_back((offset, bytes));
        topic.forget_read(partition.number);
    }

    /// `next`: the next offset that the group reads.
    pub(crate) fn read(&self, group: &str, partition: &Partition, next: i64) {
        let mut topics = self.topics.lock().expect("nobody panics with it");
        let Some(topic) = topics.get_mut(&partition.topic) else { return };
        if let Some(group) = topic.groups.get_mut(group) {
            group.insert(partition.number, next);
        }
        topic.forget_read(partition.number);
    }

    /// Unread bytes of the fullest partition of all topics.
    pub fn fullest_partition_bytes(&self) -> u64 {
        let topics = self.topics.lock().expect("nobody panics with it");
        topics.values().flat_map(|it| it.partitions.values()).map(|it| it.bytes).max().unwrap_or(0)
    }
}

impl OnTheWay {
    pub(crate) fn confirmed(self, partition: &Partition, offset: i64) {
        self.fullness.produced(partition, offset, self.bytes);
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        let mut topics = self.fullness.topics.lock().expect("nobody panics with it");
        if let Some(topic) = topics.get_mut(&self.topic) {
            topic.on_their_way -= self.bytes;
        }
    }
}

impl Topic {
    fn is_full(&self) -> bool {
        !self.groups.is_empty()
            && (self.on_their_way >= PARTITION_BYTES_SAFE
                || self.partitions.values().any(|unread| {
                    unread.bytes + self.on_their_way >= PARTITION_BYTES_SAFE || unread.records.len() >= PARTITION_RECORDS_SAFE
                }))
    }

    fn forget_read(&mut self, partition: i32) {
        let slowest = self.groups.values().map(|it| it.get(&partition).copied().unwrap_or(0)).min().unwrap_or(i64::MAX);
        let Some(unread) = self.partitions.get_mut(&partition) else { return };
        while let Some((_, bytes)) = unread.records.pop_front_if(|(offset, _)| *offset < slowest) {
            unread.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn produce(fullness: &Arc<Fullness>, partition: &Partition, offset: i64, bytes: u64) -> bool {
        fullness.send(&partition.topic, bytes).map(|it| it.confirmed(partition, offset)).is_some()
    }

    #[test]
    fn a_partition_is_as_full_as_its_slowest_reader_left_it() {
        let (fullness, partition) = (Arc::new(Fullness::default()), Partition::new("orders", 3));
        fullness.reads("router", "orders");
        fullness.reads("stock", "orders");
        assert!(produce(&fullness, &partition, 0, PARTITION_BYTES_SAFE - 1));
        assert!(produce(&fullness, &partition, 1, 1));
        assert!(!produce(&fullness, &partition, 2, 1), "full");
        fullness.read("router", &partition, 2);
        assert_eq!(fullness.fullest_partition_bytes(), PARTITION_BYTES_SAFE, "stock has not read it");
        fullness.read("stock", &partition, 1);
        assert_eq!(fullness.fullest_partition_bytes(), 1);
        assert!(produce(&fullness, &partition, 2, 1));
    }

    #[test]
    fn what_is_on_its_way_counts_until_it_arrived_or_was_given_up() {
        let (fullness, topic) = (Arc::new(Fullness::default()), Arc::from("orders"));
        fullness.reads("router", "orders");
        let on_the_way = fullness.send(&topic, PARTITION_BYTES_SAFE).unwrap();
        assert!(fullness.send(&topic, 1).is_none());
        drop(on_the_way);
        assert!(fullness.send(&topic, 1).is_some());
    }

    #[test]
    fn many_small_records_fill_a_partition_too() {
        let (fullness, partition) = (Arc::new(Fullness::default()), Partition::new("orders", 0));
        fullness.reads("router", "orders");
        let sent = (0..i64::MAX).take_while(|offset| produce(&fullness, &partition, *offset, 1)).count();
        assert_eq!(sent, PARTITION_RECORDS_SAFE);
    }

    #[test]
    fn what_nobody_reads_never_fills() {
        let (fullness, partition) = (Arc::new(Fullness::default()), Partition::new("orders", 0));
        assert!((0..3).all(|offset| produce(&fullness, &partition, offset, PARTITION_BYTES_SAFE)));
        assert_eq!(fullness.fullest_partition_bytes(), 0);
    }
}
