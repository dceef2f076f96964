//! The spool's drain: rows in arrival order, into Kafka.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::{ProduceError, Producer};
use bytes::Bytes;
use contracts::topics::Parking;
use fault::Fault;
use kill_point::{Point, reach};
use pipeline::{Origin, OutRecord, Partition, Record};
use store::letters::{self, Failure, Obligation};
use store::spool::{self, Spooled};
use store::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::core::failover::{Failover, Route};
use crate::core::gauge::Gauge;

/// What a record takes of the spool's limit.
pub fn size_of(record: &OutRecord) -> usize {
    record.key.len() + record.value.len()
}

/// Moves this instance's rows to Kafka, and takes over what nobody else moves.
///
/// A row goes only when Kafka has confirmed it, so whatever happens in between, two processes with one row make a repeat, which
/// the mapper drops, and never a loss. Nothing is renewed while Kafka is away: a row would be written again and again. So an
/// instance may take over rows of one that is alive but slower than half a minute; what it has in its hands is marked.
pub struct Drain {
    pub store: Store,
    pub producer: Producer,
    pub failover: Arc<Failover>,
    pub spooled: Arc<Gauge>,
    pub instance: String,
    /// Who answers for a record that Kafka refuses for good.
    pub group: String,
    pub interval: Duration,
}

impl Drain {
    /// Cut off by the stop: rows that are left are taken over by the next process.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
    }

    /// Rows are drained whatever the route is: one may be written while the route changes.
    async fn work(self) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut measured = None;
        loop {
            ticks.tick().await;
            match tokio::time::timeout(ASK, self.is_idle(&mut measured)).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => {
                    if let Err(fault) = self.turn().await {
                        tracing::debug!(error = %fault, "the spool is not drained yet");
                    }
                }
                Ok(Err(_)) | Err(_) => self.do_without().await,
            }
        }
    }

    async fn is_idle(&self, measured: &mut Option<Instant>) -> Result<bool, Error> {
        if measured.is_none_or(|it| it.elapsed() > MEASURE) {
            self.measure().await?;
            *measured = Some(Instant::now());
        }
        Ok(spool::is_empty(&self.store).await? && self.failover.route() == Route::Kafka)
    }

    async fn turn(&self) -> Result<(), Fault> {
        // What is claimed is taken over by nobody, and another instance may reach Kafka where this one does not.
        self.producer.probe(PROBE).await?;
        loop {
            self.drain_own().await?;
            if self.failover.route() == Route::Spool && self.failover.kafka_is_back() {
                tracing::warn!("Kafka is back and the spool is empty, deliveries go to Kafka");
            }
            let adopted = spool::adopt(&self.store, &self.instance).await?;
            if adopted == 0 {
                return Ok(());
            }
            tracing::warn!(adopted, "taking over deliveries that another instance had spooled");
        }
    }

    /// While the database is away nothing can be spooled, and nobody knows whether something is. Kafka takes what comes, if it can:
    /// order between the two ways is carried by versions.
    async fn do_without(&self) {
        if self.failover.route() == Route::Spool && self.producer.probe(PROBE).await.is_ok() && self.failover.kafka_is_back() {
            tracing::warn!("Kafka is back and the database is away, deliveries go to Kafka; what is spooled follows");
        }
    }

    /// Counts the whole table, because the disk is one for all instances.
    async fn measure(&self) -> Result<(), Error> {
        let before = self.spooled.bytes();
        let counted = spool::backlog(&self.store, None).await?.bytes;
        self.spooled.correct(before, u64::try_from(counted).unwrap_or(0));
        Ok(())
    }

    /// Goes on behind rows that can't be produced now: a partition without a leader keeps its own keys back, and no others.
    async fn drain_own(&self) -> Result<(), Fault> {
        let (mut waiting, mut behind) = (Waiting::default(), 0);
        loop {
            let rows = spool::oldest(&self.store, &self.instance, behind, ROWS).await?;
            let Some(last) = rows.last().map(|it| it.id) else { return waiting.why.map_or(Ok(()), |error| Err(error.into())) };
            let ids: Vec<i64> = rows.iter().map(|it| it.id).collect();
            spool::claim(&self.store, &ids, CLAIM).await?;
            self.produce(rows, &mut waiting).await?;
            if waiting.why.is_some() {
                behind = last;
                self.producer.probe(PROBE).await?;
            }
        }
    }

    /// All of them together, in order. What is confirmed goes; the others wait. An error if no row can be produced.
    async fn produce(&self, rows: Vec<Spooled>, waiting: &mut Waiting) -> Result<(), Fault> {
        let (mut all_sent, mut full) = (Vec::with_capacity(rows.len()), None);
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        for row in &rows {
            // What comes behind a row of its key must not overtake it.
            if waiting.keys.contains(&row.record.key) {
                continue;
            }
            match self.producer.enqueue(&row.record) {
                Ok(confirmation) => all_sent.push((row, confirmation)),
                Err(ProduceError::Refused { .. }) => refused.push(row),
                Err(error @ ProduceError::Unconfirmed { .. }) => waiting.add(row, error),
                Err(error @ (ProduceError::QueueFull | ProduceError::PartitionFull { .. })) => {
                    full = Some(error);
                    break;
                }
            }
        }
        for (row, confirmation) in all_sent {
            match confirmation.await {
                Ok(_) => done.push(row),
                Err(ProduceError::Refused { .. }) => refused.push(row),
                Err(error) => waiting.add(row, error),
            }
        }
        if !done.is_empty() {
            reach(Point::SpoolConfirmed);
        }
        self.remove(&done).await?;
        for row in refused {
            self.bury(row).await?;
            self.remove(&[row]).await?;
        }
        full.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn remove(&self, rows: &[&Spooled]) -> Result<(), Error> {
        spool::remove(&self.store, &rows.iter().map(|it| it.id).collect::<Vec<_>>()).await?;
        self.spooled.free(rows.iter().map(|it| size_of(&it.record)).sum());
        Ok(())
    }

    /// A row that Kafka will never take: a letter with every byte, and the drain goes on.
    async fn bury(&self, row: &Spooled) -> Result<(), Error> {
        let record = Record {
            partition: Partition::new(row.record.topic.clone(), -1),
            offset: row.id,
            timestamp_ms: row.record.timestamp_ms,
            key: row.record.key.clone(),
            value: row.record.value.clone(),
            headers: row.record.headers.clone(),
            origin: Origin::Topic,
        };
        let group = self.group.clone();
        tracing::error!(key = record.key_text(), "Kafka refuses a spooled delivery for good, it becomes a letter");
        self.store
            .transaction(move |tx| {
                Box::pin(async move {
                    let fault = Fault::new(fault::Class::Validation, "kafka_record_refused", "Kafka refuses this record for good");
                    let failure = Failure { fault: &fault, attempts: 1, wait: None };
                    letters::write(tx, &group, &Obligation::of(&record), &record, failure, Parking::LatestWins).await.map(drop)
                })
            })
            .await
    }
}

/// Whose rows can't be produced now.
#[derive(Default)]
struct Waiting {
    keys: HashSet<Bytes>,
    why: Option<ProduceError>,
}

impl Waiting {
    fn add(&mut self, row: &Spooled, error: ProduceError) {
        self.keys.insert(row.record.key.clone());
        self.why.get_or_insert(error);
    }
}

/// In memory at once; a body has up to 4 MiB.
const ROWS: i64 = 100;
/// Longer than a producer's patience.
const CLAIM: Duration = Duration::from_secs(40);
const PROBE: Duration = Duration::from_secs(1);
/// For the database to say whether there is anything.
const ASK: Duration = Duration::from_secs(5);
/// Between two counts of the table. It is read whole for it.
const MEASURE: Duration = Duration::from_secs(30);
