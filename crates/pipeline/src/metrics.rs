//! What the engine counts. Labels are closed sets: group, lane, family, class, code.

use opentelemetry::metrics::{Counter, Gauge, Histogram};
use opentelemetry::{KeyValue, global};

use crate::lanes::Place;
use crate::record::Partition;
use crate::seam::LaneSpec;

pub(crate) struct Metrics {
    group: KeyValue,
    /// Of each lane: these are used for every record.
    lanes: Vec<[KeyValue; 2]>,
    /// Of each family of each lane.
    places: Vec<Vec<[KeyValue; 3]>>,
    settled: Counter<u64>,
    failures: Counter<u64>,
    commit_seconds: Histogram<f64>,
    batch_records: Histogram<u64>,
    act_seconds: Histogram<f64>,
    in_hand: Gauge<u64>,
    circuit_open: Gauge<u64>,
    breaker_open: Gauge<u64>,
    careful: Gauge<u64>,
}

impl Metrics {
    pub(crate) fn new<'a>(group: &str, specs: impl Iterator<Item = &'a LaneSpec>) -> Self {
        let meter = global::meter("tradewind");
        let group = KeyValue::new("group", group.to_owned());
        let of_lane = |spec: &LaneSpec| [group.clone(), KeyValue::new("lane", spec.name)];
        let of_family = |[group, lane]: [KeyValue; 2], family| [group, lane, KeyValue::new("family", family)];
        let labels = specs.map(|spec| (of_lane(spec), spec.families.iter().map(|family| of_family(of_lane(spec), *family)).collect()));
        let (lanes, places) = labels.unzip();
        Self {
            lanes,
            places,
            group,
            settled: meter.u64_counter("tradewind_settled_records").with_description("Records settled for good").build(),
            failures: meter.u64_counter("tradewind_failures").with_description("Failures by class and code, before any verdict").build(),
            commit_seconds: meter
                .f64_histogram("tradewind_commit_duration_seconds")
                .with_description("One ledger transaction for a batch")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            batch_records: meter
                .u64_histogram("tradewind_commit_batch_records")
                .with_description("Records in one ledger transaction")
                .with_boundaries(vec![1.0, 4.0, 16.0, 64.0, 128.0, 256.0])
                .build(),
            act_seconds: meter
                .f64_histogram("tradewind_act_duration_seconds")
                .with_description("One act: a request to a target, or a produce until its delivery report")
                .with_boundaries(SECONDS.to_vec())
                .build(),
            in_hand: meter.u64_gauge("tradewind_in_hand_records").with_description("Records taken in and not settled").build(),
            circuit_open: meter
                .u64_gauge("tradewind_circuit_open")
                .with_description("1 while a lane's other side is away for a family of operations")
                .build(),
            careful: meter
                .u64_gauge("tradewind_careful_partition")
                .with_description("1 while a partition is read one record at a time, because the process died on it")
                .build(),
            breaker_open: meter
                .u64_gauge("tradewind_dead_letter_breaker_open")
                .with_description("1 while a partition stands still because too many of its records would be letters")
                .build(),
        }
    }

    pub(crate) fn committed(&self, records: usize, seconds: f64) {
        self.batch_records.record(records as u64, std::slice::from_ref(&self.group));
        self.commit_seconds.record(seconds, std::slice::from_ref(&self.group));
    }

    pub(crate) fn settled(&self, records: u64, in_hand: usize) {
        if records > 0 {
            self.settled.add(records, std::slice::from_ref(&self.group));
        }
        self.in_hand.record(in_hand as u64, std::slice::from_ref(&self.group));
    }

    pub(crate) fn failed(&self, class: &'static str, code: &'static str) {
        self.failures.add(1, &[self.group.clone(), KeyValue::new("class", class), KeyValue::new("code", code)]);
    }

    pub(crate) fn acted(&self, lane: usize, seconds: f64) {
        self.act_seconds.record(seconds, &self.lanes[lane]);
    }

    pub(crate) fn breaker(&self, partition: &Partition, open: bool) {
        self.breaker_open.record(u64::from(open), &self.labels(partition));
    }

    pub(crate) fn careful(&self, partition: &Partition, careful: bool) {
        self.careful.record(u64::from(careful), &self.labels(partition));
    }

    fn labels(&self, partition: &Partition) -> [KeyValue; 3] {
        let topic = KeyValue::new("topic", partition.topic.to_string());
        [self.group.clone(), topic, KeyValue::new("partition", i64::from(partition.number))]
    }

    pub(crate) fn circuit(&self, place: Place, open: bool) {
        self.circuit_open.record(u64::from(open), &self.places[place.lane][place.family]);
    }
}

const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
