//! Partitions that were resumed, and whose brokers' threads sleep.
//!
//! librdkafka does not tell the thread of a partition's broker that it was resumed. One that has nothing else to fetch looks again
//! when a second is over (`rd_kafka_max_block_ms`), or when there is something to send. So something is sent: their offsets of some
//! time are asked for, and the answer is thrown away.

use std::sync::Mutex;
use std::time::Duration;

use pipeline::Partition;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

use crate::rebalance::Context;

#[derive(Default)]
pub(crate) struct Sleeping(Mutex<Vec<Partition>>);

impl Sleeping {
    pub(crate) fn add(&self, partitions: &[Partition]) {
        self.0.lock().expect("nobody panics with it").extend_from_slice(partitions);
    }

    /// Waits for the brokers' answers, so it is for a thread that may.
    pub(crate) fn wake(&self, consumer: &BaseConsumer<Context>) {
        let partitions = std::mem::take(&mut *self.0.lock().expect("nobody panics with it"));
        if partitions.is_empty() {
            return;
        }
        let mut times = TopicPartitionList::with_capacity(partitions.len());
        for it in partitions {
            times.add_partition_offset(&it.topic, it.number, Offset::Offset(NEVER_MS)).expect("a time is not negative");
        }
        if let Err(error) = consumer.offsets_for_times(times, PATIENCE) {
            tracing::debug!(%error, "resumed partitions are read on within a second");
        }
    }
}

/// A time that no record has: nothing has to be looked up for it.
const NEVER_MS: i64 = i64::MAX;
const PATIENCE: Duration = Duration::from_secs(1);
