//! What the door and the re-reads count. Labels are closed sets: connections of the settings, outcomes.

use opentelemetry::metrics::Counter;
use opentelemetry::{KeyValue, global};

#[derive(Clone)]
pub struct Metrics {
    deliveries: Counter<u64>,
    spooled: Counter<u64>,
    rereads: Counter<u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let meter = global::meter("tradewind");
        Self {
            deliveries: meter.u64_counter("tradewind_door_deliveries").with_description("Deliveries by connection and outcome").build(),
            spooled: meter.u64_counter("tradewind_door_spooled").with_description("Deliveries acked from the spool").build(),
            rereads: meter.u64_counter("tradewind_rereads").with_description("Re-reads at the source by outcome").build(),
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

    pub(crate) fn reread(&self, outcome: &'static str) {
        self.rereads.add(1, &[KeyValue::new("outcome", outcome)]);
    }
}
