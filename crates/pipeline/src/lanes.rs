//! Acts that wait for a slot: a lane per other side, in it a queue per family of operations.
//!
//! What arrived first goes first, also with its later acts: where slots are scarce, records are finished one after the other
//! instead of all of them being half done.
//!
//! A lane has a circuit, and each family one of its own: who may not book refunds there may still place orders.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::circuit::{Circuit, CircuitSettings};
use crate::seam::LaneSpec;

/// Where an act waits: a lane, and the family of its operation in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) lane: usize,
    pub(crate) family: usize,
}

/// What a probe asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probed {
    Lane,
    Family(usize),
}

pub(crate) struct Lane<T> {
    pub(crate) spec: LaneSpec,
    /// Of the other side as a whole: one that can't be reached serves no family.
    circuit: Circuit,
    families: Vec<Family<T>>,
    /// The other side asked to slow down until then.
    not_before: Option<Instant>,
}

struct Family<T> {
    circuit: Circuit,
    /// By their turns.
    waiting: BTreeMap<u64, T>,
    running: usize,
    /// When a request last did what the family is for.
    last_done: Option<Instant>,
}

impl<T> Family<T> {
    fn may_start(&self, slots: usize) -> bool {
        self.running < self.circuit.limit(slots)
    }
}

impl<T> Lane<T> {
    pub(crate) fn new(spec: LaneSpec, settings: &CircuitSettings) -> Self {
        let circuit = || Circuit::new(settings.clone());
        let family = |_| Family { circuit: circuit(), waiting: BTreeMap::new(), running: 0, last_done: None };
        Self { circuit: circuit(), families: spec.families.iter().map(family).collect(), spec, not_before: None }
    }

    /// `turn`: of the record that it is for, which has one act at a time.
    pub(crate) fn push(&mut self, family: usize, turn: u64, act: T) {
        self.families[family].waiting.insert(turn, act);
    }

    /// The next act and its family, if a slot is free: slots are held only while a request is on the wire.
    pub(crate) fn start(&mut self, now: Instant) -> Option<(usize, T)> {
        let slots = self.spec.slots;
        let running: usize = self.families.iter().map(|it| it.running).sum();
        if self.not_before.is_some_and(|until| now < until) || running >= self.circuit.limit(slots) {
            return None;
        }
        let may_start = self.families.iter().enumerate().filter(|(_, family)| family.may_start(slots));
        let (_, index) = may_start.filter_map(|(index, family)| Some((*family.waiting.first_key_value()?.0, index))).min()?;
        let family = &mut self.families[index];
        family.running += 1;
        family.waiting.pop_first().map(|(_, act)| (index, act))
    }

    pub(crate) fn finished(&mut self, family: usize) {
        self.families[family].running -= 1;
    }

    pub(crate) fn slow_down(&mut self, now: Instant, wait: Duration) {
        self.not_before = self.not_before.max(Some(now + wait));
    }

    /// A request came through.
    pub(crate) fn succeeded(&mut self, family: usize) {
        self.circuit.succeeded(self.spec.slots);
        self.families[family].circuit.succeeded(self.spec.slots);
    }

    /// It did what its family is for: whoever failed before and fails again is not failing with all the others.
    pub(crate) fn did(&mut self, family: usize, now: Instant) {
        self.families[family].last_done = Some(now);
    }

    /// A request failed in a way that says nothing about its family as a whole, unless it keeps happening.
    pub(crate) fn failed(&mut self, family: usize, now: Instant) {
        self.families[family].circuit.failed(now);
    }

    /// Nothing can be reached.
    pub(crate) fn unreachable(&mut self, now: Instant, retry_after: Option<Duration>) {
        self.circuit.open(now, retry_after);
    }

    /// It answers, and wants none of these operations from us.
    pub(crate) fn refused(&mut self, family: usize, now: Instant) {
        self.families[family].circuit.open(now, None);
    }

    /// Nothing of this family is sent.
    pub(crate) fn is_open(&self, family: usize) -> bool {
        self.circuit.is_open() || self.families[family].circuit.is_open()
    }

    /// Nothing at all is sent.
    pub(crate) fn is_shut(&self) -> bool {
        self.families().all(|family| self.is_open(family))
    }

    /// From the first failure until a request of this family came through.
    pub(crate) fn is_away(&self, family: usize) -> bool {
        self.circuit.is_away() || self.families[family].circuit.is_away()
    }

    /// Whether anything of this family was done after `instant`: without that, a failing key says nothing about itself.
    pub(crate) fn did_after(&self, family: usize, instant: Instant) -> bool {
        self.families[family].last_done.is_some_and(|last| last > instant)
    }

    /// Whom to ask for now: answered with [`Lane::probed`]. While all of it is away, no family is asked for; and families are asked
    /// for one after the other.
    pub(crate) fn wants_probe(&mut self, now: Instant) -> Option<Probed> {
        if self.circuit.is_open() {
            return self.circuit.wants_probe(now).then_some(Probed::Lane);
        }
        if self.is_probing() {
            return None;
        }
        let due = |family: &usize| self.families[*family].circuit.next_probe().is_some_and(|at| at <= now);
        let longest = self.families().filter(due).min_by_key(|family| self.families[*family].circuit.next_probe())?;
        self.families[longest].circuit.wants_probe(now).then_some(Probed::Family(longest))
    }

    /// One look that fails speaks for all families. One that passes does for its own alone: it has waited for its turn.
    pub(crate) fn probed(&mut self, probed: Probed, success: bool, now: Instant) {
        let slots = self.spec.slots;
        match probed {
            Probed::Lane => self.circuit.probed(success, now, slots),
            Probed::Family(family) if success => self.families[family].circuit.probed(true, now, slots),
            Probed::Family(_) => self.families.iter_mut().for_each(|family| family.circuit.probed(false, now, slots)),
        }
    }

    fn is_probing(&self) -> bool {
        self.families.iter().any(|family| family.circuit.is_probing())
    }

    pub(crate) fn waiting(&self) -> usize {
        self.families.iter().map(|family| family.waiting.len()).sum()
    }

    pub(crate) fn families(&self) -> std::ops::Range<usize> {
        0..self.families.len()
    }

    /// What waits for families of which nothing comes through.
    pub(crate) fn waiting_in_vain(&self) -> impl Iterator<Item = &T> {
        self.families().filter(|family| self.is_away(*family)).flat_map(|family| self.families[family].waiting.values())
    }

    /// Forgets what waits; at shutdown the next owner takes it up again.
    pub(crate) fn abandon(&mut self) {
        self.families.iter_mut().for_each(|family| family.waiting.clear());
    }

    /// Takes out what waits and is meant.
    pub(crate) fn withdraw(&mut self, is_meant: impl Fn(&T) -> bool) -> Vec<T> {
        let meant = |family: &mut Family<T>| family.waiting.extract_if(.., |_, act| is_meant(act)).map(|(_, act)| act).collect::<Vec<_>>();
        self.families.iter_mut().flat_map(meant).collect()
    }

    /// When this lane wants to be looked at again though nothing happened.
    pub(crate) fn wakes_at(&self, now: Instant) -> Option<Instant> {
        let slowed = self.not_before.filter(|until| *until > now && self.waiting() > 0);
        let probe = match self.circuit.is_open() {
            true => self.circuit.next_probe(),
            false if self.is_probing() => None,
            false => self.families.iter().filter_map(|family| family.circuit.next_probe()).min(),
        };
        [slowed, probe].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: usize = 0;
    const REFUNDS: usize = 1;

    fn lane(slots: usize) -> Lane<&'static str> {
        Lane::new(LaneSpec { name: "erp", slots, families: &["orders", "refunds"], is_ours: false }, &CircuitSettings::default())
    }

    #[test]
    fn what_arrived_first_goes_first_with_its_later_acts_as_well() {
        let now = Instant::now();
        let mut lane = lane(1);
        lane.push(ORDERS, 2, "the second's first act");
        lane.push(REFUNDS, 3, "the third's first act");
        lane.push(ORDERS, 1, "the first's second act");
        assert_eq!(lane.start(now), Some((ORDERS, "the first's second act")));
        assert_eq!(lane.start(now), None, "there is one slot");
        lane.finished(ORDERS);
        assert_eq!(lane.withdraw(|act| act.contains("second's")), ["the second's first act"]);
        assert_eq!(lane.start(now), Some((REFUNDS, "the third's first act")));
    }

    #[test]
    fn a_family_that_is_refused_keeps_no_other_from_going() {
        let now = Instant::now();
        let mut lane = lane(4);
        lane.refused(REFUNDS, now);
        lane.push(REFUNDS, 1, "refund");
        lane.push(ORDERS, 2, "order");
        assert_eq!(lane.start(now), Some((ORDERS, "order")));
        assert_eq!(lane.start(now), None);
        assert!(lane.is_open(REFUNDS) && !lane.is_open(ORDERS) && !lane.is_shut());
        assert_eq!(lane.waiting_in_vain().collect::<Vec<_>>(), [&"refund"]);
        lane.succeeded(ORDERS);
        lane.did(ORDERS, now);
        let before = now - Duration::from_secs(1);
        assert!(lane.did_after(ORDERS, before) && !lane.did_after(ORDERS, now));
        assert!(lane.is_away(REFUNDS) && !lane.did_after(REFUNDS, before), "orders say nothing about refunds");
        let later = lane.wakes_at(now).expect("it is asked for");
        assert_eq!(lane.wants_probe(later), Some(Probed::Family(REFUNDS)));
        lane.probed(Probed::Family(REFUNDS), true, later);
        assert_eq!(lane.start(later), Some((REFUNDS, "refund")));
    }

    #[test]
    fn families_that_are_refused_share_the_look_that_fails() {
        let start = Instant::now();
        let mut lane = lane(4);
        lane.refused(ORDERS, start);
        lane.refused(REFUNDS, start);
        let mut looks = 0;
        for millis in 0..10_000 {
            let now = start + Duration::from_millis(millis);
            while let Some(probed) = lane.wants_probe(now) {
                assert_eq!((lane.wants_probe(now), lane.wakes_at(now)), (None, None), "one at a time, and nobody waits for the other");
                lane.probed(probed, false, now);
                looks += 1;
            }
        }
        assert!((60..=120).contains(&looks), "{looks}");
    }

    #[test]
    fn an_other_side_that_is_away_serves_no_family_and_is_asked_for_once() {
        let now = Instant::now();
        let mut lane = lane(4);
        lane.refused(REFUNDS, now);
        lane.unreachable(now, None);
        lane.push(ORDERS, 1, "order");
        assert_eq!(lane.start(now), None);
        assert!(lane.is_shut());
        let later = now + Duration::from_secs(1);
        assert_eq!(lane.wants_probe(later), Some(Probed::Lane));
        assert_eq!(lane.wants_probe(later), None, "the family is asked for when the other side is there");
        lane.probed(Probed::Lane, true, later);
        assert_eq!(lane.start(later), Some((ORDERS, "order")));
        assert_eq!(lane.wants_probe(later), Some(Probed::Family(REFUNDS)));
    }
}
