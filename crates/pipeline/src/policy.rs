//! What is done about a failure: the one place that decides between another try, a wait and a letter.

use std::time::{Duration, Instant};

use fault::{Answer, Class, Fault};
use rand::Rng;

#[derive(Debug, Clone)]
pub struct RetrySettings {
    /// Full jitter between zero and this, doubled by each attempt.
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
    /// First wait for something that must appear, quadrupled by each look, while the key waits in memory.
    pub dependency_first: Duration,
    pub dependency_cap: Duration,
    /// Longer waits than this are no waits in memory: the record is put off.
    pub in_place_max: Duration,
    /// First wait of a record that is put off, quadrupled by each.
    pub delay_first: Duration,
    pub delay_cap: Duration,
    /// How often a record is put off before the letter; overrides the class table. Zero: all waits are in memory.
    pub delays: Option<u32>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            backoff_first: Duration::from_millis(200),
            backoff_cap: Duration::from_secs(30),
            dependency_first: Duration::from_secs(1),
            dependency_cap: Duration::from_secs(60),
            in_place_max: Duration::from_secs(10),
            delay_first: Duration::from_secs(30),
            delay_cap: Duration::from_secs(60 * 60),
            delays: None,
        }
    }
}

/// What to do with one record after one failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again after this; the key waits.
    Retry(Duration),
    /// The other side is away: open the circuit, no attempt counted.
    Outage,
    /// Slow the lane down for this long, no attempt counted.
    SlowDown(Duration),
    /// Not soon: keep it as a waiting letter for this long, its key parked behind it.
    PutOff(Duration),
    /// Give it up: a letter, and its key is parked.
    Letter,
    /// It would be a letter, but its partition makes too many: it waits, and no offset passes it.
    Withhold,
}

/// What is known of a record's failures.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// Counted failures, this one included.
    pub attempts: u32,
    /// How often it was put off before it came this time.
    pub delays: u32,
    pub first_failure: Instant,
}

/// `others_pass`: a request of another record did what the same family is for after this record's first failure. Without that a key
/// never exhausts its attempts: it may be the target that is ill, and one order an hour against a dead ERP must not die.
pub fn verdict(fault: &Fault, history: History, others_pass: bool, settings: &RetrySettings) -> Verdict {
    let attempts = history.attempts;
    match fault.class.answer() {
        Answer::Letter => Verdict::Letter,
        Answer::OpenCircuit => Verdict::Outage,
        Answer::SlowDown => Verdict::SlowDown(fault.retry_after.unwrap_or(settings.backoff_first)),
        Answer::RetryThenLetter { attempts: max, delays } => {
            // One that was put off is tried once: it has been tried enough in a row.
            let max = if history.delays > 0 { 1 } else { max };
            let exhausted = attempts >= max && (others_pass || fault.class == Class::Poison);
            if exhausted { put_off(history, delays, settings) } else { Verdict::Retry(full_jitter(attempts, settings)) }
        }
        Answer::AwaitThenLetter { attempts: max, delays } => {
            let wait = quadrupled(settings.dependency_first, attempts, settings.dependency_cap);
            let may_put_off = settings.delays.unwrap_or(delays) > 0;
            let is_over = attempts >= max || (may_put_off && wait > settings.in_place_max);
            if history.delays > 0 || is_over { put_off(history, delays, settings) } else { Verdict::Retry(wait) }
        }
    }
}

/// Once more, or never again.
fn put_off(history: History, max: u32, settings: &RetrySettings) -> Verdict {
    let max = if max == 0 { 0 } else { settings.delays.unwrap_or(max) };
    if history.delays >= max {
        return Verdict::Letter;
    }
    Verdict::PutOff(quadrupled(settings.delay_first, history.delays + 1, settings.delay_cap))
}

fn quadrupled(first: Duration, nth: u32, cap: Duration) -> Duration {
    first.saturating_mul(4_u32.saturating_pow(nth.saturating_sub(1))).min(cap)
}

/// Full jitter: keys that failed together must not come back together.
fn full_jitter(attempts: u32, settings: &RetrySettings) -> Duration {
    let ceiling = settings.backoff_first.saturating_mul(2_u32.saturating_pow(attempts.saturating_sub(1))).min(settings.backoff_cap);
    ceiling.mul_f64(rand::rng().random_range(0.0..=1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(class: Class, attempts: u32, others_pass: bool) -> Verdict {
        later(class, attempts, 0, others_pass)
    }

    fn later(class: Class, attempts: u32, delays: u32, others_pass: bool) -> Verdict {
        let history = History { attempts, delays, first_failure: Instant::now() };
        verdict(&Fault::new(class, "test", "test"), history, others_pass, &RetrySettings::default())
    }

    fn seconds(verdicts: impl Iterator<Item = Verdict>) -> Vec<u64> {
        verdicts.map(|it| if let Verdict::PutOff(wait) = it { wait.as_secs() } else { panic!("{it:?}") }).collect()
    }

    #[test]
    fn what_cannot_pass_becomes_a_letter_at_once() {
        for class in [Class::Decode, Class::Schema, Class::Validation, Class::BusinessRejected, Class::Ambiguous] {
            assert_eq!(after(class, 1, false), Verdict::Letter, "{class}");
        }
    }

    #[test]
    fn an_outage_or_a_bad_secret_never_becomes_a_letter() {
        for class in [Class::Outage, Class::Auth] {
            assert_eq!(after(class, 1_000_000, true), Verdict::Outage, "{class}");
        }
    }

    #[test]
    fn a_key_exhausts_its_attempts_only_while_others_pass() {
        assert_eq!(after(Class::Transient, 5, true), Verdict::PutOff(Duration::from_secs(30)));
        assert!(matches!(after(Class::Transient, 4, true), Verdict::Retry(_)));
        assert!(matches!(after(Class::Transient, 500, false), Verdict::Retry(_)));
    }

    #[test]
    fn our_own_panics_need_no_witness() {
        assert!(matches!(after(Class::Poison, 2, false), Verdict::Retry(_)));
        assert_eq!(after(Class::Poison, 3, false), Verdict::Letter);
    }

    #[test]
    fn what_is_put_off_waits_ever_longer_up_to_an_hour_and_then_is_a_letter() {
        let waits = [30, 120, 480, 1_920, 3_600];
        assert_eq!(seconds((0..5).map(|delays| later(Class::Transient, 5, delays, true))), waits);
        assert_eq!(seconds((0..5).map(|delays| later(Class::DependencyMissing, 5, delays, false))), waits);
        assert_eq!(later(Class::Transient, 1, 5, true), Verdict::Letter);
        assert_eq!(later(Class::DependencyMissing, 1, 5, false), Verdict::Letter);
        assert_eq!(seconds(std::iter::once(later(Class::Transient, 1, 1, true))), [120], "it was tried enough in a row");
        assert!(matches!(later(Class::Transient, 9, 1, false), Verdict::Retry(_)), "an ill target exhausts nothing");
    }

    #[test]
    fn short_waits_for_a_dependency_are_in_memory_and_long_ones_are_not() {
        assert_eq!(after(Class::DependencyMissing, 1, false), Verdict::Retry(Duration::from_secs(1)));
        assert_eq!(after(Class::DependencyMissing, 2, false), Verdict::Retry(Duration::from_secs(4)));
        assert_eq!(after(Class::DependencyMissing, 3, false), Verdict::PutOff(Duration::from_secs(30)));
    }

    #[test]
    fn where_nothing_is_put_off_all_looks_are_in_memory() {
        let settings = RetrySettings { delays: Some(0), ..RetrySettings::default() };
        let after = |attempts| {
            let history = History { attempts, delays: 0, first_failure: Instant::now() };
            verdict(&Fault::new(Class::DependencyMissing, "test", "test"), history, false, &settings)
        };
        assert_eq!(after(4), Verdict::Retry(Duration::from_secs(60)));
        assert_eq!(after(5), Verdict::Letter);
        let patient = RetrySettings { delays: Some(9), ..RetrySettings::default() };
        let history = History { attempts: 3, delays: 0, first_failure: Instant::now() };
        let panicked = verdict(&Fault::new(Class::Poison, "panic", "test"), history, true, &patient);
        assert_eq!(panicked, Verdict::Letter, "what our own code can't do it can't do in an hour");
    }

    #[test]
    fn the_other_side_says_how_long_to_wait() {
        let mut fault = Fault::new(Class::RateLimited, "throttled", "slow down");
        fault.retry_after = Some(Duration::from_secs(7));
        let history = History { attempts: 1, delays: 0, first_failure: Instant::now() };
        assert_eq!(verdict(&fault, history, true, &RetrySettings::default()), Verdict::SlowDown(Duration::from_secs(7)));
    }

    #[test]
    fn back_off_stays_under_its_cap() {
        let settings = RetrySettings::default();
        for attempts in 1..100 {
            assert!(full_jitter(attempts, &settings) <= settings.backoff_cap);
        }
    }
}
