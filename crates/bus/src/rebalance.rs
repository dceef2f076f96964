//! What happens when partitions come and go. All of it runs inside the poll thread's calls.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kill_point::{Point, reach};
use pipeline::{Partition, SourceEvent};
use rdkafka::Offset;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use tokio::sync::{mpsc, oneshot};

use crate::commits::Commits;
use crate::consumer::with_offsets;
use crate::lag::Lag;
use crate::log;
use crate::lonely::Lonely;
use crate::sleeping::Sleeping;

pub(crate) struct Context {
    pub(crate) commits: Commits,
    pub(crate) sleeping: Sleeping,
    /// The poll thread has the other one: when that ends, so does the source.
    events: mpsc::WeakSender<SourceEvent>,
    lag: Lag,
    /// The process can't go on with this client: the poll loop ends, and with it the source.
    is_broken: AtomicBool,
    /// Committed offsets were no longer in the topic.
    out_of_range: AtomicBool,
    lonely: Lonely,
}

impl Context {
    pub(crate) fn new(events: mpsc::WeakSender<SourceEvent>, group: &str) -> Self {
        let (commits, sleeping, lag) = (Commits::default(), Sleeping::default(), Lag::of_group(group));
        Self {
            commits,
            sleeping,
            events,
            lag,
            is_broken: AtomicBool::new(false),
            out_of_range: AtomicBool::new(false),
            lonely: Lonely::default(),
        }
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::Relaxed)
    }

    pub(crate) fn note_broken(&self) {
        self.is_broken.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_out_of_range(&self) -> bool {
        self.out_of_range.load(Ordering::Relaxed)
    }

    pub(crate) fn note_out_of_range(&self) {
        self.out_of_range.store(true, Ordering::Relaxed);
        self.lag.count_out_of_range();
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        let begun = start_new_groups_at_the_beginning(consumer, list);
        if let Err(error) = begun.and_then(|()| consumer.assign(list)) {
            tracing::error!(%error, "partitions were offered and could not be taken: starting anew");
            self.note_broken();
            return;
        }
        // Now they can be paused; and no record overtakes this, because records are read by the thread that is here.
        self.tell(SourceEvent::Assigned(partitions_of(list)));
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        let partitions = partitions_of(list);
        if consumer.assignment_lost() {
            self.tell(SourceEvent::Lost(partitions));
        } else {
            self.give_back(consumer, partitions);
        }
        if let Err(error) = consumer.unassign() {
            tracing::error!(%error, "partitions could not be given back");
        }
    }

    /// Settles what is out of them, and commits how far they have come.
    fn give_back(&self, consumer: &BaseConsumer<Self>, partitions: Vec<Partition>) {
        reach(Point::RevokeAsked);
        let Some(offsets) = self.ask_engine(partitions).filter(|it| !it.is_empty()) else { return };
        reach(Point::RevokeSettled);
        if let Err(error) = self.commits.exactly(consumer, &with_offsets(&offsets)) {
            tracing::warn!(%error, "offsets were not committed before the partitions went; those records are read again");
        }
        reach(Point::RevokeCommitted);
    }

    fn tell(&self, event: SourceEvent) {
        if self.send(event).is_none() {
            tracing::debug!("nobody reads this consumer any more");
        }
    }

    fn send(&self, event: SourceEvent) -> Option<()> {
        self.events.upgrade()?.blocking_send(event).ok()
    }

    /// Waits for the engine to settle what is out. It answers within its own grace period; this one is the net below it.
    fn ask_engine(&self, partitions: Vec<Partition>) -> Option<Vec<(Partition, i64)>> {
        let (answer, mut answered) = oneshot::channel();
        self.send(SourceEvent::Revoked { partitions, answer })?;
        let deadline = Instant::now() + REVOKE_WAIT_MAX;
        while Instant::now() < deadline {
            match answered.try_recv() {
                Ok(offsets) => return Some(offsets),
                Err(oneshot::error::TryRecvError::Closed) => return None,
                Err(oneshot::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        None
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log::line(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log::error(&error, reason);
    }

    fn stats(&self, statistics: rdkafka::Statistics) {
        self.lag.update(&statistics);
        if self.lonely.look(&statistics) {
            tracing::error!("the Kafka client has lost its brokers for good: starting anew");
            self.note_broken();
        }
    }
}

impl ConsumerContext for Context {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, error: RDKafkaRespErr, list: &mut TopicPartitionList) {
        match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, list),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoked(consumer, list),
            other => {
                tracing::error!(error = %RDKafkaErrorCode::from(other), "rebalance failed, giving everything back");
                self.revoked(consumer, list);
            }
        }
    }
}

/// `auto.offset.reset` would also apply to offsets that fell out of the topic, and skip records without a word.
fn start_new_groups_at_the_beginning(consumer: &BaseConsumer<Context>, list: &mut TopicPartitionList) -> KafkaResult<()> {
    let committed = committed_soon(consumer, list)?;
    for element in committed.elements() {
        if matches!(element.offset(), Offset::Invalid) {
            list.set_partition_offset(element.topic(), element.partition(), Offset::Beginning)?;
        }
    }
    Ok(())
}

/// Tries for a while: a group that does not know where it was must neither guess nor stand still for ever.
fn committed_soon(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    let deadline = Instant::now() + COMMITTED_WAIT_MAX;
    loop {
        match committed(consumer, list) {
            Err(error) if Instant::now() < deadline => {
                tracing::warn!(%error, "the group's offsets could not be read, trying again");
                std::thread::sleep(Duration::from_millis(100));
            }
            result => return result,
        }
    }
}

fn committed(consumer: &BaseConsumer<Context>, list: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    let committed = consumer.committed_offsets(list.clone(), COMMITTED_WAIT)?;
    committed.elements().iter().try_for_each(|it| it.error())?;
    Ok(committed)
}

fn partitions_of(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|it| Partition::new(it.topic(), it.partition())).collect()
}

const REVOKE_WAIT_MAX: Duration = Duration::from_secs(8);
const COMMITTED_WAIT: Duration = Duration::from_secs(10);
/// Below the time after which the group gives up a member that does not poll.
const COMMITTED_WAIT_MAX: Duration = Duration::from_secs(60);
