use std::time::{Duration, Instant};

use connector::erp::Guarantee;
use contracts::wire::OutcomeState;

use super::erp::{FakeErp, Fate};
use super::rig::{Fuse, Process, SOON, World, order, order_by, order_of};

const EVERY: [Guarantee; 4] = [Guarantee::IdempotencyKey, Guarantee::Upsert, Guarantee::Unique, Guarantee::Lookup];

#[tokio::test]
async fn an_order_is_booked_step_by_step_and_its_outcome_says_where() {
    let world = World::new(FakeErp::new(Guarantee::Unique)).await;
    let command = world.send(&order("1"), "place", 3);
    let process = world.start();
    process.until_settled(1).await;
    assert_eq!(world.erp.booked(), ["1 create", "1 confirm"]);
    let outcome = world.outcomes().remove(0);
    assert_eq!((outcome.command_id, outcome.state, outcome.sequence), (command, OutcomeState::Applied, 3));
    assert_eq!((outcome.operation_key.as_str(), outcome.operation.as_str()), ("shop/order/1/place_order", "place_order"));
    assert_eq!((outcome.references[0].id.as_str(), outcome.references[0].number.as_str()), ("id-1", "S1"));
    assert!(outcome.confirmed);
    let settled = "select count(*) from effects.decision where state = 'applied' and outputs is null and published_at is not null";
    assert_eq!(world.count(settled).await, 1);
    assert_eq!(world.count("select count(*) from effects.output").await, 1);
}

#[tokio::test]
async fn lost_answers_and_lost_requests_end_in_one_effect_whatever_the_guarantee() {
    for guarantee in EVERY {
        let world = World::new(FakeErp::new(guarantee)).await;
        world.erp.script("1", "create", &[Fate::AnswerLost, Fate::AnswerLost]);
        world.erp.script("2", "create", &[Fate::RequestLost, Fate::RequestLost, Fate::AnswerLost]);
        world.erp.script("3", "create", &[Fate::Refused, Fate::AnswerLost]);
        for id in ["1", "2", "3", "4"] {
            world.send(&order(id), "place", 1);
        }
        let process = world.start();
        process.until_settled(4).await;
        let mut booked = world.erp.booked();
        booked.sort();
        let expected: Vec<_> = ["1", "2", "3", "4"].iter().flat_map(|id| [format!("{id} confirm"), format!("{id} create")]).collect();
        assert_eq!(booked, expected, "{guarantee:?}");
        assert_eq!(world.letters().await, []);
    }
}

#[tokio::test]
async fn a_panic_of_a_connector_is_a_doubt_like_any_other() {
    let world = World::new(FakeErp::new(Guarantee::Lookup)).await;
    world.erp.script("1", "create", &[Fate::Panic, Fate::AnswerLost]);
    world.send(&order("1"), "place", 1);
    world.start().until_settled(1).await;
    assert_eq!(world.erp.booked(), ["1 create", "1 confirm"]);
}

#[tokio::test]
async fn an_erp_that_shows_everything_and_answers_no_write_makes_no_letters() {
    let world = World::new(FakeErp::new(Guarantee::Unique)).await;
    for id in ["1", "2", "3"] {
        world.erp.script(id, "create", &[Fate::RequestLost; 200]);
        world.send(&order(id), "place", 1);
    }
    let process = world.start();
    testkit::eventually(SOON, async || {
        let requests = world.erp.requests();
        if requests > 100 { Ok(()) } else { Err(format!("{requests} requests")) }
    })
    .await;
    assert_eq!(world.letters().await, []);
    process.kill().await;
}

#[tokio::test]
async fn commands_of_one_order_keep_their_order() {
    let world = World::new(FakeErp::new(Guarantee::Unique)).await;
    world.erp.script("1", "create", &[Fate::Refused, Fate::AnswerLost]);
    world.send(&order("1"), "place", 1);
    world.send(&order("1"), "revise", 2);
    world.send(&order("1"), "revise", 3);
    world.start().until_settled(3).await;
    assert_eq!(world.erp.booked(), ["1 create", "1 confirm", "1 rewrite", "1 rewrite"]);
    let sequences: Vec<_> = world.outcomes().iter().map(|it| it.sequence).collect();
    assert_eq!(sequences, [1, 2, 3]);
}

#[tokio::test]
async fn the_same_operation_asked_for_again_is_answered_and_not_done() {
    let world = World::new(FakeErp::new(Guarantee::Lookup)).await;
    let first = world.send(&order("1"), "place", 1);
    let again = world.send(&order("1"), "place", 1);
    let process = world.start();
    process.until_settled(2).await;
    process.kill().await;
    // And everything once more, in another process.
    world.start().until_settled(2).await;
    assert_eq!(world.erp.booked(), ["1 create", "1 confirm"]);
    let outcomes = world.outcomes();
    assert_eq!(outcomes.iter().map(|it| it.command_id).collect::<Vec<_>>(), [first, again]);
    assert!(outcomes.iter().all(|it| it.state == OutcomeState::Applied && it.references[0].id == "id-1"));
}

#[tokio::test]
async fn two_processes_at_the_same_commands_book_each_once() {
    let world = World::new(FakeErp::new(Guarantee::Lookup)).await;
    for id in 0..20 {
        world.send(&order(&id.to_string()), "place", 1);
    }
    let (first, second) = (world.start(), world.start());
    first.until_settled(20).await;
    second.until_settled(20).await;
    assert_eq!(world.erp.booked().len(), 40);
    assert_eq!(world.outcomes().len(), 20);
}

/// A process stands still between the ERP's answer to the first step and its commit, until another one has taken the step over and
/// settled the command. The ERP refuses `step` once.
async fn taken_over(step: &str) -> (World, Process, Fuse) {
    let mut world = World::new(FakeErp::new(Guarantee::Unique)).await;
    world.settings.lease = Duration::from_millis(400);
    world.erp.script("1", step, &[Fate::Rejected]);
    world.send(&order("1"), "place", 1);
    // The commit of its arrival and the request have each a beginning and an end.
    let fuse = Fuse::after(5);
    let first = world.start_with(fuse.clone());
    fuse.dead.notified().await;
    assert_eq!(world.letters().await, []);
    world.start().until_settled(1).await;
    (world, first, fuse)
}

#[tokio::test]
async fn a_refusal_that_is_told_when_its_claim_is_over_buries_nothing() {
    let (world, first, fuse) = taken_over("create").await;
    fuse.revive();
    first.until_settled(1).await;
    assert_eq!(world.letters().await, []);
    assert_eq!(world.count("select count(*) from letters.parked").await, 0);
    assert!(world.outcomes().iter().all(|it| it.state == OutcomeState::Applied));
    assert_eq!(world.erp.booked(), ["1 create", "1 confirm"]);
}

#[tokio::test]
async fn a_success_that_is_told_when_its_claim_is_over_leads_to_nothing() {
    let (world, first, fuse) = taken_over("confirm").await;
    assert_eq!(world.letters().await.len(), 1);
    fuse.revive();
    first.until_settled(1).await;
    assert_eq!(world.erp.booked(), ["1 create"], "nobody has asked for the rest since it was given up");
}

#[tokio::test]
async fn a_partition_that_comes_back_finds_its_process_still_at_work() {
    let erp = FakeErp::new(Guarantee::Lookup).with_latency(Duration::from_millis(200));
    let world = World::new(erp).await;
    world.send(&order("1"), "place", 1);
    let process = world.start();
    testkit::eventually_eq(SOON, 1, async || world.erp.requests()).await;
    let records = world.records.lock().unwrap().clone();
    process.reassign(&records).await;
    process.until_settled(1).await;
    assert_eq!(world.erp.booked(), ["1 create", "1 confirm"]);
}

#[tokio::test]
async fn twenty_orders_of_one_new_customer_make_one_party() {
    let world = World::new(FakeErp::new(Guarantee::Unique).with_customers()).await;
    world.erp.script("0", "customer", &[Fate::AnswerLost]);
    for id in 0..20 {
        world.send(&order_of(&id.to_string(), "new@example.com"), "place", 1);
    }
    world.start().until_settled(20).await;
    assert_eq!(world.erp.parties(), ["new@example.com"]);
    assert_eq!(world.erp.booked().len(), 40);
}

/// An order names another e-mail address than the profile; a guest buys with the address of an account.
#[tokio::test]
async fn whoever_is_one_customer_by_any_mark_becomes_one_party() {
    for buyers in [[("5", "ada@example.com"), ("5", "ada@example.org")], [("5", "ada@example.com"), ("", "ada@example.com")]] {
        let erp = FakeErp::new(Guarantee::Unique).with_customers().with_latency(Duration::from_millis(20));
        let world = World::new(erp).await;
        for (n, (customer, email)) in buyers.iter().cycle().take(8).enumerate() {
            world.send(&order_by(&n.to_string(), customer, email), "place", 1);
        }
        world.start().until_settled(8).await;
        assert_eq!((world.erp.parties().len(), world.erp.booked().len()), (1, 16), "{buyers:?}");
    }
}

#[tokio::test]
async fn who_was_found_by_their_account_need_not_have_their_orders_address() {
    let world = World::new(FakeErp::new(Guarantee::Unique).with_customers()).await;
    world.send(&order_by("1", "5", "boss@example.com"), "place", 1);
    let process = world.start();
    process.until_settled(1).await;
    sqlx::query("update effects.identity set found_at = now() - interval '11 minutes'").execute(world.store.pool()).await.unwrap();
    world.send(&order_by("2", "5", "ada@example.com"), "place", 1);
    world.send(&order_of("3", "ada@example.com"), "place", 1);
    process.deliver(&world.records.lock().unwrap().split_off(1));
    world.until_applied(3).await;
    assert_eq!(world.erp.parties(), ["boss@example.com", "ada@example.com"], "the guest is somebody else");
}

#[tokio::test]
async fn who_is_known_by_their_address_is_not_made_again_where_the_target_shows_them_late() {
    let world = World::new(FakeErp::new(Guarantee::Unique).with_customers()).await;
    world.send(&order_of("1", "ada@example.com"), "place", 1);
    let process = world.start();
    process.until_settled(1).await;
    world.erp.shows_late();
    world.send(&order_by("2", "5", "ada@example.com"), "place", 1);
    world.send(&order_by("3", "5", "ada@example.org"), "place", 1);
    process.deliver(&world.records.lock().unwrap().split_off(1));
    world.until_applied(3).await;
    assert_eq!(world.erp.parties(), ["ada@example.com"]);
}

#[tokio::test]
async fn who_gives_up_an_identity_lets_the_next_one_try() {
    let world = World::new(FakeErp::new(Guarantee::Unique).with_customers()).await;
    world.erp.script("1", "customer", &[Fate::Rejected]);
    world.send(&order_of("1", "new@example.com"), "place", 1);
    let process = world.start();
    world.until_letters(&["dead"]).await;
    world.send(&order_of("2", "new@example.com"), "place", 1);
    process.deliver(&world.records.lock().unwrap().split_off(1));
    world.until_applied(1).await;
    assert_eq!(world.erp.parties(), ["new@example.com"]);
}

#[tokio::test]
async fn an_outage_makes_no_letters_and_ends_by_itself() {
    let world = World::new(FakeErp::new(Guarantee::Lookup)).await;
    world.erp.set_away(true);
    for id in 0..10 {
        world.send(&order(&id.to_string()), "place", 1);
    }
    let process = world.start();
    testkit::eventually_eq(SOON, true, async || world.erp.requests() >= 1).await;
    world.erp.set_away(false);
    process.until_settled(10).await;
    assert_eq!(world.letters().await, []);
    assert_eq!(world.erp.booked().len(), 20);
}

#[tokio::test]
async fn claims_that_wait_too_long_for_their_slot_are_taken_anew_and_nobody_is_blamed() {
    let mut world = World::new(FakeErp::new(Guarantee::None).with_latency(Duration::from_millis(40))).await;
    world.slots = 1;
    world.settings.lease = Duration::from_millis(600);
    for id in 0..20 {
        world.send(&order(&id.to_string()), "place", 1);
    }
    world.start().until_settled(20).await;
    assert_eq!(world.letters().await, []);
    assert_eq!(world.erp.booked().len(), 40);
    assert_eq!(world.erp.most_on_the_wire(), 1);
}

#[tokio::test]
async fn a_stop_gives_back_what_was_not_sent() {
    let mut world = World::new(FakeErp::new(Guarantee::None).with_latency(Duration::from_millis(100))).await;
    world.slots = 1;
    world.settings.lease = Duration::from_secs(120);
    for id in 0..6 {
        world.send(&order(&id.to_string()), "place", 1);
    }
    let process = world.start();
    testkit::eventually_eq(SOON, 1, async || world.erp.done().len()).await;
    process.stop().await;
    let begun = Instant::now();
    world.start().until_settled(6).await;
    assert!(begun.elapsed() < Duration::from_secs(20), "it did not wait for the leases: {:?}", begun.elapsed());
    assert_eq!(world.erp.booked().len(), 12);
    assert_eq!(world.letters().await, []);
}
