//! The SQL of decisions and outputs.

use std::collections::HashMap;

use contracts::ids;
use pipeline::{OutRecord, Position, Record};
use sqlx::Row as _;
use uuid::Uuid;

use super::State;
use crate::letters::Obligation;
use crate::owner::Owner;
use crate::stored::encode_records;
use crate::{Error, Tx};

pub(crate) struct NewDecision<'a> {
    pub(crate) obligation: Obligation,
    pub(crate) record: &'a Record,
    /// `None`: waiting.
    pub(crate) state: Option<State>,
    pub(crate) reason: Option<&'static str>,
    pub(crate) hash: Option<Vec<u8>>,
    pub(crate) outputs: Vec<OutRecord>,
}

/// Whether it is decided, with everything produced.
pub(crate) async fn is_settled(tx: &mut Tx, owner: Owner, group: &str, id: Uuid) -> Result<bool, Error> {
    let sql = owner.sql("select exists (select from {schema}.decision where grp = $1 and ce_id = $2 and outputs is null)");
    Ok(sqlx::query_scalar(sql).bind(group).bind(id).fetch_one(tx).await?)
}

pub(crate) struct Published<'a> {
    pub(crate) id: Uuid,
    /// In the order of the outputs.
    pub(crate) positions: &'a [Position],
}

/// One statement for all of them. A row that exists already stays. Returns whether there was none.
pub(crate) async fn insert(tx: &mut Tx, owner: Owner, group: &str, rows: &[NewDecision<'_>]) -> Result<bool, Error> {
    if rows.is_empty() {
        return Ok(true);
    }
    let sql = owner.sql(
        "insert into {schema}.decision (grp, ce_id, source, kind, aggregate, state, reason, hash, outputs, topic, partition, \"offset\", published_at)
         select $1, i.*, case when i.outputs is null then now() end
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[], $10::text[], $11::int[], $12::bigint[])
           as i (ce_id, source, kind, aggregate, state, reason, hash, outputs, topic, partition, \"offset\")
         on conflict (grp, ce_id) do nothing",
    );
    let column = |of: fn(&NewDecision<'_>) -> String| rows.iter().map(of).collect::<Vec<_>>();
    let inserted = sqlx::query(sql)
        .bind(group)
        .bind(rows.iter().map(|it| it.obligation.id).collect::<Vec<_>>())
        .bind(column(|it| it.obligation.source.clone()))
        .bind(column(|it| it.obligation.kind.clone()))
        .bind(column(|it| it.obligation.aggregate.clone()))
        .bind(column(|it| it.state.map_or("in_flight", State::as_str).to_owned()))
        .bind(rows.iter().map(|it| it.reason).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.hash.as_deref()).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| (!it.outputs.is_empty()).then(|| encode_records(&it.outputs))).collect::<Vec<_>>())
        .bind(column(|it| it.record.partition.topic.to_string()))
        .bind(rows.iter().map(|it| it.record.partition.number).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.record.offset).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(inserted.rows_affected() == rows.len() as u64)
}

/// Clears the bytes of what was produced and notes where it lies. Returns how each obligation ended.
pub(crate) async fn mark_published(
    tx: &mut Tx,
    owner: Owner,
    group: &str,
    published: &[Published<'_>],
) -> Result<HashMap<Uuid, State>, Error> {
    let positions = || published.iter().flat_map(|it| it.positions.iter().enumerate().map(move |(ordinal, at)| (it.id, ordinal, at)));
    let sql = owner.sql(
        "with produced as (
           insert into {schema}.output (out_id, ce_id, grp, topic, partition, \"offset\")
           select i.out_id, i.ce_id, $1, i.topic, i.partition, i.\"offset\"
           from unnest($3::uuid[], $4::uuid[], $5::text[], $6::int[], $7::bigint[]) as i (out_id, ce_id, topic, partition, \"offset\")
           on conflict (out_id) do nothing)
         update {schema}.decision set outputs = null, published_at = now() where grp = $1 and ce_id = any($2) returning ce_id, state",
    );
    let rows = sqlx::query(sql)
        .bind(group)
        .bind(published.iter().map(|it| it.id).collect::<Vec<_>>())
        .bind(positions().map(|(id, ordinal, at)| at.event_id.unwrap_or_else(|| ids::derived(id, group, ordinal))).collect::<Vec<_>>())
        .bind(positions().map(|it| it.0).collect::<Vec<_>>())
        .bind(positions().map(|it| &*it.2.partition.topic).collect::<Vec<_>>())
        .bind(positions().map(|it| it.2.partition.number).collect::<Vec<_>>())
        .bind(positions().map(|it| it.2.offset).collect::<Vec<_>>())
        .fetch_all(tx)
        .await?;
    rows.iter().map(|row| Ok((row.try_get("ce_id")?, state_of(row.try_get("state")?)))).collect()
}

pub(super) fn state_of(state: &str) -> State {
    match state {
        "superseded" => State::Superseded,
        "discarded" => State::Discarded,
        _ => State::Applied,
    }
}

/// Ends the waiting of earlier records of the same group. What they ask for is produced with the record that released them.
pub async fn release(tx: &mut Tx, owner: Owner, group: &str, released: &[(Uuid, State, Option<&str>)]) -> Result<(), Error> {
    if released.is_empty() {
        return Ok(());
    }
    let sql = owner.sql(
        "update {schema}.decision d set state = i.state, reason = i.reason, decided_at = now()
         from unnest($2::uuid[], $3::text[], $4::text[]) as i (ce_id, state, reason)
         where d.grp = $1 and d.ce_id = i.ce_id and d.state = 'in_flight'",
    );
    sqlx::query(sql)
        .bind(group)
        .bind(released.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(released.iter().map(|it| it.1.as_str()).collect::<Vec<_>>())
        .bind(released.iter().map(|it| it.2).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}
