//! How full the spool is, as far as this instance knows.

use std::sync::atomic::{AtomicI64, Ordering};

/// Bytes in the spool: counted as this instance adds and drains, corrected by what the database says of all instances.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Takes room for a record, before it is written: a burst must not pass the limit together.
    pub fn reserve(&self, size: usize, limit: u64) -> bool {
        let (size, limit) = (bytes(size), i64::try_from(limit).unwrap_or(i64::MAX));
        let fits = |now: i64| now.checked_add(size).filter(|it| *it <= limit);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// It was not written, or it has gone to Kafka.
    pub fn free(&self, size: usize) {
        let freed = |now: i64| Some(now.saturating_sub(bytes(size)).max(0));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, freed).ok();
    }

    pub fn bytes(&self) -> u64 {
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    /// What was there when `counted` was read is replaced by it; what changed since stays on top.
    pub fn correct(&self, before: u64, counted: u64) {
        let signed = |it: u64| i64::try_from(it).unwrap_or(i64::MAX);
        let corrected = |now: i64| Some(now.saturating_add(signed(counted).saturating_sub(signed(before))).max(0));
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, corrected).ok();
    }
}

fn bytes(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_the_last_byte_that_fits() {
        let gauge = Gauge::default();
        assert!(gauge.reserve(60, 100));
        assert!(gauge.reserve(40, 100));
        assert!(!gauge.reserve(1, 100));
        gauge.free(40);
        assert!(gauge.reserve(1, 100));
        assert_eq!(gauge.bytes(), 61);
    }

    #[test]
    fn what_others_wrote_counts_and_what_came_while_counting_is_kept() {
        let gauge = Gauge::default();
        assert!(gauge.reserve(10, 100));
        let before = gauge.bytes();
        assert!(gauge.reserve(5, 100), "while the database counts");
        gauge.correct(before, 90);
        assert_eq!(gauge.bytes(), 95);
        assert!(!gauge.reserve(6, 100));
    }

    #[test]
    fn more_freed_than_was_known_is_empty_and_no_debt() {
        let gauge = Gauge::default();
        gauge.free(50);
        assert_eq!(gauge.bytes(), 0);
        assert!(!gauge.reserve(101, 100));
        assert!(gauge.reserve(100, 100));
    }

    #[test]
    fn a_burst_does_not_pass_the_limit_together() {
        let gauge = Gauge::default();
        let admitted: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..1000).filter(|_| gauge.reserve(1, 3000)).count())).collect();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert_eq!(admitted, 3000);
    }
}
