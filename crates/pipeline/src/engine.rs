//! The shell: one task that owns dispatcher, lanes and timers, and never waits for the world inside its loop.
//!
//! Commits and acts run as tasks of their own; their ends come back as events. Several batches commit at once (a flush awaited
//! before the next one starts would leave most of a core idle), a batch is flushed when nothing else is committing, at 256
//! records, or after 3 ms.

mod act;
mod brake;
mod careful;
mod commit;
mod hand;
mod revoke;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use fault::{Class, Fault};
use kill_point::{Point, reach};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::breaker::{Breaker, BreakerSettings};
use crate::care::Care;
use crate::circuit::CircuitSettings;
use crate::dispatch::{Bounds, Dispatcher, Signal, Ticket};
use crate::lanes::{Lane, Place, Probed};
use crate::metrics::Metrics;
use crate::policy::RetrySettings;
use crate::record::{Origin, Partition};
use crate::seam::{ActError, Actor, Drained, Ledger, Source, SourceControl, SourceEvent, Turn};

use careful::Cared;
use commit::Committed;
use hand::{Hand, Timers};
use revoke::Revoking;

pub use careful::PROCESS_DIED;

#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// Metric label and consumer group.
    pub group: String,
    pub batch_records_max: usize,
    pub batch_linger: Duration,
    /// Transactions at once; at most the pool's size.
    pub commits_max: usize,
    /// How often stored offsets are handed to the source. Short: what is settled and not stored is read again after a crash.
    pub store_interval: Duration,
    /// How often the ledger is asked for letters whose turn has come.
    pub drain_interval: Duration,
    /// How long a revocation waits for what is out.
    pub revoke_grace: Duration,
    /// How long a stop waits for what is out.
    pub stop_grace: Duration,
    pub bounds: Bounds,
    pub retry: RetrySettings,
    pub circuit: CircuitSettings,
    pub breaker: BreakerSettings,
}

impl EngineSettings {
    pub fn new(group: impl Into<String>) -> Self {
        Self {
            group: group.into(),
            batch_records_max: 256,
            batch_linger: Duration::from_millis(3),
            commits_max: 4,
            store_interval: Duration::from_millis(200),
            drain_interval: Duration::from_millis(500),
            revoke_grace: Duration::from_secs(5),
            stop_grace: Duration::from_secs(10),
            bounds: Bounds::default(),
            retry: RetrySettings::default(),
            circuit: CircuitSettings::default(),
            breaker: BreakerSettings::default(),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// Everything that was out is settled, all offsets are handed over.
    Drained,
    /// The grace period was over first: the next owner takes these up again.
    LeftOver(usize),
}

enum Event<L: Ledger> {
    Source(Option<SourceEvent>),
    Committed(Committed<L>),
    Acted(Acted<L>),
    Probed { lane: usize, probed: Probed, outcome: Result<(), Fault> },
    Letters(Result<Vec<Drained>, Fault>),
    Cared(Cared),
    Tick,
    Stop,
}

struct Acted<L: Ledger> {
    hand: Hand,
    place: Place,
    /// Kept for acts on our own broker, which are simply done again.
    act: L::Act,
    outcome: Result<L::Report, ActError<L::Report>>,
    seconds: f64,
}

/// Settles the records of one consumer group. `L` decides and remembers, `A` acts.
pub struct Engine<L: Ledger, A: Actor<L::Act, L::Report>> {
    settings: EngineSettings,
    ledger: Arc<L>,
    actor: Arc<A>,
    control: Arc<dyn SourceControl>,
    metrics: Metrics,
    dispatcher: Dispatcher,
    lanes: Vec<Lane<(Hand, L::Act)>>,
    /// Hands to commit next, with what happened to them.
    pending: VecDeque<(Hand, Turn<L::Report>)>,
    pending_since: Option<Instant>,
    commits: JoinSet<Committed<L>>,
    acts: JoinSet<Acted<L>>,
    probes: JoinSet<(usize, Probed, Result<(), Fault>)>,
    drains: JoinSet<Result<Vec<Drained>, Fault>>,
    timers: Timers,
    /// Records that were ever taken up.
    arrivals: u64,
    /// Not counted yet.
    settled: u64,
    /// Offsets that moved since they were last handed over.
    dirty: std::collections::HashMap<Partition, i64>,
    /// Of assigned partitions that have settled something.
    breakers: std::collections::HashMap<Partition, Breaker>,
    care: Care,
    /// What has to be tried alone and waits for its turn: of careful partitions what arrived again, and suspect letters.
    alone: Vec<Hand>,
    cared: JoinSet<Cared>,
    /// Notes on their way to the ledger: what they are about is not counted anew before they are there.
    noting: usize,
    revoking: Option<Revoking>,
    held_back: bool,
    next_store: Instant,
    next_drain: Instant,
    /// Set by the stop token: the deadline for what is out.
    stopping: Option<Instant>,
    source_is_over: bool,
    /// Before anybody stopped us.
    source_broke: bool,
}

impl<L: Ledger, A: Actor<L::Act, L::Report>> Engine<L, A> {
    pub fn new(settings: EngineSettings, ledger: Arc<L>, actor: Arc<A>, control: Arc<dyn SourceControl>) -> Self {
        let lanes: Vec<_> = actor.lanes().into_iter().map(|spec| Lane::new(spec, &settings.circuit)).collect();
        let now = Instant::now();
        Self {
            metrics: Metrics::new(&settings.group, lanes.iter().map(|lane| &lane.spec)),
            dispatcher: Dispatcher::new(settings.bounds.clone()),
            next_store: now + settings.store_interval,
            next_drain: now,
            settings,
            ledger,
            actor,
            control,
            lanes,
            pending: VecDeque::new(),
            pending_since: None,
            commits: JoinSet::new(),
            acts: JoinSet::new(),
            probes: JoinSet::new(),
            drains: JoinSet::new(),
            timers: Timers::default(),
            arrivals: 0,
            settled: 0,
            dirty: std::collections::HashMap::new(),
            breakers: std::collections::HashMap::new(),
            care: Care::default(),
            alone: Vec::new(),
            cared: JoinSet::new(),
            noting: 0,
            revoking: None,
            held_back: false,
            stopping: None,
            source_is_over: false,
            source_broke: false,
        }
    }

    /// Runs until the token stops it, or the source ends by itself, which is an error; what is out is finished in either case.
    pub async fn run(mut self, mut source: impl Source, stop: CancellationToken) -> Result<Stopped, SourceEnded> {
        loop {
            self.advance();
            if let Some(ended) = self.ended() {
                self.store_offsets();
                if ended == Stopped::Drained {
                    self.leave().await;
                }
                return if self.source_broke { Err(SourceEnded) } else { Ok(ended) };
            }
            let first = self.next_event(&mut source, &stop).await;
            self.on_event(first);
            // What happened meanwhile comes along: one look at queues, lanes and timers serves all of it.
            for _ in 0..EVENTS_AT_ONCE {
                let Some(event) = self.happened(&mut source) else { break };
                self.on_event(event);
            }
            self.metrics.settled(std::mem::take(&mut self.settled), self.dispatcher.in_hand());
        }
    }

    fn on_event(&mut self, event: Event<L>) {
        match event {
            Event::Source(Some(event)) => self.on_source(event),
            Event::Source(None) => self.on_source_over(),
            Event::Committed(committed) => self.on_committed(committed),
            Event::Acted(acted) => self.on_acted(acted),
            Event::Probed { lane, probed, outcome } => self.on_probed(lane, probed, &outcome),
            Event::Letters(letters) => self.on_letters(letters),
            Event::Cared(cared) => self.on_cared(cared),
            Event::Tick => {}
            Event::Stop => self.on_stop(),
        }
    }

    /// Its thread stops with us; what is out is finished all the same.
    fn on_source_over(&mut self) {
        self.source_is_over = true;
        if self.stopping.is_none() {
            self.source_broke = true;
            self.on_stop();
        }
    }

    /// What happens often, if it did.
    fn happened(&mut self, source: &mut impl Source) -> Option<Event<L>> {
        if let Some(committed) = self.commits.try_join_next() {
            return Some(Event::Committed(committed.expect("commits catch their panics")));
        }
        if let Some(acted) = self.acts.try_join_next() {
            return Some(Event::Acted(acted.expect("acts catch their panics")));
        }
        source.try_next().map(|event| Event::Source(Some(event)))
    }

    /// Everything that became possible: due retries, batches, acts, probes, offsets.
    fn advance(&mut self) {
        let now = Instant::now();
        for hand in self.timers.due(now) {
            self.arrive(hand);
        }
        if self.stopping.is_none() {
            self.take_ready();
            self.try_alone();
            self.try_breakers(now);
            self.start_drain(now);
        }
        self.start_commits(now);
        self.start_acts(now);
        self.start_probes(now);
        self.finish_revoking(now);
        if now >= self.next_store {
            self.store_offsets();
            self.next_store = now + self.settings.store_interval;
        }
    }

    async fn next_event(&mut self, source: &mut impl Source, stop: &CancellationToken) -> Event<L> {
        let wake = self.wakes_at();
        tokio::select! {
            biased;
            Some(committed) = self.commits.join_next() => Event::Committed(committed.expect("commits catch their panics")),
            Some(acted) = self.acts.join_next() => Event::Acted(acted.expect("acts catch their panics")),
            Some(probed) = self.probes.join_next() => {
                let (lane, probed, outcome) = probed.expect("probes catch their panics");
                Event::Probed { lane, probed, outcome }
            }
            Some(cared) = self.cared.join_next() => Event::Cared(cared.expect("a ledger does not panic about deaths")),
            Some(letters) = self.drains.join_next() => Event::Letters(letters.unwrap_or_else(|error| Err(panicked(&error)))),
            () = stop.cancelled(), if self.stopping.is_none() => Event::Stop,
            event = source.next(), if !self.source_is_over => Event::Source(event),
            () = tokio::time::sleep_until(wake) => Event::Tick,
        }
    }

    fn wakes_at(&self) -> Instant {
        let now = Instant::now();
        let wants_commit = !self.pending.is_empty() && self.commits.len() < self.settings.commits_max;
        let linger = self.pending_since.map(|since| since + self.settings.batch_linger).filter(|_| wants_commit);
        let lanes = self.lanes.iter().filter_map(|lane| lane.wakes_at(now.into_std())).map(Instant::from_std).min();
        let revoke = self.revoking.as_ref().map(|it| it.deadline);
        [linger, lanes, revoke, self.next_trial(), self.timers.next(), self.stopping]
            .into_iter()
            .flatten()
            .chain([self.next_store, self.next_drain.max(now + DRAIN_WAKE)])
            .min()
            .expect("the store interval is always there")
    }

    fn on_source(&mut self, event: SourceEvent) {
        match event {
            SourceEvent::Record(record) => {
                self.ask_where_it_began(&record.partition, record.offset);
                if let Some(Signal::Pause(partition)) = self.dispatcher.deliver(record) {
                    self.control.pause(&[partition]);
                }
            }
            SourceEvent::Assigned(partitions) => {
                self.cut_revoking_short();
                self.forget_breakers(&partitions);
                self.care.assign(&partitions);
                self.dispatcher.assign(partitions.iter().cloned());
                for partition in &partitions {
                    self.dispatcher.stand_still(partition);
                }
                self.pause_and_resume();
            }
            SourceEvent::Revoked { partitions, answer } => self.start_revoking(partitions, answer),
            SourceEvent::Lost(partitions) => {
                self.withdraw(&partitions);
                self.forget_breakers(&partitions);
                self.forget_care(&partitions);
                self.dispatcher.revoke(&partitions);
                self.hold_back_while_open();
                self.dirty.retain(|partition, _| !partitions.contains(partition));
            }
        }
    }

    fn take_ready(&mut self) {
        let room = self.settings.batch_records_max.saturating_sub(self.pending.len());
        for ticket in self.dispatcher.take(room) {
            self.arrivals += 1;
            let hand = Hand::new(self.arrivals, ticket, &self.settings.group);
            self.arrive(hand);
        }
    }

    fn pend(&mut self, hand: Hand, turn: Turn<L::Report>) {
        self.pending_since.get_or_insert_with(Instant::now);
        self.pending.push_back((hand, turn));
    }

    fn start_drain(&mut self, now: Instant) {
        // What is claimed here is taken up by nobody else: no more than can be worked on soon. What is in hand stays claimed.
        if self.drains.is_empty() && now >= self.next_drain {
            // Those of a family that is refused leave room for the others, with all that is behind them.
            let waiting = self.lanes.iter().flat_map(Lane::waiting_in_vain).map(|(hand, _)| &hand.ticket);
            let letters = waiting.filter(|ticket| ticket.record.origin != Origin::Topic);
            let in_vain: usize = letters.map(|ticket| 1 + self.dispatcher.waiting_behind(ticket)).sum();
            let room = (self.settings.batch_records_max + in_vain).saturating_sub(self.dispatcher.letters_in_hand());
            let max = if self.held_back || in_vain >= LETTERS_IN_VAIN_MAX { 0 } else { room };
            self.next_drain = now + self.settings.drain_interval;
            let ledger = Arc::clone(&self.ledger);
            self.drains.spawn(async move { ledger.drain(max).await });
        }
    }

    fn on_letters(&mut self, letters: Result<Vec<Drained>, Fault>) {
        match letters {
            Ok(letters) => {
                if !letters.is_empty() {
                    // More may follow behind these.
                    self.next_drain = Instant::now();
                }
                for letter in letters {
                    self.tell_of_deaths(&letter);
                    self.dispatcher.deliver_letter(letter);
                }
            }
            Err(fault) => tracing::warn!(group = self.settings.group, error = %fault, "letters could not be read, trying again"),
        }
    }

    fn settle(&mut self, ticket: &Ticket) {
        let settled = self.dispatcher.settle(ticket);
        self.settled += 1;
        if let Some((partition, offset)) = settled.offset {
            self.dirty.insert(partition, offset);
        }
        if let Some(Signal::Resume(partition)) = settled.signal
            && !self.rests(&partition)
        {
            self.control.resume(&[partition]);
        }
    }

    fn store_offsets(&mut self) {
        if !self.dirty.is_empty() {
            let offsets: Vec<_> = self.dirty.drain().collect();
            reach(Point::RecordSettled);
            self.control.store(&offsets);
        }
    }

    fn on_stop(&mut self) {
        self.stopping = Some(Instant::now() + self.settings.stop_grace);
        self.timers.abandon();
        self.alone.clear();
        for lane in &mut self.lanes {
            if !lane.spec.is_ours {
                lane.abandon();
            }
        }
        // What had not begun is nobody's: the next owner reads it again.
        self.pending.retain(|(_, turn)| !matches!(turn, Turn::Arrived));
    }

    /// While stopping: true ends the run.
    fn ended(&self) -> Option<Stopped> {
        let deadline = self.stopping?;
        let waiting: usize = self.lanes.iter().map(Lane::waiting).sum();
        let out = self.commits.len() + self.acts.len() + self.pending.len() + waiting;
        if out == 0 {
            return Some(Stopped::Drained);
        }
        (Instant::now() >= deadline).then_some(Stopped::LeftOver(out))
    }
}

/// The source ended although nobody stopped it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceEnded;

impl std::fmt::Display for SourceEnded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the source of records ended by itself; see its last log line for the reason")
    }
}

impl std::error::Error for SourceEnded {}

fn panicked(error: &tokio::task::JoinError) -> Fault {
    Fault::new(Class::Poison, "panic", format!("a task of the engine panicked: {error}"))
}

/// More than a batch at once would keep the next batch waiting.
const EVENTS_AT_ONCE: usize = 256;

/// Letters of families that are away, in hand at once: all of them are claimed, and renewed.
const LETTERS_IN_VAIN_MAX: usize = 1_000;

/// Keeps an overdue drain from spinning the loop while one is running.
const DRAIN_WAKE: Duration = Duration::from_millis(50);
