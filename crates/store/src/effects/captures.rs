//! What is read from a target: how far it was read, and what was last said of each entity.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::Row as _;

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
}

/// Reads and locks what is known of these entities.
pub async fn known(tx: &mut Tx, target: &str, kind: &str, ids: &[&str]) -> Result<HashMap<String, Captured>, Error> {
    let sql = "select id, seq, hash, body, observed_at from effects.captured
               where target = $1 and kind = $2 and id = any($3) order by id for update";
    let rows = sqlx::query(sql).bind(target).bind(kind).bind(ids).fetch_all(tx).await?;
    let mut known = HashMap::with_capacity(rows.len());
    for row in rows {
        let sequence: i64 = row.try_get("seq")?;
        let captured = Captured {
            sequence: u64::try_from(sequence).map_err(|error| Error::corrupt("a sequence", error))?,
            hash: row.try_get("hash")?,
            body: row.try_get("body")?,
            observed_at: row.try_get("observed_at")?,
        };
        known.insert(row.try_get("id")?, captured);
    }
    Ok(known)
}

/// Stores what is said now: each with the sequence after the one before, or none at all.
pub async fn write(tx: &mut Tx, target: &str, kind: &str, captured: &[(&str, &Captured)]) -> Result<(), Error> {
    if captured.is_empty() {
        return Ok(());
    }
    let sql = "insert into effects.captured as c (target, kind, id, seq, hash, body, observed_at)
               select $1, $2, i.* from unnest($3::text[], $4::bigint[], $5::bytea[], $6::bytea[], $7::timestamptz[]) as i (id, seq, hash, body, observed_at)
               on conflict (target, kind, id) do update
                 set seq = excluded.seq, hash = excluded.hash, body = excluded.body, observed_at = excluded.observed_at
                 where c.seq = excluded.seq - 1";
    let written = sqlx::query(sql)
        .bind(target)
        .bind(kind)
        .bind(captured.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| i64::try_from(it.1.sequence).unwrap_or(i64::MAX)).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| it.1.hash.as_slice()).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| it.1.body.as_slice()).collect::<Vec<_>>())
        .bind(captured.iter().map(|it| it.1.observed_at).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    if written.rows_affected() == captured.len() as u64 {
        Ok(())
    } else {
        Err(Error::corrupt("captures", "another process captured the same entities at the same time"))
    }
}
