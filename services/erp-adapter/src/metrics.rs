//! What this service counts beside the pipeline. Labels are closed sets: target, operation, state, class.

use fault::Class;
use opentelemetry::metrics::{Counter, Gauge};
use opentelemetry::{KeyValue, global};

#[derive(Clone)]
pub struct Metrics {
    target: KeyValue,
    effects: Counter<u64>,
    captured: Counter<u64>,
    capture_failures: Counter<u64>,
    capture_age: Gauge<f64>,
    outbox: Gauge<u64>,
    outbox_oldest: Gauge<f64>,
}

impl Metrics {
    pub fn new(target: &str) -> Self {
        let meter = global::meter("tradewind");
        Self {
            target: KeyValue::new("target", target.to_owned()),
            effects: meter.u64_counter("tradewind_effects").with_description("Operations on a target that ended, by state").build(),
            captured: meter
                .u64_counter("tradewind_captured_levels")
                .with_description("Stock levels that differed from the last one")
                .build(),
            capture_failures: meter.u64_counter("tradewind_capture_failures").with_description("Reads of a target that failed").build(),
            capture_age: meter
                .f64_gauge("tradewind_capture_age_seconds")
                .with_description("Since the last read of a target's changed stock went through")
                .build(),
            outbox: meter
                .u64_gauge("tradewind_effects_outbox_records")
                .with_description("Captures that are stored and were not produced at the last look; at most a batch")
                .build(),
            outbox_oldest: meter
                .f64_gauge("tradewind_effects_outbox_oldest_seconds")
                .with_description("How long the oldest of them had been waiting by then")
                .build(),
        }
    }

    pub fn applied(&self, operation: &'static str) {
        self.ended(operation, "applied");
    }

    pub fn died(&self, operation: &'static str) {
        self.ended(operation, "dead");
    }

    fn ended(&self, operation: &'static str, state: &'static str) {
        self.effects.add(1, &[self.target.clone(), KeyValue::new("operation", operation), KeyValue::new("state", state)]);
    }

    pub fn captured(&self, levels: usize) {
        self.captured.add(levels as u64, std::slice::from_ref(&self.target));
    }

    pub fn capture_failed(&self, class: Class) {
        self.capture_failures.add(1, &[self.target.clone(), KeyValue::new("class", class.as_str())]);
    }

    pub fn capture_age(&self, seconds: f64) {
        self.capture_age.record(seconds, std::slice::from_ref(&self.target));
    }

    pub fn outbox(&self, records: usize, oldest_seconds: f64) {
        self.outbox.record(records as u64, std::slice::from_ref(&self.target));
        self.outbox_oldest.record(oldest_seconds, std::slice::from_ref(&self.target));
    }
}
