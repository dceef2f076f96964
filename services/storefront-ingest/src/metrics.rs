//! What the door counts. Labels are closed sets: connections of the settings, outcomes.

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

#[derive(Clone)]
pub struct Metrics {
    deliveries: Counter<u64>,
    spooled: Counter<u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let meter = global::meter("tradewind");
        Self {
            deliveries: meter.u64_counter("tradewind_door_deliveries").with_description("Deliveries by connection and outcome").build(),
            spooled: meter.u64_counter("tradewind_door_spooled").with_description("Deliveries acked from the spool").build(),
        }
    }
}

impl Metrics {
    pub(crate) fn delivery(&self, connection: &str, outcome: &'static str) {
        self.deliveries.add(1, &[KeyValue::new("connection", connection.to_owned()), KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn spooled(&self) {
        self.spooled.add(1, &[]);
    }
}
