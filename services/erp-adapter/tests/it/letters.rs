use connector::erp::Guarantee;
use contracts::wire::{Outcome, OutcomeState, Wire as _};
use store::{letters, outbox};
use uuid::Uuid;

use super::erp::{FakeErp, Fate};
use super::rig::{TARGET, World, order, order_of};

/// What the relay would produce, in order.
async fn told(world: &World) -> Vec<Outcome> {
    let pending = outbox::pending_captured(&world.store, TARGET, 100).await.unwrap();
    pending.iter().map(|it| Outcome::decode(&it.record.value).unwrap()).collect()
}

async fn replay(world: &World, index: usize) {
    let id = world.letter_ids().await[index];
    letters::replay(&world.store, id, "ada", "the item is there now", None, std::sync::Arc::new(|_| None)).await.unwrap();
}

#[tokio::test]
async fn a_rejection_parks_its_order_and_a_replay_brings_the_rest_in_order() {
    let world = World::new(FakeErp::new(Guarantee::Unique)).await;
    world.erp.script("1", "create", &[Fate::Rejected, Fate::Rejected]);
    let command = world.send(&order("1"), "place", 1);
    world.send(&order("1"), "revise", 2);
    world.send(&order("2"), "place", 1);
    world.send(&order("1"), "revise", 3);
    let process = world.start();
    process.until_settled(4).await;
    world.until_letters(&["dead", "held", "held"]).await;
    assert_eq!(world.erp.booked(), ["2 create", "2 confirm"], "another order is not concerned");

    let outcome = told(&world).await.remove(0);
    assert_eq!((outcome.command_id, outcome.state, outcome.operation.as_str()), (command, OutcomeState::Dead, "place_order"));
    assert_eq!(outcome.failure.unwrap().code, "erp_unknown_item");

    replay(&world, 0).await;
    world.until_letters(&["dead", "held", "held"]).await;
    testkit::eventually_eq(super::rig::SOON, 2, async || told(&world).await.len()).await;
    replay(&world, 0).await;
    world.until_letters(&["applied", "applied", "applied"]).await;
    assert_eq!(world.erp.booked(), ["2 create", "2 confirm", "1 create", "1 confirm", "1 rewrite", "1 rewrite"]);
    assert_eq!(world.count("select count(*) from letters.parked").await, 0);

    let ids: Vec<_> =
        outbox::pending_captured(&world.store, TARGET, 100).await.unwrap().iter().map(|it| it.record.headers.event_id()).collect();
    assert_ne!(ids[0], ids[1], "a second death is news");
    let sequences: Vec<_> = world.outcomes().iter().map(|it| it.sequence).collect();
    assert_eq!(sequences, [1, 1, 2, 3]);
}

#[tokio::test]
async fn a_command_that_misses_an_item_waits_as_a_letter_until_the_item_is_there() {
    let world = World::new(FakeErp::new(Guarantee::Unique)).await;
    world.erp.script("1", "create", &[Fate::Missing, Fate::Missing]);
    world.send(&order("1"), "place", 1);
    world.send(&order("1"), "revise", 2);
    world.send(&order("2"), "place", 1);
    let process = world.start();
    process.until_settled(3).await;
    world.until_letters(&["waiting", "held"]).await;
    assert_eq!(world.erp.booked(), ["2 create", "2 confirm"], "another order is not concerned");
    assert!(told(&world).await.is_empty(), "it is not dead");
    assert_eq!(world.count("select count(*) from effects.effect where state = 'in_flight'").await, 1);

    let group = world.group();
    let appeared =
        world.store.transaction(move |tx| Box::pin(async move { letters::appeared(tx, &group, &["item:A-1".to_owned()]).await }));
    assert_eq!(appeared.await.unwrap(), 1);
    world.until_letters(&["applied", "applied"]).await;
    assert_eq!(world.erp.booked(), ["2 create", "2 confirm", "1 create", "1 confirm", "1 rewrite"]);
    assert_eq!(world.count("select count(*) from letters.parked").await, 0);
}

#[tokio::test]
async fn a_command_that_waited_often_enough_is_dead_and_somebody_hears_of_it() {
    let mut world = World::new(FakeErp::new(Guarantee::Unique)).await;
    world.delay = std::time::Duration::from_millis(1);
    world.erp.script("1", "create", &[Fate::Missing; 7]);
    world.send(&order("1"), "place", 1);
    let _process = world.start();
    world.until_letters(&["dead"]).await;
    let outcome = told(&world).await.remove(0);
    assert_eq!((outcome.state, outcome.failure.unwrap().code.as_str()), (OutcomeState::Dead, "erp_unknown_item"));
    assert_eq!(world.count("select attempts::bigint from letters.letter").await, 7, "two looks in a row, and one after each of five waits");
}

#[tokio::test]
async fn a_replay_goes_on_at_the_first_step_that_is_not_done() {
    let world = World::new(FakeErp::new(Guarantee::Lookup)).await;
    world.erp.script("1", "confirm", &[Fate::Rejected]);
    world.send(&order("1"), "place", 1);
    let process = world.start();
    world.until_letters(&["dead"]).await;
    assert_eq!(world.erp.booked(), ["1 create"]);
    process.kill().await;
    let _process = world.start();
    replay(&world, 0).await;
    world.until_letters(&["applied"]).await;
    assert_eq!(world.erp.booked(), ["1 create", "1 confirm"]);
    assert_eq!(world.count("select count(*) from effects.effect where state = 'applied'").await, 1);
}

#[tokio::test]
async fn a_replay_looks_again_for_a_customer_whose_party_was_merged_meanwhile() {
    for (fates, letter) in [([Fate::Rejected].as_slice(), "dead"), (&[Fate::Missing, Fate::Missing], "waiting")] {
        let world = World::new(FakeErp::new(Guarantee::Unique).with_customers()).await;
        world.erp.script("1", "create", fates);
        world.send(&order_of("1", "ada@example.com"), "place", 1);
        let _process = world.start();
        world.until_letters(&[letter]).await;
        world.erp.merge("ada@example.com", "a.lovelace@example.com");
        // What was found serves for ten minutes.
        sqlx::query("update effects.identity set found_at = now() - interval '11 minutes'").execute(world.store.pool()).await.unwrap();
        replay(&world, 0).await;
        world.until_letters(&["applied"]).await;
        assert_eq!(world.erp.booked(), ["1 create", "1 confirm"]);
        assert_eq!(world.erp.parties(), ["ada@example.com"]);
    }
}

#[tokio::test]
async fn what_nobody_can_tell_is_asked_and_a_replay_is_the_answer() {
    let world = World::new(FakeErp::new(Guarantee::None)).await;
    world.erp.script("1", "create", &[Fate::RequestLost, Fate::AnswerLost]);
    world.send(&order("1"), "place", 1);
    let _process = world.start();
    world.until_letters(&["dead"]).await;
    assert_eq!(world.letters().await[0].1.as_deref(), Some("effect_ambiguous"));
    assert_eq!(world.erp.booked(), Vec::<String>::new());
    assert_eq!(told(&world).await[0].failure.as_ref().unwrap().class, "ambiguous");
    assert_eq!(world.count("select count(*) from effects.effect_step where state = 'unknown'").await, 1);

    // The person looked: it is not there. The answer to their second try is lost as well, which is a question again.
    replay(&world, 0).await;
    testkit::eventually_eq(super::rig::SOON, 2, async || told(&world).await.len()).await;
    assert_eq!(world.erp.booked(), ["1 create"]);
    assert_eq!(world.applied(), 0);
}

#[tokio::test]
async fn a_command_that_cannot_be_read_is_a_letter_and_somebody_hears_of_it() {
    let world = World::new(FakeErp::new(Guarantee::Unique)).await;
    let id = Uuid::new_v4();
    world.send_bytes(id, "shop/order/1", b"\xff\xff".as_slice().into());
    world.send(&order("2"), "cancel", 1);
    world.start().until_settled(2).await;
    let mut codes: Vec<_> = world.letters().await.into_iter().filter_map(|it| it.1).collect();
    codes.sort();
    assert_eq!(codes, ["erp_unknown_operation", "wire_decode"]);
    let told = told(&world).await;
    assert!(told.iter().any(|it| it.command_id == id && it.state == OutcomeState::Dead));
    assert!(told.iter().any(|it| it.operation_key == "shop/order/2/cancel_order" && it.operation == "cancel_order"));
}
