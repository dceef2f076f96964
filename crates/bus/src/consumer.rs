//! A consumer: its records as [`pipeline::Source`], its commands as [`pipeline::SourceControl`].
//!
//! One thread polls; rebalances happen inside its calls. It never waits for anything but the engine's channel, which the engine
//! empties without ever waiting for the world. Another one commits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use kill_point::{Point, reach};
use pipeline::{Partition, Source, SourceControl, SourceEvent};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::{mpsc, oneshot};

use crate::commits::commit_loop;
use crate::fullness::Fullness;
use crate::poll::poll_loop;
use crate::rebalance::Context;
use crate::{BusSettings, Error};

/// When the poll thread last turned. Stale = the process is stuck and should be restarted.
#[derive(Debug, Clone, Default)]
pub struct Heartbeat(Arc<AtomicU64>);

impl Heartbeat {
    pub(crate) fn beat(&self) {
        self.0.store(millis_now(), Ordering::Relaxed);
    }

    /// Zero before the first turn.
    pub fn age(&self) -> Duration {
        match self.0.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            then => Duration::from_millis(millis_now().saturating_sub(then)),
        }
    }
}

fn millis_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX))
}

/// The records of a group's share of some topics.
pub struct Consumer {
    events: mpsc::Receiver<SourceEvent>,
}

/// Commands to the consumer, and its end.
pub struct ConsumerHandle {
    pub heartbeat: Heartbeat,
    group: String,
    fullness: Option<Arc<Fullness>>,
    /// `None` once it is closing.
    consumer: RwLock<Option<Arc<BaseConsumer<Context>>>>,
    stopped: Arc<AtomicBool>,
    /// One polls, one commits.
    threads: Mutex<Vec<JoinHandle<()>>>,
    committer: Thread,
}

impl Consumer {
    /// Joins `group` (without prefix) and starts to read `topics` (full names, see [`BusSettings::topic`]).
    pub fn start(settings: &BusSettings, client_id: &str, group: &str, topics: &[&str]) -> Result<(Self, Arc<ConsumerHandle>), Error> {
        let (sender, events) = mpsc::channel(EVENTS_IN_CHANNEL);
        let context = Context::new(sender.downgrade(), group);
        let mut config = settings.consumer(client_id, group);
        // The lag comes from them.
        config.set("statistics.interval.ms", "5000");
        let consumer: BaseConsumer<Context> = config.create_with_context(context).map_err(Error::Client)?;
        for topic in topics {
            if let Some(fullness) = &settings.fullness {
                fullness.reads(group, topic);
            }
        }
        consumer.subscribe(topics).map_err(Error::Client)?;
        let (consumer, stopped, heartbeat) = (Arc::new(consumer), Arc::new(AtomicBool::new(false)), Heartbeat::default());
        let poll = thread(format!("poll-{group}"), {
            let (consumer, stopped, heartbeat) = (Arc::clone(&consumer), Arc::clone(&stopped), heartbeat.clone());
            move || poll_loop(&consumer, &sender, &stopped, &heartbeat)
        });
        let commit = thread(format!("commit-{group}"), {
            let (consumer, stopped) = (Arc::clone(&consumer), Arc::clone(&stopped));
            move || commit_loop(&consumer, &stopped)
        });
        let handle = ConsumerHandle {
            heartbeat,
            group: group.to_owned(),
            fullness: settings.fullness.clone(),
            consumer: RwLock::new(Some(consumer)),
            stopped,
            committer: commit.thread().clone(),
            threads: Mutex::new(vec![poll, commit]),
        };
        Ok((Self { events }, Arc::new(handle)))
    }
}

fn thread(name: String, run: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    std::thread::Builder::new().name(name).spawn(run).expect("the system can start a thread")
}

#[async_trait]
impl Source for Consumer {
    async fn next(&mut self) -> Option<SourceEvent> {
        self.events.recv().await
    }

    fn try_next(&mut self) -> Option<SourceEvent> {
        self.events.try_recv().ok()
    }
}

impl ConsumerHandle {
    /// Commits what was stored and leaves the group. Drop the [`Consumer`] first: the poll thread may be waiting for room in it.
    /// False: it was still at it when the deadline passed, and goes on in the background.
    pub async fn close(&self, deadline: Duration) -> bool {
        let (done, closed) = oneshot::channel();
        self.close_behind(Some(done));
        tokio::time::timeout(deadline, closed).await.is_ok()
    }

    /// Whether a partition stands still because its records were deleted before they were read. Stays true until the restart that
    /// follows a decision.
    pub fn is_out_of_range(&self) -> bool {
        self.consumer.read().expect("nobody panics with it").as_ref().is_some_and(|it| it.context().is_out_of_range())
    }

    /// On a thread of its own: closing has been seen to hang when the coordinator is away, and a thread of the runtime's pool
    /// would make the runtime wait for it. A kill must be harmless anyway.
    fn close_behind(&self, done: Option<oneshot::Sender<()>>) {
        self.stopped.store(true, Ordering::Relaxed);
        let threads = std::mem::take(&mut *self.threads.lock().expect("nobody panics with it"));
        let consumer = self.consumer.write().expect("nobody panics with it").take();
        let closing = std::thread::Builder::new().name(format!("close-{}", self.group)).spawn(move || {
            for thread in threads {
                thread.thread().unpark();
                if thread.join().is_err() {
                    tracing::error!("a thread of the consumer panicked");
                }
            }
            match consumer {
                // It would close for ever, at the price of a processor; and its process is about to end.
                Some(broken) if broken.context().is_broken() => std::mem::forget(broken),
                consumer => drop(consumer.map(commit_stored)),
            }
            drop(done);
        });
        if let Err(error) = closing {
            tracing::warn!(%error, "no thread to close the consumer: the group notices by its session time-out");
        }
    }

    fn with_consumer(
        &self,
        what: &str,
        mut list: TopicPartitionList,
        run: impl FnOnce(&BaseConsumer<Context>, &mut TopicPartitionList) -> KafkaResult<()>,
    ) {
        // Cloned so that a call that takes its time does not keep `close` waiting.
        let Some(consumer) = self.consumer.read().expect("nobody panics with it").clone() else { return };
        if let Err(error) = run(&consumer, &mut list) {
            tracing::debug!(%error, what, "the broker client refused");
        }
        // These calls answer Ok even when a partition failed: the list says which. One that was revoked meanwhile is refused,
        // and that is as it should be.
        for element in list.elements() {
            if let Err(error) = element.error() {
                tracing::debug!(%error, what, topic = element.topic(), partition = element.partition(), "not ours any more");
            }
        }
    }
}

fn commit_stored(consumer: Arc<BaseConsumer<Context>>) -> Arc<BaseConsumer<Context>> {
    if let Err(error) = consumer.context().commits.stored(&consumer) {
        tracing::warn!(%error, "the last offsets were not committed; those records are read again");
    }
    consumer
}

impl Drop for ConsumerHandle {
    fn drop(&mut self) {
        if self.consumer.get_mut().is_ok_and(|it| it.is_some()) {
            self.close_behind(None);
        }
    }
}

impl SourceControl for ConsumerHandle {
    fn pause(&self, partitions: &[Partition]) {
        self.with_consumer("pause", without_offsets(partitions), |consumer, list| consumer.pause(list));
    }

    fn resume(&self, partitions: &[Partition]) {
        self.with_consumer("resume", without_offsets(partitions), |consumer, list| {
            let resumed = consumer.resume(list);
            consumer.context().sleeping.add(partitions);
            resumed
        });
        self.committer.unpark();
    }

    fn store(&self, offsets: &[(Partition, i64)]) {
        self.with_consumer("store", with_offsets(offsets), |consumer, list| consumer.store_offsets(list));
        reach(Point::OffsetStored);
        if let Some(fullness) = &self.fullness {
            offsets.iter().for_each(|(partition, next)| fullness.read(&self.group, partition, *next));
        }
    }
}

fn without_offsets(partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(&partition.topic, partition.number);
    }
    list
}

/// `store_offsets` takes the next offset to read, as it is; librdkafka's older single-offset calls add one.
pub(crate) fn with_offsets(offsets: &[(Partition, i64)]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        list.add_partition_offset(&partition.topic, partition.number, Offset::Offset(*offset)).expect("an offset is not negative");
    }
    list
}

/// Enough that neither side waits for the other at every record, few enough that large ones do not fill the memory.
const EVENTS_IN_CHANNEL: usize = 256;
