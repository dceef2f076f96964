//! Rows in memory with Tryton's stamps, indexes that are always right, and a transaction that can be taken back.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};

/// What a table keeps. The index follows every change, also when a transaction is taken back.
pub(super) trait Row: Clone {
    type Index: Default;

    fn enter(&self, _id: i64, _index: &mut Self::Index) {}
    fn leave(&self, _id: i64, _index: &mut Self::Index) {}
}

#[derive(Debug, Clone)]
struct Stored<R> {
    row: R,
    stamps: Stamps,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamps {
    pub(super) created: DateTime<Utc>,
    /// `None` until something is written after the creation.
    pub(super) written: Option<DateTime<Utc>>,
}

impl Stamps {
    pub(super) fn modified(&self) -> DateTime<Utc> {
        self.written.unwrap_or(self.created)
    }
}

pub(super) struct Table<R: Row> {
    rows: BTreeMap<i64, Stored<R>>,
    next: i64,
    pub(super) index: R::Index,
    modified: BTreeSet<(DateTime<Utc>, i64)>,
    /// What the present transaction has touched, as it was before.
    before: BTreeMap<i64, Option<Stored<R>>>,
    now: DateTime<Utc>,
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            next: 1,
            index: R::Index::default(),
            modified: BTreeSet::new(),
            before: BTreeMap::new(),
            now: DateTime::UNIX_EPOCH,
        }
    }
}

impl<R: Row> Table<R> {
    pub(super) fn get(&self, id: i64) -> Option<&R> {
        self.rows.get(&id).map(|it| &it.row)
    }

    /// For ids that come from other rows, which the world keeps valid.
    pub(super) fn row(&self, id: i64) -> &R {
        self.get(id).expect("a row that another row names exists")
    }

    pub(super) fn has(&self, id: i64) -> bool {
        self.rows.contains_key(&id)
    }

    pub(super) fn stamps(&self, id: i64) -> Option<Stamps> {
        self.rows.get(&id).map(|it| it.stamps)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = i64> {
        self.rows.keys().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &R)> {
        self.rows.iter().map(|(id, it)| (*id, &it.row))
    }

    /// Ids of rows that changed at `since` or later.
    pub(super) fn modified_since(&self, since: DateTime<Utc>) -> Vec<i64> {
        self.modified.range((since, i64::MIN)..).map(|(_, id)| *id).collect()
    }

    /// Stamps that the present transaction gives.
    pub(super) fn begin(&mut self, now: DateTime<Utc>) {
        debug_assert!(self.before.is_empty(), "one transaction at a time");
        self.now = now;
    }

    pub(super) fn insert(&mut self, row: R) -> i64 {
        let id = self.next;
        self.next += 1;
        let stamps = Stamps { created: self.now, written: None };
        self.remember(id);
        self.place(id, Some(Stored { row, stamps }));
        id
    }

    /// Changes a row and stamps it.
    pub(super) fn update(&mut self, id: i64, change: impl FnOnce(&mut R)) {
        let Some(mut stored) = self.rows.get(&id).cloned() else { return };
        self.remember(id);
        change(&mut stored.row);
        stored.stamps.written = Some(self.now);
        self.place(id, Some(stored));
    }

    pub(super) fn remove(&mut self, id: i64) {
        if self.has(id) {
            self.remember(id);
            self.place(id, None);
        }
    }

    /// Rows that the present transaction has touched: id, before, after.
    pub(super) fn touched(&self) -> impl Iterator<Item = (i64, Option<&R>, Option<&R>)> {
        self.before.iter().map(|(id, before)| (*id, before.as_ref().map(|it| &it.row), self.get(*id)))
    }

    pub(super) fn commit(&mut self) {
        self.before.clear();
    }

    /// Used up ids stay used up, as in a real database.
    pub(super) fn rollback(&mut self) {
        for (id, before) in std::mem::take(&mut self.before) {
            self.place(id, before);
        }
    }

    fn remember(&mut self, id: i64) {
        if !self.before.contains_key(&id) {
            self.before.insert(id, self.rows.get(&id).cloned());
        }
    }

    fn place(&mut self, id: i64, stored: Option<Stored<R>>) {
        if let Some(old) = self.rows.remove(&id) {
            old.row.leave(id, &mut self.index);
            self.modified.remove(&(old.stamps.modified(), id));
        }
        if let Some(new) = stored {
            new.row.enter(id, &mut self.index);
            self.modified.insert((new.stamps.modified(), id));
            self.rows.insert(id, new);
        }
    }
}

/// An index from a key to the ids that have it.
#[derive(Debug)]
pub(super) struct ByKey<K: Ord>(BTreeMap<K, BTreeSet<i64>>);

impl<K: Ord> Default for ByKey<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> ByKey<K> {
    pub(super) fn add(&mut self, key: K, id: i64) {
        self.0.entry(key).or_default().insert(id);
    }

    pub(super) fn remove(&mut self, key: &K, id: i64) {
        if let Some(ids) = self.0.get_mut(key) {
            ids.remove(&id);
            if ids.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(super) fn get<Q>(&self, key: &Q) -> Vec<i64>
    where
        K: std::borrow::Borrow<Q>,
        Q: Ord + ?Sized,
    {
        self.0.get(key).map(|it| it.iter().copied().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Named(&'static str);

    impl Row for Named {
        type Index = ByKey<&'static str>;

        fn enter(&self, id: i64, index: &mut Self::Index) {
            index.add(self.0, id);
        }

        fn leave(&self, id: i64, index: &mut Self::Index) {
            index.remove(&self.0, id);
        }
    }

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).unwrap()
    }

    #[test]
    fn a_transaction_taken_back_leaves_rows_indexes_and_stamps_as_they_were() {
        let mut table = Table::default();
        table.begin(at(1));
        let (a, b) = (table.insert(Named("a")), table.insert(Named("b")));
        table.commit();

        table.begin(at(2));
        table.update(a, |it| it.0 = "x");
        table.remove(b);
        let c = table.insert(Named("c"));
        assert_eq!(table.touched().count(), 3);
        assert_eq!((table.index.get("x"), table.index.get("b")), (vec![a], vec![]));
        table.rollback();

        assert_eq!(table.iter().collect::<Vec<_>>(), [(a, &Named("a")), (b, &Named("b"))]);
        assert_eq!((table.index.get("a"), table.index.get("c")), (vec![a], vec![]));
        assert!(table.modified_since(at(2)).is_empty());
        table.begin(at(3));
        assert!(table.insert(Named("d")) > c, "ids are not given twice");
    }

    #[test]
    fn the_first_write_stamps_and_moves_a_row_to_the_end_of_the_changes() {
        let mut table = Table::default();
        table.begin(at(1));
        let (a, b) = (table.insert(Named("a")), table.insert(Named("b")));
        table.commit();
        assert_eq!(table.stamps(a), Some(Stamps { created: at(1), written: None }));
        table.begin(at(2));
        table.update(a, |_| {});
        table.commit();
        assert_eq!(table.stamps(a), Some(Stamps { created: at(1), written: Some(at(2)) }));
        assert_eq!(table.modified_since(at(1)), [b, a]);
        assert_eq!(table.modified_since(at(2)), [a]);
    }
}
