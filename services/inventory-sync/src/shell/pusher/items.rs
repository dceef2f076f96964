//! Which stock item of the shop a SKU is.

use std::sync::Arc;

use connector::storefront::ShopStock;
use domain::Sku;
use fault::{Class, Fault};
use futures_util::{StreamExt as _, stream};
use sqlx::Row as _;
use store::Error;

use super::shelves::Row;
use super::{AGAIN, Problem, PushError, Pusher};

/// SKUs of one round: those that are known already are not kept waiting for long.
const SKUS_MAX: usize = 32;
const AT_ONCE: usize = 4;

impl Pusher {
    /// Looks up the items of dirty SKUs that have none yet, or an old one. Returns whether there may be more of them. Fails where
    /// the shop answers none of them, or asks for a pause.
    pub(super) async fn resolve_items(&self) -> Result<bool, PushError> {
        let skus = self.skus_without_item().await?;
        let is_full = skus.len() == SKUS_MAX;
        let lookups = stream::iter(skus).map(|sku| look_up(Arc::clone(&self.stock), sku));
        let found: Vec<(String, Result<Vec<String>, Fault>)> = lookups.buffer_unordered(AT_ONCE).collect().await;
        let (mut is_any_answered, mut failed) = (false, None);
        for (sku, items) in found {
            is_any_answered |= items.as_ref().err().is_none_or(super::is_about_the_rows);
            match items {
                Ok(items) => match &items[..] {
                    [item] => self.item_is(&sku, item).await?,
                    [] => self.no_item(&sku, Problem::UnknownSku, "the shop has no variant with this SKU").await?,
                    several => {
                        let detail = format!("{} variants have this SKU: give each its own", several.len());
                        self.no_item(&sku, Problem::AmbiguousSku, &detail).await?;
                    }
                },
                Err(fault) if super::is_about_the_rows(&fault) => self.no_item(&sku, Problem::Refused, &fault.to_string()).await?,
                Err(fault) if fault.class == Class::RateLimited => return Err(fault.into()),
                Err(fault) => {
                    self.look_up_later(&sku).await?;
                    failed = Some(fault);
                }
            }
        }
        match failed {
            Some(fault) if !is_any_answered => Err(fault.into()),
            _ => Ok(is_full),
        }
    }

    async fn look_up_later(&self, sku: &str) -> Result<(), Error> {
        let sql = "with held as (
                     select location from stock.desired where connection = $1 and sku = $2 order by location for update)
                   update stock.desired d set due_at = now() + $3
                   from held where d.connection = $1 and d.sku = $2 and d.location = held.location";
        sqlx::query(sql).bind(self.connection.as_str()).bind(sku).bind(AGAIN).execute(self.store.pool()).await?;
        Ok(())
    }

    /// They are looked up before their next push.
    pub(super) async fn doubt_items(&self, rows: &[&Row]) -> Result<(), Error> {
        if rows.is_empty() {
            return Ok(());
        }
        let sql = "update stock.item set resolved_at = 'epoch' where connection = $1 and sku = any($2)";
        sqlx::query(sql)
            .bind(self.connection.as_str())
            .bind(rows.iter().map(|it| it.sku.as_str()).collect::<Vec<_>>())
            .execute(self.store.pool())
            .await?;
        Ok(())
    }

    async fn skus_without_item(&self) -> Result<Vec<String>, Error> {
        let sql = "select d.sku from stock.desired d left join stock.item i using (connection, sku)
                   where d.connection = $1 and d.location = any($2) and d.generation > d.pushed_generation and d.due_at <= now()
                     and (i.resolved_at is null or i.resolved_at <= now() - $3)
                   group by d.sku order by min(d.due_at), d.sku limit $4";
        let rows = sqlx::query(sql)
            .bind(self.connection.as_str())
            .bind(&self.locations)
            .bind(self.settings.item_age_max)
            .bind(i64::try_from(SKUS_MAX).unwrap_or(i64::MAX))
            .fetch_all(self.store.pool())
            .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }

    /// What was known of another item's level is not known of this one's. Another SKU that was this item is one no more: it is
    /// looked up before its next push.
    async fn item_is(&self, sku: &str, item: &str) -> Result<(), Error> {
        let sql = "with before as (select item from stock.item where connection = $1 and sku = $2),
                   stored as (
                     insert into stock.item (connection, sku, item) values ($1, $2, $3)
                     on conflict (connection, sku) do update set item = excluded.item, resolved_at = now()),
                   doubted as (
                     update stock.item set resolved_at = 'epoch' where connection = $1 and item = $3 and sku <> $2),
                   held as (
                     select location from stock.desired where connection = $1 and sku = $2 order by location for update)
                   update stock.desired d set
                     problem = null, problem_detail = null,
                     shown = case when MOVED then null else shown end, shown_taken = case when MOVED then null else shown_taken end,
                     shown_given = case when MOVED then null else shown_given end, sent = case when MOVED then null else sent end,
                     sent_taken = case when MOVED then null else sent_taken end, sent_given = case when MOVED then null else sent_given end,
                     drift_since = case when MOVED then null else drift_since end,
                     drift_taken = case when MOVED then null else drift_taken end
                   from held where d.connection = $1 and d.sku = $2 and d.location = held.location";
        let sql = sql.replace("MOVED", "exists (select 1 from before where before.item <> $3)");
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.connection.as_str()).bind(sku).bind(item).execute(self.store.pool()).await?;
        Ok(())
    }

    async fn no_item(&self, sku: &str, problem: Problem, detail: &str) -> Result<(), Error> {
        let sql = "with gone as (delete from stock.item where connection = $1 and sku = $2),
                   held as (
                     select location, problem from stock.desired where connection = $1 and sku = $2 order by location for update)
                   update stock.desired d set problem = $3, problem_detail = $4, due_at = now() + $5
                   from held where d.connection = $1 and d.sku = $2 and d.location = held.location
                   returning held.problem is distinct from $3 as is_new";
        let rows = sqlx::query(sql)
            .bind(self.connection.as_str())
            .bind(sku)
            .bind(problem.as_str())
            .bind(detail)
            .bind(self.settings.problem_retry)
            .fetch_all(self.store.pool())
            .await?;
        self.count(problem.as_str(), rows.len());
        if rows.iter().any(|row| row.try_get("is_new").unwrap_or(true)) {
            tracing::warn!(connection = %self.connection, sku, problem = problem.as_str(), detail, "a SKU can't be pushed");
        }
        Ok(())
    }
}

async fn look_up(stock: Arc<dyn ShopStock>, sku: String) -> (String, Result<Vec<String>, Fault>) {
    let found = match Sku::new(sku.as_str()) {
        Ok(it) => stock.items_of(&it).await,
        // None that we store is none.
        Err(_) => Ok(Vec::new()),
    };
    (sku, found)
}
