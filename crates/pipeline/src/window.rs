//! Which offsets of one partition are settled, and how far the group's offset may move.

use std::collections::BTreeMap;

/// Delivered offsets in order, each settled or not. Offsets are sparse (transactions, compaction): nothing here counts, it only
/// compares.
#[derive(Debug, Default)]
pub struct Window {
    /// true = settled. Settled ones leave as soon as nothing older is outstanding.
    delivered: BTreeMap<i64, bool>,
    /// The next offset to read when nothing is outstanding.
    next: Option<i64>,
    outstanding: usize,
}

impl Window {
    /// False when this offset is known already (a re-read after a seek): the caller drops the record.
    pub fn deliver(&mut self, offset: i64) -> bool {
        if self.next.is_some_and(|next| offset < next) {
            return false;
        }
        self.next = Some(offset + 1);
        self.delivered.insert(offset, false);
        self.outstanding += 1;
        true
    }

    /// Returns the offset that the group may commit now, if it moved: the lowest outstanding, else last + 1.
    pub fn settle(&mut self, offset: i64) -> Option<i64> {
        let settled = self.delivered.get_mut(&offset)?;
        if std::mem::replace(settled, true) {
            return None;
        }
        self.outstanding -= 1;
        let mut moved = false;
        while let Some(first) = self.delivered.first_entry()
            && *first.get()
        {
            first.remove();
            moved = true;
        }
        if moved { self.watermark() } else { None }
    }

    /// The lowest outstanding offset, else last + 1. `None` before the first delivery.
    pub fn watermark(&self) -> Option<i64> {
        self.delivered.first_key_value().map(|(offset, _)| *offset).or(self.next)
    }

    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Delivered and not yet below the watermark: what a crash now would read again.
    pub fn span(&self) -> usize {
        self.delivered.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_watermark_is_the_lowest_outstanding_not_the_highest_settled() {
        let mut window = Window::default();
        for offset in [5, 6, 9] {
            assert!(window.deliver(offset));
        }
        assert_eq!(window.settle(9), None);
        assert_eq!(window.settle(5), Some(6));
        assert_eq!(window.settle(6), Some(10));
        assert_eq!(window.outstanding(), 0);
    }

    #[test]
    fn an_offset_seen_before_is_refused() {
        let mut window = Window::default();
        assert!(window.deliver(5));
        assert!(!window.deliver(5));
        assert!(!window.deliver(3));
        assert_eq!(window.settle(3), None);
    }

    proptest! {
        /// Whatever the order of settling, no offset at or above the watermark is lost and none below it is outstanding.
        #[test]
        fn never_past_an_outstanding_offset(gaps in prop::collection::vec(1i64..4, 1..60), order in any::<prop::sample::Index>(), picks in prop::collection::vec(any::<prop::sample::Index>(), 60)) {
            let mut window = Window::default();
            let mut offset = order.index(100) as i64;
            let mut open = Vec::new();
            for gap in gaps {
                offset += gap;
                prop_assert!(window.deliver(offset));
                open.push(offset);
            }
            let mut last = window.watermark();
            for pick in picks {
                if open.is_empty() { break; }
                let settled = open.swap_remove(pick.index(open.len()));
                let moved = window.settle(settled);
                let expected = open.iter().min().copied().unwrap_or(offset + 1);
                prop_assert_eq!(window.watermark(), Some(expected));
                prop_assert!(window.watermark() >= last);
                prop_assert_eq!(moved.is_some(), window.watermark() != last);
                last = window.watermark();
            }
        }
    }
}
