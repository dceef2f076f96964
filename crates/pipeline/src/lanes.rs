//! Acts that wait for a slot, one queue per lane, each with its circuit.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::circuit::{Circuit, CircuitSettings};
use crate::seam::LaneSpec;

pub(crate) struct Lane<T> {
    pub(crate) spec: LaneSpec,
    pub(crate) circuit: Circuit,
    waiting: VecDeque<T>,
    running: usize,
    /// The other side asked to slow down until then.
    not_before: Option<Instant>,
}

impl<T> Lane<T> {
    pub(crate) fn new(spec: LaneSpec, circuit: CircuitSettings) -> Self {
        Self { spec, circuit: Circuit::new(circuit), waiting: VecDeque::new(), running: 0, not_before: None }
    }

    pub(crate) fn push(&mut self, act: T) {
        self.waiting.push_back(act);
    }

    /// The next act, if a slot is free: slots are held only while a request is on the wire.
    pub(crate) fn start(&mut self, now: Instant) -> Option<T> {
        if self.not_before.is_some_and(|until| now < until) || self.running >= self.circuit.limit(self.spec.slots) {
            return None;
        }
        let act = self.waiting.pop_front()?;
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
        let (meant, others) = std::mem::take(&mut self.waiting).into_iter().partition(|act| is_meant(act));
        self.waiting = others;
        VecDeque::into(meant)
    }

    /// When this lane wants to be looked at again though nothing happened.
    pub(crate) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let slowed = self.not_before.filter(|until| *until > now && !self.waiting.is_empty());
        [slowed, self.circuit.next_probe()].into_iter().flatten().min()
    }
}
