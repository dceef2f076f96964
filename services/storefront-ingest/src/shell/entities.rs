//! The rows of the version guard, for a batch at a time.

use std::collections::HashMap;

use domain::EntityRef;
use sqlx::Row as _;
use store::{Error, Tx};

use crate::core::guard::Known;

/// A row with the entity that it holds.
#[derive(Debug, Clone)]
pub struct Stored {
    pub known: Known,
    pub body: Vec<u8>,
}

/// A version to store.
#[derive(Debug, Clone)]
pub struct Accepted {
    pub entity: EntityRef,
    pub known: Known,
    pub updated_at: chrono::DateTime<chrono::Utc>,
    pub body: Vec<u8>,
    pub deleted: bool,
}

/// Locks the rows that are there, in one order for all.
pub async fn lock(tx: &mut Tx, entities: &[EntityRef]) -> Result<HashMap<EntityRef, Stored>, Error> {
    if entities.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "select e.source, e.kind, e.id, e.seq, e.source_version, e.hash, e.body from ingest.entity e
               join unnest($1::text[], $2::text[], $3::text[]) as i (source, kind, id) using (source, kind, id)
               order by e.source, e.kind, e.id for update of e";
    let (sources, kinds, ids) = columns(entities.iter());
    let rows = sqlx::query(sql).bind(&sources).bind(&kinds).bind(&ids).fetch_all(tx).await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in rows {
        let text = |name| row.try_get::<String, _>(name);
        let hash: Vec<u8> = row.try_get("hash")?;
        let sequence: i64 = row.try_get("seq")?;
        let known = Known {
            sequence: sequence.unsigned_abs(),
            version: text("source_version")?,
            hash: hash.try_into().map_err(|_| corrupt("an entity's hash"))?,
        };
        let connection = text("source")?.parse().map_err(|_| corrupt("an entity's source"))?;
        let kind = text("kind")?.parse().map_err(|_| corrupt("an entity's kind"))?;
        stored.insert(EntityRef::new(connection, kind, text("id")?), Stored { known, body: row.try_get("body")? });
    }
    Ok(stored)
}

/// Writes new versions. A row that somebody else moved since it was looked up gives the whole batch up, to be tried again.
pub async fn save(tx: &mut Tx, accepted: &[Accepted]) -> Result<(), Error> {
    if accepted.is_empty() {
        return Ok(());
    }
    let sql = "insert into ingest.entity as e (source, kind, id, seq, source_version, updated_at, hash, body, deleted)
               select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::bytea[], $8::bytea[], $9::bool[])
               on conflict (source, kind, id) do update set seq = excluded.seq, source_version = excluded.source_version,
                 updated_at = excluded.updated_at, hash = excluded.hash, body = excluded.body, deleted = excluded.deleted
               where e.seq in (excluded.seq, excluded.seq - 1)";
    let (sources, kinds, ids) = columns(accepted.iter().map(|it| &it.entity));
    let written = sqlx::query(sql)
        .bind(&sources)
        .bind(&kinds)
        .bind(&ids)
        .bind(accepted.iter().map(|it| i64::try_from(it.known.sequence).unwrap_or(i64::MAX)).collect::<Vec<_>>())
        .bind(accepted.iter().map(|it| it.known.version.clone()).collect::<Vec<_>>())
        .bind(accepted.iter().map(|it| it.updated_at).collect::<Vec<_>>())
        .bind(accepted.iter().map(|it| it.known.hash.to_vec()).collect::<Vec<_>>())
        .bind(accepted.iter().map(|it| it.body.clone()).collect::<Vec<_>>())
        .bind(accepted.iter().map(|it| it.deleted).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    if written.rows_affected() == accepted.len() as u64 { Ok(()) } else { Err(Error::Unavailable(sqlx::Error::WorkerCrashed)) }
}

/// Asks for entities to be read again at their source.
pub async fn request_rereads(tx: &mut Tx, entities: &[EntityRef], reason: &str) -> Result<(), Error> {
    if entities.is_empty() {
        return Ok(());
    }
    let sql = "insert into ingest.reread as r (source, kind, id, reason)
               select distinct source, kind, id, $4 from unnest($1::text[], $2::text[], $3::text[]) as i (source, kind, id)
               on conflict (source, kind, id) do update set generation = r.generation + 1, due_at = least(r.due_at, now()), attempts = 0";
    let (sources, kinds, ids) = columns(entities.iter());
    sqlx::query(sql).bind(&sources).bind(&kinds).bind(&ids).bind(reason).execute(tx).await?;
    Ok(())
}

fn columns<'a>(entities: impl Iterator<Item = &'a EntityRef>) -> (Vec<String>, Vec<&'static str>, Vec<String>) {
    let (mut sources, mut kinds, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for entity in entities {
        sources.push(entity.connection.to_string());
        kinds.push(entity.kind.as_str());
        ids.push(entity.id.clone());
    }
    (sources, kinds, ids)
}

fn corrupt(what: &'static str) -> Error {
    Error::Corrupt { what, source: "it does not parse".into() }
}
