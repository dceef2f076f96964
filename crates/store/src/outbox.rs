//! Records born without an input record (captures, what people do with letters): stored with what they follow from, produced in
//! order by one relay per shard.

use pipeline::OutRecord;
use sqlx::Row as _;
use uuid::Uuid;

use crate::stored::{decode_record, encode_record};
use crate::{Error, Store, Tx};

/// One stored record, not yet known to be produced.
#[derive(Debug, Clone)]
pub struct Pending {
    pub id: i64,
    pub record: OutRecord,
    /// Until now, by the database's clock.
    pub waiting_seconds: f64,
}

/// Stores captured records of a target, in the transaction that moves its cursor.
pub async fn insert_captured(tx: &mut Tx, target: &str, records: &[(Uuid, OutRecord)]) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    let sql = "insert into effects.outbox (target, out_id, record)
               select $1, i.out_id, i.record from unnest($2::uuid[], $3::bytea[]) with ordinality as i (out_id, record, n) order by i.n";
    sqlx::query(sql)
        .bind(target)
        .bind(records.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(records.iter().map(|it| encode_record(&it.1)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// Unpublished captures of a target, oldest first. Ids are taken before commits, so a row may appear below ones already
/// produced; each entity's rows are still in order, because their writer holds the entity's row.
pub async fn pending_captured(store: &Store, target: &str, limit: i64) -> Result<Vec<Pending>, Error> {
    let sql = "select id, record, greatest(extract(epoch from now() - created_at), 0)::float8 as waited from effects.outbox
               where target = $1 and published_at is null order by id limit $2";
    let rows = sqlx::query(sql).bind(target).bind(limit).fetch_all(store.pool()).await?;
    rows.iter().map(pending).collect()
}

/// Notes where captures lie, which the account needs, and drops their bytes.
pub async fn mark_captured(tx: &mut Tx, group: &str, produced: &[(i64, pipeline::Position)]) -> Result<(), Error> {
    let sql = "with done as (
                 update effects.outbox o set published_at = now(), record = null
                 from unnest($1::bigint[], $2::text[], $3::int[], $4::bigint[]) as i (id, topic, partition, \"offset\")
                 where o.id = i.id and o.published_at is null returning o.out_id, i.topic, i.partition, i.\"offset\")
               insert into effects.output (out_id, ce_id, grp, topic, partition, \"offset\")
               select out_id, out_id, $5, topic, partition, \"offset\" from done on conflict (out_id) do nothing";
    sqlx::query(sql)
        .bind(produced.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(produced.iter().map(|it| it.1.partition.topic.to_string()).collect::<Vec<_>>())
        .bind(produced.iter().map(|it| it.1.partition.number).collect::<Vec<_>>())
        .bind(produced.iter().map(|it| it.1.offset).collect::<Vec<_>>())
        .bind(group)
        .execute(tx)
        .await?;
    Ok(())
}

/// Unpublished outcomes of replays and discards, oldest first.
pub async fn pending_outcomes(store: &Store, limit: i64) -> Result<Vec<Pending>, Error> {
    let sql = "select id, record, greatest(extract(epoch from now() - created_at), 0)::float8 as waited from letters.outbox
               where published_at is null order by id limit $1";
    let rows = sqlx::query(sql).bind(limit).fetch_all(store.pool()).await?;
    rows.iter().map(pending).collect()
}

fn pending(row: &sqlx::postgres::PgRow) -> Result<Pending, Error> {
    Ok(Pending { id: row.try_get("id")?, record: decode_record(row.try_get("record")?)?, waiting_seconds: row.try_get("waited")? })
}

/// Notes where outcomes lie: their readers have to answer for them.
pub async fn mark_outcomes(store: &Store, produced: &[(i64, pipeline::Position)]) -> Result<(), Error> {
    let sql = "with done as (
                 update letters.outbox o set published_at = now()
                 from unnest($1::bigint[], $2::uuid[], $3::text[], $4::int[], $5::bigint[]) as i (id, out_id, topic, partition, \"offset\")
                 where o.id = i.id and o.published_at is null returning i.out_id, i.topic, i.partition, i.\"offset\")
               insert into letters.output (out_id, ce_id, grp, topic, partition, \"offset\")
               select out_id, out_id, 'dead-letter-replayer', topic, partition, \"offset\" from done where out_id is not null
               on conflict (out_id) do nothing";
    sqlx::query(sql)
        .bind(produced.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(produced.iter().map(|it| it.1.event_id).collect::<Vec<_>>())
        .bind(produced.iter().map(|it| it.1.partition.topic.to_string()).collect::<Vec<_>>())
        .bind(produced.iter().map(|it| it.1.partition.number).collect::<Vec<_>>())
        .bind(produced.iter().map(|it| it.1.offset).collect::<Vec<_>>())
        .execute(store.pool())
        .await?;
    Ok(())
}

/// What is stored for others to hear and is not known to be produced.
#[derive(Debug, Clone, PartialEq)]
pub struct Untold {
    /// `outcomes` of what people did, or `copies` of dead letters.
    pub kind: String,
    pub records: i64,
    /// How long the oldest has been waiting; zero without any.
    pub oldest_seconds: f64,
}

pub async fn untold(store: &Store) -> Result<Vec<Untold>, Error> {
    let sql = "select kind, records, greatest(age, 0)::float8 from (
                 select 1 as n, 'outcomes' as kind, count(*) as records, coalesce(extract(epoch from now() - min(created_at)), 0) as age
                 from letters.outbox where published_at is null
                 union all
                 select 2, 'copies', count(*), coalesce(extract(epoch from now() - min(last_failed_at)), 0)
                 from letters.letter where published_at is null and state = 'dead') u order by n";
    let rows: Vec<(String, i64, f64)> = sqlx::query_as(sql).fetch_all(store.pool()).await?;
    Ok(rows.into_iter().map(|(kind, records, oldest_seconds)| Untold { kind, records, oldest_seconds }).collect())
}
