//! Records that kill the process: its engine is gone at that moment, and another one begins with what the ledger remembers.

use tokio::sync::Notify;

use super::*;
use crate::care::{ATTEMPTS, BEGINNINGS, LETTER_DEATHS};

#[derive(Clone, Copy)]
struct Beginning {
    offset: i64,
    begun: u32,
    reached: Option<i64>,
}

/// What a ledger remembers of deaths, as `store::deaths` does.
#[derive(Default)]
pub(super) struct Remembered {
    beginnings: Mutex<HashMap<Partition, Beginning>>,
    attempts: Mutex<HashMap<(Partition, i64), u32>>,
    pub(super) died: Notify,
}

impl Remembered {
    /// A process that died answers nothing any more.
    pub(super) async fn die_of(&self, batch: &Batch<String>) {
        let kills = |it: &Arc<Entry<String>>| matches!(it.turn, Turn::Arrived) && it.record.value.starts_with(b"deadly");
        if batch.iter().any(kills) {
            self.died.notify_one();
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl Deaths for Remembered {
    async fn begin(&self, partition: &Partition, offset: i64) -> Result<u32, Fault> {
        let mut beginnings = self.beginnings.lock().unwrap();
        let is_same = |it: &&Beginning| (it.offset..=it.reached.map_or(it.offset, |reached| reached + 1)).contains(&offset);
        let before = beginnings.get(partition).filter(is_same).copied();
        let now = Beginning { offset, begun: before.map_or(1, |it| it.begun + 1), reached: before.and_then(|it| it.reached) };
        beginnings.insert(partition.clone(), now);
        Ok(now.begun)
    }

    async fn attempt(&self, record: &Record) -> Result<u32, Fault> {
        if let Some(it) = self.beginnings.lock().unwrap().get_mut(&record.partition) {
            it.reached = it.reached.max(Some(record.offset));
        }
        let mut attempts = self.attempts.lock().unwrap();
        let count = attempts.entry((record.partition.clone(), record.offset)).or_default();
        *count += 1;
        Ok(*count)
    }

    async fn outlived(&self, record: &Record) -> Result<(), Fault> {
        self.attempts.lock().unwrap().remove(&(record.partition.clone(), record.offset));
        Ok(())
    }

    async fn forget(&self, partitions: &[Partition]) -> Result<(), Fault> {
        self.beginnings.lock().unwrap().retain(|it, _| !partitions.contains(it));
        self.attempts.lock().unwrap().retain(|it, _| !partitions.contains(&it.0));
        Ok(())
    }
}

const PARTITIONS: [i32; 2] = [0, 1];

/// One process: reads what is not committed of both partitions. Returns false when it dies before all of it is settled.
async fn lives(world: &Arc<World>, topic: &[(i32, &str)]) -> bool {
    let mut rig = Rig::over(Arc::clone(world), EngineSettings::new("test"));
    rig.events.send(SourceEvent::Assigned(PARTITIONS.map(|it| Partition::new("t", it)).to_vec())).unwrap();
    let stored = world.stored.lock().unwrap().clone();
    let mut ends = HashMap::new();
    for (offset, (number, value)) in (0..).zip(topic) {
        ends.insert(*number, offset + 1);
        if offset >= stored.get(number).copied().unwrap_or(0) {
            rig.next = offset;
            let record = Record { partition: Partition::new("t", *number), ..rig.record(&format!("{number}/{}", offset % 2), value) };
            rig.events.send(SourceEvent::Record(record)).unwrap();
        }
    }
    let survived = tokio::select! {
        () = world.deaths.died.notified() => false,
        () = rig.until(|world| *world.stored.lock().unwrap() == ends) => true,
    };
    rig.run.abort();
    let _aborted = rig.run.await;
    survived
}

/// A process whose one record waits until its target is back.
async fn waits_for_its_target(world: &Arc<World>) -> Rig {
    let mut rig = Rig::over(Arc::clone(world), EngineSettings::new("test"));
    rig.events.send(SourceEvent::Assigned(vec![Partition::new("t", 0)])).unwrap();
    rig.send("a", "order");
    let probes = *world.probes.lock().unwrap();
    rig.until(|world| *world.probes.lock().unwrap() > probes).await;
    rig
}

async fn deaths_until_it_lives(world: &Arc<World>, topic: &[(i32, &str)]) -> u32 {
    for deaths in 0..30 {
        if lives(world, topic).await {
            return deaths;
        }
    }
    panic!("it dies for ever");
}

/// Each once: what is read again after a death is a real ledger's business.
fn acted(world: &World) -> Vec<String> {
    world.acts.lock().unwrap().iter().cloned().collect::<std::collections::BTreeSet<_>>().into_iter().collect()
}

#[tokio::test(start_paused = true)]
async fn a_record_that_kills_the_process_becomes_a_letter_and_the_records_behind_it_go_on() {
    let world = Arc::new(World::default());
    let topic = [(0, "a"), (0, "deadly"), (0, "b"), (0, "c"), (0, "d")];
    assert_eq!(deaths_until_it_lives(&world, &topic).await, BEGINNINGS - 1 + ATTEMPTS);
    assert_eq!(*world.letters.lock().unwrap(), [("deadly".to_owned(), PROCESS_DIED, ATTEMPTS)]);
    assert_eq!(acted(&world), ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn those_beside_it_in_other_partitions_are_not_blamed() {
    let world = Arc::new(World::default());
    let topic = [(0, "a"), (1, "b"), (0, "deadly"), (1, "c"), (0, "d"), (1, "e")];
    deaths_until_it_lives(&world, &topic).await;
    assert_eq!(*world.letters.lock().unwrap(), [("deadly".to_owned(), PROCESS_DIED, ATTEMPTS)]);
    assert_eq!(acted(&world), ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn of_two_that_kill_both_become_letters() {
    let world = Arc::new(World::default());
    let topic = [(0, "deadly 1"), (0, "a"), (0, "deadly 2"), (0, "b")];
    let deaths = deaths_until_it_lives(&world, &topic).await;
    assert_eq!(deaths, BEGINNINGS - 1 + 2 * ATTEMPTS, "it stays careful between them");
    let letters: HashSet<String> = world.letters.lock().unwrap().iter().map(|it| it.0.clone()).collect();
    assert_eq!(letters.len(), 2);
    assert_eq!(acted(&world), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_forgets_where_it_began() {
    let world = Arc::new(World::default());
    *world.away.lock().unwrap() = true;
    for _ in 0..6 {
        let rig = waits_for_its_target(&world).await;
        rig.stop.cancel();
        assert_eq!(rig.run.await.unwrap(), Ok(Stopped::Drained));
        assert!(world.deaths.beginnings.lock().unwrap().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_again_and_again_while_its_target_is_away_blames_no_record() {
    let world = Arc::new(World::default());
    *world.away.lock().unwrap() = true;
    for _ in 0..10 {
        let rig = waits_for_its_target(&world).await;
        rig.run.abort();
        let _aborted = rig.run.await;
    }
    assert!(world.deaths.attempts.lock().unwrap().is_empty());
    *world.away.lock().unwrap() = false;
    assert!(lives(&world, &[(0, "order")]).await);
    assert!(world.letters.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_careful_partition_is_read_in_order_and_then_trusted_again() {
    let world = Arc::new(World::default());
    for _ in 1..BEGINNINGS {
        world.deaths.begin(&Partition::new("t", 0), 0).await.unwrap();
    }
    let values: Vec<String> = (0..crate::care::RECORDS + 50).map(|it| format!("{it:05}")).collect();
    let topic: Vec<_> = values.iter().map(|it| (0, it.as_str())).collect();
    assert!(lives(&world, &topic).await);
    assert_eq!(world.acts.lock().unwrap()[..crate::care::RECORDS], values[..crate::care::RECORDS], "one by one");
    assert!(world.deaths.beginnings.lock().unwrap().is_empty(), "and then nothing is remembered");
}

#[tokio::test(start_paused = true)]
async fn where_no_offset_outlives_a_death_the_second_that_kills_does_not_bring_the_first_one_back() {
    let world = Arc::new(World::default());
    let topic = [(0, "deadly 1"), (0, "a"), (0, "deadly 2"), (0, "b")];
    let mut deaths = 0;
    while !lives(&world, &topic).await {
        world.stored.lock().unwrap().clear();
        deaths += 1;
        assert!(deaths <= BEGINNINGS - 1 + 2 * ATTEMPTS, "it dies of the first one again");
    }
    assert_eq!(acted(&world), ["a", "b"]);
}

/// One process that drains letters (value, deaths), each of a key of its own. Returns false when it dies before all are settled:
/// then they are taken over, as `store::letters` does.
async fn drains(world: &Arc<World>, letters: &mut [(&str, u32)]) -> bool {
    let mut rig = Rig::over(Arc::clone(world), EngineSettings::new("test"));
    let is_settled = |world: &World, value: &str| {
        world.letters.lock().unwrap().iter().any(|it| it.0 == value) || world.acts.lock().unwrap().iter().any(|it| it == value)
    };
    for (offset, (value, deaths)) in (0..).zip(letters.iter()).filter(|(_, (value, _))| !is_settled(world, value)) {
        rig.next = offset;
        let record = Record { origin: Origin::Letter(uuid::Uuid::from_u128(offset as u128)), ..rig.record(value, value) };
        world.due.lock().unwrap().push(Drained { record, delays: 0, deaths: *deaths });
    }
    let survived = tokio::select! {
        () = world.deaths.died.notified() => false,
        () = rig.until(|world| letters.iter().all(|(value, _)| is_settled(world, value))) => true,
    };
    rig.run.abort();
    let _aborted = rig.run.await;
    letters.iter_mut().filter(|(value, _)| !is_settled(world, value)).for_each(|(_, deaths)| *deaths += 1);
    survived
}

#[tokio::test(start_paused = true)]
async fn a_letter_that_kills_the_process_is_dead_again_and_those_beside_it_go_on() {
    let world = Arc::new(World::default());
    let mut letters = [("a", 0), ("deadly 1", 0), ("b", 0), ("deadly 2", 0), ("c", 0)];
    let mut deaths = 0;
    while !drains(&world, &mut letters).await {
        deaths += 1;
        assert!(deaths <= LETTER_DEATHS + 2 * ATTEMPTS, "it dies for ever");
    }
    let mut dead = world.letters.lock().unwrap().clone();
    dead.sort();
    assert_eq!(dead, ["deadly 1", "deadly 2"].map(|it| (it.to_owned(), PROCESS_DIED, ATTEMPTS)));
    assert_eq!(acted(&world), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn only_a_clean_stop_gives_letters_back() {
    let world = Arc::new(World::default());
    *world.away.lock().unwrap() = true;
    let rig = waits_for_its_target(&world).await;
    rig.run.abort();
    let _aborted = rig.run.await;
    assert_eq!(*world.given_back.lock().unwrap(), 0);
    let rig = waits_for_its_target(&world).await;
    rig.stop.cancel();
    assert_eq!(rig.run.await.unwrap(), Ok(Stopped::Drained));
    assert_eq!(*world.given_back.lock().unwrap(), 1);
}
