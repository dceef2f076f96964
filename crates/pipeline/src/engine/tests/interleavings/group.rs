//! The group: two processes, each an engine, and what surrounds them, in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use contracts::headers::Headers;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::super::{Channel, Origin, Record, Stopped};
use crate::breaker::BreakerSettings;
use crate::engine::{Engine, EngineSettings, SourceEnded};
use crate::policy::Verdict;
use crate::record::Partition;
use crate::seam::{ActError, Actor, Batch, CommitError, Drained, Entry, LaneSpec, Ledger, Next, SourceControl, SourceEvent, Turn};
use fault::{Class, Fault};

pub(super) const PARTITIONS: usize = 2;

/// A record: its partition and offset.
type Id = (usize, i64);

/// What the ledger knows of a record. Nothing: it was never settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not known to be brought out.
    Decided,
    Applied,
    Dead,
    Held,
    Waiting(Instant),
    Replaying,
    Discarded,
}

#[derive(Default)]
struct Facts {
    /// Key and whether it is bad, by partition and offset.
    topic: [Vec<(u8, bool)>; PARTITIONS],
    committed: [i64; PARTITIONS],
    owner: [Option<usize>; PARTITIONS],
    states: BTreeMap<Id, State>,
    /// Keys with letters that are not settled.
    parked: BTreeMap<u8, Id>,
    /// Letters that a process has, until when.
    claims: HashMap<Id, (Uuid, Instant)>,
    /// What the target did, first times only: it knows what it has done.
    effects: Vec<Id>,
    failing: HashMap<u8, u32>,
    is_away: bool,
    is_cured: bool,
    wrong: Vec<String>,
}

#[derive(Default)]
pub(super) struct World(Mutex<Facts>);

impl World {
    fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.0.lock().unwrap()
    }

    pub(super) fn fail(&self, key: u8, times: u32) {
        self.facts().failing.insert(key, times);
    }

    pub(super) fn go_away(&self, is_away: bool) {
        self.facts().is_away = is_away;
    }

    /// The oldest dead letter, if there is one.
    pub(super) fn replay_one(&self) {
        let mut facts = self.facts();
        if let Some(id) = facts.first(|it| it == State::Dead) {
            facts.states.insert(id, State::Replaying);
        }
    }

    /// The same; what is held behind it goes on.
    pub(super) fn discard_one(&self) {
        let mut facts = self.facts();
        if let Some(id) = facts.first(|it| it == State::Dead) {
            facts.end(id, State::Discarded);
        }
    }

    /// What was found wrong on the way, and what is wrong at rest.
    pub(super) fn wrong(&self) -> Vec<String> {
        let facts = self.facts();
        let mut wrong = facts.wrong.clone();
        let sent = (0..PARTITIONS).flat_map(|partition| (0..facts.topic[partition].len()).map(move |offset| (partition, offset as i64)));
        for id in sent {
            let is_there = facts.effects.contains(&id);
            match facts.states.get(&id) {
                Some(State::Applied) if is_there => {}
                Some(State::Discarded) if !is_there => {}
                other => wrong.push(format!("{id:?} is {other:?}; its effect is there: {is_there}")),
            }
        }
        let mut last: HashMap<u8, Id> = HashMap::new();
        for id in &facts.effects {
            let before = last.insert(facts.key(*id), *id);
            wrong.extend(before.filter(|it| it > id).map(|it| format!("{it:?} was done before {id:?}")));
        }
        wrong
    }

    fn is_at_rest(&self) -> bool {
        let facts = self.facts();
        let is_open = |it: &State| !matches!(it, State::Applied | State::Discarded);
        !facts.states.values().any(is_open) && (0..PARTITIONS).all(|it| facts.committed[it] == facts.topic[it].len() as i64)
    }
}

impl Facts {
    fn key(&self, (partition, offset): Id) -> u8 {
        self.topic[partition][offset as usize].0
    }

    fn first(&self, is_meant: impl Fn(State) -> bool) -> Option<Id> {
        self.states.iter().find(|(_, state)| is_meant(**state)).map(|(id, _)| *id)
    }

    /// A letter is settled: the next of its key has its turn, or the key is free.
    fn end(&mut self, id: Id, state: State) {
        self.states.insert(id, state);
        self.claims.remove(&id);
        let key = self.key(id);
        let next = self.states.iter().find(|(it, state)| **state == State::Held && self.key(**it) == key).map(|(it, _)| *it);
        match next {
            Some(next) => {
                self.states.insert(next, State::Replaying);
                self.parked.insert(key, next);
            }
            None => drop(self.parked.remove(&key)),
        }
    }

    fn bury(&mut self, id: Id, origin: &Origin, state: State) {
        let is_open = match (origin, self.states.get(&id)) {
            (Origin::Topic, state) => matches!(state, None | Some(State::Decided)),
            (Origin::Letter(_), state) => state == Some(&State::Replaying),
        };
        if !is_open {
            // Somebody else was faster.
            return;
        }
        self.states.insert(id, state);
        self.claims.remove(&id);
        let key = self.key(id);
        self.parked.insert(key, id);
    }

    fn take_in(&mut self, id: Id, origin: &Origin) -> Next<Id> {
        let (key, bad) = self.topic[id.0][id.1 as usize];
        match (origin, self.states.get(&id)) {
            (_, Some(State::Decided)) => Next::Act(id),
            (_, Some(State::Applied)) => Next::Done,
            (Origin::Letter(_), Some(State::Replaying)) | (Origin::Topic, None) if bad && !self.is_cured && !self.holds(key, origin) => {
                Next::Fail(Fault::new(Class::BusinessRejected, "bad", "not yet"))
            }
            (Origin::Letter(_), Some(State::Replaying)) => Next::Act(id),
            (Origin::Letter(_), _) => Next::Done,
            (Origin::Topic, Some(_)) => Next::Lettered,
            (Origin::Topic, None) if self.parked.contains_key(&key) => {
                self.states.insert(id, State::Held);
                Next::Lettered
            }
            (Origin::Topic, None) => {
                self.states.insert(id, State::Decided);
                Next::Act(id)
            }
        }
    }

    fn holds(&self, key: u8, origin: &Origin) -> bool {
        matches!(origin, Origin::Topic) && self.parked.contains_key(&key)
    }

    fn acted(&mut self, id: Id, origin: &Origin) {
        match origin {
            Origin::Topic => drop(self.states.insert(id, State::Applied)),
            Origin::Letter(_) if self.states.get(&id) == Some(&State::Replaying) => self.end(id, State::Applied),
            Origin::Letter(_) => {}
        }
    }

    /// What the broker does with a commit, and what must be true of it.
    fn commit(&mut self, partition: usize, offset: i64) {
        if offset < self.committed[partition] {
            self.wrong.push(format!("partition {partition} went back from {} to {offset}", self.committed[partition]));
        }
        let unknown = (0..offset).find(|it| matches!(self.states.get(&(partition, *it)), None | Some(State::Decided)));
        if let Some(unknown) = unknown {
            self.wrong.push(format!("partition {partition} is committed to {offset}, and {unknown} is not settled"));
        }
        self.committed[partition] = offset;
    }
}

/// One process: its own name in the ledger, its own way to the broker.
struct Process {
    number: usize,
    name: Uuid,
    world: Arc<World>,
}

fn id_of(record: &Record) -> Id {
    (usize::try_from(record.partition.number).unwrap(), record.offset)
}

#[async_trait]
impl Ledger for Process {
    type Act = Id;
    type Report = Id;

    async fn commit(&self, batch: Batch<Id>) -> Result<Vec<Next<Id>>, CommitError> {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let mut facts = self.world.facts();
        let next = |entry: &Arc<Entry<Id>>| {
            let (id, origin) = (id_of(&entry.record), &entry.record.origin);
            match &entry.turn {
                Turn::Arrived => facts.take_in(id, origin),
                Turn::Acted(_) => {
                    facts.acted(id, origin);
                    Next::Done
                }
                Turn::Failed { verdict: Verdict::Letter, .. } => {
                    facts.bury(id, origin, State::Dead);
                    Next::Done
                }
                Turn::Failed { verdict: Verdict::PutOff(wait), .. } => {
                    facts.bury(id, origin, State::Waiting(Instant::now() + *wait));
                    Next::Done
                }
                Turn::Failed { .. } => Next::Later(Duration::ZERO),
            }
        };
        Ok(batch.iter().map(next).collect())
    }

    async fn drain(&self, max: usize) -> Result<Vec<Drained>, Fault> {
        let (mut facts, now) = (self.world.facts(), Instant::now());
        let due: Vec<Id> =
            facts.states.iter().filter(|(_, it)| matches!(it, State::Waiting(due) if *due <= now)).map(|(id, _)| *id).collect();
        for id in due {
            facts.states.insert(id, State::Replaying);
        }
        let turn: Vec<Id> = facts.states.iter().filter(|(_, it)| **it == State::Replaying).map(|(id, _)| *id).collect();
        let mut drained = Vec::new();
        for id in turn {
            let is_taken = facts.claims.get(&id).is_some_and(|(name, until)| *name == self.name || *until > now);
            if !is_taken && drained.len() < max {
                facts.claims.insert(id, (self.name, now + CLAIM));
                drained.push(Drained { record: record(&facts, id, Origin::Letter(Uuid::from_u128(1))), delays: 0, deaths: 0 });
            }
        }
        Ok(drained)
    }
}

#[async_trait]
impl Actor<Id, Id> for Process {
    fn lanes(&self) -> Vec<LaneSpec> {
        vec![LaneSpec { name: "erp", slots: 3, families: &["orders"], is_ours: false }]
    }

    fn lane(&self, _: &Id) -> usize {
        0
    }

    async fn act(&self, _: &Record, id: Id) -> Result<Id, ActError<Id>> {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut facts = self.world.facts();
        if facts.is_away {
            return Err(Fault::new(Class::Outage, "refused", "connection refused").into());
        }
        let key = facts.key(id);
        if let Some(left) = facts.failing.get_mut(&key).filter(|it| **it > 0) {
            *left -= 1;
            return Err(Fault::new(Class::Transient, "five_hundred", "not now").into());
        }
        if !facts.effects.contains(&id) {
            facts.effects.push(id);
        }
        Ok(id)
    }

    async fn probe(&self, _: usize) -> Result<(), Fault> {
        if self.world.facts().is_away { Err(Fault::new(Class::Outage, "refused", "still away")) } else { Ok(()) }
    }
}

impl SourceControl for Process {
    fn pause(&self, _: &[Partition]) {}

    fn resume(&self, _: &[Partition]) {}

    fn store(&self, offsets: &[(Partition, i64)]) {
        let mut facts = self.world.facts();
        for (partition, offset) in offsets {
            let partition = usize::try_from(partition.number).unwrap();
            // The broker takes no commit of somebody who has lost the partition.
            if facts.owner[partition] == Some(self.number) {
                facts.commit(partition, *offset);
            }
        }
    }
}

struct Running {
    events: mpsc::UnboundedSender<SourceEvent>,
    run: tokio::task::JoinHandle<Result<Stopped, SourceEnded>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.run.abort();
    }
}

pub(super) struct Group {
    pub(super) world: Arc<World>,
    members: [Running; 2],
}

impl Group {
    pub(super) fn start() -> Self {
        let world = Arc::new(World::default());
        let members = [0, 1].map(|number| begin(&world, number));
        let group = Self { world, members };
        (0..PARTITIONS).for_each(|partition| group.assign(partition, partition % 2));
        group
    }

    pub(super) fn send(&self, key: u8, bad: bool) {
        let mut facts = self.world.facts();
        let partition = usize::from(key) % PARTITIONS;
        facts.topic[partition].push((key, bad));
        let id = (partition, facts.topic[partition].len() as i64 - 1);
        self.deliver(&facts, id);
    }

    fn deliver(&self, facts: &Facts, id: Id) {
        if let Some(owner) = facts.owner[id.0] {
            self.members[owner].events.send(SourceEvent::Record(record(facts, id, Origin::Topic))).ok();
        }
    }

    /// Everything that is not committed.
    pub(super) fn read_again(&self, partition: usize) {
        let facts = self.world.facts();
        (facts.committed[partition]..facts.topic[partition].len() as i64).for_each(|offset| self.deliver(&facts, (partition, offset)));
    }

    fn assign(&self, partition: usize, member: usize) {
        self.world.facts().owner[partition] = Some(member);
        self.members[member].events.send(SourceEvent::Assigned(vec![name(partition)])).ok();
        self.read_again(partition);
    }

    /// What it had goes to the other one, and a new process takes its place.
    pub(super) fn die(&mut self, member: usize) {
        self.members[member] = begin(&self.world, member);
        for partition in 0..PARTITIONS {
            let is_theirs = self.world.facts().owner[partition] == Some(member);
            if is_theirs {
                self.assign(partition, 1 - member);
            }
        }
    }

    pub(super) async fn hand_over(&self, partition: usize) {
        let Some(owner) = self.world.facts().owner[partition] else { return };
        let (answer, watermarks) = oneshot::channel();
        self.members[owner].events.send(SourceEvent::Revoked { partitions: vec![name(partition)], answer }).ok();
        if let Ok(watermarks) = watermarks.await {
            let mut facts = self.world.facts();
            watermarks.iter().for_each(|(_, offset)| facts.commit(partition, *offset));
        }
        self.assign(partition, 1 - owner);
    }

    pub(super) fn lose(&self, partition: usize) {
        let Some(owner) = self.world.facts().owner[partition] else { return };
        self.assign(partition, 1 - owner);
        self.members[owner].events.send(SourceEvent::Lost(vec![name(partition)])).ok();
    }

    /// Nothing is wrong any more.
    pub(super) fn mend(&self) {
        let mut facts = self.world.facts();
        (facts.is_away, facts.is_cured) = (false, true);
        facts.failing.clear();
    }

    pub(super) async fn comes_to_rest(&self) {
        let begun = Instant::now();
        while !self.world.is_at_rest() && begun.elapsed() < PATIENCE {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.world.replay_one();
        }
    }
}

fn begin(world: &Arc<World>, number: usize) -> Running {
    let process = Arc::new(Process { number, name: Uuid::new_v4(), world: Arc::clone(world) });
    let (events, receiver) = mpsc::unbounded_channel();
    // The breaker has tests of its own, and here most records may be bad.
    let breaker = BreakerSettings { run_max: usize::MAX, share_max: 1.0, ..BreakerSettings::default() };
    let settings = EngineSettings { breaker, ..EngineSettings::new("test") };
    let engine = Engine::new(settings, Arc::clone(&process), Arc::clone(&process), process as Arc<dyn SourceControl>);
    Running { events, run: tokio::spawn(engine.run(Channel(receiver), CancellationToken::new())) }
}

fn name(partition: usize) -> Partition {
    Partition::new("t", i32::try_from(partition).unwrap())
}

fn record(facts: &Facts, id: Id, origin: Origin) -> Record {
    Record {
        partition: name(id.0),
        offset: id.1,
        timestamp_ms: 0,
        key: Bytes::from(vec![facts.key(id)]),
        value: Bytes::from_static(b"value"),
        headers: Headers::default(),
        origin,
    }
}

/// Of letters that a process has; when it died, somebody else takes them after this.
const CLAIM: Duration = Duration::from_secs(30);
/// By the paused clock. The longest waits are an hour.
const PATIENCE: Duration = Duration::from_secs(4 * 3600);
