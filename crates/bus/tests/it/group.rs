use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use pipeline::{Record, SourceControl as _};

use super::support::{Reader, SOON, Stage};

/// Reads with all members until `records` are settled; answers what their revocations ask for meanwhile.
async fn settle(members: &mut [Reader], records: usize, settled: &mut Vec<Record>) {
    let goal = settled.len() + records;
    while settled.len() < goal {
        let read = match members {
            [one] => one.event().await.map(|it| (0, it)),
            [one, two] => tokio::select! {
                record = one.event() => record.map(|it| (0, it)),
                record = two.event() => record.map(|it| (1, it)),
            },
            _ => unreachable!("these tests have two members at most"),
        };
        if let Some((member, record)) = read {
            members[member].settle(&record);
            settled.push(record);
        }
    }
}

/// Goes on until both members have their half. Everything was read before.
async fn share(members: &mut [Reader]) {
    while members.iter().any(|it| it.assigned.len() != 2) {
        let [one, two] = members else { unreachable!("two members share") };
        let unexpected = tokio::select! { record = one.event() => record, record = two.event() => record };
        assert!(unexpected.is_none(), "everything was read");
    }
}

/// Every offset from the first to the last, once; and committed.
async fn assert_settled_once(stage: &Stage, settled: &[Record]) {
    let mut offsets: BTreeMap<i32, BTreeSet<i64>> = BTreeMap::new();
    for record in settled {
        assert!(offsets.entry(record.partition.number).or_default().insert(record.offset), "read twice: {record:?}");
    }
    for (partition, offsets) in offsets {
        let end = i64::try_from(offsets.len()).unwrap();
        assert!(offsets.into_iter().eq(0..end), "partition {partition} has holes");
        testkit::eventually_eq(SOON, Some(end), async || stage.committed(partition).await).await;
    }
}

#[tokio::test]
async fn a_second_member_takes_its_share_and_nothing_is_lost_or_repeated() {
    let Some(stage) = Stage::with_partitions(4).await else { return };
    stage.filled(200).await;
    let mut settled = Vec::new();
    let mut members = vec![stage.reader()];
    within(settle(&mut members, 100, &mut settled)).await;
    members.push(stage.reader());
    // Both read on; the first gives everything back when the second joins, and takes its share.
    within(settle(&mut members, 100, &mut settled)).await;
    within(share(&mut members)).await;
    stage.filled(40).await;
    within(settle(&mut members, 40, &mut settled)).await;

    assert_settled_once(&stage, &settled).await;
    let [one, two]: [Reader; 2] = members.try_into().ok().unwrap();
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn members_come_and_go_while_records_flow() {
    let Some(stage) = Stage::with_partitions(4).await else { return };
    let mut settled = Vec::new();
    let mut members = vec![stage.reader()];
    let mut committed = BTreeMap::new();
    for _ in 0..testkit::rounds(5, 100) {
        stage.filled(40).await;
        within(settle(&mut members, 20, &mut settled)).await;
        members.push(stage.reader());
        within(settle(&mut members, 20, &mut settled)).await;
        within(share(&mut members)).await;
        stage.filled(10).await;
        within(settle(&mut members, 10, &mut settled)).await;
        // The older one leaves.
        members.remove(0).close().await;
        assert_goes_forward(&stage, &mut committed).await;
    }
    assert_settled_once(&stage, &settled).await;
    members.remove(0).close().await;
}

async fn assert_goes_forward(stage: &Stage, committed: &mut BTreeMap<i32, i64>) {
    for partition in 0..4 {
        let now = stage.committed(partition).await.unwrap_or_default();
        let before = committed.insert(partition, now).unwrap_or_default();
        assert!(before <= now, "partition {partition} went back from {before} to {now}");
    }
}

#[tokio::test]
async fn a_member_that_leaves_hands_over_at_once() {
    let Some(stage) = Stage::with_partitions(2).await else { return };
    stage.filled(20).await;
    let mut settled = Vec::new();
    let mut first = vec![stage.reader()];
    within(settle(&mut first, 20, &mut settled)).await;
    first.remove(0).close().await;
    let more = stage.filled(6).await;
    let mut second = vec![stage.reader()];
    settled.clear();
    within(settle(&mut second, 6, &mut settled)).await;
    let read: BTreeSet<_> = settled.iter().map(|it| (it.partition.number, it.offset)).collect();
    assert_eq!(read, more.iter().map(|it| (it.partition.number, it.offset)).collect());
    second.remove(0).close().await;
}

/// Whoever pauses must resume what is assigned anew: the client does not, and its owner of that time may have forgotten it.
#[tokio::test]
async fn a_pause_outlives_a_rebalance_until_the_partition_is_resumed() {
    let Some(stage) = Stage::with_partitions(4).await else { return };
    stage.filled(40).await;
    let (mut members, mut settled) = (vec![stage.reader()], Vec::new());
    within(settle(&mut members, 40, &mut settled)).await;
    let all = [0, 1, 2, 3].map(|it| stage.partition(it));
    members[0].handle.pause(&all);
    members.push(stage.reader());
    within(share(&mut members)).await;
    members.remove(1).close().await;
    let mut left = members.remove(0);
    while left.assigned.len() != 4 {
        assert!(within(left.event()).await.is_none(), "everything was read");
    }
    stage.filled(40).await;
    assert!(left.record_within(Duration::from_secs(1)).await.is_none(), "they are paused");
    left.handle.resume(&all);
    let mut members = vec![left];
    within(settle(&mut members, 40, &mut settled)).await;
    assert_settled_once(&stage, &settled).await;
    members.remove(0).close().await;
}

/// What the client was handed last may be older.
#[tokio::test]
async fn what_is_given_back_stands_where_the_revocation_was_answered() {
    let Some(stage) = Stage::with_partitions(4).await else { return };
    stage.filled(80).await;
    let (mut members, mut settled) = (vec![stage.reader()], Vec::new());
    within(settle(&mut members, 40, &mut settled)).await;
    for _ in 0..40 {
        let record = within(members[0].record()).await;
        members[0].note(&record);
        settled.push(record);
    }
    members.push(stage.reader());
    within(share(&mut members)).await;
    assert_settled_once(&stage, &settled).await;
    for member in members {
        member.close().await;
    }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, work).await.expect("it takes too long")
}
