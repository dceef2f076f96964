//! Commits, one after the other.
//!
//! librdkafka's own timer sends the next commit while the one before is on its way. Where the connection breaks it sends all of
//! them again, each after a wait of its own, and the oldest may arrive last: the group goes back, and stays there until something
//! newer is settled. So one thread commits, and waits for the answer before it commits again. It also wakes what was resumed: both
//! wait for brokers.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};

use crate::rebalance::Context;

/// Held while a commit is on its way.
#[derive(Default)]
pub(crate) struct Commits(Mutex<()>);

impl Commits {
    /// What was stored since the last one.
    pub(crate) fn stored(&self, consumer: &BaseConsumer<Context>) -> KafkaResult<()> {
        let _alone = self.0.lock().expect("nobody panics with it");
        match consumer.commit_consumer_state(CommitMode::Sync) {
            Err(error) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::NoOffset) => Ok(()),
            result => result,
        }
    }

    /// These, whatever was stored.
    pub(crate) fn exactly(&self, consumer: &BaseConsumer<Context>, offsets: &TopicPartitionList) -> KafkaResult<()> {
        let _alone = self.0.lock().expect("nobody panics with it");
        consumer.commit(offsets, CommitMode::Sync)
    }
}

/// Until it is told to stop, and unparked for it: the last commit is that of whoever closes the consumer.
pub(crate) fn commit_loop(consumer: &BaseConsumer<Context>, stopped: &AtomicBool) {
    loop {
        std::thread::park_timeout(INTERVAL);
        if stopped.load(Ordering::Relaxed) || consumer.context().is_broken() {
            return;
        }
        consumer.context().sleeping.wake(consumer);
        if let Err(error) = consumer.context().commits.stored(consumer) {
            tracing::debug!(%error, "stored offsets are committed some other time");
        }
    }
}

/// What is stored and not committed is read again after a crash.
const INTERVAL: Duration = Duration::from_millis(200);
