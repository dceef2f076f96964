//! Kafka first, the spool while Kafka is away. One instance decides for itself; two may disagree, because order across the two
//! ways is carried by versions and keys.

use std::sync::atomic::{AtomicBool, Ordering};

/// Where the next delivery goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    Kafka,
    Spool,
}

/// Spooling starts at the first time-out: while Kafka is away, each further try would cost its sender the whole budget.
#[derive(Debug, Default)]
pub struct Failover {
    spooling: AtomicBool,
}

impl Failover {
    pub fn route(&self) -> Route {
        if self.spooling.load(Ordering::Acquire) { Route::Spool } else { Route::Kafka }
    }

    /// True if this is news.
    pub fn kafka_failed(&self) -> bool {
        !self.spooling.swap(true, Ordering::AcqRel)
    }

    /// Kafka takes records again, and this instance's spool is empty or can't be asked. True if this is news.
    pub fn kafka_is_back(&self) -> bool {
        self.spooling.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_sends_all_that_follows_to_the_spool_until_kafka_is_back() {
        let failover = Failover::default();
        assert_eq!(failover.route(), Route::Kafka);
        assert!(failover.kafka_failed());
        assert!(!failover.kafka_failed(), "said once");
        assert_eq!(failover.route(), Route::Spool);
        assert!(failover.kafka_is_back());
        assert_eq!(failover.route(), Route::Kafka);
    }
}
