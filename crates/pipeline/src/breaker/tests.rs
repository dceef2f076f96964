use proptest::prelude::*;

use super::*;

fn small() -> BreakerSettings {
    BreakerSettings { run_max: 3, window: 10, ..BreakerSettings::default() }
}

fn opened(now: Instant) -> Breaker {
    let mut breaker = Breaker::new(small());
    for arrival in 0..3 {
        assert_eq!(breaker.ask(arrival, now), Permit::Granted);
    }
    assert_eq!(breaker.ask(3, now), Permit::Opened);
    breaker
}

#[test]
fn letters_in_a_row_open_it_and_no_further_one_is_granted() {
    let now = Instant::now();
    let mut breaker = opened(now);
    assert_eq!(breaker.ask(4, now), Permit::Refused);
    assert!(!breaker.settled(5), "a good one that was under way closes nothing");
    assert!(breaker.is_open());
}

#[test]
fn a_good_record_between_letters_begins_the_row_anew() {
    let now = Instant::now();
    let mut breaker = Breaker::new(BreakerSettings { share_max: 1.0, ..small() });
    for arrival in 0..100 {
        if arrival % 3 == 2 {
            breaker.settled(arrival);
        } else {
            assert_eq!(breaker.ask(arrival, now), Permit::Granted, "{arrival}");
        }
    }
}

#[test]
fn more_than_half_of_a_full_window_opens_it_and_half_does_not() {
    let now = Instant::now();
    let mut half = Breaker::new(small());
    for arrival in 0..100 {
        if arrival % 2 == 0 {
            half.settled(arrival);
        } else {
            assert_eq!(half.ask(arrival, now), Permit::Granted, "{arrival}");
        }
    }
    let mut more = Breaker::new(small());
    let mut answers = (0..100).filter_map(|arrival| {
        if arrival % 3 == 0 {
            more.settled(arrival);
            return None;
        }
        Some((arrival, more.ask(arrival, now)))
    });
    assert_eq!(answers.find(|it| it.1 != Permit::Granted), Some((10, Permit::Opened)), "as soon as the window is full");
}

#[test]
fn only_the_probe_closes_it_and_each_that_fails_doubles_the_wait_up_to_the_cap() {
    let mut now = Instant::now();
    let mut breaker = opened(now);
    let mut waits = Vec::new();
    for round in 0..7 {
        let due = breaker.next_probe().unwrap();
        assert!(!breaker.wants_probe(due - Duration::from_millis(1)));
        assert!(breaker.wants_probe(due));
        waits.push((due - now).as_secs());
        now = due;
        breaker.probe(round);
        assert!(!breaker.wants_probe(now), "one at a time");
        assert_eq!(breaker.ask(99, now), Permit::Refused, "another one is not the probe");
        assert_eq!(breaker.next_probe(), None);
        assert_eq!(breaker.ask(round, now), Permit::Refused);
    }
    assert_eq!(waits, [60, 120, 240, 480, 900, 900, 900]);
    breaker.probe(7);
    assert!(breaker.settled(7));
    assert!(!breaker.is_open());
    assert_eq!(breaker.ask(8, now), Permit::Granted);
}

#[test]
fn one_that_opens_again_soon_waits_longer_and_a_quiet_window_forgives() {
    let now = Instant::now();
    let mut breaker = opened(now);
    breaker.probe(4);
    breaker.settled(4);
    for arrival in 5..8 {
        breaker.ask(arrival, now);
    }
    assert_eq!(breaker.ask(8, now), Permit::Opened);
    assert_eq!(breaker.next_probe(), Some(now + Duration::from_secs(120)));
    breaker.probe(8);
    breaker.settled(8);
    for arrival in 9..20 {
        breaker.settled(arrival);
    }
    for arrival in 20..23 {
        breaker.ask(arrival, now);
    }
    assert_eq!(breaker.ask(23, now), Permit::Opened);
    assert_eq!(breaker.next_probe(), Some(now + Duration::from_secs(60)));
}

#[test]
fn a_probe_that_was_a_letter_already_is_replaced_at_once() {
    let now = Instant::now();
    let mut breaker = opened(now);
    breaker.probe(4);
    breaker.passed_over(5, now);
    assert!(!breaker.wants_probe(now));
    breaker.passed_over(4, now);
    assert!(breaker.is_open() && breaker.wants_probe(now));
}

#[test]
fn settings_that_would_never_let_a_letter_through_are_refused() {
    assert!(BreakerSettings::default().problems("breaker").is_empty());
    let bad = BreakerSettings { run_max: 0, share_max: 0.0, cooldown_first: Duration::ZERO, ..BreakerSettings::default() };
    assert_eq!(bad.problems("breaker").len(), 3);
    assert_eq!(BreakerSettings { share_max: f64::NAN, ..BreakerSettings::default() }.problems("breaker").len(), 1);
}

proptest! {
    /// Whatever happens, never more than the run's limit in a row, never a letter while it is open, and a probe always comes.
    #[test]
    fn letters_never_run_away(steps in prop::collection::vec((any::<bool>(), 0u64..120), 1..400)) {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(small());
        let (mut in_a_row, mut probe) = (0, None);
        for (arrival, (is_bad, seconds)) in (0u64..).zip(steps) {
            now += Duration::from_secs(seconds);
            if breaker.wants_probe(now) {
                breaker.probe(arrival);
                probe = Some(arrival);
            }
            let was_open = breaker.is_open();
            if is_bad {
                let permit = breaker.ask(arrival, now);
                prop_assert!(!was_open || permit == Permit::Refused);
                in_a_row = if permit == Permit::Granted { in_a_row + 1 } else { in_a_row };
                prop_assert!(in_a_row <= 3);
            } else {
                let closed = breaker.settled(arrival);
                prop_assert_eq!(closed, was_open && probe == Some(arrival));
                if !was_open || closed { in_a_row = 0; }
            }
            prop_assert!(!breaker.is_open() || breaker.next_probe().is_none_or(|at| at <= now + Duration::from_secs(900)));
        }
    }
}
