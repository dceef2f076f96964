//! `tradewind trace`: one order's way, from the ledgers.

use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use serde::Serialize;
use store::Store;

use crate::args::Trace;
use crate::config::Settings;
use crate::exit;
use crate::print::{Printer, table};

/// Something that happened to the order.
#[derive(Serialize, sqlx::FromRow)]
struct Step {
    at: DateTime<Utc>,
    /// Who says so.
    by: String,
    what: String,
    state: String,
    detail: String,
}

#[derive(Serialize)]
struct Traced {
    key: String,
    number: Option<String>,
    target: Option<String>,
    erp_number: Option<String>,
    stage: Option<String>,
    steps: Vec<Step>,
}

pub(crate) async fn run(args: Trace, settings: &Settings, printer: Printer) -> anyhow::Result<ExitCode> {
    let store = Store::open(&settings.store).await.context("the database can't be reached")?;
    let keys = keys(&store, &args.order).await?;
    let mut traced = Vec::new();
    for key in &keys {
        traced.push(trace(&store, key).await?);
    }
    printer.print(&traced, |all| if all.is_empty() { not_found(&args.order) } else { all.iter().map(text).collect::<Vec<_>>().join("\n") });
    Ok(if traced.is_empty() { exit::NOT_GOOD.into() } else { ExitCode::SUCCESS })
}

fn not_found(order: &str) -> String {
    format!(
        "nothing is known of `{order}`: no delivery, no version, no letter. Was its webhook sent? `tradewind account` shows what is unread."
    )
}

/// By aggregate key, by the shop's id, by either number.
async fn keys(store: &Store, order: &str) -> anyhow::Result<Vec<String>> {
    let sql =
        "select aggregate from router.life where aggregate = $1 or display_number in ($1, '#' || $1) or erp_number = $1 or erp_id = $1
               union select source || '/order/' || id from ingest.entity where kind = 'order'
                 and id in ($1, split_part($1, '/', 3)) and (id = $1 or source || '/order/' || id = $1)
               union select aggregate from letters.letter where aggregate = $1 or aggregate like '%/order/' || $1 order by 1 limit 10";
    Ok(sqlx::query_scalar(sql).bind(order).fetch_all(store.pool()).await.map_err(store::Error::from)?)
}

const STEPS: &str = "
    select d.decided_at as at, d.grp as by, case when d.grp = 'mapper' then 'delivery' else d.kind || ' event' end as what,
           account.state(null, d.state, d.unpublished) as state, coalesce(d.reason, '') as detail
    from account.decision d where d.aggregate = $1
    union all
    select l.first_failed_at, l.grp, 'letter', l.state, coalesce(l.code || ': ' || l.message, '') || ' [' || l.id || ']'
    from letters.letter l where l.aggregate = $1
    union all
    select s.updated_at, e.target, e.operation || ' / ' || s.step, s.state, concat_ws(' ', 'attempt', s.attempt, s.status)
    from effects.effect e join effects.effect_step s using (target, op_key) where e.aggregate = $1
    order by at, by";

async fn trace(store: &Store, key: &str) -> anyhow::Result<Traced> {
    let steps = sqlx::query_as(STEPS).bind(key).fetch_all(store.pool()).await.map_err(store::Error::from)?;
    let life: Option<(String, Option<String>, Option<String>, String)> =
        sqlx::query_as("select display_number, target, erp_number, stage from router.life where aggregate = $1")
            .bind(key)
            .fetch_optional(store.pool())
            .await
            .map_err(store::Error::from)?;
    let (number, target, erp_number, stage) =
        life.map_or((None, None, None, None), |(number, target, erp, stage)| (Some(number), target, erp, Some(stage)));
    Ok(Traced { key: key.to_owned(), number, target, erp_number, stage, steps })
}

fn text(it: &Traced) -> String {
    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
    let head = format!(
        "{}  number {}  stage {}  target {}  ERP number {}\n",
        it.key,
        shown(&it.number),
        shown(&it.stage),
        shown(&it.target),
        shown(&it.erp_number)
    );
    let row = |it: &Step| vec![it.at.format("%T%.3f").to_string(), it.by.clone(), it.what.clone(), it.state.clone(), it.detail.clone()];
    head + &table(&["at", "by", "what", "state", ""], &it.steps.iter().map(row).collect::<Vec<_>>())
}
