//! Operations and their steps as rows.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use uuid::Uuid;

use super::Findings;
use crate::{Error, Store, Tx};

/// An operation that is asked for.
#[derive(Debug, Clone, Copy)]
pub struct NewEffect<'a> {
    pub op_key: &'a str,
    /// The command's record.
    pub command: Uuid,
    pub aggregate: &'a str,
    pub operation: &'a str,
    pub sequence: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EffectState {
    InFlight,
    Applied,
    Rejected,
}

impl EffectState {
    fn as_str(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Applied => "applied",
            Self::Rejected => "rejected",
        }
    }

    fn parse(state: &str) -> Result<Self, Error> {
        let all = [Self::InFlight, Self::Applied, Self::Rejected];
        all.into_iter().find(|it| it.as_str() == state).ok_or_else(|| Error::corrupt("the state of an effect", state.to_owned()))
    }
}

/// An operation as it stands. Its row is locked until the transaction ends.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    pub state: EffectState,
    /// All that its steps have learned, once it is applied.
    pub findings: Findings,
    pub settled_at: Option<DateTime<Utc>>,
    /// In no order.
    pub steps: Vec<StepRow>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepState {
    /// Certainly not applied; to be sent.
    Pending,
    /// Claimed to be sent; perhaps on the wire.
    InFlight,
    /// Sent, and no answer to rely on.
    Unknown,
    Confirmed,
    Rejected,
}

impl StepState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight => "in_flight",
            Self::Unknown => "unknown",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
        }
    }

    fn parse(state: &str) -> Result<Self, Error> {
        let all = [Self::Pending, Self::InFlight, Self::Unknown, Self::Confirmed, Self::Rejected];
        all.into_iter().find(|it| it.as_str() == state).ok_or_else(|| Error::corrupt("the state of a step", state.to_owned()))
    }
}

/// One step of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    pub step: String,
    pub state: StepState,
    /// Claims so far.
    pub attempt: i32,
    /// The process that claimed it last.
    pub owner: Uuid,
    /// Rises with every claim and with every result: what came of an older claim is void.
    pub fence: i64,
    /// What is left of the claim; zero: nobody is at it. Written, it only says whether a new lease begins.
    pub leased: Duration,
    /// Looks that did not find it since it was last sent or doubted.
    pub looks: i32,
    /// A request of it may have been applied.
    pub in_doubt: bool,
    /// The code of its last failure.
    pub status: Option<String>,
    /// Since it was last written.
    pub idle: Duration,
    pub findings: Findings,
}

impl StepRow {
    /// Before the first claim.
    pub fn new(step: &str) -> Self {
        Self {
            step: step.to_owned(),
            state: StepState::Pending,
            attempt: 0,
            owner: Uuid::nil(),
            fence: 0,
            leased: Duration::ZERO,
            looks: 0,
            in_doubt: false,
            status: None,
            idle: Duration::ZERO,
            findings: Findings::new(),
        }
    }
}

/// Makes the missing ones of `new`, locks the operations `op_keys` and reads them with their steps. Those that nobody ever
/// asked for are not in the answer.
pub async fn open(tx: &mut Tx, target: &str, new: &[NewEffect<'_>], op_keys: &[&str]) -> Result<HashMap<String, Effect>, Error> {
    if !new.is_empty() {
        insert(tx, target, new).await?;
    }
    if op_keys.is_empty() {
        return Ok(HashMap::new());
    }
    // Always in the same order: two batches must not wait for each other.
    let sql =
        "select op_key, state, findings, settled_at from effects.effect where target = $1 and op_key = any($2) order by op_key for update";
    let rows = sqlx::query(sql).bind(target).bind(op_keys).fetch_all(&mut *tx).await?;
    let mut effects = HashMap::with_capacity(rows.len());
    for row in rows {
        let Json(findings) = row.try_get("findings")?;
        let state = EffectState::parse(row.try_get("state")?)?;
        effects.insert(row.try_get("op_key")?, Effect { state, findings, settled_at: row.try_get("settled_at")?, steps: Vec::new() });
    }
    // A statement of its own: it must see what the last holder of the locks has written.
    let sql = "select op_key, step, state, attempt, owner, fence, looks, unknown_since is not null as in_doubt, status, findings,
                      greatest(0, extract(epoch from lease_until - now()))::float8 as leased,
                      greatest(0, extract(epoch from now() - updated_at))::float8 as idle
               from effects.effect_step where target = $1 and op_key = any($2)";
    for row in sqlx::query(sql).bind(target).bind(op_keys).fetch_all(tx).await? {
        let op_key: &str = row.try_get("op_key")?;
        if let Some(effect) = effects.get_mut(op_key) {
            effect.steps.push(step_row(&row)?);
        }
    }
    Ok(effects)
}

async fn insert(tx: &mut Tx, target: &str, new: &[NewEffect<'_>]) -> Result<(), Error> {
    let sql = "insert into effects.effect (target, op_key, ce_id, aggregate, operation, seq, state)
               select $1, i.op_key, i.ce_id, i.aggregate, i.operation, i.seq, 'in_flight'
               from unnest($2::text[], $3::uuid[], $4::text[], $5::text[], $6::bigint[]) as i (op_key, ce_id, aggregate, operation, seq)
               order by i.op_key on conflict (target, op_key) do nothing";
    sqlx::query(sql)
        .bind(target)
        .bind(new.iter().map(|it| it.op_key).collect::<Vec<_>>())
        .bind(new.iter().map(|it| it.command).collect::<Vec<_>>())
        .bind(new.iter().map(|it| it.aggregate).collect::<Vec<_>>())
        .bind(new.iter().map(|it| it.operation).collect::<Vec<_>>())
        .bind(new.iter().map(|it| i64::try_from(it.sequence).unwrap_or(i64::MAX)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

fn step_row(row: &PgRow) -> Result<StepRow, Error> {
    let Json(findings) = row.try_get("findings")?;
    Ok(StepRow {
        step: row.try_get("step")?,
        state: StepState::parse(row.try_get("state")?)?,
        attempt: row.try_get("attempt")?,
        owner: row.try_get("owner")?,
        fence: row.try_get("fence")?,
        leased: Duration::from_secs_f64(row.try_get("leased")?),
        looks: row.try_get("looks")?,
        in_doubt: row.try_get("in_doubt")?,
        status: row.try_get("status")?,
        idle: Duration::from_secs_f64(row.try_get("idle")?),
        findings,
    })
}

/// Writes steps of operations that are open in this transaction, whole. `lease`: for those that are leased.
pub async fn write_steps(tx: &mut Tx, target: &str, lease: Duration, steps: &[(&str, &StepRow)]) -> Result<(), Error> {
    if steps.is_empty() {
        return Ok(());
    }
    let sql = "insert into effects.effect_step as s
                 (target, op_key, step, state, attempt, owner, fence, lease_until, looks, unknown_since, findings, status)
               select $1, i.op_key, i.step, i.state, i.attempt, i.owner, i.fence, case when i.leased then now() + $2 else now() end, i.looks,
                      case when i.in_doubt then now() end, i.findings, i.status
               from unnest($3::text[], $4::text[], $5::text[], $6::int[], $7::uuid[], $8::bigint[], $9::bool[], $10::int[], $11::bool[],
                           $12::jsonb[], $13::text[])
                 as i (op_key, step, state, attempt, owner, fence, leased, looks, in_doubt, findings, status)
               on conflict (target, op_key, step) do update set
                 state = excluded.state, attempt = excluded.attempt, owner = excluded.owner, fence = excluded.fence,
                 lease_until = excluded.lease_until, looks = excluded.looks, findings = excluded.findings, status = excluded.status,
                 unknown_since = case when excluded.unknown_since is not null then coalesce(s.unknown_since, excluded.unknown_since) end,
                 updated_at = now()";
    let rows = || steps.iter().map(|it| it.1);
    sqlx::query(sql)
        .bind(target)
        .bind(lease)
        .bind(steps.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(rows().map(|it| it.step.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|it| it.state.as_str()).collect::<Vec<_>>())
        .bind(rows().map(|it| it.attempt).collect::<Vec<_>>())
        .bind(rows().map(|it| it.owner).collect::<Vec<_>>())
        .bind(rows().map(|it| it.fence).collect::<Vec<_>>())
        .bind(rows().map(|it| !it.leased.is_zero()).collect::<Vec<_>>())
        .bind(rows().map(|it| it.looks).collect::<Vec<_>>())
        .bind(rows().map(|it| it.in_doubt).collect::<Vec<_>>())
        .bind(rows().map(|it| Json(&it.findings)).collect::<Vec<_>>())
        .bind(rows().map(|it| it.status.as_deref()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// An operation's new state.
#[derive(Debug, Clone)]
pub struct Ended<'a> {
    pub op_key: &'a str,
    pub state: EffectState,
    pub findings: &'a Findings,
}

/// Writes new states of operations that are open in this transaction.
pub async fn close(tx: &mut Tx, target: &str, ended: &[Ended<'_>]) -> Result<(), Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let sql =
        "update effects.effect e set state = i.state, findings = i.findings, settled_at = case when i.state <> 'in_flight' then now() end
               from unnest($2::text[], $3::text[], $4::jsonb[]) as i (op_key, state, findings)
               where e.target = $1 and e.op_key = i.op_key";
    sqlx::query(sql)
        .bind(target)
        .bind(ended.iter().map(|it| it.op_key).collect::<Vec<_>>())
        .bind(ended.iter().map(|it| it.state.as_str()).collect::<Vec<_>>())
        .bind(ended.iter().map(|it| Json(it.findings)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// Gives claims (operation key, step, fence) back whose requests were never sent, so that the next owner needs not wait for
/// their leases. The new fence makes sure that they are not answered any more.
pub async fn give_back(store: &Store, target: &str, claims: &[(&str, &str, i64)]) -> Result<u64, Error> {
    let sql = "update effects.effect_step s set lease_until = now(), fence = s.fence + 1, updated_at = now(),
                 state = case when s.state <> 'in_flight' then s.state when s.unknown_since is null then 'pending' else 'unknown' end
               from unnest($2::text[], $3::text[], $4::bigint[]) as i (op_key, step, fence)
               where s.target = $1 and s.op_key = i.op_key and s.step = i.step and s.fence = i.fence and s.lease_until > now()";
    let given = sqlx::query(sql)
        .bind(target)
        .bind(claims.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(claims.iter().map(|it| it.1).collect::<Vec<_>>())
        .bind(claims.iter().map(|it| it.2).collect::<Vec<_>>())
        .execute(store.pool())
        .await?;
    Ok(given.rows_affected())
}
