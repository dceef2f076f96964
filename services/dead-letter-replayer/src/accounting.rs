//! The account, added up every minute: as metrics, and as an alarm when it does not balance.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bus::{BusSettings, Offsets};
use chrono::Utc;
use contracts::topics::{self, groups};
use domain::TargetId;
use fault::Fault;
use opentelemetry::metrics::Gauge;
use opentelemetry::{KeyValue, global};
use store::Store;
use store::account::{Account, Cursor, Items, Part, Progress, Scope, Waiting};
use store::outbox::Untold;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

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

/// Labels of one sum: group, connection, entity, state.
type Of = (String, String, String, String);

struct Metrics {
    obligations: Gauge<u64>,
    balanced: Gauge<u64>,
    checks: Gauge<u64>,
    drawn_up: Gauge<u64>,
    lag: Gauge<u64>,
    next: Gauge<u64>,
    waiting: Gauge<u64>,
    untold: Gauge<u64>,
    untold_age: Gauge<f64>,
    dead_age: Gauge<f64>,
    in_wait: Gauge<u64>,
    in_wait_age: Gauge<f64>,
    /// Whatever was ever shown: what a later turn has nothing of must read zero.
    shown: BTreeSet<Of>,
    with_dead: BTreeSet<String>,
    with_waiting: BTreeSet<(String, String)>,
}

impl Metrics {
    fn new() -> Self {
        let meter = global::meter("tradewind");
        Self {
            obligations: meter
                .u64_gauge("tradewind_obligations")
                .with_description("Obligations by group, connection, entity and state")
                .build(),
            waiting: meter
                .u64_gauge("tradewind_waiting_letters")
                .with_description("Letters that are tried again by themselves, by group; in flight in the account")
                .build(),
            untold: meter
                .u64_gauge("tradewind_untold_records")
                .with_description("Outcomes and copies of letters that are stored and not produced")
                .build(),
            untold_age: meter
                .f64_gauge("tradewind_untold_oldest_seconds")
                .with_description("How long the oldest of them has been waiting")
                .build(),
            in_wait: meter.u64_gauge("tradewind_in_wait_records").with_description("Records that wait inside a group, by why").build(),
            in_wait_age: meter
                .f64_gauge("tradewind_in_wait_oldest_seconds")
                .with_description("How long the oldest of them has been waiting")
                .build(),
            dead_age: meter
                .f64_gauge("tradewind_dead_letters_oldest_seconds")
                .with_description("How long the oldest dead letter of a group has been waiting for somebody")
                .build(),
            balanced: meter.u64_gauge("tradewind_account_balanced").with_description("1 while both checks of the account hold").build(),
            checks: meter
                .u64_gauge("tradewind_account_check")
                .with_description("1 while this check of the account holds: raw_records, answers")
                .build(),
            drawn_up: meter
                .u64_gauge("tradewind_account_timestamp_seconds")
                .with_description("When the account was last drawn up, since 1970")
                .build(),
            lag: meter
                .u64_gauge("tradewind_group_lag_records")
                .with_description("Records beyond a group's commit, as the broker says")
                .build(),
            next: meter
                .u64_gauge("tradewind_group_next_offset")
                .with_description("The next offset that a group reads, as the broker says")
                .build(),
            shown: BTreeSet::new(),
            with_dead: BTreeSet::new(),
            with_waiting: BTreeSet::new(),
        }
    }

    /// Whoever stands still may not know it: this is told by somebody else.
    fn show_progress(&self, progress: &[Progress]) {
        for it in progress {
            let labels = [
                KeyValue::new("group", it.group.clone()),
                KeyValue::new("topic", it.topic.clone()),
                KeyValue::new("partition", i64::from(it.partition)),
            ];
            self.lag.record((it.end - it.next()).max(0).unsigned_abs(), &labels);
            self.next.record(it.next().unsigned_abs(), &labels);
        }
    }

    fn show_untold(&self, untold: &[Untold]) {
        for it in untold {
            let labels = [KeyValue::new("kind", it.kind.clone())];
            self.untold.record(it.records.unsigned_abs(), &labels);
            self.untold_age.record(it.oldest_seconds, &labels);
        }
    }

    fn show_dead(&mut self, dead: Vec<(String, f64)>) {
        let ages: BTreeMap<String, f64> = dead.into_iter().collect();
        self.with_dead.extend(ages.keys().cloned());
        for group in &self.with_dead {
            let age = ages.get(group).copied().unwrap_or_default();
            self.dead_age.record(age, &[KeyValue::new("group", group.clone())]);
        }
    }

    fn show_waiting(&mut self, waiting: Vec<Waiting>) {
        let now: BTreeMap<_, _> = waiting.into_iter().map(|it| ((it.group, it.reason), (it.records, it.oldest_seconds))).collect();
        self.with_waiting.extend(now.keys().cloned());
        for of in &self.with_waiting {
            let (records, oldest) = now.get(of).copied().unwrap_or_default();
            let labels = [KeyValue::new("group", of.0.clone()), KeyValue::new("reason", of.1.clone())];
            self.in_wait.record(records.unsigned_abs(), &labels);
            self.in_wait_age.record(oldest, &labels);
        }
    }

    fn show(&mut self, account: &Account) {
        let mut sums = sums(account);
        self.shown.extend(sums.keys().cloned());
        for of in &self.shown {
            sums.entry(of.clone()).or_default();
        }
        for ((group, connection, entity, state), count) in sums {
            let labels = [("group", group), ("connection", connection), ("entity", entity), ("state", state)];
            self.obligations.record(count, &labels.map(|(name, value)| KeyValue::new(name, value)));
        }
        let mut waiting: BTreeMap<&str, u64> = BTreeMap::new();
        for line in &account.lines {
            let is_waiting = line.state == "in_flight" && line.reason.as_deref() == Some("waiting");
            *waiting.entry(&line.group).or_default() += if is_waiting { line.count.unsigned_abs() } else { 0 };
        }
        for (group, count) in waiting {
            self.waiting.record(count, &[KeyValue::new("group", group.to_owned())]);
        }
        self.balanced.record(u64::from(account.balances()), &[]);
        self.drawn_up.record(Utc::now().timestamp().unsigned_abs(), &[]);
        for check in &account.checks {
            self.checks.record(u64::from(check.holds), &[KeyValue::new("check", check.of.as_str())]);
            if !check.holds {
                tracing::error!(
                    check = check.name,
                    detail = check.detail,
                    runbook = "docs/runbooks/account.md",
                    "the account does not balance"
                );
            }
        }
    }
}

/// All states of whatever has one, also those that nothing is in.
fn sums(account: &Account) -> BTreeMap<Of, u64> {
    let mut sums = BTreeMap::new();
    for line in &account.lines {
        let of = |state: &str| (line.group.clone(), line.source.clone(), line.kind.clone(), state.to_owned());
        for state in STATES {
            sums.entry(of(state)).or_default();
        }
        *sums.entry(of(&line.state)).or_default() += line.count.unsigned_abs();
    }
    sums
}

/// Of an obligation, without `missing`, which is an alarm.
pub const STATES: [&str; 6] = ["applied", "superseded", "held", "dead", "discarded", "in_flight"];
const DEADLINE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use store::account::Line;

    use super::*;

    fn line(source: &str, state: &str, reason: Option<&str>, count: i64) -> Line {
        Line {
            group: "order-router".to_owned(),
            source: source.to_owned(),
            kind: "order".to_owned(),
            state: state.to_owned(),
            reason: reason.map(str::to_owned),
            count,
        }
    }

    #[test]
    fn a_turn_a_minute_becomes_a_fifth_of_the_time_where_it_takes_long() {
        let seconds = Duration::from_secs;
        let minute = |took| pause(seconds(60), seconds(took));
        assert_eq!([minute(0), minute(1), minute(12), minute(30), minute(300)], [60, 59, 48, 120, 1_200].map(seconds));
    }

    #[test]
    fn every_state_is_told_of_each_connection_and_reasons_are_added_up() {
        let lines = vec![line("shop-eu", "dead", Some("a"), 2), line("shop-eu", "dead", Some("b"), 3), line("shop-us", "missing", None, 1)];
        let account = Account { lines, without_time: 0, repeats: 0, checks: Vec::new() };
        let shown: Vec<_> = sums(&account).into_iter().map(|((_, source, _, state), count)| format!("{source} {state} {count}")).collect();
        assert_eq!(
            shown,
            [
                "shop-eu applied 0",
                "shop-eu dead 5",
                "shop-eu discarded 0",
                "shop-eu held 0",
                "shop-eu in_flight 0",
                "shop-eu superseded 0",
                "shop-us applied 0",
                "shop-us dead 0",
                "shop-us discarded 0",
                "shop-us held 0",
                "shop-us in_flight 0",
                "shop-us missing 1",
                "shop-us superseded 0",
            ]
        );
    }
}
