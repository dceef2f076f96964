//! What the router counts. Labels are closed sets: kinds of events, states, reasons of this code and of the rules file.

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

pub(crate) struct Metrics {
    decided: Counter<u64>,
    commands: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let meter = global::meter("tradewind");
        Self {
            decided: meter.u64_counter("tradewind_router_decided").with_description("Events by kind, how they ended, and why").build(),
            commands: meter.u64_counter("tradewind_router_commands").with_description("Commands by target and operation").build(),
        }
    }

    pub(crate) fn decided(&self, kind: &'static str, state: &'static str, reason: &'static str) {
        self.decided.add(1, &[KeyValue::new("kind", kind), KeyValue::new("state", state), KeyValue::new("reason", reason)]);
    }

    pub(crate) fn command(&self, target: &str, operation: &'static str) {
        self.commands.add(1, &[KeyValue::new("target", target.to_owned()), KeyValue::new("operation", operation)]);
    }
}
