//! Webhooks that the shop loses for good: sweeps have to find what they would have told.

use std::collections::HashMap;

use e2e::Installation;

/// How many orders of the shop are not known as they are now.
pub(crate) async fn not_found(it: &Installation) -> usize {
    let sql = "select id, extract(epoch from updated_at)::bigint from ingest.entity where kind = 'order'";
    let known: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(it.store.pool()).await.unwrap_or_default();
    let known: HashMap<String, i64> = known.into_iter().collect();
    let is_known = |id: u64, version: i64| known.get(&id.to_string()).is_some_and(|it| *it >= version);
    it.shop.orders().iter().filter(|order| !is_known(order.id, order.updated_at.timestamp())).count()
}
