//! A partition that makes letter after letter stands still.

use super::*;

fn with_breaker(run_max: usize) -> Rig {
    let mut settings = EngineSettings::new("test");
    settings.breaker.run_max = run_max;
    Rig::with(settings)
}

/// Until nothing happens any more.
async fn quiet() {
    tokio::time::sleep(Duration::from_secs(2)).await;
}

#[tokio::test(start_paused = true)]
async fn letter_after_letter_stops_the_partition_until_a_probe_passes() {
    let mut rig = with_breaker(5);
    for index in 0..60 {
        rig.send(&index.to_string(), &format!("bad {index}"));
    }
    quiet().await;
    assert_eq!(rig.world.letters.lock().unwrap().len(), 5, "and not one more");
    assert!(rig.world.paused.lock().unwrap().contains(&0));
    assert_eq!(rig.world.stored.lock().unwrap().get(&0), Some(&5), "the offset stays before what is not settled");
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(rig.world.letters.lock().unwrap().len(), 5, "probes that fail are no letters");

    *rig.world.cured.lock().unwrap() = true;
    rig.until_stored(60).await;
    assert_eq!(rig.world.letters.lock().unwrap().len(), 5);
    assert_eq!(rig.world.acts.lock().unwrap().len(), 55);
    assert!(rig.world.paused.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_comes_after_the_cool_down_and_is_one_record() {
    let mut rig = with_breaker(1);
    rig.send("a", "bad");
    rig.until_stored(1).await;
    for index in 0..9 {
        rig.send(&index.to_string(), &format!("bad {index}"));
    }
    quiet().await;
    for index in 10..20 {
        rig.send(&index.to_string(), &format!("good {index}"));
    }
    tokio::time::sleep(Duration::from_secs(50)).await;
    assert!(rig.world.acts.lock().unwrap().is_empty(), "nothing of it runs");
    rig.until(|world| !world.acts.lock().unwrap().is_empty()).await;
    assert_eq!(rig.world.acts.lock().unwrap().len(), 1, "a good one that nobody had tried, although bad ones lie before it");
    rig.until(|world| world.acts.lock().unwrap().len() == 10).await;
}

#[tokio::test(start_paused = true)]
async fn what_its_target_refuses_is_withheld_as_well() {
    let mut rig = with_breaker(2);
    let refusal = || Fault::new(Class::BusinessRejected, "unknown_item", "no such item");
    for index in 0..8 {
        let value = format!("order {index}");
        rig.world.failures.lock().unwrap().insert(value.clone(), (0..if index == 2 { 2 } else { 1 }).map(|_| refusal()).collect());
        rig.send(&index.to_string(), &value);
    }
    quiet().await;
    assert_eq!(rig.world.letters.lock().unwrap().len(), 2);
    rig.until_stored(8).await;
    assert!(rig.world.paused.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn letters_of_letters_count_for_no_partition_and_are_never_withheld() {
    let mut rig = with_breaker(3);
    rig.send("a", "good");
    rig.until_stored(1).await;
    let letter =
        |index: u128| Record { origin: Origin::Letter(uuid::Uuid::from_u128(index)), ..rig.record(&format!("l{index}"), "bad letter") };
    let letter = |index| Drained { record: letter(index), delays: 0, deaths: 0 };
    *rig.world.due.lock().unwrap() = (0..20).map(letter).collect();
    rig.until(|world| world.letters.lock().unwrap().len() == 20).await;
    assert!(rig.world.paused.lock().unwrap().is_empty());
    rig.send("b", "good as well");
    rig.until_stored(2).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_was_a_letter_before_closes_no_breaker() {
    let mut rig = with_breaker(1);
    rig.send("a", "bad 0");
    rig.send("b", "bad 1");
    quiet().await;
    for index in 0..5 {
        rig.send(&format!("c{index}"), "lettered");
    }
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(rig.world.paused.lock().unwrap().contains(&0));
    assert_eq!(rig.world.letters.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_next_assignment_begins_with_a_closed_breaker_at_once() {
    let mut rig = with_breaker(2);
    for index in 0..5 {
        rig.send(&index.to_string(), &format!("bad {index}"));
    }
    quiet().await;
    let (answer, watermarks) = oneshot::channel();
    let asked = Instant::now();
    rig.events.send(SourceEvent::Revoked { partitions: vec![Partition::new("t", 0)], answer }).unwrap();
    assert_eq!(watermarks.await.unwrap(), [(Partition::new("t", 0), 2)]);
    assert!(asked.elapsed() < Duration::from_secs(1), "nobody waits for what is withheld: {:?}", asked.elapsed());
    *rig.world.cured.lock().unwrap() = true;
    rig.world.paused.lock().unwrap().clear();
    rig.events.send(SourceEvent::Assigned(vec![Partition::new("t", 0)])).unwrap();
    rig.next = 2;
    for index in 2..5 {
        rig.send(&index.to_string(), &format!("bad {index}"));
    }
    let begun = Instant::now();
    rig.until_stored(5).await;
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_what_is_withheld() {
    let mut rig = with_breaker(1);
    for index in 0..5 {
        rig.send(&index.to_string(), &format!("bad {index}"));
    }
    quiet().await;
    rig.stop.cancel();
    assert_eq!(rig.run.await.unwrap(), Ok(Stopped::Drained));
    assert_eq!(rig.world.stored.lock().unwrap().get(&0), Some(&1));
}
