//! Targets that ask to be left alone, that refuse a part of what they are asked for, or that a single record brings down.

use super::*;

/// The first request was refused, with this wait; and when.
async fn told_to_wait(class: Class, wait: Duration) -> (Rig, Instant) {
    let mut rig = Rig::start();
    let mut refusal = Fault::new(class, "refused", "not now");
    refusal.retry_after = Some(wait);
    rig.world.failures.lock().unwrap().insert("a0".to_owned(), vec![refusal]);
    rig.send("a", "a0");
    rig.until(|world| world.failures.lock().unwrap()["a0"].is_empty()).await;
    (rig, Instant::now())
}

#[tokio::test(start_paused = true)]
async fn a_target_that_asks_to_slow_down_is_left_alone_for_so_long() {
    let (mut rig, told) = told_to_wait(Class::RateLimited, Duration::from_secs(7)).await;
    rig.send("b", "b0");
    rig.until(|world| !world.acts.lock().unwrap().is_empty()).await;
    assert!(told.elapsed() >= Duration::from_secs(7), "{:?}", told.elapsed());
    rig.until_stored(2).await;
    assert_eq!(*rig.world.probes.lock().unwrap(), 0, "it is not away");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_away_and_says_for_how_long_is_not_even_probed_before() {
    let (rig, told) = told_to_wait(Class::Outage, Duration::from_secs(20)).await;
    rig.until(|world| *world.probes.lock().unwrap() > 0).await;
    assert!(told.elapsed() >= Duration::from_secs(19), "{:?}", told.elapsed());
    rig.until_stored(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_is_a_failed_probe_and_not_the_last() {
    let mut rig = Rig::start();
    *rig.world.away.lock().unwrap() = true;
    *rig.world.probe_panics.lock().unwrap() = 2;
    rig.send("a", "order");
    rig.until(|world| *world.probes.lock().unwrap() > 2).await;
    *rig.world.away.lock().unwrap() = false;
    rig.until_stored(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_brings_its_target_down_does_not_keep_the_others_from_it() {
    let mut rig = Rig::start();
    let down = || Fault::new(Class::Outage, "bad_gateway", "502");
    rig.world.failures.lock().unwrap().insert("heavy".to_owned(), std::iter::repeat_with(down).take(50).collect());
    rig.send("0", "heavy");
    rig.until(|world| *world.probes.lock().unwrap() > 0).await;
    for key in 1..=100 {
        rig.send(&key.to_string(), &format!("light {key}"));
    }
    rig.until(|world| world.acts.lock().unwrap().len() == 100).await;
    let left = rig.world.failures.lock().unwrap()["heavy"].len();
    assert!(left > 35, "it was tried {} times before the others were through", 50 - left);
    rig.until_stored(101).await;
    assert!(rig.world.letters.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_may_not_book_refunds_still_places_orders() {
    let mut settings = EngineSettings::new("test");
    // As the adapter has it: one refund that waits must not be the end of its partition.
    settings.bounds.partition_outstanding_max = 200;
    let mut rig = Rig::with(settings);
    *rig.world.forbidden.lock().unwrap() = true;
    rig.send("refund 0", "refund 0");
    rig.until(|world| *world.probes.lock().unwrap() > 0).await;
    let begun = Instant::now();
    for round in 1..=500 {
        rig.send(&format!("order {round}"), &format!("order {round}"));
        rig.until(|world| world.acts.lock().unwrap().len() == round).await;
        assert!(rig.world.paused.lock().unwrap().is_empty(), "orders are read on");
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "they wait for no probe: {:?}", begun.elapsed());
    for number in 1..250 {
        rig.send(&format!("refund {number}"), &format!("refund {number}"));
    }
    rig.until(|world| world.paused.lock().unwrap().contains(&0)).await;
    *rig.world.forbidden.lock().unwrap() = false;
    rig.until_stored(rig.next).await;
    assert!(rig.world.paused.lock().unwrap().is_empty() && rig.world.letters.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_long_is_read_no_further_and_orders_among_it_still_go() {
    let mut rig = Rig::start();
    *rig.world.forbidden.lock().unwrap() = true;
    for number in 0..1_200 {
        rig.send(&format!("refund {number}"), &format!("refund {number}"));
    }
    rig.until(|world| world.paused.lock().unwrap().contains(&0)).await;
    // It stays so while probes pass and refunds do not.
    for _ in 0..200 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(rig.world.paused.lock().unwrap().contains(&0));
    }
    rig.send("order", "order");
    rig.until(|world| *world.acts.lock().unwrap() == ["order"]).await;
    *rig.world.forbidden.lock().unwrap() = false;
    rig.until_stored(rig.next).await;
    assert!(rig.world.paused.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_goes_takes_along_what_waits_in_vain() {
    let mut rig = Rig::start();
    *rig.world.forbidden.lock().unwrap() = true;
    rig.events.send(SourceEvent::Assigned(vec![Partition::new("t", 1)])).unwrap();
    for number in 0..1_200 {
        rig.send(&format!("refund {number}"), &format!("refund {number}"));
    }
    rig.until(|world| world.paused.lock().unwrap().contains(&1)).await;
    // By then it is looked for every quarter of a minute.
    tokio::time::sleep(Duration::from_secs(600)).await;
    let probes = *rig.world.probes.lock().unwrap();
    rig.until(|world| *world.probes.lock().unwrap() > probes).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (answer, watermarks) = oneshot::channel();
    rig.events.send(SourceEvent::Revoked { partitions: vec![Partition::new("t", 0)], answer }).unwrap();
    watermarks.await.unwrap();
    let gone = Instant::now();
    rig.until(|world| !world.paused.lock().unwrap().contains(&1)).await;
    assert!(gone.elapsed() < Duration::from_secs(5), "it waits for no probe: {:?}", gone.elapsed());
}

/// Whoever polls has waited long enough, the group gives the partition back, and the engine hears of both late.
#[tokio::test(start_paused = true)]
async fn a_partition_that_comes_back_before_it_has_gone_is_read_on() {
    let mut rig = Rig::start();
    *rig.world.act_takes.lock().unwrap() = Duration::from_secs(30);
    rig.send("a", "a0");
    rig.until(|world| world.on_the_wire.lock().unwrap().0 == 1).await;
    let (answer, _given_up) = oneshot::channel();
    rig.events.send(SourceEvent::Revoked { partitions: vec![Partition::new("t", 0)], answer }).unwrap();
    rig.events.send(SourceEvent::Assigned(vec![Partition::new("t", 0)])).unwrap();
    rig.next = 0;
    rig.send("a", "a0");
    rig.send("a", "a1");
    rig.until_stored(2).await;
}

#[tokio::test(start_paused = true)]
async fn letters_that_are_refused_leave_room_for_others() {
    let rig = Rig::start();
    *rig.world.forbidden.lock().unwrap() = true;
    let letter = |number: u128, value: &str| {
        let record = Record { origin: Origin::Letter(uuid::Uuid::from_u128(number)), ..rig.record(value, value) };
        Drained { record, delays: 0, deaths: 0 }
    };
    *rig.world.due.lock().unwrap() = (0..300).map(|it| letter(it, &format!("refund {it}"))).collect();
    rig.until(|world| *world.probes.lock().unwrap() > 3).await;
    *rig.world.due.lock().unwrap() = vec![letter(300, "order")];
    rig.until(|world| *world.acts.lock().unwrap() == ["order"]).await;
}

#[tokio::test(start_paused = true)]
async fn letters_stay_claimed_while_their_target_is_away() {
    let world = Arc::new(World::default());
    *world.away.lock().unwrap() = true;
    let mut rig = Rig::over(Arc::clone(&world), EngineSettings::new("test"));
    rig.send("a", "order");
    rig.until(|world| *world.renewed.lock().unwrap() > 5).await;
}

/// A record that fails 20 times, before these.
async fn ill_for(value: &str, others: impl Iterator<Item = String>) -> Rig {
    let mut rig = Rig::start();
    let ill = || Fault::new(Class::Transient, "http_500", "internal error");
    rig.world.failures.lock().unwrap().insert("order".to_owned(), std::iter::repeat_with(ill).take(20).collect());
    rig.send("a", value);
    for (number, other) in others.enumerate() {
        rig.send(&format!("other {}", number % 3), &other);
    }
    rig.until_stored(rig.next).await;
    assert!(rig.world.letters.lock().unwrap().is_empty());
    rig
}

#[tokio::test(start_paused = true)]
async fn one_order_an_hour_against_an_ill_target_is_not_given_up() {
    let rig = ill_for("order", std::iter::empty()).await;
    assert!(*rig.world.probes.lock().unwrap() > 0, "which pass");
    assert!(rig.world.waiting.lock().unwrap().is_empty());
    assert_eq!(*rig.world.acts.lock().unwrap(), ["order"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_keeps_failing_while_others_pass_is_put_off() {
    let rig = ill_for("order", (0..400).map(|it| format!("fine {it}"))).await;
    assert_eq!(*rig.world.waiting.lock().unwrap(), [("order".to_owned(), Duration::from_secs(30))]);
}

/// It shows what it has, and fails at all that it is to write.
#[tokio::test(start_paused = true)]
async fn looks_that_pass_are_no_witness_against_what_fails() {
    let rig = ill_for("order", (0..400).map(|it| format!("look {it}"))).await;
    assert!(rig.world.waiting.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_record_did_before_is_no_witness_against_what_it_fails_at() {
    let rig = ill_for("customer then order", std::iter::empty()).await;
    assert!(rig.world.waiting.lock().unwrap().is_empty());
}
