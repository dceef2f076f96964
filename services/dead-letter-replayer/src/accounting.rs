//! The account, added up every minute: as metrics, and as an alarm when it does not balance.

mod metrics;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bus::{BusSettings, Offsets};
use contracts::topics::{self, groups};
use domain::TargetId;
use fault::Fault;
use store::Store;
use store::account::{Account, Cursor, Items, Part, Progress, Scope};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use metrics::Metrics;

/// Draws the account of an installation up: the ledgers from the database, progress from the broker.
pub struct Accountant {
    store: Store,
    bus: BusSettings,
    /// Topic and group, without prefix.
    consumers: Vec<(String, String)>,
    offsets: BTreeMap<String, Offsets>,
}

impl Accountant {
    pub fn new(store: Store, bus: BusSettings, targets: &[TargetId]) -> Result<Self, bus::Error> {
        let consumers = topics::consumers(targets);
        let mut offsets = BTreeMap::new();
        for (_, group) in &consumers {
            if !offsets.contains_key(group) {
                offsets.insert(group.clone(), Offsets::of_group(&bus, group)?);
            }
        }
        Ok(Self { store, bus, consumers, offsets })
    }

    pub async fn account(&self) -> Result<Account, Fault> {
        self.account_of(&Part::default()).await
    }

    /// The sums of a part, and the checks of everything.
    pub async fn account_of(&self, part: &Part) -> Result<Account, Fault> {
        Ok(store::account::account_of(&self.store, &self.scope().await?, part).await?)
    }

    /// A page of the obligations behind those sums.
    pub async fn items(&self, part: &Part, after: Option<&Cursor>, limit: i64) -> Result<Items, Fault> {
        Ok(store::account::items(&self.store, &self.scope().await?, part, after, limit).await?)
    }

    /// What the account is about right now. The broker is asked first: what it has committed by then is in the ledgers.
    pub async fn scope(&self) -> Result<Scope, Fault> {
        let mut progress = Vec::new();
        for (topic, group) in &self.consumers {
            let full = self.bus.topic(topic);
            for (partition, it) in self.offsets[group].read(&full, DEADLINE).await? {
                progress.push(Progress {
                    group: group.clone(),
                    topic: full.clone(),
                    partition,
                    committed: it.committed,
                    start: it.start,
                    end: it.end,
                });
            }
        }
        let consumers = self.consumers.iter().filter(|(topic, _)| topic != topics::RAW);
        Ok(Scope {
            raw_topic: self.bus.topic(topics::RAW),
            mapper: groups::MAPPER.to_owned(),
            consumers: consumers.map(|(topic, group)| (self.bus.topic(topic), group.clone())).collect(),
            unanswered: topics::unanswered().iter().map(|it| self.bus.topic(it)).collect(),
            progress,
        })
    }

    /// Until stopped; a turn that fails is tried again at the next.
    pub async fn run(self, interval: Duration, stop: CancellationToken) {
        let turns = async {
            let mut metrics = Metrics::new();
            loop {
                let begun = Instant::now();
                if let Err(fault) = self.turn(&mut metrics).await {
                    tracing::warn!(error = %fault, "the account could not be added up");
                }
                sleep(pause(interval, begun.elapsed())).await;
            }
        };
        stop.run_until_cancelled(turns).await;
    }

    async fn turn(&self, metrics: &mut Metrics) -> Result<(), Fault> {
        // First: it may be Kafka that they wait for.
        metrics.show_untold(&store::outbox::untold(&self.store).await?);
        metrics.show_dead(store::letters::dead_since(&self.store).await?);
        metrics.show_waiting(store::account::waiting(&self.store).await?);
        let scope = self.scope().await?;
        metrics.show_progress(&scope.progress);
        metrics.show(&store::account::account(&self.store, &scope).await?);
        Ok(())
    }
}

/// Until the next turn, after one that took so long. It reads every row of every ledger: where there are so many that a turn is
/// no longer short, it must not keep the database busy all the time.
fn pause(interval: Duration, took: Duration) -> Duration {
    interval.saturating_sub(took).max(took * BUSY_MAX)
}

/// Times as long as a turn the database has no turn of ours.
const BUSY_MAX: u32 = 4;

/// Of an obligation, without `missing`, which is an alarm.
pub const STATES: [&str; 6] = ["applied", "superseded", "held", "dead", "discarded", "in_flight"];
const DEADLINE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_a_minute_becomes_a_fifth_of_the_time_where_it_takes_long() {
        let seconds = Duration::from_secs;
        let minute = |took| pause(seconds(60), seconds(took));
        assert_eq!([minute(0), minute(1), minute(12), minute(30), minute(300)], [60, 59, 48, 120, 1_200].map(seconds));
    }
}
