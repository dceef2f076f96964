//! What the service counts. Labels are closed sets: connections of the settings, kinds, results and problems of this code.

use opentelemetry::metrics::{Counter, Gauge};
use opentelemetry::{KeyValue, global};

#[derive(Clone)]
pub struct Metrics {
    decided: Counter<u64>,
    nameless: Counter<u64>,
    pushed: Counter<u64>,
    drift: Counter<u64>,
    differences: Counter<u64>,
    dirty: Gauge<u64>,
    dirty_oldest: Gauge<f64>,
    problems: Gauge<u64>,
    push_age: Gauge<f64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let meter = global::meter("tradewind");
        Self {
            decided: meter.u64_counter("tradewind_stock_decided").with_description("Events by kind and how they ended").build(),
            nameless: meter.u64_counter("tradewind_stock_lines_without_sku").with_description("Order lines that name no SKU").build(),
            pushed: meter.u64_counter("tradewind_stock_pushed").with_description("Levels that were sent, by what became of them").build(),
            drift: meter
                .u64_counter("tradewind_stock_unexplained_drift")
                .with_description("Levels that a shop showed and nothing that we know of explains, replaced")
                .build(),
            differences: meter
                .u64_counter("tradewind_stock_comparison_differences")
                .with_description("Levels that the full comparison found to be other than they should")
                .build(),
            dirty: meter.u64_gauge("tradewind_stock_dirty_rows").with_description("Levels that wait to be pushed").build(),
            dirty_oldest: meter
                .f64_gauge("tradewind_stock_dirty_oldest_seconds")
                .with_description("How long the oldest of them has been waiting")
                .build(),
            push_age: meter
                .f64_gauge("tradewind_stock_push_age_seconds")
                .with_description("Since levels were last pushed to the shop, or there were none to push")
                .build(),
            problems: meter.u64_gauge("tradewind_stock_problem_rows").with_description("Levels that can't be pushed, by why").build(),
        }
    }
}

impl Metrics {
    pub(crate) fn decided(&self, kind: &'static str, state: &'static str) {
        self.decided.add(1, &[KeyValue::new("kind", kind), KeyValue::new("state", state)]);
    }

    pub(crate) fn nameless(&self, connection: &str, lines: u64) {
        self.nameless.add(lines, &[of(connection)]);
    }

    pub(crate) fn pushed(&self, connection: &str, result: &'static str, levels: usize) {
        self.pushed.add(levels as u64, &[of(connection), KeyValue::new("result", result)]);
    }

    pub(crate) fn drift(&self, connection: &str, levels: usize) {
        self.drift.add(levels as u64, &[of(connection)]);
    }

    pub(crate) fn differences(&self, connection: &str, levels: usize) {
        self.differences.add(levels as u64, &[of(connection)]);
    }

    pub(crate) fn dirty(&self, connection: &str, rows: u64, oldest_seconds: f64) {
        self.dirty.record(rows, &[of(connection)]);
        self.dirty_oldest.record(oldest_seconds, &[of(connection)]);
    }

    pub(crate) fn push_age(&self, connection: &str, seconds: f64) {
        self.push_age.record(seconds, &[of(connection)]);
    }

    pub(crate) fn problems(&self, connection: &str, problem: &'static str, rows: u64) {
        self.problems.record(rows, &[of(connection), KeyValue::new("problem", problem)]);
    }
}

fn of(connection: &str) -> KeyValue {
    KeyValue::new("connection", connection.to_owned())
}
