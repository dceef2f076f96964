//! Stock as the shop shows it: `available` of an item at a location, and what is committed to orders that wait.

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};

use crate::payloads::Article;

/// An item at a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Spot {
    pub(super) item: u64,
    pub(super) location: u64,
}

/// A level of an item at a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShelfLevel {
    pub sku: String,
    pub item: u64,
    pub location: u64,
    /// Below zero when the shop sold more than there was.
    pub available: i64,
    pub committed: i64,
    pub updated_at: DateTime<Utc>,
}

impl ShelfLevel {
    pub fn on_hand(&self) -> i64 {
        self.available + self.committed
    }
}

#[derive(Debug, Default)]
pub(super) struct Shelves {
    levels: BTreeMap<Spot, ShelfLevel>,
}

impl Shelves {
    /// Makes an item stocked at a location; keeps the level if it is already.
    pub(super) fn stock(&mut self, article: &Article, location: u64, available: i64, at: DateTime<Utc>) -> bool {
        let spot = Spot { item: article.inventory_item_id, location };
        if self.levels.contains_key(&spot) {
            return false;
        }
        let level =
            ShelfLevel { sku: article.sku.clone(), item: spot.item, location, available, committed: 0, updated_at: at.trunc_subsecs(0) };
        self.levels.insert(spot, level);
        true
    }

    pub(super) fn level(&self, spot: Spot) -> Option<&ShelfLevel> {
        self.levels.get(&spot)
    }

    pub(super) fn of_item(&self, item: u64) -> impl Iterator<Item = &ShelfLevel> {
        self.levels.range(Spot { item, location: 0 }..=Spot { item, location: u64::MAX }).map(|it| it.1)
    }

    pub(super) fn levels(&self) -> impl Iterator<Item = &ShelfLevel> {
        self.levels.values()
    }

    /// Sets `available`. Returns the level if it changed; `None` also where the item is not stocked.
    pub(super) fn set(&mut self, spot: Spot, available: i64, at: DateTime<Utc>) -> Option<ShelfLevel> {
        let level = self.levels.get_mut(&spot).filter(|it| it.available != available)?;
        level.available = available;
        level.updated_at = at.trunc_subsecs(0);
        Some(level.clone())
    }

    /// Shifts both figures, as an order does: available down, committed up.
    pub(super) fn shift(&mut self, spot: Spot, available: i64, committed: i64, at: DateTime<Utc>) -> Option<ShelfLevel> {
        let level = self.levels.get_mut(&spot)?;
        level.committed += committed;
        let before = level.available;
        level.available += available;
        level.updated_at = at.trunc_subsecs(0);
        (level.available != before).then(|| level.clone())
    }
}
