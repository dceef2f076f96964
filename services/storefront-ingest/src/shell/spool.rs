//! The spool's drain: rows in arrival order, into Kafka.

mod late;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{ProduceError, Producer};
use bytes::Bytes;
use contracts::topics::Parking;
use fault::Fault;
use futures_util::{FutureExt, StreamExt};
use kill_point::{Point, reach};
use pipeline::{Origin, OutRecord, Partition, Record};
use store::letters::{self, Failure, Obligation};
use store::spool::{self, Spooled};
use store::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::core::failover::{Failover, Route};
use crate::core::gauge::Gauge;
use crate::metrics::Metrics;

use late::{Late, Sending, Sent, Treatment};

/// What a record takes of the spool's limit.
pub fn size_of(record: &OutRecord) -> usize {
    record.key.len() + record.value.len()
}

/// Moves this instance's rows to Kafka, and takes over what nobody else moves.
///
/// A row goes only when Kafka has confirmed it, so whatever happens in between, two processes with one row make a repeat, which
/// the mapper drops, and never a loss. Nothing is renewed while Kafka is away: a row would be written again and again. So an
/// instance may take over rows of one that is alive and can't reach Kafka; what one has in its hands, or leaves behind, is marked.
pub struct Drain {
    pub store: Store,
    pub producer: Producer,
    pub failover: Arc<Failover>,
    pub spooled: Arc<Gauge>,
    pub bytes_max: u64,
    pub metrics: Metrics,
    pub instance: String,
    /// Who answers for a record that Kafka refuses for good.
    pub group: String,
    pub interval: Duration,
}

impl Drain {
    /// Cut off by the stop: rows that are left are taken over by the next process.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(async { tokio::join!(self.work(), self.keep_measuring()) }).await;
    }

    /// Rows are drained whatever the route is: one may be written while the route changes.
    async fn work(&self) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut late = Late::new();
        loop {
            ticks.tick().await;
            match tokio::time::timeout(ASK, self.is_idle()).await {
                Ok(Ok(true)) => {}
                Ok(Ok(false)) => match self.turn(&mut late).await {
                    Ok(false) => {}
                    Ok(true) => {
                        tracing::debug!("Kafka does not take some of what is spooled yet");
                        ticks.reset_after(LEFT);
                    }
                    Err(fault) => tracing::debug!(error = %fault, "the spool is not drained yet"),
                },
                Ok(Err(_)) | Err(_) => self.do_without().await,
            }
        }
    }

    async fn is_idle(&self) -> Result<bool, Error> {
        Ok(spool::is_empty(&self.store).await? && self.failover.route() == Route::Kafka)
    }

    /// Whether rows are left.
    async fn turn(&self, late: &mut Late) -> Result<bool, Fault> {
        self.settle(late).await?;
        // What is claimed is taken over by nobody, and another instance may reach Kafka where this one does not.
        self.producer.probe(PROBE).await?;
        loop {
            let is_left = self.drain_own(late).await?;
            if !is_left {
                late.forget();
            }
            if !is_left && self.failover.route() == Route::Spool && self.failover.kafka_is_back() {
                tracing::warn!("Kafka is back and the spool is empty, deliveries go to Kafka");
            }
            let adopted = spool::adopt(&self.store, &self.instance).await?;
            if adopted > 0 {
                tracing::warn!(adopted, "taking over deliveries that another instance had spooled");
            }
            // What is left is read again with what was taken over: not for every thousand of them.
            if adopted == 0 || is_left {
                return Ok(is_left);
            }
        }
    }

    /// While the database is away nothing can be spooled, and nobody knows whether something is. Kafka takes what comes, if it can:
    /// order between the two ways is carried by versions.
    async fn do_without(&self) {
        if self.failover.route() == Route::Spool && self.producer.probe(PROBE).await.is_ok() && self.failover.kafka_is_back() {
            tracing::warn!("Kafka is back and the database is away, deliveries go to Kafka; what is spooled follows");
        }
    }

    /// Beside the drain: a count that takes long must not keep rows from going.
    async fn keep_measuring(&self) {
        self.metrics.spool_limit(self.bytes_max);
        loop {
            let pause = match self.measure().await {
                Ok(()) => MEASURE,
                Err(error) => {
                    tracing::debug!(%error, "nobody knows how much is spooled");
                    self.interval
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Counts the whole table, because the disk is one for all instances.
    async fn measure(&self) -> Result<(), Error> {
        let (mut before, mut counted) = (self.spooled.bytes(), spool::backlog(&self.store, None).await?);
        for _ in 1..COUNTS {
            if self.spooled.bytes() == before {
                break;
            }
            // What came or went meanwhile is in the count, or is not.
            (before, counted) = (self.spooled.bytes(), spool::backlog(&self.store, None).await?);
        }
        let bytes = u64::try_from(counted.bytes).unwrap_or(0);
        self.spooled.correct(before, bytes);
        self.metrics.spool(bytes, u64::try_from(counted.oldest_seconds).unwrap_or(0));
        Ok(())
    }

    /// One pass. Whether rows are left: those that Kafka does not take now keep their own keys back, and no others.
    async fn drain_own(&self, late: &mut Late) -> Result<bool, Fault> {
        late.begin_pass();
        let (mut behind, mut wait) = (0, FIRST);
        loop {
            self.settle(late).await?;
            let rows = spool::oldest(&self.store, &self.instance, behind, ROWS).await?;
            let Some(last) = rows.last().map(|it| it.id) else { return Ok(behind > 0) };
            if self.produce(rows, wait, late).await? || behind > 0 {
                (behind, wait) = (last, NEXT);
                self.producer.probe(PROBE).await?;
            }
        }
    }

    /// What was late and has been answered since.
    async fn settle(&self, late: &mut Late) -> Result<(), Error> {
        self.remove(late.answered().iter().filter(|it| it.confirmed.is_ok()).map(Sent::place)).await
    }

    /// A page, in order. What is confirmed soon goes; the rest is late. Returns whether any row is left.
    async fn produce(&self, rows: Vec<Spooled>, wait: Duration, late: &mut Late) -> Result<bool, Fault> {
        let ours = rows.iter().filter(|it| late.renews || late.treatment(&it.record.key) != Treatment::Skipped);
        spool::claim(&self.store, &ours.map(|it| it.id).collect::<Vec<_>>(), CLAIM).await?;
        let mut page = Page::default();
        let queued = rows.iter().try_for_each(|row| self.send(row, late, &mut page));
        let done = page.confirmed(wait, late).await;
        late.take(page.open.into_values(), page.sending);
        if !done.is_empty() {
            reach(Point::SpoolConfirmed);
        }
        self.remove(done.iter().map(Sent::place)).await?;
        for row in rows.iter().filter(|it| page.refused.contains(&it.id)) {
            self.bury(row).await?;
            self.remove([(row.id, size_of(&row.record))]).await?;
        }
        queued?;
        Ok(done.len() + page.refused.len() < rows.len())
    }

    /// An error if no row can be queued.
    fn send(&self, row: &Spooled, late: &mut Late, page: &mut Page) -> Result<(), ProduceError> {
        let (id, size, key) = (row.id, size_of(&row.record), row.record.key.clone());
        let treatment = late.treatment(&key);
        if treatment == Treatment::Skipped {
            return Ok(());
        }
        match self.producer.enqueue(&row.record) {
            Ok(confirmation) => {
                let of = key.clone();
                let sending = confirmation.map(move |it| Sent { id, size, key: of, confirmed: it.map(drop) }).boxed();
                if treatment == Treatment::Prompt {
                    page.open.insert(id, key);
                    page.sending.push(sending);
                } else {
                    late.add(key, sending);
                }
            }
            Err(ProduceError::Refused { .. }) => page.refused.push(id),
            Err(ProduceError::Unconfirmed { .. }) => late.failed(key),
            Err(error @ (ProduceError::QueueFull | ProduceError::PartitionFull { .. })) => return Err(error),
        }
        Ok(())
    }

    /// Rows with their sizes.
    async fn remove(&self, places: impl IntoIterator<Item = (i64, usize)>) -> Result<(), Error> {
        let (ids, sizes): (Vec<i64>, Vec<usize>) = places.into_iter().unzip();
        if !ids.is_empty() {
            spool::remove(&self.store, &ids).await?;
            self.spooled.free(sizes.iter().sum());
        }
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
        let runbook = fault::page("kafka_record_refused");
        tracing::error!(key = record.key_text(), runbook, "Kafka refuses a spooled delivery for good, it becomes a letter");
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

/// Rows of a page that are on their way.
#[derive(Default)]
struct Page {
    sending: Sending,
    /// Their keys, until they are answered.
    open: HashMap<i64, Bytes>,
    refused: Vec<i64>,
}

impl Page {
    /// Until all are answered, or none is any more.
    async fn confirmed(&mut self, mut wait: Duration, late: &mut Late) -> Vec<Sent> {
        let mut done = Vec::new();
        while let Ok(Some(sent)) = tokio::time::timeout(wait, self.sending.next()).await {
            self.open.remove(&sent.id);
            match sent.confirmed {
                Ok(()) => {
                    done.push(sent);
                    wait = NEXT;
                }
                Err(ProduceError::Refused { .. }) => self.refused.push(sent.id),
                Err(_) => late.failed(sent.key),
            }
        }
        done
    }
}

/// In memory at once; a body has up to 4 MiB.
const ROWS: i64 = 100;
/// To a pass's first confirmation, and from each to the next one: after that nobody waits for what is left of a page.
const FIRST: Duration = Duration::from_secs(2);
const NEXT: Duration = Duration::from_millis(500);
/// Between two passes over rows that are left.
const LEFT: Duration = Duration::from_secs(1);
/// Longer than a producer's patience.
const CLAIM: Duration = Duration::from_secs(40);
const PROBE: Duration = Duration::from_secs(1);
/// For the database to say whether there is anything.
const ASK: Duration = Duration::from_secs(5);
/// Between two counts of the table. It is read whole for it.
const MEASURE: Duration = Duration::from_secs(30);
/// Of one measuring, until nothing changes under it.
const COUNTS: u32 = 3;
