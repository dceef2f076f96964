//! The account, and what else the ledgers tell, as metrics.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Utc;
use opentelemetry::metrics::Gauge;
use opentelemetry::{KeyValue, global};
use store::account::{Account, Progress, Waiting};
use store::outbox::Untold;

use super::STATES;

/// Labels of one sum: group, connection, entity, state.
type Of = (String, String, String, String);

pub(super) struct Metrics {
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
    pub(super) fn new() -> Self {
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
    pub(super) fn show_progress(&self, progress: &[Progress]) {
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

    pub(super) fn show_untold(&self, untold: &[Untold]) {
        for it in untold {
            let labels = [KeyValue::new("kind", it.kind.clone())];
            self.untold.record(it.records.unsigned_abs(), &labels);
            self.untold_age.record(it.oldest_seconds, &labels);
        }
    }

    pub(super) fn show_dead(&mut self, dead: Vec<(String, f64)>) {
        let ages: BTreeMap<String, f64> = dead.into_iter().collect();
        self.with_dead.extend(ages.keys().cloned());
        for group in &self.with_dead {
            let age = ages.get(group).copied().unwrap_or_default();
            self.dead_age.record(age, &[KeyValue::new("group", group.clone())]);
        }
    }

    pub(super) fn show_waiting(&mut self, waiting: Vec<Waiting>) {
        let now: BTreeMap<_, _> = waiting.into_iter().map(|it| ((it.group, it.reason), (it.records, it.oldest_seconds))).collect();
        self.with_waiting.extend(now.keys().cloned());
        for of in &self.with_waiting {
            let (records, oldest) = now.get(of).copied().unwrap_or_default();
            let labels = [KeyValue::new("group", of.0.clone()), KeyValue::new("reason", of.1.clone())];
            self.in_wait.record(records.unsigned_abs(), &labels);
            self.in_wait_age.record(oldest, &labels);
        }
    }

    pub(super) fn show(&mut self, account: &Account) {
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
