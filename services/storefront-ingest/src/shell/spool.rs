//! The spool's drain: this instance's rows, in arrival order, into Kafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bus::{ProduceError, Producer};
use contracts::topics::Parking;
use fault::Fault;
use pipeline::{Origin, Partition, Record};
use store::letters::{self, Obligation};
use store::spool::{self, Spooled};
use store::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::core::failover::Failover;

/// Bytes in the spool as far as this instance knows: counted as it adds, corrected as it drains.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    pub fn admits(&self, size: usize, limit: u64) -> bool {
        let now = u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0);
        now.saturating_add(size as u64) <= limit
    }

    pub fn added(&self, size: usize) {
        self.0.fetch_add(i64::try_from(size).unwrap_or(i64::MAX), Ordering::Relaxed);
    }

    fn correct(&self, bytes: i64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

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
    /// Runs until stopped. Rows are drained whatever the route is: one may be written while the route changes.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if let Err(fault) = self.turn().await {
                tracing::debug!(error = %fault, "the spool is not drained yet");
            }
        }
    }

    async fn turn(&self) -> Result<(), Fault> {
        spool::renew(&self.store, &self.instance).await?;
        let adopted = spool::adopt(&self.store, &self.instance).await?;
        if adopted > 0 {
            tracing::warn!(adopted, "taking over deliveries that another instance had spooled");
        }
        loop {
            let rows = spool::oldest(&self.store, &self.instance, ROWS).await?;
            if rows.is_empty() {
                break;
            }
            self.produce(rows).await?;
        }
        self.spooled.correct(spool::backlog(&self.store, Some(&self.instance)).await?.bytes);
        // Nothing is left; is Kafka there for what comes?
        self.producer.probe(PROBE).await?;
        if self.failover.drained() {
            tracing::warn!("Kafka is back and the spool is empty, deliveries go to Kafka");
        }
        Ok(())
    }

    /// All of them together, in order; what is confirmed goes, the first that is not ends the turn.
    async fn produce(&self, rows: Vec<Spooled>) -> Result<(), Fault> {
        let mut sent = Vec::with_capacity(rows.len());
        for row in &rows {
            sent.push(self.producer.enqueue(&row.record));
        }
        let (mut done, mut failed) = (Vec::new(), None);
        for (row, confirmation) in rows.iter().zip(sent) {
            let confirmed = match confirmation {
                Ok(confirmation) => confirmation.await,
                Err(error) => Err(error),
            };
            match confirmed {
                Ok(_) => done.push(row.id),
                Err(ProduceError::Refused { .. }) => {
                    self.bury(row).await?;
                    done.push(row.id);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        spool::remove(&self.store, &done).await?;
        failed.map_or(Ok(()), |error| Err(error.into()))
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
                    letters::bury(tx, &group, &Obligation::of(&record), &record, &fault, 1, Parking::LatestWins).await
                })
            })
            .await
    }
}

const ROWS: i64 = 500;
const PROBE: Duration = Duration::from_secs(1);
