//! What is done about a failure: the one place that decides between another try, a wait and a letter.

use std::time::{Duration, Instant};

use fault::{Answer, Class, Fault};
use rand::Rng;

#[derive(Debug, Clone)]
pub struct RetrySettings {
    /// Full jitter between zero and this, doubled by each attempt.
    pub backoff_first: Duration,
    pub backoff_cap: Duration,
    /// First wait for something that must appear, quadrupled by each look.
    pub dependency_first: Duration,
    pub dependency_cap: Duration,
    /// Looks for a dependency before the letter; overrides the class table.
    pub dependency_attempts: Option<u32>,
}

impl Default for RetrySettings {
    fn default() -> Self {
        Self {
            backoff_first: Duration::from_millis(200),
            backoff_cap: Duration::from_secs(30),
            dependency_first: Duration::from_secs(1),
            dependency_cap: Duration::from_secs(60),
            dependency_attempts: None,
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
    pub first_failure: Instant,
}

/// `others_pass`: another request or probe on the same lane succeeded after this record's first failure. Without that a key
/// never exhausts its attempts: it may be the target that is ill, and one order an hour against a dead ERP must not die.
pub fn verdict(fault: &Fault, history: History, others_pass: bool, settings: &RetrySettings) -> Verdict {
    let attempts = history.attempts;
    match fault.class.answer() {
        Answer::Letter => Verdict::Letter,
        Answer::OpenCircuit => Verdict::Outage,
        Answer::SlowDown => Verdict::SlowDown(fault.retry_after.unwrap_or(settings.backoff_first)),
        Answer::RetryThenLetter { attempts: max } => {
            let exhausted = attempts >= max && (others_pass || fault.class == Class::Poison);
            if exhausted { Verdict::Letter } else { Verdict::Retry(full_jitter(attempts, settings)) }
        }
        Answer::AwaitThenLetter { attempts: max } => {
            if attempts >= settings.dependency_attempts.unwrap_or(max) {
                return Verdict::Letter;
            }
            let quadrupled = settings.dependency_first.saturating_mul(4_u32.saturating_pow(attempts.saturating_sub(1)));
            Verdict::Retry(quadrupled.min(settings.dependency_cap))
        }
    }
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
        let history = History { attempts, first_failure: Instant::now() };
        verdict(&Fault::new(class, "test", "test"), history, others_pass, &RetrySettings::default())
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
        assert_eq!(after(Class::Transient, 5, true), Verdict::Letter);
        assert!(matches!(after(Class::Transient, 4, true), Verdict::Retry(_)));
        assert!(matches!(after(Class::Transient, 500, false), Verdict::Retry(_)));
    }

    #[test]
    fn our_own_panics_need_no_witness() {
        assert!(matches!(after(Class::Poison, 2, false), Verdict::Retry(_)));
        assert_eq!(after(Class::Poison, 3, false), Verdict::Letter);
    }

    #[test]
    fn the_other_side_says_how_long_to_wait() {
        let mut fault = Fault::new(Class::RateLimited, "throttled", "slow down");
        fault.retry_after = Some(Duration::from_secs(7));
        let history = History { attempts: 1, first_failure: Instant::now() };
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
