//! The account, added up every minute: as metrics, and as an alarm when it does not balance.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::{BusSettings, Offsets};
use contracts::topics::{self, groups};
use domain::TargetId;
use fault::Fault;
use opentelemetry::metrics::Gauge;
use opentelemetry::{KeyValue, global};
use store::Store;
use store::account::{Account, Progress, Scope};
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
        Ok(store::account::account(&self.store, &self.scope().await?).await?)
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
            progress,
        })
    }

    /// Until stopped; a turn that fails is tried again at the next.
    pub async fn run(self, interval: Duration, stop: CancellationToken) {
        let metrics = Metrics::new();
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.account().await {
                Ok(account) => metrics.show(&account),
                Err(fault) => tracing::warn!(error = %fault, "the account could not be added up"),
            }
        }
    }
}

struct Metrics {
    obligations: Gauge<u64>,
    balanced: Gauge<u64>,
    waiting: Gauge<u64>,
}

impl Metrics {
    fn new() -> Self {
        let meter = global::meter("tradewind");
        Self {
            obligations: meter.u64_gauge("tradewind_obligations").with_description("Obligations by group and state").build(),
            waiting: meter
                .u64_gauge("tradewind_waiting_letters")
                .with_description("Letters that are tried again by themselves, by group; in flight in the account")
                .build(),
            balanced: meter.u64_gauge("tradewind_account_balanced").with_description("1 while both checks of the account hold").build(),
        }
    }

    fn show(&self, account: &Account) {
        let mut sums: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut waiting: BTreeMap<&str, u64> = BTreeMap::new();
        for line in &account.lines {
            let is_waiting = line.state == "in_flight" && line.reason.as_deref() == Some("waiting");
            *waiting.entry(&line.group).or_default() += if is_waiting { line.count.unsigned_abs() } else { 0 };
            // States that emptied since the last turn must read zero.
            for state in STATES {
                sums.entry((&line.group, state)).or_default();
            }
            *sums.entry((&line.group, &line.state)).or_default() += line.count.unsigned_abs();
        }
        for ((group, state), count) in sums {
            self.obligations.record(count, &[KeyValue::new("group", group.to_owned()), KeyValue::new("state", state.to_owned())]);
        }
        for (group, count) in waiting {
            self.waiting.record(count, &[KeyValue::new("group", group.to_owned())]);
        }
        self.balanced.record(u64::from(account.balances()), &[]);
        for check in account.checks.iter().filter(|it| !it.holds) {
            tracing::error!(check = check.name, detail = check.detail, "the account does not balance (docs/runbooks/account.md)");
        }
    }
}

const STATES: [&str; 6] = ["applied", "superseded", "held", "dead", "discarded", "in_flight"];
const DEADLINE: Duration = Duration::from_secs(10);
