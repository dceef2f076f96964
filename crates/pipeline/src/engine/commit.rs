//! The group committer: batches of hands through the ledger, and by halves when one of them can't be stored.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fault::Fault;
use futures_util::FutureExt as _;
use kill_point::{Point, reach};
use tokio::time::Instant;

use super::Engine;
use super::hand::{Hand, Resume, panic_fault};
use crate::lanes::Place;
use crate::policy::Verdict;
use crate::seam::{Actor, CommitError, Entry, Ledger, Next, Turn};

/// One hand of a committed batch.
pub(super) enum Outcome<A> {
    Next(Next<A>),
    /// This very record can't be committed.
    Broken(Fault),
}

pub(super) struct Committed<L: Ledger> {
    outcomes: Vec<(Hand, bool, Outcome<L::Act>)>,
    seconds: f64,
}

impl<L: Ledger, A: Actor<L::Act, L::Report>> Engine<L, A> {
    pub(super) fn start_commits(&mut self, now: Instant) {
        while !self.pending.is_empty() && self.commits.len() < self.settings.commits_max {
            let lingered = self.pending_since.is_none_or(|since| now >= since + self.settings.batch_linger);
            if !self.commits.is_empty() && !lingered && self.pending.len() < self.settings.batch_records_max {
                return;
            }
            let batch = self.pending.drain(..self.pending.len().min(self.settings.batch_records_max)).collect();
            self.pending_since = (!self.pending.is_empty()).then_some(now);
            self.commits.spawn(commit(Arc::clone(&self.ledger), batch));
        }
    }

    pub(super) fn on_committed(&mut self, committed: Committed<L>) {
        self.metrics.committed(committed.outcomes.len(), committed.seconds);
        for (hand, was_failure, outcome) in committed.outcomes {
            match outcome {
                Outcome::Next(next) => self.follow(hand, was_failure, next),
                Outcome::Broken(fault) if was_failure => self.wait_to_tell(hand, &fault),
                Outcome::Broken(fault) => self.give_up_or_retry(hand, fault),
            }
        }
    }

    fn follow(&mut self, hand: Hand, was_failure: bool, next: Next<L::Act>) {
        match next {
            Next::Done | Next::Lettered => {
                if was_failure {
                    reach(Point::LetterCommitted);
                }
                self.settle(&hand.ticket);
                self.outlived(&hand);
                self.settled_alone(&hand.ticket.record);
                if matches!(next, Next::Lettered) {
                    self.was_no_trial(&hand);
                } else if !was_failure {
                    self.went_well(&hand);
                }
            }
            Next::Act(act) => {
                // While stopping, only what is decided is still brought out; nothing new is sent to a target.
                if self.goes_on(&hand) || self.lanes[self.actor.lane(&act)].spec.is_ours {
                    self.take_place(hand, act);
                } else {
                    self.outlived(&hand);
                    self.dispatcher.give_back(&hand.ticket);
                }
            }
            Next::Later(wait) if !was_failure && self.goes_on(&hand) => {
                self.outlived(&hand);
                self.timers.wait_for(hand, wait);
            }
            Next::Later(_) => self.try_again(hand),
            Next::Fail(fault) => self.give_up_or_retry(hand, fault),
        }
    }

    fn take_place(&mut self, hand: Hand, act: L::Act) {
        let (lane, family) = (self.actor.lane(&act), self.actor.family(&act));
        let is_open = self.lanes[lane].is_open(family);
        if is_open {
            self.outlived(&hand);
        }
        self.lanes[lane].push(family, hand.turn, (hand, act));
        if is_open {
            self.hold_back_while_open();
        }
    }

    /// The record itself failed in the ledger: nothing of it was stored.
    fn give_up_or_retry(&mut self, mut hand: Hand, fault: Fault) {
        let verdict = self.judge(&mut hand, &fault, None);
        if matches!(verdict, Verdict::Letter | Verdict::PutOff(_)) && self.dispatcher.keeps(&hand.ticket) {
            let attempts = hand.attempts;
            self.pend(hand, Turn::Failed { fault: Arc::new(fault), verdict, attempts, report: None });
        } else {
            self.try_again(hand);
        }
    }

    /// What became of it can't be stored either. It stays what it is, undone, and its offset with it.
    fn wait_to_tell(&mut self, mut hand: Hand, fault: &Fault) {
        tracing::error!(group = self.settings.group, code = fault.code, error = %fault, "a failure can't be noted, trying again");
        hand.resume = Resume::After(TELL_AGAIN);
        self.try_again(hand);
    }

    /// After the wait that its failure asked for; or by the next owner, if this one is about to go.
    fn try_again(&mut self, hand: Hand) {
        self.outlived(&hand);
        match hand.resume {
            _ if !self.goes_on(&hand) => self.dispatcher.give_back(&hand.ticket),
            // The circuit closed while the failure was noted: nobody would wake it.
            Resume::WithCircuit(Place { lane, family }) if !self.lanes[lane].is_open(family) => self.arrive(hand),
            // The breaker closed meanwhile: the same.
            Resume::WithBreaker if !self.stands_still(&hand.ticket.record.partition) => self.arrive(hand),
            _ => self.timers.wait(hand),
        }
    }

    /// False when the record is somebody else's soon: what is not on the wire yet is left to them.
    pub(super) fn goes_on(&self, hand: &Hand) -> bool {
        self.stopping.is_none() && self.dispatcher.keeps(&hand.ticket)
    }
}

/// Before a failure that could not be noted is looked at once more.
const TELL_AGAIN: Duration = Duration::from_secs(5);

async fn commit<L: Ledger>(ledger: Arc<L>, batch: Vec<(Hand, Turn<L::Report>)>) -> Committed<L> {
    let begun = Instant::now();
    let mut hands = Vec::with_capacity(batch.len());
    let mut entries = Vec::with_capacity(batch.len());
    for (hand, turn) in batch {
        entries.push(Arc::new(Entry { record: Arc::clone(&hand.ticket.record), turn, span: hand.span.clone() }));
        hands.push(hand);
    }
    let failures: Vec<_> = entries.iter().map(|entry| matches!(entry.turn, Turn::Failed { .. })).collect();
    let outcomes = commit_all(&*ledger, &entries).await;
    let outcomes = hands.into_iter().zip(failures).zip(outcomes).map(|((hand, failed), outcome)| (hand, failed, outcome)).collect();
    Committed { outcomes, seconds: begun.elapsed().as_secs_f64() }
}

/// Commits the entries together; if some of them can't be stored, ever smaller groups until each is alone.
async fn commit_all<L: Ledger>(ledger: &L, batch: &[Arc<Entry<L::Report>>]) -> Vec<Outcome<L::Act>> {
    match commit_patiently(ledger, batch).await {
        Ok(nexts) => nexts.into_iter().map(Outcome::Next).collect(),
        Err(fault) if batch.len() == 1 => vec![Outcome::Broken(fault)],
        Err(_) => {
            let (first, second) = batch.split_at(batch.len() / 2);
            let mut outcomes = Box::pin(commit_all(ledger, first)).await;
            outcomes.extend(Box::pin(commit_all(ledger, second)).await);
            outcomes
        }
    }
}

/// Waits out a database that is away: the same batch again, ever more slowly.
async fn commit_patiently<L: Ledger>(ledger: &L, batch: &[Arc<Entry<L::Report>>]) -> Result<Vec<Next<L::Act>>, Fault> {
    let mut wait = Duration::from_millis(50);
    loop {
        match AssertUnwindSafe(ledger.commit(batch.to_vec())).catch_unwind().await {
            Ok(Ok(nexts)) => {
                reach(Point::LedgerCommitted);
                assert_eq!(nexts.len(), batch.len(), "a ledger answers every entry");
                return Ok(nexts);
            }
            Ok(Err(CommitError::Unavailable(fault))) => {
                tracing::warn!(error = %fault, records = batch.len(), "the ledger is away, committing again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
            Ok(Err(CommitError::Rejected(fault))) => return Err(fault),
            Err(panic) => return Err(panic_fault(&*panic)),
        }
    }
}
