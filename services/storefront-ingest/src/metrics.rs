//! What the door, the re-reads and the sweeps count. Labels are closed sets: connections of the settings, kinds, outcomes.

use std::time::Duration;

use domain::EntityKind;
use fault::Class;
use opentelemetry::metrics::{Counter, Gauge};
use opentelemetry::{KeyValue, global};

use crate::core::sweep::FoundBy;

#[derive(Clone)]
pub struct Metrics {
    deliveries: Counter<u64>,
    signatures: Counter<u64>,
    spooled: Counter<u64>,
    spool_bytes: Gauge<u64>,
    spool_limit: Gauge<u64>,
    spool_oldest: Gauge<u64>,
    rereads: Counter<u64>,
    listed: Counter<u64>,
    ordered: Counter<u64>,
    sweep_failures: Counter<u64>,
    first_seen: Counter<u64>,
    last_delivery: Gauge<f64>,
    subscriptions_missing: Gauge<u64>,
    subscribed: Counter<u64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let meter = global::meter("tradewind");
        Self {
            deliveries: meter.u64_counter("tradewind_door_deliveries").with_description("Deliveries by connection and outcome").build(),
            signatures: meter
                .u64_counter("tradewind_door_signatures")
                .with_description("Signatures that were right, by which of the active secrets made them: 0 is the newest")
                .build(),
            spooled: meter.u64_counter("tradewind_door_spooled").with_description("Deliveries acked from the spool").build(),
            spool_bytes: meter.u64_gauge("tradewind_spool_bytes").with_description("What lies in the spool, of all instances").build(),
            spool_limit: meter.u64_gauge("tradewind_spool_limit_bytes").with_description("What may lie in the spool").build(),
            spool_oldest: meter
                .u64_gauge("tradewind_spool_oldest_seconds")
                .with_description("How long the oldest delivery has been in the spool")
                .build(),
            rereads: meter.u64_counter("tradewind_rereads").with_description("Re-reads at the source by outcome").build(),
            listed: meter
                .u64_counter("tradewind_sweep_listed")
                .with_description("Entities that sources listed as changed, by who asked")
                .build(),
            ordered: meter
                .u64_counter("tradewind_sweep_ordered")
                .with_description("Those of them whose version was not known, and that are to be read")
                .build(),
            sweep_failures: meter.u64_counter("tradewind_sweep_failures").with_description("Turns of a sweep that failed").build(),
            first_seen: meter
                .u64_counter("tradewind_first_seen_by_sweep")
                .with_description("Changes that no delivery had told of before they were found: webhooks that were lost")
                .build(),
            last_delivery: meter
                .f64_gauge("storefront_last_delivery_age_seconds")
                .with_description("Since a delivery of the connection last came through any door")
                .build(),
            subscriptions_missing: meter
                .u64_gauge("tradewind_subscriptions_missing")
                .with_description("Wanted webhook subscriptions that the platform did not have at the last look")
                .build(),
            subscribed: meter
                .u64_counter("tradewind_subscriptions_recreated")
                .with_description("Subscriptions that were made again")
                .build(),
        }
    }
}

impl Metrics {
    pub(crate) fn delivery(&self, connection: &str, outcome: &'static str) {
        self.deliveries.add(1, &[KeyValue::new("connection", connection.to_owned()), KeyValue::new("outcome", outcome)]);
    }

    pub(crate) fn signature(&self, connection: &str, secret: usize) {
        self.signatures.add(1, &[of(connection), KeyValue::new("secret", i64::try_from(secret).unwrap_or(i64::MAX))]);
    }

    pub(crate) fn spooled(&self) {
        self.spooled.add(1, &[]);
    }

    /// Told at once, database or not: whoever misses it misses the door.
    pub(crate) fn spool_limit(&self, limit: u64) {
        self.spool_limit.record(limit, &[]);
    }

    pub(crate) fn spool(&self, bytes: u64, oldest_seconds: u64) {
        self.spool_bytes.record(bytes, &[]);
        self.spool_oldest.record(oldest_seconds, &[]);
    }

    pub(crate) fn reread(&self, outcome: &'static str) {
        self.rereads(outcome, 1);
    }

    pub(crate) fn rereads(&self, outcome: &'static str, count: u64) {
        if count > 0 {
            self.rereads.add(count, &[KeyValue::new("outcome", outcome)]);
        }
    }

    pub(crate) fn listed(&self, connection: &str, kind: EntityKind, by: FoundBy, listed: usize, ordered: i64) {
        let labels = labels(connection, kind, by);
        self.listed.add(listed as u64, &labels);
        self.ordered.add(ordered.unsigned_abs(), &labels);
    }

    pub(crate) fn sweep_failed(&self, connection: &str, class: Class) {
        self.sweep_failures.add(1, &[of(connection), KeyValue::new("class", class.as_str())]);
    }

    pub(crate) fn first_seen(&self, connection: &str, kind: EntityKind, by: FoundBy) {
        self.first_seen.add(1, &labels(connection, kind, by));
    }

    pub(crate) fn last_delivery(&self, connection: &str, age: Duration) {
        self.last_delivery.record(age.as_secs_f64(), &[of(connection)]);
    }

    pub(crate) fn subscriptions_missing(&self, connection: &str, missing: usize) {
        self.subscriptions_missing.record(missing as u64, &[of(connection)]);
    }

    pub(crate) fn subscribed(&self, connection: &str) {
        self.subscribed.add(1, &[of(connection)]);
    }
}

fn labels(connection: &str, kind: EntityKind, by: FoundBy) -> [KeyValue; 3] {
    [of(connection), KeyValue::new("kind", kind.as_str()), KeyValue::new("found_by", by.as_str())]
}

fn of(connection: &str) -> KeyValue {
    KeyValue::new("connection", connection.to_owned())
}
