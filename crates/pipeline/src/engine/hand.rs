//! A record while it is worked on, its failures, and the timers of those that wait.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fault::{Class, Fault};
use futures_util::FutureExt as _;
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::Acted;
use crate::dispatch::Ticket;
use crate::policy::{History, Verdict};
use crate::seam::{ActError, Actor, Ledger};

pub(super) struct Hand {
    pub(super) ticket: Ticket,
    pub(super) span: Span,
    pub(super) attempts: u32,
    first_failure: Option<Instant>,
    pub(super) resume: Resume,
}

/// When a hand whose failure was noted arrives again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Resume {
    After(Duration),
    /// When the lane's circuit is no longer open.
    WithLane,
}

impl Resume {
    pub(super) fn after(verdict: Verdict, lane: Option<usize>) -> Self {
        match (verdict, lane) {
            (Verdict::Outage, Some(_)) => Self::WithLane,
            (Verdict::Outage, None) => Self::After(Duration::from_secs(1)),
            (Verdict::Retry(wait) | Verdict::SlowDown(wait), _) => Self::After(wait),
            (Verdict::Letter, _) => Self::After(Duration::ZERO),
        }
    }
}

impl Hand {
    pub(super) fn new(ticket: Ticket) -> Self {
        let span = telemetry::spans::process(&ticket.record.partition.topic, &ticket.record.headers);
        Self { ticket, span, attempts: 0, first_failure: None, resume: Resume::After(Duration::ZERO) }
    }

    /// Counts the failure unless its class never counts.
    pub(super) fn note_failure(&mut self, class: Class, now: Instant) -> History {
        if !matches!(class, Class::Auth | Class::Outage | Class::RateLimited) {
            self.attempts += 1;
        }
        let first_failure = *self.first_failure.get_or_insert(now);
        History { attempts: self.attempts, first_failure: first_failure.into_std() }
    }
}

/// Runs one act in its span; a panic is a failure of class poison, not the end of the process.
pub(super) async fn act<L: Ledger, A: Actor<L::Act, L::Report>>(actor: Arc<A>, hand: Hand, lane: usize, act: L::Act) -> Acted<L> {
    let begun = Instant::now();
    let record = Arc::clone(&hand.ticket.record);
    let acting = AssertUnwindSafe(actor.act(&record, act.clone())).catch_unwind().instrument(hand.span.clone());
    let outcome = acting.await.unwrap_or_else(|panic| Err(ActError::from(panic_fault(&*panic))));
    Acted { hand, lane, act, outcome, seconds: begun.elapsed().as_secs_f64() }
}

pub(super) fn panic_fault(panic: &(dyn std::any::Any + Send)) -> Fault {
    let said = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    Fault::new(Class::Poison, "panic", format!("our code panicked: {}", said.as_deref().unwrap_or("no message")))
}

/// Hands that wait for a time, or for a circuit.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Due>>,
    with_lane: Vec<Hand>,
    sequence: u64,
}

struct Due {
    at: Instant,
    sequence: u64,
    hand: Hand,
}

impl Timers {
    pub(super) fn wait(&mut self, hand: Hand) {
        match hand.resume {
            Resume::WithLane => self.with_lane.push(hand),
            Resume::After(wait) => self.wait_for(hand, wait),
        }
    }

    pub(super) fn wait_for(&mut self, hand: Hand, wait: Duration) {
        self.sequence += 1;
        self.heap.push(Reverse(Due { at: Instant::now() + wait, sequence: self.sequence, hand }));
    }

    pub(super) fn due(&mut self, now: Instant) -> Vec<Hand> {
        let mut due = Vec::new();
        while self.heap.peek().is_some_and(|Reverse(first)| first.at <= now) {
            due.extend(self.heap.pop().map(|Reverse(first)| first.hand));
        }
        due
    }

    pub(super) fn release_lanes(&mut self) -> Vec<Hand> {
        std::mem::take(&mut self.with_lane)
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(first)| first.at)
    }

    pub(super) fn abandon(&mut self) {
        self.heap.clear();
        self.with_lane.clear();
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}
