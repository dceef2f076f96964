//! Counts what a ledger settles, from its first batch to the last record that is wanted.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use async_trait::async_trait;
use fault::Fault;
use pipeline::{Batch, CommitError, Drained, Ledger, Next, Turn};
use tokio::sync::Notify;

use super::Work;
use crate::process::{cpu_seconds, memory_mb};

/// A moment, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Moment {
    at: Instant,
    cpu: f64,
}

impl Moment {
    fn now() -> Self {
        Self { at: Instant::now(), cpu: cpu_seconds(std::process::id()).unwrap_or(f64::NAN) }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Meter {
    goal: u64,
    begun: OnceLock<Moment>,
    ended: OnceLock<Moment>,
    done: AtomicU64,
    arrived: AtomicU64,
    batches: AtomicU64,
    over: Notify,
}

impl Meter {
    pub(crate) fn new(goal: u64) -> Arc<Self> {
        Arc::new(Self { goal, ..Self::default() })
    }

    pub(crate) fn begin(&self) {
        self.begun.get_or_init(Moment::now);
    }

    pub(crate) fn batch(&self, arrived: u64) {
        if arrived > 0 {
            self.arrived.fetch_add(arrived, Ordering::Relaxed);
            self.batches.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn settled(&self, records: u64) {
        if self.done.fetch_add(records, Ordering::AcqRel) + records >= self.goal {
            self.ended.get_or_init(Moment::now);
            self.over.notify_one();
        }
    }

    /// Returns when all that is wanted is settled.
    pub(crate) async fn over(&self) {
        while self.ended.get().is_none() {
            self.over.notified().await;
        }
    }

    pub(crate) fn work(&self) -> Option<Work> {
        let (begun, ended) = (self.begun.get()?, self.ended.get()?);
        Some(Work {
            records: self.done.load(Ordering::Acquire),
            seconds: (ended.at - begun.at).as_secs_f64(),
            cpu_seconds: ended.cpu - begun.cpu,
            batch: self.arrived.load(Ordering::Relaxed) as f64 / self.batches.load(Ordering::Relaxed).max(1) as f64,
            peak_mb: memory_mb(std::process::id(), "VmHWM").unwrap_or(f64::NAN),
        })
    }
}

/// A ledger under a meter.
pub(crate) struct Metered<L> {
    pub(crate) inner: L,
    pub(crate) meter: Arc<Meter>,
}

#[async_trait]
impl<L: Ledger> Ledger for Metered<L> {
    type Act = L::Act;
    type Report = L::Report;

    async fn commit(&self, batch: Batch<L::Report>) -> Result<Vec<Next<L::Act>>, CommitError> {
        self.meter.begin();
        self.meter.batch(batch.iter().filter(|it| matches!(it.turn, Turn::Arrived)).count() as u64);
        let nexts = self.inner.commit(batch).await?;
        self.meter.settled(nexts.iter().filter(|it| matches!(it, Next::Done)).count() as u64);
        Ok(nexts)
    }

    async fn drain(&self, max: usize) -> Result<Vec<Drained>, Fault> {
        self.inner.drain(max).await
    }
}
