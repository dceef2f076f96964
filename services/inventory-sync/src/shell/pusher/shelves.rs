//! The rows of what a shop shall show, as its pusher reads and writes them. Only the pusher writes these columns.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::Decimal;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use store::Error;

use super::{Problem, Pusher};
use crate::core::push::{Base, Doubt, Shelf};

/// A level to push.
#[derive(Clone)]
pub(super) struct Row {
    pub(super) location: String,
    pub(super) sku: String,
    pub(super) item: String,
    pub(super) generation: i64,
    pub(super) shelf: Shelf,
    pub(super) problem: Option<String>,
    /// By the database's clock, which all processes share.
    pub(super) now: DateTime<Utc>,
}

/// A level that is pushed.
pub(super) struct Sent {
    pub(super) row: Row,
    pub(super) expected: i64,
    /// What it replaces can't be explained.
    pub(super) drift: bool,
    /// Pieces that may be in orders that we have not heard of: they are kept back.
    pub(super) missing: Decimal,
}

impl Sent {
    pub(super) fn level(&self) -> i64 {
        self.row.shelf.less(self.missing)
    }

    pub(super) fn is_whole(&self) -> bool {
        self.missing.is_zero()
    }
}

/// A level that is looked at again.
pub(super) struct Waiting {
    pub(super) row: Row,
    pub(super) doubt: Doubt,
    pub(super) until: DateTime<Utc>,
}

pub(super) async fn due(pusher: &Pusher, limit: usize) -> Result<Vec<Row>, Error> {
    let sql = "select d.*, i.item, now() as now from stock.desired d join stock.item i using (connection, sku)
               where d.connection = $1 and d.location = any($2) and d.generation > d.pushed_generation and d.due_at <= now()
                 and i.resolved_at > now() - $3
               order by d.due_at, d.sku limit $4";
    let rows = sqlx::query(sql)
        .bind(pusher.connection.as_str())
        .bind(&pusher.locations)
        .bind(pusher.settings.item_age_max)
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(pusher.store.pool())
        .await?;
    rows.iter().map(|it| row(it, pusher.locations.len() == 1)).collect()
}

fn row(row: &PgRow, sole: bool) -> Result<Row, Error> {
    let base = |level: &str, taken: &str, given: &str| -> Result<Option<Base>, Error> {
        let Some(level) = row.try_get(level)? else { return Ok(None) };
        Ok(Some(Base { level, taken: row.try_get(taken)?, given: row.try_get(given)? }))
    };
    let shelf = Shelf {
        available: row.try_get("available")?,
        taken: row.try_get("taken")?,
        given: row.try_get("given")?,
        shown: base("shown", "shown_taken", "shown_given")?,
        sent: base("sent", "sent_taken", "sent_given")?,
        stale: row.try_get("stale")?,
        sole,
        doubt: doubt(row)?,
    };
    Ok(Row {
        location: row.try_get("location")?,
        sku: row.try_get("sku")?,
        item: row.try_get("item")?,
        generation: row.try_get("generation")?,
        shelf,
        problem: row.try_get("problem")?,
        now: row.try_get("now")?,
    })
}

fn doubt(row: &PgRow) -> Result<Option<Doubt>, Error> {
    let (since, taken): (Option<DateTime<Utc>>, Option<Decimal>) = (row.try_get("drift_since")?, row.try_get("drift_taken")?);
    Ok(since.zip(taken).map(|(since, taken)| Doubt { since, taken }))
}

/// Before anything is sent: what the shop is taken to show, and what it may show from here on. A whole level leaves no doubt about what
/// was shown before.
pub(super) async fn sending(pusher: &Pusher, sent: &[Sent]) -> Result<(), Error> {
    let set =
        "shown = i.level, shown_taken = i.taken, shown_given = i.given, sent = i.available, sent_taken = i.taken, sent_given = i.given";
    let (whole, less): (Vec<&Sent>, Vec<&Sent>) = sent.iter().partition(|it| it.is_whole());
    update(pusher, set, &less.into_iter().map(Change::sending).collect::<Vec<_>>()).await?;
    let set = format!("{set}, drift_since = null, drift_taken = null");
    update(pusher, &set, &whole.into_iter().map(Change::sending).collect::<Vec<_>>()).await
}

/// The shop shows what it shall show. Whatever was desired since then is not pushed yet.
pub(super) async fn settled(pusher: &Pusher, rows: &[&Row]) -> Result<(), Error> {
    let set = "shown = i.available, shown_taken = i.taken, shown_given = i.given, sent = null, sent_taken = null, sent_given = null,
               stale = false, drift_since = null, drift_taken = null, problem = null, problem_detail = null,
               pushed_generation = greatest(d.pushed_generation, i.generation),
               dirty_since = case when d.generation > i.generation then d.changed_at end";
    update(pusher, set, &rows.iter().map(|it| Change::of(it)).collect::<Vec<_>>()).await
}

/// The shop shows what it shall show less what may be missing orders: the rest is yet to be pushed.
pub(super) async fn kept_back(pusher: &Pusher, sent: &[&Sent]) -> Result<(), Error> {
    let set = "shown = i.available, shown_taken = i.taken, shown_given = i.given, sent = null, sent_taken = null, sent_given = null,
               stale = true, problem = null, problem_detail = null";
    update(pusher, set, &sent.iter().map(|it| Change::of_push(it)).collect::<Vec<_>>()).await
}

/// Certainly not set, because the shop shows something else.
pub(super) async fn stale(pusher: &Pusher, rows: &[&Row]) -> Result<(), Error> {
    let set = "stale = true, sent = null, sent_taken = null, sent_given = null, due_at = now()";
    update(pusher, set, &rows.iter().map(|it| Change::of(it)).collect::<Vec<_>>()).await
}

/// Certainly not set, because it was never carried out.
pub(super) async fn unsent(pusher: &Pusher, rows: &[&Row]) -> Result<(), Error> {
    let set = "sent = null, sent_taken = null, sent_given = null";
    update(pusher, set, &rows.iter().map(|it| Change::of(it)).collect::<Vec<_>>()).await
}

/// They can't be read, or set, right now, and keep no others back meanwhile.
pub(super) async fn later(pusher: &Pusher, rows: impl IntoIterator<Item = &Row>, wait: Duration) -> Result<(), Error> {
    let changes: Vec<_> = rows.into_iter().map(|row| Change { until: Some(row.now + wait), ..Change::of(row) }).collect();
    update(pusher, "due_at = i.until", &changes).await
}

/// Orders may be missing. If something changed while we looked, that comes first.
pub(super) async fn waiting(pusher: &Pusher, rows: &[Waiting]) -> Result<(), Error> {
    let set = "stale = true, drift_since = i.since, drift_taken = i.taken,
               due_at = case when d.generation > i.generation then now() else i.until end";
    let changes = rows.iter().map(|it| {
        let Doubt { since, taken } = it.doubt;
        Change { since: Some(since), taken, until: Some(it.until), ..Change::of(&it.row) }
    });
    update(pusher, set, &changes.collect::<Vec<_>>()).await
}

/// It stays dirty, and is tried again after a while, or when the shop's catalogue is read again.
pub(super) async fn problem(pusher: &Pusher, rows: &[&Row], problem: Problem, detail: &str) -> Result<(), Error> {
    let set = "problem = $11, problem_detail = $12, due_at = now() + $13, stale = true, sent = null, sent_taken = null, sent_given = null";
    let changes: Vec<Change<'_>> = rows.iter().map(|it| Change::of(it)).collect();
    if changes.is_empty() {
        return Ok(());
    }
    let sql = sql(set);
    let query = sqlx::query(sqlx::AssertSqlSafe(sql));
    let query = bind(query, pusher, &changes).bind(problem.as_str()).bind(detail).bind(pusher.settings.problem_retry);
    query.execute(pusher.store.pool()).await?;
    Ok(())
}

/// What is known of a row, for its update.
struct Change<'a> {
    row: &'a Row,
    available: i64,
    level: i64,
    taken: Decimal,
    since: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
}

impl<'a> Change<'a> {
    fn of(row: &'a Row) -> Self {
        let Shelf { available, taken, .. } = row.shelf;
        Self { row, available, level: available, taken, since: None, until: None }
    }

    fn sending(sent: &'a Sent) -> Self {
        Self { level: sent.expected, ..Self::of_push(sent) }
    }

    fn of_push(sent: &'a Sent) -> Self {
        let base = sent.row.shelf.base_of(sent.level(), sent.missing);
        Self { available: base.level, level: base.level, taken: base.taken, ..Self::of(&sent.row) }
    }
}

async fn update(pusher: &Pusher, set: &str, changes: &[Change<'_>]) -> Result<(), Error> {
    if changes.is_empty() {
        return Ok(());
    }
    let sql = sql(set);
    bind(sqlx::query(sqlx::AssertSqlSafe(sql)), pusher, changes).execute(pusher.store.pool()).await?;
    Ok(())
}

/// Rows are locked in the order in which the group's decisions lock them.
fn sql(set: &str) -> String {
    format!(
        "with i as (
           select * from unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::numeric[], $8::numeric[], $9::timestamptz[], $10::timestamptz[])
             as i (location, sku, generation, available, level, taken, given, since, until)),
         held as (
           select d.location, d.sku from stock.desired d join i using (location, sku) where d.connection = $1
           order by d.sku, d.location for update of d)
         update stock.desired d set {set} from i join held using (location, sku)
         where d.connection = $1 and d.location = i.location and d.sku = i.sku"
    )
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bind<'q>(query: Query<'q>, pusher: &'q Pusher, changes: &[Change<'q>]) -> Query<'q> {
    let numbers = |of: fn(&Change<'q>) -> Decimal| changes.iter().map(of).collect::<Vec<_>>();
    query
        .bind(pusher.connection.as_str())
        .bind(changes.iter().map(|it| it.row.location.as_str()).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.row.sku.as_str()).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.row.generation).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.available).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.level).collect::<Vec<_>>())
        .bind(numbers(|it| it.taken))
        .bind(numbers(|it| it.row.shelf.given))
        .bind(changes.iter().map(|it| it.since).collect::<Vec<_>>())
        .bind(changes.iter().map(|it| it.until).collect::<Vec<_>>())
}
