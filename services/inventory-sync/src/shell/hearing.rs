//! How far we have heard what shops told of their orders.
//!
//! A delivery that the door has taken lies in the spool, in the raw topic, or behind the mapper in the topic of orders. Whatever was
//! taken by some moment is known here when nothing was spooled then, the mapper's group has come to where the raw topic ended, and
//! ours to where the topic of orders ended after that. While Kafka is away, or a partition stands still, we stay at the last such
//! moment: a shop that goes on selling must not be taken for one that shows a wrong level.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::{BusSettings, Offsets, PartitionOffsets};
use chrono::{DateTime, Utc};
use contracts::topics::{self, groups};
use fault::Fault;
use store::{Store, spool};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The last moment up to which everything is known, by the database's clock. `None`: none yet.
pub type HeardUntil = watch::Receiver<Option<DateTime<Utc>>>;

pub struct Hearing {
    store: Store,
    raw: Stretch,
    orders: Stretch,
    mark: Option<Mark>,
    until: watch::Sender<Option<DateTime<Utc>>>,
}

/// A moment on its way to us.
struct Mark {
    at: DateTime<Utc>,
    /// Where the raw topic ended, after that.
    raw: Option<Ends>,
    /// Where the topic of orders ended, when the mapper had come there.
    orders: Option<Ends>,
}

/// Next offsets to be written, by partition.
type Ends = BTreeMap<i32, i64>;

/// A topic, and the group that reads it on the way to us.
struct Stretch {
    topic: String,
    offsets: Offsets,
}

impl Hearing {
    pub fn new(store: Store, bus: &BusSettings) -> Result<(Self, HeardUntil), bus::Error> {
        let (until, heard) = watch::channel(None);
        let raw = Stretch::new(bus, topics::RAW, groups::MAPPER)?;
        let orders = Stretch::new(bus, topics::ORDERS, groups::STOCK)?;
        Ok((Self { store, raw, orders, mark: None, until }, heard))
    }

    pub async fn run(mut self, stop: CancellationToken) {
        let turns = async {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                if let Err(fault) = self.turn().await {
                    tracing::debug!(error = %fault, "nobody can say how far orders have been heard");
                }
            }
        };
        stop.run_until_cancelled(turns).await;
    }

    /// As far as it goes now.
    pub async fn turn(&mut self) -> Result<(), Fault> {
        let mark = match self.mark.take() {
            Some(mark) => mark,
            None => match spool::empty_at(&self.store).await? {
                Some(at) => Mark { at, raw: None, orders: None },
                None => return Ok(()),
            },
        };
        let mark = self.mark.insert(mark);
        if mark.orders.is_none() {
            let raw = self.raw.read().await?;
            if !is_read(&raw, mark.raw.get_or_insert_with(|| ends(&raw))) {
                return Ok(());
            }
        }
        let orders = self.orders.read().await?;
        if is_read(&orders, mark.orders.get_or_insert_with(|| ends(&orders))) {
            self.until.send_replace(Some(mark.at));
            self.mark = None;
        }
        Ok(())
    }
}

impl Stretch {
    fn new(bus: &BusSettings, topic: &str, group: &str) -> Result<Self, bus::Error> {
        Ok(Self { topic: bus.topic(topic), offsets: Offsets::of_group(bus, group)? })
    }

    async fn read(&self) -> Result<BTreeMap<i32, PartitionOffsets>, Fault> {
        Ok(self.offsets.read(&self.topic, DEADLINE).await?)
    }
}

fn ends(partitions: &BTreeMap<i32, PartitionOffsets>) -> Ends {
    partitions.iter().map(|(number, it)| (*number, it.end)).collect()
}

/// A group that has committed nothing begins at the start.
fn is_read(partitions: &BTreeMap<i32, PartitionOffsets>, ends: &Ends) -> bool {
    ends.iter().all(|(number, end)| partitions.get(number).is_some_and(|it| it.committed.unwrap_or(it.start) >= *end))
}

/// Between two looks at Kafka. What is doubted waits for `drift_wait` and so much longer.
const INTERVAL: Duration = Duration::from_secs(5);
const DEADLINE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    fn partition(committed: Option<i64>, start: i64, end: i64) -> BTreeMap<i32, PartitionOffsets> {
        BTreeMap::from([(0, PartitionOffsets { committed, start, end })])
    }

    #[test]
    fn a_partition_is_read_up_to_an_end_when_its_group_has_committed_that_far() {
        let ended = ends(&partition(Some(3), 0, 7));
        assert!(!is_read(&partition(Some(6), 0, 9), &ended));
        assert!(is_read(&partition(Some(7), 0, 9), &ended));
        assert!(!is_read(&partition(None, 0, 9), &ended), "nothing was ever read");
        assert!(is_read(&partition(None, 0, 0), &ends(&partition(None, 0, 0))), "there is nothing to read");
        assert!(!is_read(&BTreeMap::new(), &ended), "a topic that is gone");
    }
}
