//! How far this process's partitions are behind, from the client's own statistics.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry::metrics::{Counter, ObservableGauge};
use opentelemetry::{KeyValue, global};
use rdkafka::Statistics;

/// Records between what is settled and the end of a partition. A gauge that is asked, not told: a partition that went to another
/// member must vanish here.
pub(crate) struct Lag {
    partitions: Arc<Mutex<HashMap<(String, i32), u64>>>,
    _gauge: ObservableGauge<u64>,
    out_of_range: Counter<u64>,
    group: KeyValue,
}

impl Lag {
    pub(crate) fn of_group(group: &str) -> Self {
        let partitions: Arc<Mutex<HashMap<(String, i32), u64>>> = Arc::default();
        let (seen, group) = (Arc::downgrade(&partitions), KeyValue::new("group", group.to_owned()));
        let meter = global::meter("tradewind");
        let out_of_range = meter
            .u64_counter("tradewind_consumer_out_of_range")
            .with_description("Times that a group found its next record deleted; the partition stands still")
            .build();
        let label = group.clone();
        let gauge = meter
            .u64_observable_gauge("tradewind_consumer_lag_records")
            .with_description("Records that the group has not settled, of the partitions that this process reads")
            .with_callback(move |observer| {
                let Some(partitions) = seen.upgrade() else { return };
                for ((topic, partition), lag) in partitions.lock().expect("nobody panics with it").iter() {
                    let labels = [label.clone(), KeyValue::new("topic", topic.clone()), KeyValue::new("partition", i64::from(*partition))];
                    observer.observe(*lag, &labels);
                }
            })
            .build();
        Self { partitions, _gauge: gauge, out_of_range, group }
    }

    pub(crate) fn count_out_of_range(&self) {
        self.out_of_range.add(1, std::slice::from_ref(&self.group));
    }

    pub(crate) fn update(&self, statistics: &Statistics) {
        let partitions = statistics.topics.values().flat_map(|topic| topic.partitions.values().map(|it| (&topic.topic, it)));
        // It also lists partitions that were ours once, and gives -1 for what it does not know yet.
        let ours = partitions.filter(|(_, it)| it.fetch_state == "active");
        let lags = ours.filter_map(|(topic, it)| Some(((topic.clone(), it.partition), u64::try_from(it.consumer_lag_stored).ok()?)));
        *self.partitions.lock().expect("nobody panics with it") = lags.collect();
    }
}
