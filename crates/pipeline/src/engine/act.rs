//! Acts in their lanes: when they start, what is made of their failures, and when a target is held to be away.

use std::sync::Arc;
use std::time::Duration;

use fault::{Answer, Class, Fault};
use kill_point::{Point, reach};
use tokio::time::Instant;

use super::hand::{self, Hand};
use super::{Acted, Engine};
use crate::lanes::{Lane, Place, Probed};
use crate::policy::{Verdict, verdict};
use crate::record::{Origin, Partition};
use crate::seam::{ActError, Actor, Ledger, Turn};

impl<L: Ledger, A: Actor<L::Act, L::Report>> Engine<L, A> {
    pub(super) fn start_acts(&mut self, now: Instant) {
        for index in 0..self.lanes.len() {
            while let Some((family, (hand, act))) = self.lanes[index].start(now.into_std()) {
                let (actor, place) = (Arc::clone(&self.actor), Place { lane: index, family });
                self.acts.spawn(hand::act::<L, A>(actor, hand, place, act, self.lanes[index].spec.is_ours));
            }
        }
    }

    pub(super) fn start_probes(&mut self, now: Instant) {
        for index in 0..self.lanes.len() {
            while let Some(probed) = self.lanes[index].wants_probe(now.into_std()) {
                let actor = Arc::clone(&self.actor);
                self.probes.spawn(async move { (index, probed, hand::probe::<L, A>(actor, index).await) });
            }
        }
    }

    pub(super) fn on_acted(&mut self, acted: Acted<L>) {
        let Acted { mut hand, place, act, outcome, seconds } = acted;
        let now = Instant::now();
        let lane = &mut self.lanes[place.lane];
        lane.finished(place.family);
        self.metrics.acted(place.lane, seconds);
        match outcome {
            Ok(report) => {
                if matches!(hand.ticket.record.origin, Origin::Letter(_)) {
                    reach(Point::LetterActed);
                }
                let was_away = lane.is_away(place.family);
                lane.succeeded(place.family);
                if self.actor.did(&report) {
                    lane.did(place.family, now.into_std());
                    hand.did(now);
                }
                if was_away {
                    self.hold_back_while_open();
                }
                self.pend(hand, Turn::Acted(report));
            }
            // Our own broker is away: nobody's failure. What it refuses for good is judged like any other refusal.
            Err(error) if lane.spec.is_ours && !matches!(error.fault.class.answer(), Answer::Letter) => {
                self.metrics.failed(error.fault.class.as_str(), error.fault.code);
                tracing::debug!(lane = lane.spec.name, error = %error.fault, "our own side refused, doing it again");
                lane.slow_down(now.into_std(), OWN_RETRY);
                lane.push(place.family, hand.turn, (hand, act));
            }
            Err(ActError { fault, report }) => {
                let verdict = self.judge(&mut hand, &fault, Some(place));
                self.pend(hand, Turn::Failed { fault: Arc::new(fault), verdict, attempts: 0, report });
                if let Some((hand, Turn::Failed { attempts, .. })) = self.pending.back_mut() {
                    *attempts = hand.attempts;
                }
            }
        }
    }

    /// Asks the failure policy, and tells the lane.
    pub(super) fn judge(&mut self, hand: &mut Hand, fault: &Fault, place: Option<Place>) -> Verdict {
        let now = Instant::now();
        self.metrics.failed(fault.class.as_str(), fault.code);
        let history = hand.note_failure(fault.class, now);
        let others_pass = place.is_none_or(|it| self.lanes[it.lane].did_after(it.family, history.first_failure));
        let mut verdict = verdict(fault, history, others_pass, &self.settings.retry);
        if matches!(verdict, Verdict::Letter | Verdict::PutOff(_)) && !self.may_be_a_letter(hand, fault, now) {
            verdict = Verdict::Withhold;
        }
        if verdict == Verdict::Outage {
            // Should it be this record that brings the target down, the others go first.
            self.arrivals += 1;
            hand.turn = self.arrivals;
        }
        hand.resume = hand::Resume::after(verdict, place);
        hand.tell(fault, verdict);
        if let Some(place) = place {
            self.tell_lane(place, fault, verdict, now);
        }
        verdict
    }

    fn tell_lane(&mut self, place: Place, fault: &Fault, verdict: Verdict, now: Instant) {
        let Place { lane: index, family } = place;
        let lane = &mut self.lanes[index];
        let was_away = lane.is_away(family);
        match verdict {
            // Who may not do one thing may still do another.
            Verdict::Outage if fault.class == Class::Auth => lane.refused(family, now.into_std()),
            Verdict::Outage => lane.unreachable(now.into_std(), fault.retry_after),
            Verdict::SlowDown(wait) => lane.slow_down(now.into_std(), wait),
            // Only what may be the target's illness counts against the target.
            Verdict::Retry(_) | Verdict::PutOff(_) | Verdict::Letter | Verdict::Withhold if fault.class == Class::Transient => {
                lane.failed(family, now.into_std())
            }
            // It did not come to a request.
            _ if fault.class == Class::Poison => {}
            // It answered: it is there.
            Verdict::Retry(_) | Verdict::PutOff(_) | Verdict::Letter | Verdict::Withhold => lane.succeeded(family),
        }
        if !was_away && lane.is_away(family) {
            let family = if lane.is_shut() { "all" } else { lane.spec.families[family] };
            let (group, name, code) = (&self.settings.group, lane.spec.name, fault.code);
            tracing::warn!(group, lane = name, family, code, runbook = RUNBOOK, "a target is away or refuses us: circuit open");
        }
        self.hold_back_while_open();
    }

    pub(super) fn on_probed(&mut self, index: usize, probed: Probed, outcome: &Result<(), Fault>) {
        let lane = &mut self.lanes[index];
        lane.probed(probed, outcome.is_ok(), Instant::now().into_std());
        match (outcome, probed) {
            (Ok(()), Probed::Lane) => {
                tracing::info!(group = self.settings.group, lane = lane.spec.name, "the other side answers, coming back in steps")
            }
            (Ok(()), Probed::Family(family)) => tracing::debug!(lane = lane.spec.name, family = lane.spec.families[family], "tried again"),
            (Err(fault), _) => tracing::debug!(lane = lane.spec.name, error = %fault, "still away"),
        }
        self.hold_back_while_open();
    }

    /// While a foreign side is away nothing more is read, and while it refuses a family, not much more: the backlog stays in the broker,
    /// not in our memory.
    pub(super) fn hold_back_while_open(&mut self) {
        for index in 0..self.lanes.len() {
            for family in self.lanes[index].families() {
                let (place, lane) = (Place { lane: index, family }, &self.lanes[index]);
                self.metrics.circuit(place, lane.is_away(family));
                if !lane.is_open(family) {
                    for hand in self.timers.release_place(place) {
                        self.arrive(hand);
                    }
                }
            }
        }
        let is_read = |(hand, _): &&(Hand, L::Act)| hand.ticket.record.origin == Origin::Topic;
        let is_enough = |lane: &Lane<_>| lane.is_shut() || lane.waiting_in_vain().filter(is_read).nth(WAITING_IN_VAIN_MAX - 1).is_some();
        let open = self.lanes.iter().any(|lane| !lane.spec.is_ours && is_enough(lane));
        if open == self.held_back {
            return;
        }
        self.held_back = open;
        self.pause_and_resume();
    }

    /// Whether nothing more of it is to be read for now.
    pub(super) fn rests(&self, partition: &Partition) -> bool {
        self.held_back || self.dispatcher.is_full(partition) || self.stands_still(partition)
    }

    /// Every partition as it should be. One that comes back to us may still be paused from the last time that it was ours: a client
    /// keeps that, and we have forgotten it.
    pub(super) fn pause_and_resume(&self) {
        let (resting, running): (Vec<_>, Vec<_>) = self.dispatcher.assigned().cloned().partition(|it| self.rests(it));
        if !resting.is_empty() {
            self.control.pause(&resting);
        }
        if !running.is_empty() {
            self.control.resume(&running);
        }
    }
}

/// Records of families that are away, while others are read on.
const WAITING_IN_VAIN_MAX: usize = 1_000;

/// Between two tries against our own broker.
const OWN_RETRY: Duration = Duration::from_millis(100);

const RUNBOOK: &str = "docs/runbooks/circuit-open.md";
