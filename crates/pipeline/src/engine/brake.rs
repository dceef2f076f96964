//! What the breakers say, done: a partition that makes too many letters stands still, and one of its records is tried now and then.

use std::time::Duration;

use fault::Fault;
use tokio::time::Instant;

use super::Engine;
use super::hand::Hand;
use crate::breaker::{Breaker, Permit};
use crate::record::{Origin, Partition};
use crate::seam::{Actor, Ledger};

impl<L: Ledger, A: Actor<L::Act, L::Report>> Engine<L, A> {
    /// Asked before a letter is written. One that somebody replays is a letter already and says nothing about its partition.
    pub(super) fn may_be_a_letter(&mut self, hand: &mut Hand, fault: &Fault, now: Instant) -> bool {
        let record = &hand.ticket.record;
        let is_ours = self.breakers.contains_key(&record.partition) || self.dispatcher.keeps(&hand.ticket);
        if record.origin != Origin::Topic || hand.is_granted || !is_ours {
            return true;
        }
        let breaker = self.breaker_of(&record.partition);
        let (permit, in_a_row) = (breaker.ask(hand.arrival, now.into_std()), breaker.run());
        match permit {
            Permit::Granted => {
                hand.is_granted = true;
                true
            }
            Permit::Refused => false,
            Permit::Opened => {
                tracing::error!(
                    group = self.settings.group, topic = %record.partition.topic, partition = record.partition.number, in_a_row,
                    class = fault.class.as_str(), code = fault.code, runbook = RUNBOOK,
                    "too many letters: the partition stands still until one of its records passes"
                );
                self.dispatcher.stand_still(&record.partition);
                self.control.pause(std::slice::from_ref(&record.partition));
                self.metrics.breaker(&record.partition, true);
                false
            }
        }
    }

    /// It was settled without a letter.
    pub(super) fn went_well(&mut self, hand: &Hand) {
        let record = &hand.ticket.record;
        if record.origin != Origin::Topic || !self.dispatcher.keeps(&hand.ticket) {
            return;
        }
        if self.breaker_of(&record.partition).settled(hand.arrival) {
            self.close_breaker(&record.partition);
        }
    }

    fn breaker_of(&mut self, partition: &Partition) -> &mut Breaker {
        // Asked for every record: a key is copied for a partition's first one only.
        if !self.breakers.contains_key(partition) {
            self.breakers.insert(partition.clone(), Breaker::new(self.settings.breaker.clone()));
        }
        self.breakers.get_mut(partition).expect("it was just made")
    }

    /// It was settled, and had been a letter before.
    pub(super) fn was_no_trial(&mut self, hand: &Hand) {
        if let Some(breaker) = self.breakers.get_mut(&hand.ticket.record.partition)
            && self.dispatcher.keeps(&hand.ticket)
        {
            breaker.passed_over(hand.arrival, Instant::now().into_std());
        }
    }

    /// Tries one record of each partition whose wait is over: one that nobody tried yet, else the one that waits longest. Were it
    /// always the first, a bad one at the front would hide that those behind it pass.
    pub(super) fn try_breakers(&mut self, now: Instant) {
        let due = |(_, breaker): &(&Partition, &Breaker)| breaker.wants_probe(now.into_std());
        let due: Vec<Partition> = self.breakers.iter().filter(due).map(|(partition, _)| partition.clone()).collect();
        for partition in due {
            let hand = match self.dispatcher.take_one_of(&partition) {
                Some(ticket) => {
                    self.arrivals += 1;
                    Some(Hand::new(self.arrivals, ticket, &self.settings.group))
                }
                None => self.timers.release_one_of(&partition),
            };
            let has_nothing = self.dispatcher.out_of(std::slice::from_ref(&partition)) == 0 && !self.is_going(&partition);
            let Some(breaker) = self.breakers.get_mut(&partition) else { continue };
            if let Some(hand) = hand {
                breaker.probe(hand.arrival);
                self.arrive(hand);
            } else if has_nothing {
                breaker.close();
                self.close_breaker(&partition);
            } else {
                breaker.put_off((now + NOTHING_TO_TRY).into_std());
            }
        }
    }

    pub(super) fn next_trial(&self) -> Option<Instant> {
        if self.stopping.is_some() {
            return None;
        }
        self.breakers.values().filter_map(Breaker::next_probe).map(Instant::from_std).min()
    }

    fn close_breaker(&mut self, partition: &Partition) {
        tracing::warn!(group = self.settings.group, topic = %partition.topic, partition = partition.number, "records pass again, the partition goes on");
        self.metrics.breaker(partition, false);
        self.let_run(partition);
        for hand in self.timers.release_partition(partition) {
            self.arrive(hand);
        }
        if !self.rests(partition) {
            self.control.resume(std::slice::from_ref(partition));
        }
    }

    pub(super) fn stands_still(&self, partition: &Partition) -> bool {
        self.breakers.get(partition).is_some_and(Breaker::is_open)
    }

    /// They go, or begin anew: whoever has them next sees for itself.
    pub(super) fn forget_breakers(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if self.breakers.remove(partition).is_some_and(|it| it.is_open()) {
                self.metrics.breaker(partition, false);
            }
        }
    }
}

/// What is out of the partition is tried elsewhere: in a lane, or between two tries.
const NOTHING_TO_TRY: Duration = Duration::from_secs(1);

const RUNBOOK: &str = "docs/runbooks/dead-letter-breaker.md";
