//! Order per key without lanes: one queue per active key, ready keys served round-robin over partitions, bounds that pause.
//!
//! Pure: it is told what was delivered and what is done, and says what may run, how far offsets may move and which partitions
//! to pause. Static lanes (hash of key onto n queues) would lose a fifth of the throughput to head-of-line blocking.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use crate::record::{Origin, Partition, Record};
use crate::seam::Drained;
use crate::window::Window;

/// Most that may be in hand. A full bound pauses its partition; it resumes at half.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Delivered and not below the watermark, per partition: what a crash would have read again.
    pub partition_records_max: usize,
    /// Of those, not settled.
    pub partition_outstanding_max: usize,
    /// Bytes in hand, of all partitions: each may hold an equal share.
    pub bytes_max: usize,
    /// Records of one key.
    pub key_records_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { partition_records_max: 10_000, partition_outstanding_max: 10_000, bytes_max: 16 << 20, key_records_max: 2_000 }
    }
}

/// One record in hand. Only its holder may settle it.
#[derive(Debug, Clone)]
pub struct Ticket {
    pub record: Arc<Record>,
    /// The assignment that delivered it; a completion of an older one moves no offset.
    pub generation: u64,
    /// How often it was put off before.
    pub delays: u32,
    /// How many processes may have died of it; a letter knows.
    pub deaths: u32,
}

impl Ticket {
    fn queue(&self) -> QueueKey {
        QueueKey { drained: matches!(self.record.origin, Origin::Letter(_)), key: self.record.key.clone() }
    }
}

/// Letters of a key drain beside its live records: the ledger holds the live ones back under the parked row's lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct QueueKey {
    drained: bool,
    key: Bytes,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Ticket>,
    /// Its head is out: nothing else of the key may run.
    busy: bool,
}

#[derive(Debug, Default)]
struct Lot {
    generation: u64,
    window: Window,
    bytes: usize,
    full: bool,
    /// The key that filled it, if it was one: it has to shrink as well before the partition resumes.
    full_key: Option<QueueKey>,
    /// Taken and not settled.
    out: usize,
    /// About to be revoked: nothing more of it is handed out.
    frozen: bool,
    /// Stands still: what of it runs is picked one by one.
    still: bool,
    ready: VecDeque<QueueKey>,
}

/// What the shell has to tell the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    Pause(Partition),
    Resume(Partition),
}

/// What became possible when a record was settled.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// The group's offset for the partition may move here.
    pub offset: Option<(Partition, i64)>,
    pub signal: Option<Signal>,
}

#[derive(Debug)]
pub struct Dispatcher {
    bounds: Bounds,
    generation: u64,
    queues: HashMap<QueueKey, Queue>,
    lots: HashMap<Partition, Lot>,
    /// Ready letters; they belong to no partition.
    drained_ready: VecDeque<QueueKey>,
    /// Partitions with ready keys, each once, in the order of their turns.
    turns: VecDeque<Partition>,
    in_hand: usize,
    letters_in_hand: usize,
}

impl Dispatcher {
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            generation: 0,
            queues: HashMap::new(),
            lots: HashMap::new(),
            drained_ready: VecDeque::new(),
            turns: VecDeque::new(),
            in_hand: 0,
            letters_in_hand: 0,
        }
    }

    pub fn assign(&mut self, partitions: impl IntoIterator<Item = Partition>) {
        self.generation += 1;
        for partition in partitions {
            self.lots.insert(partition, Lot { generation: self.generation, ..Lot::default() });
        }
    }

    /// Hands nothing more of these partitions out, so that what is out can be settled before they go.
    pub fn freeze(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            if let Some(lot) = self.lots.get_mut(partition) {
                lot.frozen = true;
            }
        }
    }

    /// Hands nothing of this partition out by itself, until [`Dispatcher::go_on`].
    pub fn stand_still(&mut self, partition: &Partition) {
        if let Some(lot) = self.lots.get_mut(partition) {
            lot.still = true;
        }
    }

    pub fn go_on(&mut self, partition: &Partition) {
        let Some(lot) = self.lots.get_mut(partition) else { return };
        lot.still = false;
        if !lot.ready.is_empty() && !self.turns.contains(partition) {
            self.turns.push_back(partition.clone());
        }
    }

    /// The next head of a partition that stands still, to try it.
    pub fn take_one_of(&mut self, partition: &Partition) -> Option<Ticket> {
        let queue_key = self.lots.get_mut(partition).filter(|it| !it.frozen)?.ready.pop_front()?;
        Some(self.take_head(&queue_key))
    }

    /// Records of these partitions that are taken and not settled.
    pub fn out_of(&self, partitions: &[Partition]) -> usize {
        partitions.iter().filter_map(|it| self.lots.get(it)).map(|lot| lot.out).sum()
    }

    /// Forgets what waits of these partitions. What is out finishes, and moves no offset any more.
    /// Returns the watermarks to store, as they stand.
    pub fn revoke(&mut self, partitions: &[Partition]) -> Vec<(Partition, i64)> {
        let mut watermarks = Vec::new();
        for partition in partitions {
            let Some(lot) = self.lots.remove(partition) else { continue };
            watermarks.extend(lot.window.watermark().map(|offset| (partition.clone(), offset)));
        }
        let in_hand = &mut self.in_hand;
        self.queues.retain(|queue_key, queue| {
            let before = queue.waiting.len();
            queue.waiting.retain(|ticket| queue_key.drained || !partitions.contains(&ticket.record.partition));
            *in_hand -= before - queue.waiting.len();
            queue.busy || !queue.waiting.is_empty()
        });
        self.rebuild_ready();
        watermarks
    }

    /// Takes a letter in. Whoever drains letters bounds them; no partition is paused for their sake.
    pub fn deliver_letter(&mut self, Drained { record, delays, deaths }: Drained) {
        self.enqueue(Ticket { record: Arc::new(record), generation: 0, delays, deaths });
    }

    /// Takes a record in. A record of a partition that is not ours, or seen before, is dropped.
    pub fn deliver(&mut self, record: Record) -> Option<Signal> {
        let (size, partition) = (record.size(), record.partition.clone());
        let lot = self.lots.get_mut(&partition)?;
        if !lot.window.deliver(record.offset) {
            return None;
        }
        lot.bytes += size;
        let ticket = Ticket { generation: lot.generation, record: Arc::new(record), delays: 0, deaths: 0 };
        let (queue_key, share) = (ticket.queue(), self.share());
        let is_long = self.enqueue(ticket) >= self.bounds.key_records_max;
        let lot = self.lots.get_mut(&partition)?;
        let is_full = lot.window.span() >= self.bounds.partition_records_max
            || lot.window.outstanding() >= self.bounds.partition_outstanding_max
            || lot.bytes >= share
            || is_long;
        if lot.full || !is_full {
            return None;
        }
        lot.full = true;
        lot.full_key = is_long.then_some(queue_key);
        Some(Signal::Pause(partition))
    }

    /// Up to `max` heads of ready keys, at most one per key, round-robin over partitions.
    pub fn take(&mut self, max: usize) -> Vec<Ticket> {
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(queue_key) = self.next_ready()
        {
            taken.push(self.take_head(&queue_key));
        }
        taken
    }

    fn take_head(&mut self, queue_key: &QueueKey) -> Ticket {
        let queue = self.queues.get_mut(queue_key).expect("a ready key has a queue");
        let ticket = queue.waiting.pop_front().expect("a ready queue has a head");
        queue.busy = true;
        if ticket.record.origin == Origin::Topic
            && let Some(lot) = self.lots.get_mut(&ticket.record.partition)
        {
            lot.out += 1;
        }
        ticket
    }

    /// The record is settled: in its target, superseded, or durably among the letters.
    pub fn settle(&mut self, ticket: &Ticket) -> Settled {
        self.count_out(ticket);
        self.release(&ticket.queue());
        let (record, share) = (&ticket.record, self.share());
        let Some(lot) = self.lots.get_mut(&record.partition) else { return Settled::default() };
        if record.origin != Origin::Topic || lot.generation != ticket.generation {
            return Settled::default();
        }
        lot.out -= 1;
        lot.bytes -= record.size();
        let offset = lot.window.settle(record.offset).map(|offset| (record.partition.clone(), offset));
        // Its own records of the key: groups read one key from several topics, and nobody tells it when another's are settled.
        let own = |queue: &Queue| queue.waiting.iter().filter(|it| it.record.partition == record.partition).count();
        let key_len = lot.full_key.as_ref().and_then(|it| self.queues.get(it)).map_or(0, own);
        let is_low = lot.window.span() <= self.bounds.partition_records_max / 2
            && lot.window.outstanding() <= self.bounds.partition_outstanding_max / 2
            && lot.bytes <= share / 2
            && key_len <= self.bounds.key_records_max / 2;
        let resumes = lot.full && is_low;
        if resumes {
            lot.full = false;
            lot.full_key = None;
        }
        Settled { offset, signal: resumes.then(|| Signal::Resume(record.partition.clone())) }
    }

    /// The record is given back undone. It stays outstanding, so that no offset passes it: the next owner reads it again.
    pub fn give_back(&mut self, ticket: &Ticket) {
        self.count_out(ticket);
        self.release(&ticket.queue());
        if let Some(lot) = self.lots.get_mut(&ticket.record.partition)
            && ticket.record.origin == Origin::Topic
            && lot.generation == ticket.generation
        {
            lot.out -= 1;
        }
    }

    /// True while the assignment that delivered it stands and is not about to go. Letters belong to none.
    pub fn keeps(&self, ticket: &Ticket) -> bool {
        let lot = self.lots.get(&ticket.record.partition);
        ticket.record.origin != Origin::Topic || lot.is_some_and(|lot| lot.generation == ticket.generation && !lot.frozen)
    }

    /// Whether a bound has paused it.
    pub fn is_full(&self, partition: &Partition) -> bool {
        self.lots.get(partition).is_some_and(|lot| lot.full)
    }

    pub fn assigned(&self) -> impl Iterator<Item = &Partition> {
        self.lots.keys()
    }

    /// Records taken in and not settled.
    pub fn in_hand(&self) -> usize {
        self.in_hand
    }

    /// How many of its key wait behind it.
    pub fn waiting_behind(&self, ticket: &Ticket) -> usize {
        self.queues.get(&ticket.queue()).map_or(0, |queue| queue.waiting.len())
    }

    /// Drained letters among them.
    pub fn letters_in_hand(&self) -> usize {
        self.letters_in_hand
    }

    pub fn has_ready(&self) -> bool {
        !self.drained_ready.is_empty() || self.lots.values().any(|lot| !lot.frozen && !lot.still && !lot.ready.is_empty())
    }

    fn enqueue(&mut self, ticket: Ticket) -> usize {
        let queue_key = ticket.queue();
        self.in_hand += 1;
        self.letters_in_hand += usize::from(queue_key.drained);
        let partition = ticket.record.partition.clone();
        let queue = self.queues.entry(queue_key.clone()).or_default();
        queue.waiting.push_back(ticket);
        let len = queue.waiting.len();
        if len == 1 && !queue.busy {
            self.mark_ready(queue_key, &partition);
        }
        len
    }

    /// Bytes that each partition may hold.
    fn share(&self) -> usize {
        self.bounds.bytes_max / self.lots.len().max(1)
    }

    fn count_out(&mut self, ticket: &Ticket) {
        self.in_hand -= 1;
        self.letters_in_hand -= usize::from(ticket.queue().drained);
    }

    fn release(&mut self, queue_key: &QueueKey) {
        let Some(queue) = self.queues.get_mut(queue_key) else { return };
        queue.busy = false;
        match queue.waiting.front() {
            Some(head) => {
                let partition = head.record.partition.clone();
                self.mark_ready(queue_key.clone(), &partition);
            }
            None => {
                self.queues.remove(queue_key);
            }
        }
    }

    fn mark_ready(&mut self, queue_key: QueueKey, partition: &Partition) {
        match self.lots.get_mut(partition) {
            Some(lot) if !queue_key.drained => {
                if lot.ready.is_empty() {
                    self.turns.push_back(partition.clone());
                }
                lot.ready.push_back(queue_key);
            }
            _ => self.drained_ready.push_back(queue_key),
        }
    }

    fn next_ready(&mut self) -> Option<QueueKey> {
        if let Some(queue_key) = self.drained_ready.pop_front() {
            return Some(queue_key);
        }
        while let Some(partition) = self.turns.pop_front() {
            // One that is about to go has no more turns, one that stands still has none for now.
            let Some(lot) = self.lots.get_mut(&partition).filter(|it| !it.frozen && !it.still) else { continue };
            let queue_key = lot.ready.pop_front();
            if !lot.ready.is_empty() {
                self.turns.push_back(partition);
            }
            if queue_key.is_some() {
                return queue_key;
            }
        }
        None
    }

    /// After a revoke a queue's head may belong to another partition, or be gone.
    fn rebuild_ready(&mut self) {
        self.drained_ready.clear();
        self.turns.clear();
        for lot in self.lots.values_mut() {
            lot.ready.clear();
        }
        let heads: Vec<_> = self
            .queues
            .iter()
            .filter(|(_, queue)| !queue.busy)
            .filter_map(|(queue_key, queue)| queue.waiting.front().map(|head| (queue_key.clone(), head.record.partition.clone())))
            .collect();
        for (queue_key, partition) in heads {
            self.mark_ready(queue_key, &partition);
        }
    }
}

#[cfg(test)]
mod tests;
