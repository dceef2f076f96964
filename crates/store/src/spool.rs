//! What the door took in while Kafka was away.

use std::time::Duration;

use chrono::{DateTime, Utc};
use pipeline::OutRecord;
use sqlx::Row as _;

use crate::stored::{decode_record, encode_record};
use crate::{Error, Store};

/// A spooled record.
#[derive(Debug, Clone)]
pub struct Spooled {
    pub id: i64,
    pub record: OutRecord,
}

/// How much lies there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    pub records: i64,
    pub bytes: i64,
    pub oldest_seconds: i64,
}

/// Durable when it returns.
pub async fn put(store: &Store, instance: &str, record: &OutRecord) -> Result<(), Error> {
    let bytes = encode_record(record);
    sqlx::query("insert into ingest.spool (instance, size, record) values ($1, $2, $3)")
        .bind(instance)
        .bind(i32::try_from(bytes.len()).unwrap_or(i32::MAX))
        .bind(bytes)
        .execute(store.pool())
        .await?;
    Ok(())
}

/// Whether a row could be put: one is, and is gone before anybody sees it. A database that answers may refuse that all the same: it
/// is full, or has become somebody's standby.
pub async fn try_out(store: &Store) -> Result<(), Error> {
    store
        .transaction(|tx| {
            Box::pin(async move {
                let sql = "insert into ingest.spool (instance, size, record) values ('', 0, '') returning id";
                let id: i64 = sqlx::query_scalar(sql).fetch_one(&mut *tx).await?;
                sqlx::query("delete from ingest.spool where id = $1").bind(id).execute(tx).await?;
                Ok(())
            })
        })
        .await
}

/// The oldest of an instance behind that row, in arrival order; 0 is before all.
pub async fn oldest(store: &Store, instance: &str, behind: i64, limit: i64) -> Result<Vec<Spooled>, Error> {
    let sql = "select id, record from ingest.spool where instance = $1 and id > $2 order by id limit $3";
    let rows = sqlx::query(sql).bind(instance).bind(behind).bind(limit).fetch_all(store.pool()).await?;
    rows.iter().map(|row| Ok(Spooled { id: row.try_get("id")?, record: decode_record(row.try_get("record")?)? })).collect()
}

/// They are in Kafka, or durably a letter.
pub async fn remove(store: &Store, ids: &[i64]) -> Result<(), Error> {
    sqlx::query("delete from ingest.spool where id = any($1)").bind(ids).execute(store.pool()).await?;
    Ok(())
}

/// Of one instance, or of all.
pub async fn backlog(store: &Store, instance: Option<&str>) -> Result<Backlog, Error> {
    let sql = "select count(*), coalesce(sum(size), 0)::bigint, coalesce(extract(epoch from now() - min(received_at)), 0)::bigint
               from ingest.spool where $1::text is null or instance = $1";
    let (records, bytes, oldest_seconds) = sqlx::query_as(sql).bind(instance).fetch_one(store.pool()).await?;
    Ok(Backlog { records, bytes, oldest_seconds })
}

/// Of all instances.
pub async fn is_empty(store: &Store) -> Result<bool, Error> {
    Ok(empty_at(store).await?.is_some())
}

/// The time by the database's clock, if nothing is spooled then.
pub async fn empty_at(store: &Store) -> Result<Option<DateTime<Utc>>, Error> {
    Ok(sqlx::query_scalar("select case when not exists (select from ingest.spool) then now() end").fetch_one(store.pool()).await?)
}

/// Rows of instances that are gone, or can't reach Kafka: this one takes them over. Such an instance does not renew its claims.
pub async fn adopt(store: &Store, instance: &str) -> Result<u64, Error> {
    let sql = "update ingest.spool set instance = $1, claimed_until = now() + interval '30 seconds'
               where id in (select id from ingest.spool where instance <> $1 and coalesce(claimed_until, received_at + interval '30 seconds') < now()
                            order by id limit 1000 for update skip locked)";
    Ok(sqlx::query(sql).bind(instance).execute(store.pool()).await?.rows_affected())
}

/// Nobody adopts these while they are on their way.
pub async fn claim(store: &Store, ids: &[i64], time: Duration) -> Result<(), Error> {
    sqlx::query("update ingest.spool set claimed_until = now() + $2 where id = any($1)").bind(ids).bind(time).execute(store.pool()).await?;
    Ok(())
}
