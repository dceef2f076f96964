//! How many requests are carried out at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::Serialize;

#[derive(Debug, Clone)]
pub(super) struct Gauge(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    max: usize,
    present: AtomicUsize,
    highest: AtomicUsize,
    refused: AtomicUsize,
}

/// How busy the ERP is and was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Load {
    /// Requests that are being carried out. One whose answer is held back by a fault is done.
    pub present: usize,
    /// The most that there were at once, refused ones included.
    pub highest: usize,
    /// Answered 429 because there were too many.
    pub refused: usize,
}

/// A request's place; dropping it frees it.
#[derive(Debug)]
pub(super) struct Slot(Arc<Counts>);

impl Gauge {
    pub(super) fn new(max: Option<usize>) -> Self {
        Self(Arc::new(Counts {
            max: max.unwrap_or(usize::MAX),
            present: AtomicUsize::new(0),
            highest: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }))
    }

    /// `None`: too many are being carried out already.
    pub(super) fn enter(&self) -> Option<Slot> {
        let counts = &self.0;
        let present = counts.present.fetch_add(1, Ordering::SeqCst) + 1;
        counts.highest.fetch_max(present, Ordering::SeqCst);
        let slot = Slot(counts.clone());
        if present <= counts.max {
            return Some(slot);
        }
        counts.refused.fetch_add(1, Ordering::SeqCst);
        None
    }

    pub(super) fn load(&self) -> Load {
        let read = |it: &AtomicUsize| it.load(Ordering::SeqCst);
        Load { present: read(&self.0.present), highest: read(&self.0.highest), refused: read(&self.0.refused) }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.present.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_too_many_is_refused_and_seen() {
        let gauge = Gauge::new(Some(2));
        let (a, b) = (gauge.enter(), gauge.enter());
        assert!(a.is_some() && b.is_some() && gauge.enter().is_none());
        assert_eq!(gauge.load(), Load { present: 2, highest: 3, refused: 1 });
        drop((a, b));
        assert!(gauge.enter().is_some());
        assert_eq!(gauge.load().present, 0);
    }
}
