//! What is read from a target: how far it was read, and what was last said of each entity.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::{Error, Store, Tx};

/// Where a capture stands. `None`: it has never run.
pub async fn cursor(store: &Store, target: &str, name: &str) -> Result<Option<serde_json::Value>, Error> {
    let sql = "select value from effects.cursor where target = $1 and name = $2";
    Ok(sqlx::query_scalar(sql).bind(target).bind(name).fetch_optional(store.pool()).await?)
}

pub async fn move_cursor(tx: &mut Tx, target: &str, name: &str, value: &serde_json::Value) -> Result<(), Error> {
    let sql = "insert into effects.cursor (target, name, value) values ($1, $2, $3)
               on conflict (target, name) do update set value = excluded.value, updated_at = now()";
    sqlx::query(sql).bind(target).bind(name).bind(value).execute(tx).await?;
    Ok(())
}

/// What was last said of an entity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    pub sequence: u64,
    pub hash: Vec<u8>,
    /// The encoded entity, to tell which fields a later version changes.
    pub body: Vec<u8>,
    pub observed_at: DateTime<Utc>,
    /// The target has it no more.
    pub gone: bool,
}

impl Captured {
    fn of(row: &PgRow) -> Result<Self, Error> {
        let sequence: i64 = row.try_get("seq")?;
        Ok(Self {
            sequence: u64::try_from(sequence).map_err(|error| Error::corrupt("a sequence", error))?,
            hash: row.try_get("hash")?,
            body: row.try_get("body")?,
            observed_at: row.try_get("observed_at")?,
            gone: row.try_get("gone")?,
        })
    }
}

/// Reads and locks what is known of these entities.
pub async fn known(tx: &mut Tx, target: &str, kind: &str, ids: &[&str]) -> Result<HashMap<String, Captured>, Error> {
    let sql = "select id, seq, hash, body, observed_at, gone from effects.captured
               where target = $1 and kind = $2 and id = any($3) order by id for update";
    let rows = sqlx::query(sql).bind(target).bind(kind).bind(ids).fetch_all(tx).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, Captured::of(row)?))).collect()
}

/// The database's time: by it is told what a comparison came by.
pub async fn now(store: &Store) -> Result<DateTime<Utc>, Error> {
    Ok(sqlx::query_scalar("select now()").fetch_one(store.pool()).await?)
}

/// These were there just now.
pub async fn seen(tx: &mut Tx, target: &str, kind: &str, ids: &[&str]) -> Result<(), Error> {
    let sql = "update effects.captured set seen_at = now() where target = $1 and kind = $2 and id = any($3)";
    sqlx::query(sql).bind(target).bind(kind).bind(ids).execute(tx).await?;
    Ok(())
}

/// What nobody has seen since then and is not said to be gone, locked.
pub async fn unseen(tx: &mut Tx, target: &str, kind: &str, since: DateTime<Utc>, limit: i64) -> Result<HashMap<String, Captured>, Error> {
    let sql = "select id, seq, hash, body, observed_at, gone from effects.captured
               where target = $1 and kind = $2 and seen_at < $3 and not gone order by id limit $4 for update";
    let rows = sqlx::query(sql).bind(target).bind(kind).bind(since).bind(limit).fetch_all(tx).await?;
    rows.iter().map(|row| Ok((row.try_get("id")?, Captured::of(row)?))).collect()
}

/// Stores what is said now: each with the sequence after the one before, or none at all.
pub async fn write(tx: &mut Tx, target: &str, kind: &str, captured: &[(&str, &Captured)]) -> Result<(), Error> {
    if captured.is_empty() {
        return Ok(());
    }
    let sql = "insert into effects.captured as c (target, kind, id, seq, hash, body, observed_at, gone)
               select $1, $2, i.*
               from unnest($3::text[], $4::bigint[], $5::bytea[], $6::bytea[], $7::timestamptz[], $8::bool[]) as i (id, seq, hash, body, observed_at, gone)
               on conflict (target, kind, id) do update
                 set seq = excluded.seq, hash = excluded.hash, body = excluded.body, observed_at = excluded.observed_at, gone = excluded.gone,
                   seen_at = now()
                 where c.seq = excluded.seq - 1";
    let written = sqlx::query(sql)
        .bind(target)
        .bind(kind)
        .bind(captured.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| i64::try_from(it.1.sequence).unwrap_or(i64::MAX)).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| it.1.hash.as_slice()).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| it.1.body.as_slice()).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| it.1.observed_at).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| it.1.gone).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    if written.rows_affected() == captured.len() as u64 {
        Ok(())
    } else {
        Err(Error::corrupt("captures", "another process captured the same entities at the same time"))
    }
}
