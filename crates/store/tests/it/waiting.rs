//! Letters that are tried again by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use contracts::topics::Parking;
use pipeline::Ledger as _;
use store::account::{Part, Progress, Scope, account, items};
use store::letters::{self, DiscardScope, Filter, LetterState, OutcomeOf};

use super::group::{GROUP, Group, record};

const HOUR: Duration = Duration::from_secs(3600);

fn head() -> uuid::Uuid {
    contracts::ids::letter(GROUP, uuid::Uuid::from_u128(1))
}

/// Counts what others are told.
fn told() -> (OutcomeOf, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let of = move |_: &letters::Original| {
        counted.fetch_add(1, Ordering::Relaxed);
        None
    };
    (Arc::new(of), count)
}

async fn states(group: &Group) -> Vec<String> {
    group.states().await.into_iter().map(|(value, state)| format!("{value} {state}")).collect()
}

/// One record put off for an hour, one of its key behind it.
async fn waiting() -> Group {
    let group = Group::new(Parking::Park).await;
    group.put_off(&record("1", 1, "bad a"), HOUR, Some("item:MUG")).await;
    assert_eq!(group.settle(&record("1", 2, "b")).await, "done");
    assert_eq!(states(&group).await, ["bad a waiting", "b held"]);
    assert!(group.drained().await.is_empty(), "it is not due");
    group
}

#[tokio::test]
async fn one_that_is_due_goes_first_and_its_key_follows_in_order() {
    let group = waiting().await;
    assert_eq!(group.settle(&record("2", 3, "c")).await, "produced", "another key passes");
    assert_eq!(group.settle(&record("1", 1, "bad a")).await, "done", "read again after a crash: it waits on");
    group.wait_is_over().await;
    group.script.repaired.store(true, Ordering::Relaxed);
    let due = group.ledger.drain(10).await.unwrap();
    assert_eq!(
        due.iter().map(|it| (&it.record.value[..], it.delays)).collect::<Vec<_>>(),
        [(&b"bad a"[..], 1)],
        "what is behind it is not"
    );
    assert!(group.drained().await.is_empty(), "it is out once");
    assert_eq!(group.settle(&record("1", 4, "d")).await, "done", "a live record does not overtake");
    assert_eq!(group.settle(&due[0].record).await, "produced");
    for it in group.drained().await {
        assert_eq!(group.settle(&it).await, "produced");
    }
    assert_eq!(states(&group).await, ["bad a applied", "b applied", "d applied"]);
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
    let order: Vec<i64> = sqlx::query_scalar("select \"offset\" from router.decision where aggregate = 'shop/order/1' order by decided_at")
        .fetch_all(group.store.pool())
        .await
        .unwrap();
    assert_eq!(order, [1, 2, 4]);
}

#[tokio::test]
async fn each_wait_counts_and_the_last_failure_is_dead() {
    let group = waiting().await;
    for delays in 1..=2 {
        group.wait_is_over().await;
        let due = group.ledger.drain(10).await.unwrap();
        assert_eq!(due[0].delays, delays);
        group.put_off(&due[0].record, HOUR, None).await;
        assert_eq!(states(&group).await, ["bad a waiting", "b held"]);
    }
    group.wait_is_over().await;
    let due = group.drained().await;
    assert_eq!(group.settle(&due[0]).await, "letter");
    assert_eq!(states(&group).await, ["bad a dead", "b held"]);
    let shown = letters::get(&group.store, head()).await.unwrap();
    assert_eq!((shown.letter.retry_at, shown.letter.attempts), (None, 10), "three looks each, and the last one");
    let verbs: Vec<_> = shown.audit.iter().map(|it| it.verb.as_str()).collect();
    assert_eq!(verbs, ["letter.waiting", "letter.waiting", "letter.waiting", "letter.dead"]);
}

#[tokio::test]
async fn what_it_misses_ends_its_wait_and_nothing_else_does() {
    let group = waiting().await;
    let appear = async |group_name: &'static str, what: &'static str| {
        let what = [what.to_owned()];
        let appeared = group.store.transaction(move |tx| Box::pin(async move { letters::appeared(tx, group_name, &what).await }));
        appeared.await.unwrap()
    };
    assert_eq!(appear(GROUP, "item:CUP").await, 0);
    assert_eq!(appear("another-group", "item:MUG").await, 0);
    assert!(group.drained().await.is_empty());
    assert_eq!(appear(GROUP, "item:MUG").await, 1);
    assert_eq!(appear(GROUP, "item:MUG").await, 0, "it is due already");
    assert_eq!(group.drained().await.len(), 1);
}

#[tokio::test]
async fn a_replay_tries_it_at_once_with_all_its_waits_before_it_and_nobody_is_told_that_it_lives() {
    let group = waiting().await;
    let (outcome, count) = told();
    let replayed = letters::replay(&group.store, head(), "ada", "the item is there", None, outcome).await.unwrap();
    assert_eq!((replayed.state, replayed.retry_at), (LetterState::Replaying, None));
    let due = group.ledger.drain(10).await.unwrap();
    assert_eq!(due[0].delays, 0);
    assert_eq!(count.load(Ordering::Relaxed), 0, "nobody heard that it died");
    assert_eq!(group.count("select replays::bigint from letters.letter where state = 'replaying'").await, 0);
}

#[tokio::test]
async fn a_waiting_letter_is_discarded_like_a_dead_one() {
    let group = waiting().await;
    let (outcome, count) = told();
    letters::discard(&group.store, head(), "ada", "not ours", DiscardScope::Release, None, outcome).await.unwrap();
    assert_eq!(count.load(Ordering::Relaxed), 1);
    let due = group.drained().await;
    assert_eq!(group.settle(&due[0]).await, "produced");
    assert_eq!(states(&group).await, ["bad a discarded", "b applied"]);
    assert_eq!(group.settle(&record("1", 5, "e")).await, "produced", "the key is free");
}

#[tokio::test]
async fn people_see_it_with_its_next_try_and_what_it_holds() {
    let group = waiting().await;
    let listed = letters::list(&group.store, &Filter::default(), None, 10).await.unwrap().letters;
    let waiting = listed.iter().find(|it| it.state == LetterState::Waiting).unwrap();
    assert_eq!((waiting.code.as_deref(), waiting.held), (Some("erp_unknown_item"), 1));
    let wait = waiting.retry_at.unwrap() - chrono::Utc::now();
    assert!((3_500..=3_600).contains(&wait.num_seconds()), "{wait}");
    let only = Filter { states: vec![LetterState::Waiting], ..Filter::default() };
    assert_eq!(letters::list(&group.store, &only, None, 10).await.unwrap().letters.len(), 1);
}

#[tokio::test]
async fn in_the_account_a_waiting_one_is_in_flight_and_what_it_holds_is_held() {
    let group = waiting().await;
    let written = "insert into ingest.output (out_id, ce_id, grp, topic, partition, \"offset\")
                   select ce_id, gen_random_uuid(), 'mapper', origin_topic, origin_partition, origin_offset from letters.letter";
    sqlx::query(written).execute(group.store.pool()).await.unwrap();
    let progress = Progress { group: GROUP.to_owned(), topic: "in".to_owned(), partition: 0, committed: Some(3), start: 0, end: 3 };
    let scope = Scope {
        raw_topic: "raw".to_owned(),
        mapper: "mapper".to_owned(),
        consumers: vec![("in".to_owned(), GROUP.to_owned())],
        unanswered: vec!["out".to_owned()],
        progress: vec![progress],
    };
    let account = account(&group.store, &scope).await.unwrap();
    assert!(account.balances(), "{account:?}");
    let lines: Vec<_> = account.lines.iter().map(|it| (it.state.as_str(), it.reason.as_deref(), it.count)).collect();
    assert_eq!(lines, [("held", None, 1), ("in_flight", Some("waiting"), 1)]);
    let part = Part { group: Some(GROUP.to_owned()), state: Some("in_flight".to_owned()), ..Part::default() };
    let behind = items(&group.store, &scope, &part, None, 10).await.unwrap().items;
    assert_eq!(
        behind.iter().map(|it| (it.event_id, it.reason.as_deref())).collect::<Vec<_>>(),
        [(uuid::Uuid::from_u128(1), Some("waiting"))]
    );
}

#[tokio::test]
async fn where_the_latest_wins_it_holds_nothing_and_a_good_version_ends_it() {
    let group = Group::new(Parking::LatestWins).await;
    group.put_off(&record("1", 1, "bad a"), HOUR, None).await;
    group.put_off(&record("2", 2, "bad b"), HOUR, None).await;
    assert_eq!(group.settle(&record("1", 3, "c")).await, "produced", "nothing is held");
    assert_eq!(states(&group).await, ["bad a superseded", "bad b waiting"]);
    group.wait_is_over().await;
    group.script.repaired.store(true, Ordering::Relaxed);
    let due = group.drained().await;
    assert_eq!(due.len(), 1);
    assert_eq!(group.settle(&due[0]).await, "produced");
    assert_eq!(states(&group).await, ["bad a superseded", "bad b applied"]);
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
}

#[tokio::test]
async fn of_two_processes_one_wakes_it() {
    let group = waiting().await;
    group.wait_is_over().await;
    let other = group.restarted();
    let (here, there) = tokio::join!(group.ledger.drain(10), other.drain(10));
    assert_eq!(here.unwrap().len() + there.unwrap().len(), 1);
    assert_eq!(states(&group).await, ["bad a replaying", "b held"]);
}
