//! A record that kills the process: real processes that really die, over one database.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::topics::Parking;
use fault::{Class, Fault};
use pipeline::Deaths as _;
use pipeline::care::{ATTEMPTS, BEGINNINGS};
use pipeline::{
    Actor, Engine, EngineSettings, LaneSpec, Ledger as _, Next, Origin, OutRecord, PROCESS_DIED, Partition, Position, Record, Source,
    SourceControl, SourceEvent, Turn, Verdict,
};
use store::Owner;
use store::deaths::Deaths;
use testkit::Logins;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::group::{GROUP, Group, record};

fn partition() -> Partition {
    Partition::new("in", 0)
}

#[tokio::test]
async fn beginnings_count_while_nothing_moves_and_begin_anew_when_it_does() {
    let group = Group::new(Parking::Park).await;
    let deaths = group.ledger.deaths();
    let begin = async |offset| deaths.begin(&partition(), offset).await.unwrap();
    assert_eq!([begin(7).await, begin(7).await, begin(8).await, begin(8).await, begin(8).await], [1, 2, 1, 2, 3]);
    for offset in 8..=9 {
        deaths.attempt(&record("1", offset, "a")).await.unwrap();
    }
    assert_eq!([begin(9).await, begin(10).await], [4, 5], "among those that were tried alone it is the same beginning");
    assert_eq!([begin(42).await, begin(42).await], [1, 2]);
    assert_eq!(Deaths::new(group.store.clone(), "another-group").begin(&partition(), 42).await.unwrap(), 1);
    deaths.forget(&[partition()]).await.unwrap();
    assert_eq!(begin(42).await, 1);
}

#[tokio::test]
async fn tries_count_until_a_process_outlives_one() {
    let group = Group::new(Parking::Park).await;
    let deaths = group.ledger.deaths();
    let attempt = async |id| deaths.attempt(&record("1", id, "a")).await.unwrap();
    assert_eq!([attempt(1).await, attempt(1).await, attempt(2).await], [1, 2, 1]);
    deaths.outlived(&record("1", 1, "a")).await.unwrap();
    assert_eq!([attempt(1).await, attempt(2).await], [1, 2]);
}

#[tokio::test]
async fn tries_of_a_letter_are_its_own_and_outlive_its_partition() {
    let group = Group::new(Parking::Park).await;
    assert_eq!(group.settle(&record("1", 1, "bad")).await, "letter");
    let id = contracts::ids::letter(GROUP, uuid::Uuid::from_u128(1));
    let letter = Record { origin: Origin::Letter(id), ..record("1", 1, "bad") };
    let deaths = group.ledger.deaths();
    assert_eq!(deaths.attempt(&letter).await.unwrap(), 1);
    deaths.forget(std::slice::from_ref(&letter.partition)).await.unwrap();
    assert_eq!(deaths.attempt(&letter).await.unwrap(), 2);
    assert_eq!(deaths.attempt(&record("1", 1, "bad")).await.unwrap(), 1, "the record at that place is another matter");
    deaths.outlived(&letter).await.unwrap();
    assert_eq!(deaths.attempt(&letter).await.unwrap(), 1);
}

#[tokio::test]
async fn the_letter_of_a_record_that_kills_is_written_without_a_look_into_it() {
    let group = Group::new(Parking::Park).await;
    let fault = Arc::new(Fault::new(Class::Poison, PROCESS_DIED, "the process died"));
    let turn = Turn::Failed { fault, verdict: Verdict::Letter, attempts: ATTEMPTS, report: None };
    assert!(matches!(group.turn(&record("1", 1, "deadly"), turn).await, Next::Done));
    assert_eq!(*group.script.seen.lock().unwrap(), [1], "it is counted among what came");
    assert_eq!(group.settle(&record("1", 2, "b")).await, "done");
    assert_eq!(group.states().await.iter().map(|it| it.1.as_str()).collect::<Vec<_>>(), ["dead", "held"]);
    assert!(matches!(group.arrives(&record("1", 1, "deadly")).await, Next::Lettered), "read again, it kills nobody");
}

#[tokio::test]
async fn each_group_may_note_deaths_under_its_role() {
    for owner in Owner::ALL {
        let logins = Logins::of(&testkit::database().await).await;
        let group = Group::on(&logins.url(store::roles::Role::Owner(owner)), owner, Parking::Park).await;
        let deaths = group.ledger.deaths();
        deaths.begin(&partition(), 1).await.unwrap();
        deaths.attempt(&record("1", 1, "a")).await.unwrap();
        deaths.outlived(&record("1", 1, "a")).await.unwrap();
        deaths.forget(&[partition()]).await.unwrap();
    }
}

const DATABASE: &str = "TRADEWIND_TEST_LIFE_OVER";

#[tokio::test]
async fn real_processes_die_of_a_record_and_then_one_lives() {
    let database = testkit::database().await;
    let mut deaths = 0;
    while !live_in_a_process_of_its_own(&database) {
        deaths += 1;
        assert!(deaths < 20, "it dies for ever");
    }
    assert_eq!(deaths, BEGINNINGS - 1 + ATTEMPTS);
    let group = Group::on(&database, Owner::Router, Parking::Park).await;
    let letters: Vec<(String, String, String)> = sqlx::query_as(
        "select convert_from(value, 'UTF8'), state, coalesce(class || ' ' || code, '') from letters.letter order by ordinal",
    )
    .fetch_all(group.store.pool())
    .await
    .unwrap();
    let letters: Vec<_> = letters.iter().map(|(value, state, why)| (value.as_str(), state.as_str(), why.as_str())).collect();
    assert_eq!(letters, [("deadly", "dead", "poison_crash process_died"), ("behind it", "held", "")]);
    assert_eq!(group.count("select count(*) from router.decision where state = 'applied' and outputs is null").await, 4);
}

/// False: it died.
fn live_in_a_process_of_its_own(database: &str) -> bool {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "it::deaths::a_life", "--ignored", "--quiet"]).env(DATABASE, database);
    process.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
}

#[tokio::test]
#[ignore = "a process that the test above starts"]
async fn a_life() {
    let database = std::env::var(DATABASE).expect("only the test above starts it");
    let group = Group::on(&database, Owner::Router, Parking::Park).await;
    let topic = [("1", "a"), ("2", "b"), ("3", "deadly"), ("4", "d"), ("3", "behind it"), ("5", "e")];
    let (events, receiver) = mpsc::unbounded_channel();
    events.send(SourceEvent::Assigned(vec![partition()])).unwrap();
    // Nothing of an offset's move outlives a death: the topic is read from its beginning.
    for (id, (key, value)) in (1..).zip(topic) {
        events.send(SourceEvent::Record(record(key, id, value))).unwrap();
    }
    let (stored, mut moved) = watch::channel(0);
    let engine = Engine::new(EngineSettings::new(GROUP), Arc::new(group.ledger), Arc::new(Printer), Arc::new(Offsets(stored)));
    let stop = CancellationToken::new();
    let run = tokio::spawn(engine.run(Topic(receiver), stop.clone()));
    tokio::time::timeout(Duration::from_secs(60), moved.wait_for(|it| *it == 7)).await.unwrap().unwrap();
    stop.cancel();
    run.await.unwrap().unwrap();
    drop(events);
}

struct Topic(mpsc::UnboundedReceiver<SourceEvent>);

#[async_trait]
impl Source for Topic {
    async fn next(&mut self) -> Option<SourceEvent> {
        self.0.recv().await
    }
}

struct Offsets(watch::Sender<i64>);

impl SourceControl for Offsets {
    fn pause(&self, _: &[Partition]) {}

    fn resume(&self, _: &[Partition]) {}

    fn store(&self, offsets: &[(Partition, i64)]) {
        offsets.iter().for_each(|(_, offset)| {
            self.0.send_replace(*offset);
        });
    }
}

/// Produces at once.
struct Printer;

#[async_trait]
impl Actor<Vec<OutRecord>, Vec<Position>> for Printer {
    fn lanes(&self) -> Vec<LaneSpec> {
        vec![LaneSpec { name: "kafka", slots: 4, families: &["publish"], is_ours: true }]
    }

    fn lane(&self, _: &Vec<OutRecord>) -> usize {
        0
    }

    async fn act(&self, record: &Record, outputs: Vec<OutRecord>) -> Result<Vec<Position>, pipeline::seam::ActError<Vec<Position>>> {
        Ok(outputs.iter().map(|it| Position::of(it, 0, record.offset)).collect())
    }

    async fn probe(&self, _: usize) -> Result<(), Fault> {
        Ok(())
    }
}
