use std::sync::atomic::Ordering;

use contracts::topics::Parking;
use pipeline::{Next, Partition, Position, Turn};

use super::group::{Group, record};

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
