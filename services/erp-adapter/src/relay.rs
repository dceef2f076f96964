//! Produces what is in the outbox: captures. One process per target does it, in order.

use std::time::Duration;

use async_trait::async_trait;
use fault::{Answer, Fault};
use kill_point::{Point, reach};
use pipeline::{OutRecord, Position};
use store::Store;
use store::outbox::{self, Pending};

use crate::ledger::Signals;
use crate::metrics::Metrics;

/// Brings records out, in this order.
#[async_trait]
pub trait Publish: Send + Sync + 'static {
    /// Positions in the order of the records. After an error any of them may be out; the same ones are brought out again.
    async fn publish(&self, records: &[OutRecord]) -> Result<Vec<Position>, Fault>;
}

#[async_trait]
impl Publish for bus::Publisher {
    async fn publish(&self, records: &[OutRecord]) -> Result<Vec<Position>, Fault> {
        Ok(bus::Publisher::publish(self, records).await?)
    }
}

pub struct Relay<P> {
    pub store: Store,
    pub target: String,
    /// Under which the outputs are noted.
    pub group: String,
    pub publisher: P,
    pub metrics: Metrics,
}

impl<P: Publish> Relay<P> {
    /// Never ends by itself. Dropped at any point, it leaves what is not marked to be produced again.
    pub async fn run(&self, signals: &Signals) {
        let mut wait = RETRY_FIRST;
        loop {
            match self.once().await {
                Ok(0) => {
                    let notified = signals.outbox.notified();
                    // A notice of another process never arrives here.
                    tokio::time::timeout(POLL, notified).await.ok();
                }
                Ok(_) => wait = RETRY_FIRST,
                Err(fault) => {
                    let runbook = fault::page(fault.code);
                    tracing::warn!(erp = self.target, error = %fault, ?wait, runbook, "the outbox can't be brought out, trying again");
                    tokio::time::sleep(wait).await;
                    wait = (wait * 2).min(RETRY_CAP);
                }
            }
        }
    }

    /// Returns how many went out.
    pub async fn once(&self) -> Result<usize, Fault> {
        let pending = outbox::pending_captured(&self.store, &self.target, BATCH).await?;
        self.metrics.outbox(pending.len(), pending.first().map_or(0.0, |it| it.waiting_seconds));
        if pending.is_empty() {
            return Ok(0);
        }
        let records: Vec<_> = pending.iter().map(|it| it.record.clone()).collect();
        match self.publisher.publish(&records).await {
            Ok(positions) => self.mark(pending.iter().map(|it| it.id).zip(positions).collect()).await,
            Err(fault) if fault.class.answer() == Answer::Letter => self.one_by_one(&pending, fault).await,
            Err(fault) => Err(fault),
        }
    }

    /// Kafka refuses one of them for good. It stays where it is, and holds up none but itself.
    async fn one_by_one(&self, pending: &[Pending], mut refusal: Fault) -> Result<usize, Fault> {
        let mut produced = Vec::with_capacity(pending.len());
        for it in pending {
            match self.publisher.publish(std::slice::from_ref(&it.record)).await {
                Ok(positions) => produced.extend(positions.into_iter().map(|position| (it.id, position))),
                Err(fault) if fault.class.answer() == Answer::Letter => {
                    let (code, runbook) = (fault.code, fault::page(fault.code));
                    tracing::error!(erp = self.target, code, topic = %it.record.topic, error = %fault, runbook, "Kafka refuses a record");
                    refusal = fault;
                }
                Err(fault) => {
                    refusal = fault;
                    break;
                }
            }
        }
        self.mark(produced).await?;
        Err(refusal)
    }

    async fn mark(&self, produced: Vec<(i64, Position)>) -> Result<usize, Fault> {
        reach(Point::CaptureProduced);
        let (group, count) = (self.group.clone(), produced.len());
        self.store.transaction(move |tx| Box::pin(async move { outbox::mark_captured(tx, &group, &produced).await })).await?;
        Ok(count)
    }
}

const BATCH: i64 = 256;
const POLL: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(200);
const RETRY_CAP: Duration = Duration::from_secs(10);
