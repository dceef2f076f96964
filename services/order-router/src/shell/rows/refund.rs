//! Rows of `router.refund`.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::AggregateKey;
use store::{Error, Tx};
use uuid::Uuid;

use super::life::sent;
use super::{corrupt, from_sql, parse_key, to_sql};
use crate::core::life::Touched;
use crate::core::{KnownRefund, Life, RefundState, Why};

#[derive(sqlx::FromRow)]
struct Row {
    aggregate: String,
    refund_id: String,
    sequence: i64,
    event: Uuid,
    value: Vec<u8>,
    state: String,
    state_at: Option<DateTime<Utc>>,
    reason: Option<String>,
}

const WAITING: &str = "waiting";
const DROPPED: &str = "dropped";

/// By aggregate, in the order in which they came.
pub(super) async fn load(tx: &mut Tx, keys: impl Iterator<Item = &str>) -> Result<HashMap<AggregateKey, Vec<KnownRefund>>, Error> {
    let sql = "select aggregate, refund_id, sequence, event, value, state, state_at, reason from router.refund
               where aggregate = any($1) order by aggregate, arrived";
    let rows: Vec<Row> = sqlx::query_as(sql).bind(keys.collect::<Vec<_>>()).fetch_all(tx).await?;
    let mut refunds: HashMap<AggregateKey, Vec<KnownRefund>> = HashMap::new();
    for row in rows {
        refunds.entry(parse_key(&row.aggregate)?).or_default().push(row.into_refund()?);
    }
    Ok(refunds)
}

/// New refunds, and new versions of those that are known.
pub(super) async fn save(tx: &mut Tx, lives: &[Life]) -> Result<(), Error> {
    let rows = touched(lives, Touched::Whole);
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "insert into router.refund as r (aggregate, refund_id, sequence, event, value, state, state_at, reason)
               select * from unnest($1::text[], $2::text[], $3::bigint[], $4::uuid[], $5::bytea[], $6::text[], $7::timestamptz[], $8::text[])
               on conflict (aggregate, refund_id) do update set
                   sequence = excluded.sequence, event = excluded.event, value = excluded.value, state = excluded.state,
                   state_at = excluded.state_at, reason = excluded.reason, updated_at = now()
               where r.sequence < excluded.sequence";
    let states = states(&rows);
    sqlx::query(sql)
        .bind(aggregates(&rows))
        .bind(rows.iter().map(|(_, it)| it.id.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, it)| to_sql(it.sequence)).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, it)| it.event).collect::<Vec<_>>())
        .bind(rows.iter().map(|(_, it)| &*it.version).collect::<Vec<_>>())
        .bind(states.0)
        .bind(states.1)
        .bind(states.2)
        .execute(tx)
        .await?;
    Ok(())
}

/// What their order, or an outcome, changed.
pub(super) async fn save_progress(tx: &mut Tx, lives: &[Life]) -> Result<(), Error> {
    let rows = touched(lives, Touched::Progress);
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "update router.refund r set state = n.state, state_at = n.state_at, reason = n.reason, updated_at = now()
               from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::text[]) as n (aggregate, refund_id, state, state_at, reason)
               where r.aggregate = n.aggregate and r.refund_id = n.refund_id";
    let states = states(&rows);
    sqlx::query(sql)
        .bind(aggregates(&rows))
        .bind(rows.iter().map(|(_, it)| it.id.as_str()).collect::<Vec<_>>())
        .bind(states.0)
        .bind(states.1)
        .bind(states.2)
        .execute(tx)
        .await?;
    Ok(())
}

fn touched(lives: &[Life], how: Touched) -> Vec<(&Life, &KnownRefund)> {
    lives.iter().flat_map(|life| life.refunds.iter().map(move |it| (life, it))).filter(|(_, it)| it.touched == how).collect()
}

fn aggregates(rows: &[(&Life, &KnownRefund)]) -> Vec<String> {
    rows.iter().map(|(life, _)| AggregateKey::order(&life.connection, &life.order_id).to_string()).collect()
}

type States = (Vec<&'static str>, Vec<Option<DateTime<Utc>>>, Vec<Option<&'static str>>);

fn states(rows: &[(&Life, &KnownRefund)]) -> States {
    let mut states = States::default();
    for (_, refund) in rows {
        let (state, at, reason) = match refund.state {
            RefundState::Waiting => (WAITING, None, None),
            RefundState::Sent(sent) => (sent.progress.as_str(), sent.at, None),
            RefundState::Dropped(why) => (DROPPED, None, Some(why.as_str())),
        };
        states.0.push(state);
        states.1.push(at);
        states.2.push(reason);
    }
    states
}

impl Row {
    fn into_refund(self) -> Result<KnownRefund, Error> {
        let state = match self.state.as_str() {
            WAITING => RefundState::Waiting,
            DROPPED => {
                let why = self.reason.unwrap_or_default();
                let known = Why::parse(&why).ok_or_else(|| corrupt("router.refund", format!("`{why}` is no reason of this version")))?;
                RefundState::Dropped(known)
            }
            _ => sent(Some(self.state), self.state_at)?.map(RefundState::Sent).expect("there is a state"),
        };
        Ok(KnownRefund {
            id: self.refund_id,
            sequence: from_sql(self.sequence),
            event: self.event,
            version: self.value.into(),
            state,
            touched: Touched::No,
        })
    }
}
