//! Webhooks that the shop loses for good: sweeps and scans have to find what they would have told.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use e2e::Installation;
use sandbox::effects::Kind;

/// When each order of the shop changed last: to be asked when none changes any more. The shop itself names versions by the second.
pub(crate) fn last_changes(it: &Installation) -> HashMap<String, DateTime<Utc>> {
    let log = it.shop.log().effects();
    let changes = log.entries().iter().filter(|it| it.kind == Kind::Applied && it.operation.starts_with("order."));
    changes.filter_map(|it| Some((it.id.clone()?, it.at))).collect()
}

/// How many orders were not seen since they changed last.
pub(crate) async fn not_found(it: &Installation, last_changes: &HashMap<String, DateTime<Utc>>) -> usize {
    let sql = "select id, split_part(source_version, '/', 2)::timestamptz from ingest.entity where kind = 'order'";
    let seen: Vec<(String, DateTime<Utc>)> = sqlx::query_as(sql).fetch_all(it.store.pool()).await.unwrap_or_default();
    let seen: HashMap<String, DateTime<Utc>> = seen.into_iter().collect();
    last_changes.iter().filter(|(id, at)| seen.get(*id).is_none_or(|seen| *seen + LOGGED_WITHIN < **at)).count()
}

/// The log is written a moment after the time that the change's webhook tells.
const LOGGED_WITHIN: TimeDelta = TimeDelta::milliseconds(10);
