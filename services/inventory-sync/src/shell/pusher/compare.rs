//! The full comparison: everything that was pushed against what the shop shows. What differs is pushed again, by the same way as
//! every other change: an order that we have not heard of yet is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sqlx::Row as _;
use store::Error;
use tokio::time::Instant;

use super::{PushError, Pusher};

/// What a comparison found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    pub levels: usize,
    pub differences: usize,
}

/// The place behind which a comparison goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    location: String,
    sku: String,
}

/// Comparisons at intervals, a page at a time between the pushes.
pub(super) struct Comparison {
    interval: Duration,
    next: Instant,
    at: Option<Place>,
    so_far: Compared,
}

impl Comparison {
    pub(super) fn starting(interval: Duration) -> Self {
        Self { interval, next: Instant::now() + interval, at: None, so_far: Compared::default() }
    }

    /// Returns whether one is under way.
    pub(super) async fn step(&mut self, pusher: &Pusher, now: Instant) -> Result<bool, PushError> {
        if self.at.is_none() && now < self.next {
            return Ok(false);
        }
        let place = self.at.get_or_insert_default();
        let (page, next) = pusher.compare_page(place).await?;
        self.so_far.levels += page.levels;
        self.so_far.differences += page.differences;
        if next.is_none() {
            let Compared { levels, differences } = std::mem::take(&mut self.so_far);
            tracing::debug!(connection = %pusher.connection, levels, differences, "the shop's levels were compared");
            self.next = now + self.interval;
        }
        self.at = next;
        Ok(self.at.is_some())
    }
}

#[derive(Debug)]
struct Known {
    place: Place,
    item: String,
    available: i64,
}

impl Pusher {
    /// Compares everything now.
    pub async fn compare(&self) -> Result<Compared, PushError> {
        let (mut all, mut at) = (Compared::default(), Some(Place::default()));
        while let Some(place) = at {
            let (page, next) = self.compare_page(&place).await?;
            all.levels += page.levels;
            all.differences += page.differences;
            at = next;
        }
        Ok(all)
    }

    pub(super) async fn compare_page(&self, after: &Place) -> Result<(Compared, Option<Place>), PushError> {
        let limit = self.stock.batch_max();
        let known = self.pushed_after(after, limit).await?;
        let next = known.last().filter(|_| known.len() == limit).map(|it| it.place.clone());
        let mut by_location: BTreeMap<&str, Vec<&Known>> = BTreeMap::new();
        for it in &known {
            by_location.entry(&it.place.location).or_default().push(it);
        }
        let mut differing = Vec::new();
        for (location, known) in by_location {
            let items: BTreeSet<&String> = known.iter().map(|it| &it.item).collect();
            let items: Vec<String> = items.into_iter().cloned().collect();
            let shown = match self.stock.levels(location, &items).await {
                Ok(shown) => shown,
                // The same page again could fail again, and keep all behind it from being compared.
                Err(fault) if super::is_about_the_rows(&fault) || super::is_about_the_call(&fault) => {
                    tracing::warn!(connection = %self.connection, location, error = %fault, "levels of a page could not be compared");
                    continue;
                }
                Err(fault) => return Err(fault.into()),
            };
            let shown: BTreeMap<String, i64> = shown.into_iter().map(|it| (it.item, it.available)).collect();
            differing.extend(known.into_iter().filter(|it| shown.get(&it.item) != Some(&it.available)).map(|it| &it.place));
        }
        let differences = self.push_again(&differing).await?;
        if differences > 0 {
            self.metrics.differences(self.connection.as_str(), differences);
        }
        Ok((Compared { levels: known.len(), differences }, next))
    }

    /// In the order of the table's key.
    async fn pushed_after(&self, after: &Place, limit: usize) -> Result<Vec<Known>, Error> {
        let sql = "select d.location, d.sku, i.item, d.available from stock.desired d join stock.item i using (connection, sku)
                   where d.connection = $1 and d.location = any($2) and (d.sku, d.location) > ($3, $4)
                     and d.generation = d.pushed_generation
                   order by d.sku, d.location limit $5";
        let rows = sqlx::query(sql)
            .bind(self.connection.as_str())
            .bind(&self.locations)
            .bind(&after.sku)
            .bind(&after.location)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(self.store.pool())
            .await?;
        let known = |row: &sqlx::postgres::PgRow| {
            let place = Place { location: row.try_get("location")?, sku: row.try_get("sku")? };
            Ok(Known { place, item: row.try_get("item")?, available: row.try_get("available")? })
        };
        rows.iter().map(known).collect()
    }

    /// Under a new generation: the shop remembers the old one's push as done. What has become dirty meanwhile is on its way.
    async fn push_again(&self, places: &[&Place]) -> Result<usize, Error> {
        if places.is_empty() {
            return Ok(0);
        }
        let sql = "with held as (
                     select d.location, d.sku from stock.desired d join unnest($2::text[], $3::text[]) as i (location, sku) using (location, sku)
                     where d.connection = $1 and d.generation = d.pushed_generation order by d.sku, d.location for update of d)
                   update stock.desired d set generation = d.generation + 1, changed_at = now(), dirty_since = now(), due_at = now(), stale = true
                   from held where d.connection = $1 and d.location = held.location and d.sku = held.sku";
        let updated = sqlx::query(sql)
            .bind(self.connection.as_str())
            .bind(places.iter().map(|it| it.location.as_str()).collect::<Vec<_>>())
            .bind(places.iter().map(|it| it.sku.as_str()).collect::<Vec<_>>())
            .execute(self.store.pool())
            .await?;
        Ok(usize::try_from(updated.rows_affected()).unwrap_or(usize::MAX))
    }
}
