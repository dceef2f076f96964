//! Rows of `router.life`.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use contracts::wire::Wire as _;
use domain::{AggregateKey, Decimal, Order};
use sqlx::types::Json;
use store::{Error, Tx};
use uuid::Uuid;

use super::{Want, corrupt, from_sql, parse_key, to_sql};
use crate::core::life::Touched;
use crate::core::{Life, OrderLife, Placed, Progress, Sent, Stage, Why};

#[derive(sqlx::FromRow)]
struct Row {
    aggregate: String,
    sequence: i64,
    order_value: Vec<u8>,
    stage: String,
    stage_reason: Option<String>,
    waiting_event: Option<Uuid>,
    target: Option<String>,
    rule: Option<String>,
    place_state: Option<String>,
    place_at: Option<DateTime<Utc>>,
    confirm_state: Option<String>,
    confirm_at: Option<DateTime<Utc>>,
    revise_state: Option<String>,
    revise_at: Option<DateTime<Utc>>,
    revise_sequence: Option<i64>,
    cancel_state: Option<String>,
    cancel_at: Option<DateTime<Utc>>,
    unrecorded: Json<BTreeMap<String, Decimal>>,
    erp_id: Option<String>,
    erp_number: Option<String>,
    erp_confirmed: bool,
    failure_code: Option<String>,
}

/// Those that exist, locked.
pub(super) async fn load(tx: &mut Tx, wanted: &BTreeMap<&AggregateKey, Want>) -> Result<HashMap<AggregateKey, Life>, Error> {
    let sql = "select l.aggregate, l.sequence, case when k.whole then l.order_value else ''::bytea end as order_value,
                      l.stage, l.stage_reason, l.waiting_event, l.target, l.rule, l.place_state, l.place_at, l.confirm_state, l.confirm_at,
                      l.revise_state, l.revise_at, l.revise_sequence, l.cancel_state, l.cancel_at, l.unrecorded,
                      l.erp_id, l.erp_number, l.erp_confirmed, l.failure_code
               from router.life l join unnest($1::text[], $2::bool[]) as k (aggregate, whole) on k.aggregate = l.aggregate
               order by l.aggregate for update of l";
    let rows: Vec<Row> = sqlx::query_as(sql)
        .bind(wanted.keys().map(|it| it.as_str()).collect::<Vec<_>>())
        .bind(wanted.values().map(|it| *it == Want::Whole).collect::<Vec<_>>())
        .fetch_all(tx)
        .await?;
    rows.into_iter().map(Row::into_life).collect()
}

/// New lives, and those that a version changed.
pub(super) async fn save(tx: &mut Tx, lives: &[Life]) -> Result<(), Error> {
    let rows = touched(lives, Touched::Whole);
    if rows.is_empty() {
        return Ok(());
    }
    let orders: Vec<Order> =
        rows.iter().map(|(_, it)| Order::decode(&it.version)).collect::<Result<_, _>>().map_err(|error| corrupt("an order", error))?;
    let sql = "insert into router.life as l (aggregate, sequence, order_value, display_number, customer_id, skus, stage, stage_reason, waiting_event,
                   target, rule, place_state, place_at, confirm_state, confirm_at, revise_state, revise_at, revise_sequence, cancel_state, cancel_at,
                   erp_id, erp_number, erp_confirmed, failure_code, unrecorded)
               select aggregate, sequence, order_value, display_number, customer_id, string_to_array(skus, chr(31)), stage, stage_reason, waiting_event,
                   target, rule, place_state, place_at, confirm_state, confirm_at, revise_state, revise_at, revise_sequence, cancel_state, cancel_at,
                   erp_id, erp_number, erp_confirmed, failure_code, unrecorded
               from unnest($1::text[], $2::bigint[], $3::bytea[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::uuid[],
                   $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::text[], $15::timestamptz[], $16::text[], $17::timestamptz[],
                   $18::bigint[], $19::text[], $20::timestamptz[], $21::text[], $22::text[], $23::bool[], $24::text[], $25::jsonb[])
                 as n (aggregate, sequence, order_value, display_number, customer_id, skus, stage, stage_reason, waiting_event,
                   target, rule, place_state, place_at, confirm_state, confirm_at, revise_state, revise_at, revise_sequence, cancel_state, cancel_at,
                   erp_id, erp_number, erp_confirmed, failure_code, unrecorded)
               on conflict (aggregate) do update set
                   sequence = excluded.sequence, order_value = excluded.order_value, display_number = excluded.display_number,
                   customer_id = excluded.customer_id, skus = excluded.skus, stage = excluded.stage, stage_reason = excluded.stage_reason,
                   waiting_event = excluded.waiting_event, target = excluded.target, rule = excluded.rule,
                   place_state = excluded.place_state, place_at = excluded.place_at, confirm_state = excluded.confirm_state,
                   confirm_at = excluded.confirm_at, revise_state = excluded.revise_state, revise_at = excluded.revise_at,
                   revise_sequence = excluded.revise_sequence, cancel_state = excluded.cancel_state, cancel_at = excluded.cancel_at,
                   unrecorded = excluded.unrecorded, updated_at = now()
               where l.sequence < excluded.sequence";
    let columns = Columns::of(&rows);
    sqlx::query(sql)
        .bind(columns.aggregate)
        .bind(columns.sequence)
        .bind(rows.iter().map(|(_, it)| &*it.version).collect::<Vec<_>>())
        .bind(orders.iter().map(|it| it.display_number.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(|it| it.buyer.as_ref().map_or("", |it| it.customer_id.as_str())).collect::<Vec<_>>())
        .bind(orders.iter().map(skus).collect::<Vec<_>>())
        .bind(columns.stage)
        .bind(columns.stage_reason)
        .bind(columns.waiting_event)
        .bind(columns.target)
        .bind(columns.rule)
        .bind(columns.place.0)
        .bind(columns.place.1)
        .bind(columns.confirm.0)
        .bind(columns.confirm.1)
        .bind(columns.revise.0)
        .bind(columns.revise.1)
        .bind(columns.revise_sequence)
        .bind(columns.cancel.0)
        .bind(columns.cancel.1)
        .bind(columns.erp_id)
        .bind(columns.erp_number)
        .bind(columns.erp_confirmed)
        .bind(columns.failure_code)
        .bind(columns.unrecorded)
        .execute(tx)
        .await?;
    Ok(())
}

/// What outcomes changed.
pub(super) async fn save_progress(tx: &mut Tx, lives: &[Life]) -> Result<(), Error> {
    let rows = touched(lives, Touched::Progress);
    if rows.is_empty() {
        return Ok(());
    }
    let sql = "update router.life l set
                   place_state = n.place_state, place_at = n.place_at, confirm_state = n.confirm_state, confirm_at = n.confirm_at,
                   revise_state = n.revise_state, revise_at = n.revise_at, cancel_state = n.cancel_state, cancel_at = n.cancel_at,
                   erp_id = n.erp_id, erp_number = n.erp_number, erp_confirmed = n.erp_confirmed, failure_code = n.failure_code, updated_at = now()
               from unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[], $5::timestamptz[], $6::text[], $7::timestamptz[], $8::text[],
                   $9::timestamptz[], $10::text[], $11::text[], $12::bool[], $13::text[])
                 as n (aggregate, place_state, place_at, confirm_state, confirm_at, revise_state, revise_at, cancel_state, cancel_at,
                   erp_id, erp_number, erp_confirmed, failure_code)
               where l.aggregate = n.aggregate";
    let columns = Columns::of(&rows);
    sqlx::query(sql)
        .bind(columns.aggregate)
        .bind(columns.place.0)
        .bind(columns.place.1)
        .bind(columns.confirm.0)
        .bind(columns.confirm.1)
        .bind(columns.revise.0)
        .bind(columns.revise.1)
        .bind(columns.cancel.0)
        .bind(columns.cancel.1)
        .bind(columns.erp_id)
        .bind(columns.erp_number)
        .bind(columns.erp_confirmed)
        .bind(columns.failure_code)
        .execute(tx)
        .await?;
    Ok(())
}

fn touched(lives: &[Life], how: Touched) -> Vec<(&Life, &OrderLife)> {
    lives.iter().filter_map(|life| Some((life, life.order.as_ref().filter(|it| it.touched == how)?))).collect()
}

/// Without those that appear twice; joined, because a list of lists would arrive as one list.
fn skus(order: &Order) -> String {
    let mut skus: Vec<&str> = order.lines.iter().map(|it| it.sku.as_str()).filter(|it| !it.is_empty()).collect();
    skus.sort_unstable();
    skus.dedup();
    skus.join("\u{1f}")
}

type Steps = (Vec<Option<&'static str>>, Vec<Option<DateTime<Utc>>>);

/// A batch by columns.
#[derive(Default)]
struct Columns<'a> {
    aggregate: Vec<String>,
    sequence: Vec<i64>,
    stage: Vec<&'static str>,
    stage_reason: Vec<Option<&'a str>>,
    waiting_event: Vec<Option<Uuid>>,
    target: Vec<Option<&'a str>>,
    rule: Vec<Option<&'a str>>,
    place: Steps,
    confirm: Steps,
    revise: Steps,
    revise_sequence: Vec<Option<i64>>,
    cancel: Steps,
    erp_id: Vec<Option<&'a str>>,
    erp_number: Vec<Option<&'a str>>,
    erp_confirmed: Vec<bool>,
    failure_code: Vec<Option<&'a str>>,
    unrecorded: Vec<Json<BTreeMap<String, Decimal>>>,
}

impl<'a> Columns<'a> {
    fn of(rows: &[(&'a Life, &'a OrderLife)]) -> Self {
        let mut columns = Self::default();
        for (life, order) in rows {
            columns.push(life, order);
        }
        columns
    }

    fn push(&mut self, life: &Life, order: &'a OrderLife) {
        let (stage, reason, event, placed): (_, Option<&str>, _, _) = match &order.stage {
            Stage::Held { reason, event } => ("held", Some(reason), Some(*event), None),
            Stage::Dropped(why) => ("dropped", Some(why.as_str()), None, None),
            Stage::Placed(placed) => (if placed.cancel.is_some() { "cancelled" } else { "placed" }, None, None, Some(&**placed)),
        };
        self.aggregate.push(AggregateKey::order(&life.connection, &life.order_id).to_string());
        self.sequence.push(to_sql(order.sequence));
        self.stage.push(stage);
        self.stage_reason.push(reason);
        self.waiting_event.push(event);
        self.target.push(placed.map(|it| it.target.as_str()));
        self.rule.push(placed.map(|it| it.rule.as_str()));
        push_step(&mut self.place, placed.map(|it| it.place));
        push_step(&mut self.confirm, placed.and_then(|it| it.confirm));
        push_step(&mut self.revise, placed.and_then(|it| it.revise).map(|it| it.1));
        self.revise_sequence.push(placed.and_then(|it| it.revise).map(|it| to_sql(it.0)));
        push_step(&mut self.cancel, placed.and_then(|it| it.cancel));
        self.erp_id.push(placed.and_then(|it| it.erp_id.as_deref()));
        self.erp_number.push(placed.and_then(|it| it.erp_number.as_deref()));
        self.erp_confirmed.push(placed.is_some_and(|it| it.erp_confirmed));
        self.failure_code.push(placed.and_then(|it| it.failure.as_deref()));
        self.unrecorded.push(Json(placed.map(|it| it.unrecorded.clone()).unwrap_or_default()));
    }
}

fn push_step(steps: &mut Steps, sent: Option<Sent>) {
    steps.0.push(sent.map(|it| it.progress.as_str()));
    steps.1.push(sent.and_then(|it| it.at));
}

impl Row {
    fn into_life(mut self) -> Result<(AggregateKey, Life), Error> {
        let key = parse_key(&self.aggregate)?;
        let connection = key.source().parse().map_err(|error| corrupt("router.life", error))?;
        let mut life = Life::new(connection, key.id());
        let (sequence, version) = (from_sql(self.sequence), std::mem::take(&mut self.order_value).into());
        life.order = Some(OrderLife { sequence, version, stage: self.into_stage()?, touched: Touched::No });
        Ok((key, life))
    }

    fn into_stage(self) -> Result<Stage, Error> {
        let unreadable = |what: String| corrupt("router.life", what);
        match (self.stage.as_str(), self.waiting_event) {
            ("held", Some(event)) => Ok(Stage::Held { reason: self.stage_reason.unwrap_or_default().into(), event }),
            ("dropped", _) => {
                let why = self.stage_reason.unwrap_or_default();
                Why::parse(&why).map(Stage::Dropped).ok_or_else(|| unreadable(format!("`{why}` is no reason of this version")))
            }
            ("placed" | "cancelled", _) => Ok(Stage::Placed(Box::new(self.into_placed()?))),
            (other, _) => Err(unreadable(format!("`{other}` is no stage of this version"))),
        }
    }

    fn into_placed(self) -> Result<Placed, Error> {
        let target = self.target.unwrap_or_default().parse().map_err(|error| corrupt("router.life.target", error))?;
        let revise = sent(self.revise_state, self.revise_at)?;
        Ok(Placed {
            target,
            rule: self.rule.unwrap_or_default(),
            place: sent(self.place_state, self.place_at)?.unwrap_or(Sent::NEW),
            confirm: sent(self.confirm_state, self.confirm_at)?,
            revise: self.revise_sequence.map(from_sql).zip(revise),
            cancel: sent(self.cancel_state, self.cancel_at)?,
            unrecorded: self.unrecorded.0,
            erp_id: self.erp_id,
            erp_number: self.erp_number,
            erp_confirmed: self.erp_confirmed,
            failure: self.failure_code,
        })
    }
}

pub(super) fn sent(state: Option<String>, at: Option<DateTime<Utc>>) -> Result<Option<Sent>, Error> {
    let Some(state) = state else { return Ok(None) };
    match Progress::parse(&state) {
        Some(progress) => Ok(Some(Sent { progress, at })),
        None => Err(corrupt("a command's state", format!("`{state}` is no state of this version"))),
    }
}
