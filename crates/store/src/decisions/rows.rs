//! The SQL of decisions and outputs.

use std::collections::HashMap;

use contracts::ids;
use pipeline::{OutRecord, Position, Record};
use sqlx::Row as _;
use uuid::Uuid;

use super::State;
use crate::letters::Obligation;
use crate::owner::Owner;
use crate::stored::{decode_records, encode_records};
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

pub(crate) struct Published<'a> {
    pub(crate) id: Uuid,
    /// In the order of the outputs.
    pub(crate) positions: &'a [Position],
}

/// One statement for all of them. A row that exists already stays: a commit whose answer was lost comes again.
pub(crate) async fn insert(tx: &mut Tx, owner: Owner, group: &str, rows: &[NewDecision<'_>]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = owner.sql(
        "insert into {schema}.decision (grp, ce_id, source, kind, aggregate, state, reason, hash, outputs, topic, partition, \"offset\", published_at)
         select $1, i.*, case when i.outputs is null then now() end
         from unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::bytea[], $10::text[], $11::int[], $12::bigint[])
           as i (ce_id, source, kind, aggregate, state, reason, hash, outputs, topic, partition, \"offset\")
         on conflict (grp, ce_id) do nothing",
    );
    let column = |of: fn(&NewDecision<'_>) -> String| rows.iter().map(of).collect::<Vec<_>>();
    sqlx::query(sql)
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
    Ok(())
}

/// Clears the bytes of what was produced and notes where it lies. Returns how each obligation ended.
pub(crate) async fn mark_published(
    tx: &mut Tx,
    owner: Owner,
    group: &str,
    published: &[Published<'_>],
) -> Result<HashMap<Uuid, State>, Error> {
    let ids: Vec<_> = published.iter().map(|it| it.id).collect();
    // The row before the update: `outputs` is what was produced.
    let sql = owner.sql(
        "with before as (select ce_id, outputs from {schema}.decision where grp = $1 and ce_id = any($2) for update)
         update {schema}.decision d set outputs = null, published_at = now()
         from before where d.grp = $1 and d.ce_id = before.ce_id
         returning d.ce_id, d.state, before.outputs",
    );
    let rows = sqlx::query(sql).bind(group).bind(&ids).fetch_all(&mut *tx).await?;
    let mut states = HashMap::with_capacity(rows.len());
    let mut bytes = HashMap::with_capacity(rows.len());
    for row in rows {
        let id: Uuid = row.try_get("ce_id")?;
        let state: &str = row.try_get("state")?;
        states.insert(id, state_of(state));
        if let Some(outputs) = row.try_get::<Option<Vec<u8>>, _>("outputs")? {
            bytes.insert(id, outputs);
        }
    }
    let (mut out_ids, mut of, mut topics, mut partitions, mut offsets) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for it in published {
        // Cleared before: marked by a commit whose answer was lost.
        let Some(outputs) = bytes.get(&it.id) else { continue };
        for (ordinal, (record, position)) in decode_records(outputs)?.iter().zip(it.positions).enumerate() {
            out_ids.push(record.headers.event_id().unwrap_or_else(|| ids::derived(it.id, group, ordinal)));
            of.push(it.id);
            topics.push(position.partition.topic.to_string());
            partitions.push(position.partition.number);
            offsets.push(position.offset);
        }
    }
    if !out_ids.is_empty() {
        let sql = owner.sql(
            "insert into {schema}.output (out_id, ce_id, grp, topic, partition, \"offset\")
             select i.out_id, i.ce_id, $1, i.topic, i.partition, i.\"offset\"
             from unnest($2::uuid[], $3::uuid[], $4::text[], $5::int[], $6::bigint[]) as i (out_id, ce_id, topic, partition, \"offset\")
             on conflict (out_id) do nothing",
        );
        sqlx::query(sql).bind(group).bind(&out_ids).bind(&of).bind(&topics).bind(&partitions).bind(&offsets).execute(tx).await?;
    }
    Ok(states)
}

fn state_of(state: &str) -> State {
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
