//! The rows of the version guard, for a batch at a time.

use std::collections::{BTreeSet, HashMap};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::EntityRef;
use sqlx::Row as _;
use store::{Error, Tx};

use crate::core::guard::Known;
use crate::shell::reread::{TOLD, TOLD_GONE};

/// An entity as it is stored.
#[derive(Debug, Clone)]
pub struct Stored {
    pub known: Known,
    pub updated_at: DateTime<Utc>,
    /// Its last content, also where it is gone.
    pub body: Bytes,
}

/// The entities of a batch: loaded and locked, changed here, saved together.
#[derive(Debug, Default)]
pub struct Entities {
    stored: HashMap<EntityRef, Stored>,
    /// Those of them that have a row.
    rows: BTreeSet<EntityRef>,
    changed: BTreeSet<EntityRef>,
}

impl Entities {
    /// Locks the rows that are there, in one order for all.
    pub async fn lock(tx: &mut Tx, entities: &BTreeSet<EntityRef>) -> Result<Self, Error> {
        let mut found = Self::default();
        if entities.is_empty() {
            return Ok(found);
        }
        let sql = "select e.source, e.kind, e.id, e.seq, e.source_version, e.updated_at, e.hash, e.body from ingest.entity e
                   join unnest($1::text[], $2::text[], $3::text[]) as i (source, kind, id) using (source, kind, id)
                   order by e.source, e.kind, e.id for update of e";
        let (sources, kinds, ids) = columns(entities.iter());
        for row in sqlx::query(sql).bind(&sources).bind(&kinds).bind(&ids).fetch_all(tx).await? {
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
            let entity = EntityRef::new(connection, kind, text("id")?);
            let body: Vec<u8> = row.try_get("body")?;
            found.rows.insert(entity.clone());
            found.stored.insert(entity, Stored { known, updated_at: row.try_get("updated_at")?, body: body.into() });
        }
        Ok(found)
    }

    pub fn get(&self, entity: &EntityRef) -> Option<&Stored> {
        self.stored.get(entity)
    }

    pub fn put(&mut self, entity: EntityRef, stored: Stored) {
        self.changed.insert(entity.clone());
        self.stored.insert(entity, stored);
    }

    /// Writes what was changed. Rows are locked since they were loaded; an entity that had none may have got one from another
    /// process meanwhile, and then the batch is given up, to be decided again with that row in sight.
    pub async fn save(&self, tx: &mut Tx) -> Result<(), Error> {
        let (old, new): (Vec<_>, Vec<_>) = self.changed.iter().partition(|it| self.rows.contains(*it));
        let insert = "insert into ingest.entity (source, kind, id, seq, source_version, updated_at, hash, body, deleted)
                      select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::bytea[], $8::bytea[], $9::bool[])";
        match self.write(tx, insert, &new).await {
            Err(error) if is_of_another(&error) => return Err(Error::Unavailable(error)),
            written => written?,
        }
        let update = "update ingest.entity e set seq = i.seq, source_version = i.source_version, updated_at = i.updated_at, hash = i.hash,
                        body = i.body, deleted = i.deleted
                      from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::text[], $6::timestamptz[], $7::bytea[], $8::bytea[], $9::bool[])
                        as i (source, kind, id, seq, source_version, updated_at, hash, body, deleted)
                      where e.source = i.source and e.kind = i.kind and e.id = i.id";
        Ok(self.write(tx, update, &old).await?)
    }

    async fn write(&self, tx: &mut Tx, sql: &'static str, entities: &[&EntityRef]) -> Result<(), sqlx::Error> {
        if entities.is_empty() {
            return Ok(());
        }
        let (sources, kinds, ids) = columns(entities.iter().copied());
        let stored: Vec<&Stored> = entities.iter().map(|it| &self.stored[*it]).collect();
        sqlx::query(sql)
            .bind(&sources)
            .bind(&kinds)
            .bind(&ids)
            .bind(stored.iter().map(|it| i64::try_from(it.known.sequence).unwrap_or(i64::MAX)).collect::<Vec<_>>())
            .bind(stored.iter().map(|it| it.known.version.as_str()).collect::<Vec<_>>())
            .bind(stored.iter().map(|it| it.updated_at).collect::<Vec<_>>())
            .bind(stored.iter().map(|it| &it.known.hash[..]).collect::<Vec<_>>())
            .bind(stored.iter().map(|it| &it.body[..]).collect::<Vec<_>>())
            .bind(stored.iter().map(|it| it.known.is_tombstone()).collect::<Vec<_>>())
            .execute(tx)
            .await?;
        Ok(())
    }
}

/// Asks for entities to be read again at their source, because a delivery told of them: before all that sweeps found.
pub async fn request_rereads(tx: &mut Tx, entities: &BTreeSet<EntityRef>, reason: &str) -> Result<(), Error> {
    if entities.is_empty() {
        return Ok(());
    }
    // In the order of the set, so that two batches don't wait for each other. That it is gone is not unsaid by a late delta.
    let sql = "insert into ingest.reread as r (source, kind, id, reason)
               select source, kind, id, $4 from unnest($1::text[], $2::text[], $3::text[]) as i (source, kind, id)
               on conflict (source, kind, id) do update
                 set generation = r.generation + 1, due_at = least(r.due_at, now()), attempts = 0,
                     reason = case when r.reason = any($5) then $6 else excluded.reason end, found_by = null, wanted = null";
    let (sources, kinds, ids) = columns(entities.iter());
    sqlx::query(sql).bind(&sources).bind(&kinds).bind(&ids).bind(reason).bind(TOLD).bind(TOLD_GONE).execute(tx).await?;
    Ok(())
}

fn columns<'a>(entities: impl Iterator<Item = &'a EntityRef>) -> (Vec<&'a str>, Vec<&'static str>, Vec<&'a str>) {
    let (mut sources, mut kinds, mut ids) = (Vec::new(), Vec::new(), Vec::new());
    for entity in entities {
        sources.push(entity.connection.as_str());
        kinds.push(entity.kind.as_str());
        ids.push(entity.id.as_str());
    }
    (sources, kinds, ids)
}

fn is_of_another(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) == Some("entity_pkey")
}

fn corrupt(what: &'static str) -> Error {
    Error::Corrupt { what, source: "it does not parse".into() }
}
