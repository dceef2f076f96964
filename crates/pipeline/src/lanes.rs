//! Acts that wait for a slot, one queue per lane, each with its circuit.
//!
//! What arrived first goes first, also with its later acts: where slots are scarce, records are finished one after the other
//! instead of all of them being half done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::circuit::{Circuit, CircuitSettings};
use crate::seam::LaneSpec;

pub(crate) struct Lane<T> {
    pub(crate) spec: LaneSpec,
    pub(crate) circuit: Circuit,
    /// By their turns.
    waiting: BTreeMap<u64, T>,
    running: usize,
    /// The other side asked to slow down until then.
    not_before: Option<Instant>,
}

impl<T> Lane<T> {
    pub(crate) fn new(spec: LaneSpec, circuit: CircuitSettings) -> Self {
        Self { spec, circuit: Circuit::new(circuit), waiting: BTreeMap::new(), running: 0, not_before: None }
    }

    /// `turn`: of the record that it is for, which has one act at a time.
    pub(crate) fn push(&mut self, turn: u64, act: T) {
        self.waiting.insert(turn, act);
    }

    /// The next act, if a slot is free: slots are held only while a request is on the wire.
    pub(crate) fn start(&mut self, now: Instant) -> Option<T> {
        if self.not_before.is_some_and(|until| now < until) || self.running >= self.circuit.limit(self.spec.slots) {
            return None;
        }
        let (_, act) = self.waiting.pop_first()?;
        self.running += 1;
        Some(act)
    }

    pub(crate) fn finished(&mut self) {
        self.running -= 1;
    }

    pub(crate) fn slow_down(&mut self, now: Instant, wait: Duration) {
        let until = now + wait;
        self.not_before = Some(self.not_before.map_or(until, |earlier| earlier.max(until)));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets what waits; at shutdown the next owner takes it up again.
    pub(crate) fn abandon(&mut self) {
        self.waiting.clear();
    }

    /// Takes out what waits and is meant.
    pub(crate) fn withdraw(&mut self, is_meant: impl Fn(&T) -> bool) -> Vec<T> {
        self.waiting.extract_if(.., |_, act| is_meant(act)).map(|(_, act)| act).collect()
    }

    /// When this lane wants to be looked at again though nothing happened.
    pub(crate) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let slowed = self.not_before.filter(|until| *until > now && !self.waiting.is_empty());
        [slowed, self.circuit.next_probe()].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_first_goes_first_with_its_later_acts_as_well() {
        let now = Instant::now();
        let spec = LaneSpec { name: "erp", slots: 1, is_ours: false };
        let mut lane = Lane::new(spec, CircuitSettings::default());
        lane.push(2, "the second's first act");
        lane.push(3, "the third's first act");
        lane.push(1, "the first's second act");
        assert_eq!(lane.start(now), Some("the first's second act"));
        assert_eq!(lane.start(now), None, "there is one slot");
        lane.finished();
        assert_eq!(lane.withdraw(|act| act.contains("second's")), ["the second's first act"]);
        assert_eq!(lane.start(now), Some("the third's first act"));
    }
}
