//! Reads from the effect log what became of each delivery: the oracle of "acked means delivered".

use std::collections::BTreeMap;

use crate::effects::{Effects, Kind};

/// One delivery over all its attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    pub topic: String,
    /// What it was about.
    pub subject: String,
    /// Attempts that were begun.
    pub sent: usize,
    /// What came of them: a status, or the name of a failure.
    pub outcomes: Vec<String>,
}

impl Trace {
    /// At least one attempt was answered 2xx: from then on it is ours.
    pub fn is_acked(&self) -> bool {
        self.outcomes.iter().any(|it| it.len() == 3 && it.starts_with('2'))
    }
}

/// Every delivery of a log, by webhook id.
pub fn traces(effects: &Effects) -> BTreeMap<String, Trace> {
    let mut traces: BTreeMap<String, Trace> = BTreeMap::new();
    for entry in effects.entries() {
        let (Some(topic), Some(id)) = (entry.operation.strip_prefix("webhook "), &entry.id) else { continue };
        let trace = traces.entry(id.clone()).or_default();
        match entry.kind {
            Kind::Sending => {
                trace.topic = topic.to_owned();
                trace.subject = entry.external_id.clone().unwrap_or_default();
                trace.sent += 1;
            }
            Kind::Answered => trace.outcomes.extend(entry.detail.clone()),
            Kind::Received | Kind::Applied | Kind::Moved => {}
        }
    }
    traces
}
