//! Once an hour one process of the installation follows the audit trail of letters, and deletes what was settled long ago.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::BusSettings;
use chrono::Utc;
use contracts::topics;
use domain::TargetId;
use opentelemetry::metrics::{Counter, Gauge};
use opentelemetry::{KeyValue, global};
use store::effects::Sole;
use store::retention::{Ages, Answered, Sweep};
use store::{Error, Store, letters, retention};
use tokio_util::sync::CancellationToken;

use crate::config::RetentionSettings;

pub struct Keeper {
    store: Store,
    sweeps: Vec<Sweep>,
    settings: RetentionSettings,
    deleted: Counter<u64>,
    audit_whole: Gauge<u64>,
    audit_followed: Gauge<u64>,
}

impl Keeper {
    pub fn new(store: Store, bus: &BusSettings, targets: &[TargetId], settings: RetentionSettings) -> Self {
        let meter = global::meter("tradewind");
        let deleted = meter
            .u64_counter("tradewind_retention_rows")
            .with_description("Rows that were settled long ago and deleted, by what they were")
            .build();
        let audit_whole =
            meter.u64_gauge("tradewind_audit_whole").with_description("1 while what people did with letters is a whole chain").build();
        let audit_followed =
            meter.u64_gauge("tradewind_audit_timestamp_seconds").with_description("When that chain was last followed, since 1970").build();
        Self { store, sweeps: Sweep::all(&answered(bus, targets)), settings, deleted, audit_whole, audit_followed }
    }

    /// Until stopped; what fails is tried again at the next turn.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.settings.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.turn(&stop).await {
                Ok(deleted) if deleted.is_empty() => tracing::debug!("nothing is old enough to be deleted"),
                Ok(deleted) => tracing::info!(?deleted, "rows that were settled long ago are deleted"),
                Err(error) => tracing::warn!(error = %fault::Fault::from(error), "old rows are deleted later"),
            }
        }
    }

    /// Everything that is old enough, batch by batch. Returns how much of what; nothing where another process is at it.
    pub async fn turn(&self, stop: &CancellationToken) -> Result<BTreeMap<&'static str, u64>, Error> {
        let mut sole = Sole::new(&self.store, "retention").await?;
        let mut deleted = BTreeMap::new();
        // First: rows that are deleted take their time.
        if sole.is_ours().await?
            && let Err(error) = self.verify_audit().await
        {
            tracing::warn!(error = %fault::Fault::from(error), "the audit trail of letters is looked at later");
        }
        for sweep in &self.sweeps {
            // One that can't be had just now does not keep the others from their turn.
            if let Err(error) = self.sweep(sweep, &mut sole, &mut deleted, stop).await {
                tracing::warn!(error = %fault::Fault::from(error), what = sweep.name(), "some old rows are deleted later");
            }
            if stop.is_cancelled() || !sole.is_ours().await? {
                break;
            }
        }
        Ok(deleted)
    }

    /// The first row of the audit trail that does not follow from the one before it. Reads all of it.
    pub async fn verify_audit(&self) -> Result<Option<i64>, Error> {
        let broken = letters::verify_audit(&self.store).await?;
        self.audit_whole.record(u64::from(broken.is_none()), &[]);
        self.audit_followed.record(Utc::now().timestamp().unsigned_abs(), &[]);
        if let Some(row) = broken {
            tracing::error!(row, runbook = "docs/runbooks/audit-broken.md", "somebody changed the audit trail of letters");
        }
        Ok(broken)
    }

    async fn sweep(
        &self,
        sweep: &Sweep,
        sole: &mut Sole,
        deleted: &mut BTreeMap<&'static str, u64>,
        stop: &CancellationToken,
    ) -> Result<(), Error> {
        let RetentionSettings { batch, pause, .. } = self.settings;
        while sole.is_ours().await? {
            let rows = retention::sweep(&self.store, sweep, &self.settings.ages(), batch).await?;
            if rows > 0 {
                *deleted.entry(sweep.name()).or_default() += rows;
                self.deleted.add(rows, &[KeyValue::new("kind", sweep.name())]);
            }
            // The pause leaves the database to those who are in a hurry.
            if rows < u64::from(batch) || stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Every topic of the installation, with those who answer for it.
fn answered(bus: &BusSettings, targets: &[TargetId]) -> Vec<Answered> {
    let consumers = topics::consumers(targets);
    let groups = |topic: &str| consumers.iter().filter(|it| it.0 == topic).map(|it| it.1.clone()).collect();
    topics::table(targets).iter().map(|it| Answered { topic: bus.topic(&it.name), groups: groups(&it.name) }).collect()
}

/// How long a record can come again: the longest that any topic which we read keeps its records.
pub fn records_stay() -> Duration {
    let table = topics::table([]);
    table.iter().filter(|it| it.name != topics::DEAD_LETTERS).map(|it| it.retention).max().expect("there are topics")
}

impl RetentionSettings {
    fn ages(&self) -> Ages {
        Ages { deliveries: self.deliveries, settled: self.settled, letters: self.letters }
    }
}
