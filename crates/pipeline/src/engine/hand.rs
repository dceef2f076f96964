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
use crate::lanes::Place;
use crate::policy::{History, Verdict};
use crate::record::Partition;
use crate::seam::{ActError, Actor, Ledger};

pub(super) struct Hand {
    /// Its place among all that arrived here.
    pub(super) arrival: u64,
    /// Its place in a lane: as it arrived, until a target was away for it.
    pub(super) turn: u64,
    pub(super) ticket: Ticket,
    pub(super) span: Span,
    pub(super) attempts: u32,
    first_failure: Option<Instant>,
    pub(super) resume: Resume,
    /// The breaker has counted it: a letter that can't be written is asked for once more.
    pub(super) is_granted: bool,
    /// The process died on it too often: read again, it is a letter again at once.
    pub(super) is_condemned: bool,
}

/// When a hand whose failure was noted arrives again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Resume {
    After(Duration),
    /// When no circuit is open there.
    WithCircuit(Place),
    /// When its partition may make letters again, or when it is its turn to be tried.
    WithBreaker,
}

impl Resume {
    pub(super) fn after(verdict: Verdict, place: Option<Place>) -> Self {
        match (verdict, place) {
            (Verdict::Outage, Some(place)) => Self::WithCircuit(place),
            (Verdict::Outage, None) => Self::After(Duration::from_secs(1)),
            // Should the ledger not keep what is put off, its key waits here.
            (Verdict::Retry(wait) | Verdict::SlowDown(wait) | Verdict::PutOff(wait), _) => Self::After(wait),
            (Verdict::Letter, _) => Self::After(Duration::ZERO),
            (Verdict::Withhold, _) => Self::WithBreaker,
        }
    }
}

impl Hand {
    pub(super) fn new(arrival: u64, ticket: Ticket, group: &str) -> Self {
        let record = &ticket.record;
        let span = telemetry::spans::process(group, &record.partition.topic, record.partition.number, record.offset, &record.headers);
        Self {
            arrival,
            turn: arrival,
            ticket,
            span,
            attempts: 0,
            first_failure: None,
            resume: Resume::After(Duration::ZERO),
            is_granted: false,
            is_condemned: false,
        }
    }

    /// Counts the failure unless its class never counts.
    pub(super) fn note_failure(&mut self, class: Class, now: Instant) -> History {
        if !matches!(class, Class::Auth | Class::Outage | Class::RateLimited) {
            self.attempts += 1;
        }
        let first_failure = *self.first_failure.get_or_insert(now);
        History { attempts: self.attempts, delays: self.ticket.delays, first_failure: first_failure.into_std() }
    }

    /// One of its own acts was done: no witness against a later one.
    pub(super) fn did(&mut self, now: Instant) {
        self.first_failure = self.first_failure.map(|_| now);
    }

    /// The one line about a failure, in the record's span: a human must look at a letter, everything else goes on by itself.
    pub(super) fn tell(&self, fault: &Fault, verdict: Verdict) {
        let _in_span = self.span.enter();
        let (class, code, attempts) = (fault.class.as_str(), fault.code, self.attempts);
        match verdict {
            Verdict::Letter => {
                telemetry::spans::fail(&self.span, code);
                let runbook = fault::page(code);
                tracing::error!(class, code, attempts, runbook, error = %fault, "given up, it becomes a letter");
            }
            Verdict::PutOff(wait) => {
                tracing::warn!(class, code, attempts, delays = self.ticket.delays, ?wait, error = %fault, "put off, its key waits behind it")
            }
            Verdict::Retry(wait) => tracing::debug!(class, code, attempts, ?wait, error = %fault, "failed, it is tried again"),
            Verdict::Withhold => {
                tracing::debug!(class, code, attempts, error = %fault, "given up, but its partition makes too many letters")
            }
            Verdict::Outage | Verdict::SlowDown(_) => tracing::debug!(class, code, error = %fault, "it waits for the other side"),
        }
    }
}

/// The cheapest look whether a lane's other side is back; one that takes too long has seen that it is not.
pub(super) async fn probe<L: Ledger, A: Actor<L::Act, L::Report>>(actor: Arc<A>, lane: usize) -> Result<(), Fault> {
    let probing = AssertUnwindSafe(actor.probe(lane)).catch_unwind();
    match tokio::time::timeout(PROBE_MAX, probing).await {
        Ok(outcome) => outcome.unwrap_or_else(|panic| Err(panic_fault(&*panic))),
        Err(_) => Err(Fault::new(Class::Outage, "probe_timeout", format!("no answer within {PROBE_MAX:?}"))),
    }
}

/// Runs one act; a panic is a failure of class poison, not the end of the process. A request to the outside runs in the record's
/// span: it makes spans and lines of its own. A produce makes none, and a relay's worth of them would feel it.
pub(super) async fn act<L: Ledger, A: Actor<L::Act, L::Report>>(
    actor: Arc<A>,
    hand: Hand,
    place: Place,
    act: L::Act,
    is_ours: bool,
) -> Acted<L> {
    let begun = Instant::now();
    let record = Arc::clone(&hand.ticket.record);
    let acting = AssertUnwindSafe(actor.act(&record, act.clone())).catch_unwind();
    let outcome = if is_ours { acting.await } else { acting.instrument(hand.span.clone()).await };
    let outcome = outcome.unwrap_or_else(|panic| Err(ActError::from(panic_fault(&*panic))));
    Acted { hand, place, act, outcome, seconds: begun.elapsed().as_secs_f64() }
}

pub(super) fn panic_fault(panic: &(dyn std::any::Any + Send)) -> Fault {
    let said = panic.downcast_ref::<&str>().map(ToString::to_string).or_else(|| panic.downcast_ref::<String>().cloned());
    Fault::new(Class::Poison, "panic", format!("our code panicked: {}", said.as_deref().unwrap_or("no message")))
}

const PROBE_MAX: Duration = Duration::from_secs(10);

/// Hands that wait for a time, a circuit or a breaker.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<Due>>,
    with_circuit: Vec<(Place, Hand)>,
    /// Longest first.
    with_breaker: Vec<Hand>,
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
            Resume::WithCircuit(place) => self.with_circuit.push((place, hand)),
            Resume::WithBreaker => self.with_breaker.push(hand),
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

    /// What waited for this place.
    pub(super) fn release_place(&mut self, place: Place) -> Vec<Hand> {
        self.with_circuit.extract_if(.., |(of, _)| *of == place).map(|(_, hand)| hand).collect()
    }

    /// What its breaker holds back of this partition, longest first.
    pub(super) fn release_partition(&mut self, partition: &Partition) -> Vec<Hand> {
        self.with_breaker.extract_if(.., |hand| hand.ticket.record.partition == *partition).collect()
    }

    pub(super) fn release_one_of(&mut self, partition: &Partition) -> Option<Hand> {
        let index = self.with_breaker.iter().position(|hand| hand.ticket.record.partition == *partition)?;
        Some(self.with_breaker.remove(index))
    }

    /// Takes out what is meant.
    pub(super) fn withdraw(&mut self, is_meant: impl Fn(&Hand) -> bool) -> Vec<Hand> {
        let (meant, heap): (Vec<_>, Vec<_>) = std::mem::take(&mut self.heap).into_iter().partition(|Reverse(due)| is_meant(&due.hand));
        self.heap = heap.into();
        let with_circuit: Vec<_> = self.with_circuit.extract_if(.., |(_, hand)| is_meant(hand)).map(|(_, hand)| hand).collect();
        let with_breaker: Vec<_> = self.with_breaker.extract_if(.., |hand| is_meant(hand)).collect();
        meant.into_iter().map(|Reverse(due)| due.hand).chain(with_circuit).chain(with_breaker).collect()
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(first)| first.at)
    }

    pub(super) fn abandon(&mut self) {
        self.heap.clear();
        self.with_circuit.clear();
        self.with_breaker.clear();
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
