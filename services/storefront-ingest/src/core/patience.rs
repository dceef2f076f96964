//! How much of a shop may be asked for at once: nothing while it is away or wants to be left alone, one look now and then.

use std::time::{Duration, Instant};

use fault::{Answer, Class, Fault};
use pipeline::circuit::{Circuit, CircuitSettings};

pub struct Patience {
    circuit: Circuit,
    /// The most at once.
    slots: usize,
    /// The shop asked to be left alone until then.
    not_before: Option<Instant>,
}

impl Patience {
    pub fn new(slots: usize) -> Self {
        Self { circuit: Circuit::new(CircuitSettings::default()), slots, not_before: None }
    }

    /// How many may be read now; [`Patience::heard`] is told how they ended, also of none.
    pub fn allows(&mut self, now: Instant) -> usize {
        if self.not_before.is_some_and(|until| now < until) {
            0
        } else if self.circuit.is_open() {
            usize::from(self.circuit.wants_probe(now))
        } else {
            self.circuit.limit(self.slots)
        }
    }

    pub fn heard(&mut self, now: Instant, ends: &[Result<(), Fault>]) {
        let was_open = self.circuit.is_open();
        let mut answers = 0;
        for end in ends {
            answers += usize::from(self.note(now, end.as_ref().err()));
        }
        if was_open {
            self.circuit.probed(answers > 0 && answers == ends.len(), now, self.slots);
        }
    }

    pub fn is_away(&self) -> bool {
        self.circuit.is_away()
    }

    /// Whether the shop was there.
    fn note(&mut self, now: Instant, fault: Option<&Fault>) -> bool {
        match fault.map(|it| (it.class, it.class.answer(), it.retry_after)) {
            Some((_, Answer::OpenCircuit, retry_after)) => self.circuit.open(now, retry_after),
            Some((_, Answer::SlowDown, retry_after)) => {
                let until = now + retry_after.unwrap_or(SLOW_DOWN).min(SLOW_DOWN_MAX);
                self.not_before = self.not_before.max(Some(until));
            }
            Some((Class::Transient, ..)) => self.circuit.failed(now),
            // Whatever it said of this entity.
            Some(_) | None => {
                self.circuit.succeeded(self.slots);
                return true;
            }
        }
        false
    }
}

const SLOW_DOWN: Duration = Duration::from_secs(1);
const SLOW_DOWN_MAX: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(class: Class) -> Result<(), Fault> {
        Err(Fault::new(class, "test", "test"))
    }

    #[test]
    fn a_shop_that_is_away_is_looked_at_by_one_and_comes_back_in_steps() {
        let start = Instant::now();
        let mut patience = Patience::new(16);
        assert_eq!(patience.allows(start), 16);
        patience.heard(start, &[fault(Class::Outage), Ok(()), fault(Class::Outage)]);
        assert!(patience.is_away());
        let (mut now, mut asked) = (start, 0);
        while now < start + Duration::from_secs(10) {
            now += Duration::from_millis(10);
            let allowed = patience.allows(now);
            asked += allowed;
            if allowed > 0 {
                assert_eq!(allowed, 1);
                patience.heard(now, &[fault(Class::Outage)]);
            }
        }
        assert!((60..=120).contains(&asked), "{asked}");
        now += Duration::from_secs(1);
        assert_eq!(patience.allows(now), 1);
        patience.heard(now, &[Ok(())]);
        assert_eq!(patience.allows(now), 4);
        patience.heard(now, &[Ok(()), Ok(()), Ok(()), Ok(())]);
        assert_eq!((patience.allows(now), patience.is_away()), (16, false));
    }

    #[test]
    fn a_look_for_which_nothing_was_due_says_nothing_and_is_not_the_last() {
        let start = Instant::now();
        let mut patience = Patience::new(16);
        patience.heard(start, &[fault(Class::Auth)]);
        let later = start + Duration::from_secs(1);
        assert_eq!((patience.allows(start), patience.allows(later), patience.allows(later)), (0, 1, 0));
        patience.heard(later, &[]);
        assert_eq!((patience.allows(later), patience.allows(later + Duration::from_secs(1))), (0, 1));
    }

    #[test]
    fn a_shop_that_answers_with_an_error_about_an_entity_is_there() {
        let start = Instant::now();
        let mut patience = Patience::new(16);
        patience.heard(start, &[fault(Class::Outage)]);
        let later = start + Duration::from_secs(1);
        assert_eq!(patience.allows(later), 1);
        patience.heard(later, &[fault(Class::Validation)]);
        assert_eq!(patience.allows(later), 4);
    }

    #[test]
    fn a_shop_that_says_how_long_is_left_alone_for_so_long() {
        let start = Instant::now();
        let mut patience = Patience::new(16);
        let mut throttled = Fault::new(Class::RateLimited, "test", "test");
        throttled.retry_after = Some(Duration::from_secs(7));
        patience.heard(start, &[Ok(()), Err(throttled), fault(Class::RateLimited)]);
        assert_eq!(patience.allows(start + Duration::from_millis(6_999)), 0);
        assert_eq!(patience.allows(start + Duration::from_secs(7)), 16);
        assert!(!patience.is_away());
    }

    #[test]
    fn what_a_shop_says_of_one_entity_says_nothing_of_the_shop() {
        let start = Instant::now();
        let mut patience = Patience::new(16);
        for _ in 0..100 {
            patience.heard(start, &[fault(Class::Decode), fault(Class::Validation)]);
        }
        assert_eq!(patience.allows(start), 16);
    }
}
