use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use contracts::topics::Parking;
use fault::Class;
use pipeline::{CommitError, Entry, Ledger as _, Next, Partition, Position, Record, Turn};
use store::letters;
use tracing::Span;
use uuid::Uuid;

use super::group::{GROUP, Group, record};

fn at(offset: i64) -> Vec<Position> {
    vec![Position { partition: Partition::new("out", 3), offset, event_id: None }]
}

#[tokio::test]
async fn a_redelivery_produces_the_stored_bytes_and_never_decides_again() {
    let group = Group::new(Parking::Park).await;
    let order = record("1", 1, "first");
    let Next::Act(first) = group.arrives(&order).await else { panic!("it has an output") };
    let Next::Act(again) = group.arrives(&order).await else { panic!("it is not published yet") };
    assert_eq!(first[0].value, again[0].value);
    assert_eq!(first[0].headers, again[0].headers);
    assert_eq!(group.script.decided.load(Ordering::Relaxed), 1);

    assert!(matches!(group.turn(&order, Turn::Acted(at(7))).await, Next::Done));
    assert!(matches!(group.turn(&order, Turn::Acted(at(8))).await, Next::Done), "a commit whose answer was lost comes again");
    assert!(matches!(group.arrives(&order).await, Next::Done));
    assert_eq!(group.script.decided.load(Ordering::Relaxed), 1);
    assert_eq!(group.count("select \"offset\" from router.output").await, 7);
    assert_eq!(group.count("select count(*) from router.decision where outputs is null and published_at is not null").await, 1);
}

#[tokio::test]
async fn marking_what_was_produced_stays_on_its_page_and_out_of_every_index() {
    let database = testkit::database().await;
    let group = Group::on(&database, store::Owner::Router, Parking::Park).await;
    for number in 1..=40 {
        assert_eq!(group.settle(&record(&number.to_string(), number, "first")).await, "produced");
    }
    // A session tells what it did to the counters when it ends.
    group.store.pool().close().await;
    let after = store::Store::open(&store::StoreSettings::new(&database)).await.unwrap();
    let sql = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'router.decision'::regclass";
    let counted = async || sqlx::query_as::<_, (i64, i64)>(sql).fetch_one(after.pool()).await.unwrap();
    testkit::eventually_eq(Duration::from_secs(30), (40, 40), counted).await;
}

#[tokio::test]
async fn no_ledger_of_decisions_has_an_index_that_marking_would_change() {
    let group = Group::new(Parking::Park).await;
    let sql = "select format('%s.%s', schemaname, indexname) from pg_indexes
               where tablename = 'decision' and (indexdef like '%outputs%' or indexdef like '%published_at%')";
    let found: Vec<String> = sqlx::query_scalar(sql).fetch_all(group.store.pool()).await.unwrap();
    assert_eq!(found, Vec::<String>::new());
}

/// A partition changes hands while its record is decided: both processes have looked, and found nothing. The second one sees what
/// the first one's decision changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_process_decides_at_the_same_time_is_not_decided_otherwise() {
    let group = Group::new(Parking::Park).await;
    let (order, other) = (record("1", 1, "slow"), group.restarted());
    let entry = || vec![Arc::new(Entry { record: Arc::new(order.clone()), turn: Turn::Arrived, span: Span::none() })];
    let permits = async {
        let soon = Duration::from_secs(30);
        testkit::eventually_eq(soon, 2, async || group.script.decided.load(Ordering::Relaxed)).await;
        group.script.gate.add_permits(1);
        testkit::eventually_eq(soon, 1, async || group.count("select count(*) from router.decision").await).await;
        group.script.gate.add_permits(1);
    };
    let (one, two, ()) = tokio::join!(group.ledger.commit(entry()), other.commit(entry()), permits);
    let (done, overtaken): (Vec<_>, Vec<_>) = [one, two].into_iter().partition(Result::is_ok);
    assert!(matches!(done[0].as_ref().unwrap()[..], [Next::Act(_)]));
    let Err(CommitError::Rejected(fault)) = &overtaken[0] else { panic!("it is not known to be produced") };
    assert_eq!(fault.code, "database_overtaken");
    assert!(matches!(group.arrives(&order).await, Next::Act(outputs) if &outputs[0].value[..] == b"did slow"));
}

#[tokio::test]
async fn what_needs_no_output_is_done_at_once() {
    let group = Group::new(Parking::Park).await;
    assert_eq!(group.settle(&record("1", 1, "old")).await, "done");
    assert_eq!(group.settle(&record("2", 2, "wait")).await, "done");
    assert_eq!(group.count("select count(*) from router.decision where state = 'superseded'").await, 1);
    assert_eq!(group.count("select count(*) from router.decision where state = 'in_flight' and reason = 'payment_pending'").await, 1);

    let released = [(uuid::Uuid::from_u128(2), store::decisions::State::Applied, Some("paid"))];
    group
        .store
        .transaction(move |tx| {
            Box::pin(async move { store::decisions::release(tx, store::Owner::Router, super::group::GROUP, &released).await })
        })
        .await
        .unwrap();
    assert_eq!(group.count("select count(*) from router.decision where state = 'applied' and reason = 'paid'").await, 1);
}

#[tokio::test]
async fn another_body_under_a_known_id_is_a_letter_of_its_own() {
    let group = Group::new(Parking::Independent).await;
    let first = record("1", 1, "first");
    assert_eq!(group.settle(&first).await, "produced");
    let mut twin = record("1", 1, "other");
    twin.offset = 2;
    assert_eq!(group.settle(&twin).await, "letter");
    assert_eq!(group.states().await, [("other".to_owned(), "dead".to_owned())]);
    twin.value = first.value.clone();
    assert_eq!(group.settle(&twin).await, "done", "the same bytes again are a repeat");
}

/// Deliveries are forgotten after months; the letter of the second one stands.
#[tokio::test]
async fn the_letter_of_a_reused_id_can_be_replayed_when_the_first_delivery_is_forgotten() {
    let group = Group::new(Parking::LatestWins).await;
    assert_eq!(group.settle(&record("1", 1, "first")).await, "produced");
    let mut twin = record("1", 1, "other");
    twin.offset = 2;
    assert_eq!(group.settle(&twin).await, "letter");
    let replayed = async || {
        let letter = contracts::ids::letter(super::group::GROUP, contracts::ids::of_position("in", 0, 2));
        let nobody = std::sync::Arc::new(|_: &store::letters::Original| None);
        store::letters::replay(&group.store, letter, "ada", "it is another order", None, nobody).await.unwrap();
        group.drained().await.remove(0)
    };
    assert_eq!(group.settle(&replayed().await).await, "letter", "the first one stands");
    sqlx::query("delete from router.decision").execute(group.store.pool()).await.unwrap();
    assert_eq!(group.settle(&replayed().await).await, "produced");
    assert_eq!(group.states().await, [("other".to_owned(), "applied".to_owned())]);
}

/// A mistake of ours is a failure of its record; nothing of its batch is stored, and the others go on without it.
#[tokio::test]
async fn a_panic_while_deciding_is_poison_and_leaves_nothing_behind() {
    let group = Group::new(Parking::Park).await;
    let entry = |record: Record| Arc::new(Entry { record: Arc::new(record), turn: Turn::Arrived, span: Span::none() });
    let refused = group.ledger.commit(vec![entry(record("1", 1, "a")), entry(record("2", 2, "panic"))]).await;
    let Err(CommitError::Rejected(fault)) = refused else { panic!("it was decided") };
    assert_eq!((fault.class, fault.code), (Class::Poison, "database_panicked"));
    assert_eq!(group.count("select count(*) from router.decision").await, 0);

    assert_eq!(group.settle(&record("1", 1, "a")).await, "produced", "its neighbour by itself");
    group.give_up(&record("2", 2, "panic"), fault).await;
    assert_eq!(group.states().await, [("panic".to_owned(), "dead".to_owned())]);
    group.script.repaired.store(true, Ordering::Relaxed);
    let letter = contracts::ids::letter(GROUP, Uuid::from_u128(2));
    letters::replay(&group.store, letter, "ada", "mended", None, Arc::new(|_| None)).await.unwrap();
    assert_eq!(group.settle(&group.drained().await.remove(0)).await, "produced");
}
