//! The engine over an in-memory ledger and actor, with the clock paused: no test waits for real time.

mod brake;
mod deaths;
mod interleavings;
mod patience;

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use contracts::headers::Headers;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::policy::Verdict;
use crate::record::{Origin, Record};
use crate::seam::{Batch, CommitError, Deaths, Entry, LaneSpec, Next};

/// Between the acts of one record. After a failure it begins anew.
const THEN: &str = " then ";

/// What the world saw, in order.
#[derive(Default)]
struct World {
    acts: Mutex<Vec<String>>,
    letters: Mutex<Vec<(String, &'static str, u32)>>,
    /// Waiting letters, with their waits.
    waiting: Mutex<Vec<(String, Duration)>>,
    stored: Mutex<HashMap<i32, i64>>,
    paused: Mutex<HashSet<i32>>,
    /// What the next act on a value answers, until it is used up.
    failures: Mutex<HashMap<String, Vec<Fault>>>,
    away: Mutex<bool>,
    /// Refunds are refused; probes are not.
    forbidden: Mutex<bool>,
    unavailable: Mutex<u32>,
    on_the_wire: Mutex<(usize, usize)>,
    probes: Mutex<u32>,
    /// What a probe does before it works.
    probe_panics: Mutex<u32>,
    commit_takes: Mutex<Duration>,
    act_takes: Mutex<Duration>,
    /// What was wrong with bad records is no longer.
    cured: Mutex<bool>,
    /// Letters whose turn has come.
    due: Mutex<Vec<Drained>>,
    given_back: Mutex<u32>,
    /// Claims of letters that were only renewed.
    renewed: Mutex<u32>,
    refused_commits: Mutex<u32>,
    deaths: Arc<deaths::Remembered>,
}

#[async_trait]
impl Ledger for World {
    type Act = String;
    type Report = String;

    async fn commit(&self, batch: Batch<String>) -> Result<Vec<Next<String>>, CommitError> {
        let takes = Duration::from_millis(2).max(*self.commit_takes.lock().unwrap());
        tokio::time::sleep(takes).await;
        if std::mem::replace(&mut *self.unavailable.lock().unwrap(), 0) > 0 {
            return Err(CommitError::Unavailable(Fault::new(Class::Outage, "db", "away")));
        }
        self.deaths.die_of(&batch).await;
        let keys: HashSet<_> = batch.iter().map(|entry| entry.record.key.clone()).collect();
        assert_eq!(keys.len(), batch.len(), "one record per key in a batch");
        if batch.iter().any(|entry| entry.record.value.starts_with(b"unheard-of") && !*self.cured.lock().unwrap()) {
            *self.refused_commits.lock().unwrap() += 1;
            return Err(CommitError::Rejected(Fault::new(Class::Validation, "unheard_of", "not even its failure can be stored")));
        }
        if batch.iter().any(|entry| entry.record.value.starts_with(b"broken") && !matches!(entry.turn, Turn::Failed { .. })) {
            return Err(CommitError::Rejected(Fault::new(Class::Validation, "broken", "can't be stored")));
        }
        Ok(batch.iter().map(|entry| self.next(entry)).collect())
    }

    fn deaths(&self) -> Arc<dyn Deaths> {
        self.deaths.clone()
    }

    async fn drain(&self, max: usize) -> Result<Vec<Drained>, Fault> {
        if max == 0 {
            *self.renewed.lock().unwrap() += 1;
            return Ok(Vec::new());
        }
        let mut due = self.due.lock().unwrap();
        let most = max.min(due.len());
        Ok(due.drain(..most).collect())
    }

    async fn give_letters_back(&self) -> Result<(), Fault> {
        *self.given_back.lock().unwrap() += 1;
        Ok(())
    }
}

impl World {
    fn next(&self, entry: &Entry<String>) -> Next<String> {
        let value = String::from_utf8_lossy(&entry.record.value).into_owned();
        match &entry.turn {
            Turn::Arrived if value.starts_with("panic") => panic!("mapper bug"),
            Turn::Arrived if value.starts_with("lettered") => Next::Lettered,
            Turn::Arrived if value.starts_with("bad") && !*self.cured.lock().unwrap() => {
                Next::Fail(Fault::new(Class::Decode, "not_an_order", "no"))
            }
            Turn::Arrived => Next::Act(value.split(THEN).next().unwrap_or_default().to_owned()),
            Turn::Acted(done) => match value.split(THEN).skip_while(|it| it != done).nth(1) {
                Some(next) => Next::Act(next.to_owned()),
                None => Next::Done,
            },
            Turn::Failed { fault, verdict: Verdict::Letter, attempts, .. } => {
                self.letters.lock().unwrap().push((value, fault.code, *attempts));
                Next::Done
            }
            Turn::Failed { verdict: Verdict::PutOff(wait), .. } => {
                self.waiting.lock().unwrap().push((value, *wait));
                Next::Done
            }
            Turn::Failed { .. } => Next::Later(Duration::ZERO),
        }
    }
}

#[async_trait]
impl Actor<String, String> for World {
    fn lanes(&self) -> Vec<LaneSpec> {
        vec![LaneSpec { name: "erp", slots: 4, families: &["orders", "refunds"], is_ours: false }]
    }

    fn lane(&self, _: &String) -> usize {
        0
    }

    fn family(&self, act: &String) -> usize {
        usize::from(act.starts_with("refund"))
    }

    async fn act(&self, _: &Record, act: String) -> Result<String, ActError<String>> {
        {
            let mut wire = self.on_the_wire.lock().unwrap();
            wire.0 += 1;
            wire.1 = wire.1.max(wire.0);
        }
        let takes = Duration::from_millis(20).max(*self.act_takes.lock().unwrap());
        tokio::time::sleep(takes).await;
        self.on_the_wire.lock().unwrap().0 -= 1;
        if *self.away.lock().unwrap() {
            return Err(Fault::new(Class::Outage, "refused", "connection refused").into());
        }
        if act.starts_with("refund") && *self.forbidden.lock().unwrap() {
            return Err(Fault::new(Class::Auth, "erp_forbidden", "403").into());
        }
        if let Some(fault) = self.failures.lock().unwrap().get_mut(&act).and_then(Vec::pop) {
            return Err(fault.into());
        }
        self.acts.lock().unwrap().push(act.clone());
        Ok(act)
    }

    fn did(&self, done: &String) -> bool {
        !done.starts_with("look")
    }

    async fn probe(&self, _: usize) -> Result<(), Fault> {
        *self.probes.lock().unwrap() += 1;
        let panics = self.probe_panics.lock().unwrap().checked_sub(1);
        if let Some(left) = panics {
            *self.probe_panics.lock().unwrap() = left;
            panic!("probe bug");
        }
        if *self.away.lock().unwrap() { Err(Fault::new(Class::Outage, "refused", "still away")) } else { Ok(()) }
    }
}

impl SourceControl for World {
    fn pause(&self, partitions: &[Partition]) {
        self.paused.lock().unwrap().extend(partitions.iter().map(|it| it.number));
    }

    fn resume(&self, partitions: &[Partition]) {
        self.paused.lock().unwrap().retain(|it| partitions.iter().all(|resumed| resumed.number != *it));
    }

    fn store(&self, offsets: &[(Partition, i64)]) {
        self.stored.lock().unwrap().extend(offsets.iter().map(|(partition, offset)| (partition.number, *offset)));
    }
}

struct Channel(mpsc::UnboundedReceiver<SourceEvent>);

#[async_trait]
impl Source for Channel {
    async fn next(&mut self) -> Option<SourceEvent> {
        self.0.recv().await
    }
}

struct Rig {
    world: Arc<World>,
    events: mpsc::UnboundedSender<SourceEvent>,
    stop: CancellationToken,
    run: tokio::task::JoinHandle<Result<Stopped, SourceEnded>>,
    next: i64,
}

impl Rig {
    fn start() -> Self {
        Self::with(EngineSettings::new("test"))
    }

    fn with(settings: EngineSettings) -> Self {
        Self::over(Arc::new(World::default()), settings)
    }

    /// One more process with the same ledger.
    fn over(world: Arc<World>, settings: EngineSettings) -> Self {
        let (events, receiver) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let engine = Engine::new(settings, Arc::clone(&world), Arc::clone(&world), Arc::clone(&world) as Arc<dyn SourceControl>);
        let run = tokio::spawn(engine.run(Channel(receiver), stop.clone()));
        let rig = Self { world, events, stop, run, next: 0 };
        rig.events.send(SourceEvent::Assigned(vec![Partition::new("t", 0)])).unwrap();
        rig
    }

    fn send(&mut self, key: &str, value: &str) {
        let record = self.record(key, value);
        self.next += 1;
        self.events.send(SourceEvent::Record(record)).unwrap();
    }

    fn record(&self, key: &str, value: &str) -> Record {
        Record {
            partition: Partition::new("t", 0),
            offset: self.next,
            timestamp_ms: 0,
            key: Bytes::copy_from_slice(key.as_bytes()),
            value: Bytes::copy_from_slice(value.as_bytes()),
            headers: Headers::default(),
            origin: Origin::Topic,
        }
    }

    async fn until(&self, what: impl Fn(&World) -> bool) {
        for _ in 0..200_000 {
            if what(&self.world) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("it never happened; acts: {:?}, letters: {:?}", self.world.acts.lock().unwrap(), self.world.letters.lock().unwrap());
    }

    async fn until_stored(&self, offset: i64) {
        self.until(|world| world.stored.lock().unwrap().get(&0) == Some(&offset)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn records_act_in_the_order_of_their_key_within_the_slots() {
    let mut rig = Rig::start();
    for round in 0..5 {
        for key in ["a", "b", "c", "d", "e", "f"] {
            rig.send(key, &format!("{key}{round}"));
        }
    }
    rig.until_stored(30).await;
    let acts = rig.world.acts.lock().unwrap().clone();
    for key in ["a", "b", "c", "d", "e", "f"] {
        let of_key: Vec<_> = acts.iter().filter(|it| it.starts_with(key)).cloned().collect();
        assert_eq!(of_key, (0..5).map(|round| format!("{key}{round}")).collect::<Vec<_>>());
    }
    assert_eq!(rig.world.on_the_wire.lock().unwrap().1, 4, "all slots are used, and no more");
}

#[tokio::test(start_paused = true)]
async fn a_bad_record_becomes_a_letter_and_the_offset_moves() {
    let mut rig = Rig::start();
    rig.send("a", "bad");
    rig.send("b", "good");
    rig.until_stored(2).await;
    assert_eq!(*rig.world.letters.lock().unwrap(), [("bad".to_owned(), "not_an_order", 1)]);
    assert_eq!(*rig.world.acts.lock().unwrap(), ["good"]);
}

#[tokio::test(start_paused = true)]
async fn only_the_record_that_cannot_be_stored_is_given_up() {
    let mut rig = Rig::start();
    for index in 0..20 {
        rig.send(&index.to_string(), if index == 13 { "broken" } else { "fine" });
    }
    rig.until_stored(20).await;
    assert_eq!(rig.world.acts.lock().unwrap().len(), 19);
    assert_eq!(rig.world.letters.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_whose_failure_cannot_be_stored_either_keeps_its_offset_and_nobody_busy() {
    let mut rig = Rig::start();
    rig.send("a", "unheard-of");
    rig.send("b", "good");
    rig.until(|world| *world.acts.lock().unwrap() == ["good"]).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!((4..40).contains(&*rig.world.refused_commits.lock().unwrap()), "{:?}", rig.world.refused_commits);
    assert!(rig.world.stored.lock().unwrap().get(&0).is_none_or(|it| *it == 0));
    *rig.world.cured.lock().unwrap() = true;
    rig.until_stored(2).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_caught_tried_three_times_and_parked() {
    let mut rig = Rig::start();
    rig.send("a", "panic");
    rig.send("b", "good");
    rig.until_stored(2).await;
    assert_eq!(*rig.world.letters.lock().unwrap(), [("panic".to_owned(), "panic", 3)]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_kills_nothing_and_is_over_within_a_quarter_second_of_the_return() {
    let mut rig = Rig::start();
    *rig.world.away.lock().unwrap() = true;
    for index in 0..8 {
        rig.send(&index.to_string(), &format!("order {index}"));
    }
    rig.until(|world| world.paused.lock().unwrap().contains(&0)).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(*rig.world.probes.lock().unwrap() <= 150);
    assert!(rig.world.letters.lock().unwrap().is_empty());
    *rig.world.away.lock().unwrap() = false;
    let back = Instant::now();
    rig.until(|world| !world.acts.lock().unwrap().is_empty()).await;
    assert!(back.elapsed() <= Duration::from_millis(250), "{:?}", back.elapsed());
    rig.until_stored(8).await;
    assert!(rig.world.paused.lock().unwrap().is_empty());
    assert!(rig.world.letters.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_circuit_that_closes_while_the_failure_is_noted_leaves_nobody_waiting() {
    let mut rig = Rig::start();
    *rig.world.away.lock().unwrap() = true;
    rig.send("a", "order");
    rig.until(|world| world.on_the_wire.lock().unwrap().0 == 1).await;
    *rig.world.commit_takes.lock().unwrap() = Duration::from_secs(3);
    rig.until(|world| *world.probes.lock().unwrap() > 0).await;
    *rig.world.away.lock().unwrap() = false;
    rig.until_stored(1).await;
    assert_eq!(*rig.world.acts.lock().unwrap(), ["order"]);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_during_an_outage_waits_for_nobody_and_leaves_the_record_to_the_next_owner() {
    let mut rig = Rig::start();
    *rig.world.away.lock().unwrap() = true;
    rig.send("a", "a0");
    rig.send("b", "b0");
    rig.until(|world| *world.probes.lock().unwrap() > 0).await;
    let (answer, watermarks) = oneshot::channel();
    let asked = Instant::now();
    rig.events.send(SourceEvent::Revoked { partitions: vec![Partition::new("t", 0)], answer }).unwrap();
    assert_eq!(watermarks.await.unwrap(), [(Partition::new("t", 0), 0)]);
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());

    *rig.world.away.lock().unwrap() = false;
    let probes = *rig.world.probes.lock().unwrap();
    rig.until(|world| *world.probes.lock().unwrap() > probes).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(rig.world.acts.lock().unwrap().is_empty(), "they are somebody else's now");

    rig.events.send(SourceEvent::Assigned(vec![Partition::new("t", 0)])).unwrap();
    rig.next = 0;
    rig.send("a", "a0");
    rig.send("b", "b0");
    rig.until_stored(2).await;
    assert_eq!(rig.world.acts.lock().unwrap().len(), 2);
    assert!(rig.world.paused.lock().unwrap().is_empty(), "the circuit paused it, and closed while it was somebody else's");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_while_stopping_cuts_nothing_short() {
    let mut rig = Rig::start();
    rig.send("a", "a0");
    rig.until(|world| world.on_the_wire.lock().unwrap().0 == 1).await;
    rig.stop.cancel();
    drop(rig.events);
    assert_eq!(rig.run.await.unwrap(), Ok(Stopped::Drained));
    assert_eq!(rig.world.stored.lock().unwrap().get(&0), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn one_that_was_put_off_often_enough_becomes_a_letter_after_one_more_try() {
    let mut rig = Rig::start();
    let ill = || Fault::new(Class::DependencyMissing, "erp_unknown_item", "item A-1 is unknown");
    rig.world.failures.lock().unwrap().insert("cursed".to_owned(), (0..7).map(|_| ill()).collect());
    rig.send("a", "cursed");
    rig.until_stored(1).await;
    assert_eq!(rig.world.failures.lock().unwrap()["cursed"].len(), 4, "two waits in memory, and what is longer is put off");
    let letter = |delays| {
        let record = Record { origin: Origin::Letter(uuid::Uuid::from_u128(1)), ..rig.record("a", "cursed") };
        Drained { record, delays, deaths: 0 }
    };
    for (delays, wait) in [(1, 120), (4, 3_600)] {
        *rig.world.due.lock().unwrap() = vec![letter(delays)];
        rig.until(|world| world.waiting.lock().unwrap().last() == Some(&("cursed".to_owned(), Duration::from_secs(wait)))).await;
    }
    *rig.world.due.lock().unwrap() = vec![letter(5)];
    rig.until(|world| !world.letters.lock().unwrap().is_empty()).await;
    assert_eq!(rig.world.failures.lock().unwrap()["cursed"].len(), 1, "each was one try");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_was_away_commits_the_same_batch_later() {
    let mut rig = Rig::start();
    *rig.world.unavailable.lock().unwrap() = 1;
    rig.send("a", "x");
    rig.until_stored(1).await;
    assert_eq!(*rig.world.acts.lock().unwrap(), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_revocation_waits_for_what_is_out_and_answers_with_the_watermark() {
    let mut rig = Rig::start();
    for value in ["a0", "a1", "a2"] {
        rig.send("a", value);
    }
    rig.until(|world| world.on_the_wire.lock().unwrap().0 == 1).await;
    let (answer, watermarks) = oneshot::channel();
    rig.events.send(SourceEvent::Revoked { partitions: vec![Partition::new("t", 0)], answer }).unwrap();
    assert_eq!(watermarks.await.unwrap(), [(Partition::new("t", 0), 1)]);
    assert_eq!(*rig.world.acts.lock().unwrap(), ["a0"], "the rest is the next owner's");
}

#[tokio::test(start_paused = true)]
async fn a_stop_settles_what_is_out_and_begins_nothing_new() {
    let mut rig = Rig::start();
    for value in ["a0", "a1"] {
        rig.send("a", value);
    }
    rig.until(|world| world.on_the_wire.lock().unwrap().0 == 1).await;
    rig.stop.cancel();
    assert_eq!(rig.run.await.unwrap(), Ok(Stopped::Drained));
    assert_eq!(*rig.world.acts.lock().unwrap(), ["a0"]);
    assert_eq!(rig.world.stored.lock().unwrap().get(&0), Some(&1));
}

/// Whoever polls the broker waits for the engine, and a group gives up a member that does not poll for five minutes.
#[tokio::test(start_paused = true)]
async fn lanes_that_are_blocked_for_ten_minutes_keep_the_engine_from_hearing_nothing() {
    let mut rig = Rig::start();
    *rig.world.act_takes.lock().unwrap() = Duration::from_secs(10 * 60);
    // More than it keeps.
    for index in 0..12_000 {
        rig.send(&format!("key {index}"), "x");
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(rig.world.paused.lock().unwrap().contains(&0), "all were taken, and no more are wanted");
    tokio::time::sleep(Duration::from_secs(8 * 60)).await;
    assert_eq!(rig.world.on_the_wire.lock().unwrap().0, 4, "every slot is taken");
    let (answer, watermarks) = oneshot::channel();
    let asked = Instant::now();
    rig.events.send(SourceEvent::Revoked { partitions: vec![Partition::new("t", 0)], answer }).unwrap();
    assert_eq!(watermarks.await.unwrap(), [(Partition::new("t", 0), 0)]);
    assert!(asked.elapsed() < Duration::from_secs(8), "the poll thread gives up waiting: {:?}", asked.elapsed());

    // The client pauses it still when it comes back.
    rig.events.send(SourceEvent::Assigned(vec![Partition::new("t", 0)])).unwrap();
    rig.until(|world| world.paused.lock().unwrap().is_empty()).await;
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ends_by_itself_is_a_failure_and_cuts_nothing_short() {
    let mut rig = Rig::start();
    for value in ["a0", "a1"] {
        rig.send("a", value);
    }
    rig.until(|world| world.on_the_wire.lock().unwrap().0 == 1).await;
    drop(rig.events);
    assert_eq!(rig.run.await.unwrap(), Err(SourceEnded));
    assert_eq!(*rig.world.acts.lock().unwrap(), ["a0"], "the rest is the next owner's");
}
