//! What stands still: the poll thread of a process, and a whole process for longer than its session.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bus::BusSettings;
use pipeline::SourceControl as _;
use testkit::commits;

use super::support::{SOON, Stage};

/// What liveness watches. The thread waits for whoever empties its channel, so that one may never wait for the world.
#[tokio::test]
async fn a_poll_thread_that_stands_still_is_seen_and_one_whose_partition_is_paused_turns() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    let records = 1_000;
    stage.filled(records).await;
    let mut reader = stage.reader();
    let heartbeat = reader.handle.heartbeat.clone();
    // Nobody reads, and the channel is full.
    testkit::eventually_eq(SOON, true, async || heartbeat.age() > 2 * TURN).await;
    for _ in 0..records {
        reader.record_within(SOON).await.unwrap();
    }
    testkit::eventually_eq(SOON, true, async || heartbeat.age() < TURN).await;
    reader.handle.pause(&[stage.partition(0)]);
    stage.filled(records).await;
    while reader.record_within(3 * TURN).await.is_some() {}
    assert!(heartbeat.age() < 2 * TURN, "{:?}", heartbeat.age());
    reader.close().await;
}

/// Far more than the time between two turns.
const TURN: Duration = Duration::from_millis(700);

/// A commit whose connection breaks is sent again after a wait that the client draws: several at once would arrive in any order.
#[tokio::test]
async fn commits_that_are_sent_again_do_not_go_back() {
    let Some(server) = testkit::own::kafka().await else { return };
    let stage = Stage::on(server.url.clone(), 1).await;
    stage.filled(12).await;
    let mut reader = stage.reader();
    let mut records = Vec::new();
    for _ in 0..12 {
        records.push(reader.record_within(SOON).await.unwrap());
    }
    reader.settle(&records[0]);
    testkit::eventually_eq(SOON, Some(1), async || stage.committed(0).await).await;
    server.freeze();
    for record in &records {
        reader.settle(record);
        // Longer than between two commits.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    server.kill().await;
    server.start().await;
    testkit::eventually_eq(2 * SOON, Some(12), async || stage.committed(0).await).await;
    reader.close().await;
    let commits = commits::all(&server.url).await.unwrap();
    assert!(commits.iter().any(|it| it.offset == 12));
    assert_eq!(commits::backward(&commits), [""; 0]);
}

const BROKERS: &str = "TRADEWIND_TEST_BROKERS";
const PREFIX: &str = "TRADEWIND_TEST_PREFIX";

/// Its session is over when it wakes: what it settles then is somebody else's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_frozen_beyond_its_session_moves_no_offset() {
    let Some(stage) = Stage::with_partitions(1).await else { return };
    stage.filled(200).await;
    let mut frozen = Frozen::start(&stage.settings);
    testkit::eventually_eq(SOON, true, async || stage.committed(0).await >= Some(5)).await;
    frozen.signal("STOP");
    let mut second = stage.reader();
    let mut next = None;
    while next != Some(200) {
        let record = second.record_within(3 * SOON).await.unwrap();
        assert!(next.is_none_or(|it| it == record.offset), "{} after {next:?}", record.offset);
        next = Some(record.offset + 1);
        second.settle(&record);
    }
    testkit::eventually_eq(SOON, Some(200), async || stage.committed(0).await).await;
    frozen.signal("CONT");
    let ended = tokio::task::spawn_blocking(move || frozen.0.wait().unwrap().success());
    tokio::pin!(ended);
    let has_ended = loop {
        tokio::select! {
            ended = &mut ended => break ended.unwrap(),
            record = second.event() => assert!(record.is_none(), "{record:?} was settled already"),
            () = tokio::time::sleep(Duration::from_millis(50)) => assert_eq!(stage.committed(0).await, Some(200)),
        }
    };
    assert!(has_ended, "it settled what was not its own, or did not hear that it lost");
    assert_eq!(stage.committed(0).await, Some(200));
    second.close().await;
}

struct Frozen(Child);

impl Frozen {
    fn start(settings: &BusSettings) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "it::frozen::a_member", "--ignored", "--quiet"]);
        process.env(BROKERS, &settings.brokers).env(PREFIX, &settings.prefix).stdout(Stdio::null()).stderr(Stdio::null());
        Self(process.spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").arg(format!("-{signal}")).arg(self.0.id().to_string()).status().unwrap().success());
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may have ended.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Settles slowly until it hears that its partition is gone, and then once more.
#[tokio::test]
#[ignore = "a process that the test above starts"]
async fn a_member() {
    let mut settings = BusSettings::local(std::env::var(BROKERS).unwrap()).with_prefix(std::env::var(PREFIX).unwrap());
    settings.properties.insert("session.timeout.ms".to_owned(), "6000".into());
    let topic = settings.topic("orders").into();
    let stage = Stage { settings, topic };
    let mut reader = stage.reader();
    let mut last = reader.record_within(SOON).await.unwrap();
    while !reader.assigned.is_empty() {
        reader.settle(&last);
        match tokio::time::timeout(SOON, reader.event()).await.expect("it is told what it lost") {
            Some(record) => last = record,
            None => continue,
        }
        // Its pace.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    reader.handle.store(&[(last.partition.clone(), last.offset + 1)]);
    reader.close().await;
}
