//! The account: every obligation is in exactly one state, and two independent checks say whether one is missing.
//!
//! The unit is an obligation: a distinct delivery or event, and a group that must answer for it. The ledgers say what became of
//! it; the broker, asked separately, says how far each group has come. What the ledgers don't know must lie beyond that.

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uuid::Uuid;

use crate::{Error, Store};

/// How far a group has come in one partition, as the broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Without the installation's prefix.
    pub group: String,
    /// The full name.
    pub topic: String,
    pub partition: i32,
    /// The next offset that the group reads; `None`: it never committed.
    pub committed: Option<i64>,
    /// The oldest offset that is still there.
    pub start: i64,
    /// The next offset to be written.
    pub end: i64,
}

/// What the account is about. Topics by their full names.
#[derive(Debug, Clone)]
pub struct Scope {
    pub raw_topic: String,
    pub mapper: String,
    /// Which group must answer for the records of which topic; the raw topic is not among them.
    pub consumers: Vec<(String, String)>,
    pub progress: Vec<Progress>,
}

/// Obligations of one group, source and kind in one state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    pub group: String,
    pub source: String,
    pub kind: String,
    /// `applied`, `superseded`, `held`, `dead`, `discarded`, `in_flight`, or (an alarm) `missing`.
    pub state: String,
    /// Why it waits, was discarded or is dead.
    pub reason: Option<String>,
    pub count: i64,
}

/// One of the independent checks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    pub name: &'static str,
    pub holds: bool,
    /// What is missing, and where.
    pub detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Account {
    pub lines: Vec<Line>,
    /// Deliveries that came more than once; in no sum.
    pub repeats: i64,
    pub checks: Vec<Check>,
}

impl Account {
    pub fn balances(&self) -> bool {
        self.checks.iter().all(|it| it.holds)
    }

    pub fn count(&self, state: &str) -> i64 {
        self.lines.iter().filter(|it| it.state == state).map(|it| it.count).sum()
    }
}

/// One obligation, for those who look behind a sum.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Item {
    pub group: String,
    pub event_id: Uuid,
    pub aggregate: String,
    pub state: String,
    pub reason: Option<String>,
    pub since: DateTime<Utc>,
}

pub async fn account(store: &Store, scope: &Scope) -> Result<Account, Error> {
    let mut lines = mapper_lines(store, scope).await?;
    lines.extend(unread_lines(store, scope).await?);
    lines.extend(consumer_lines(store, scope).await?);
    let repeats = repeats(store).await?;
    let checks = vec![raw_is_contiguous(store, scope).await?, outputs_are_answered(&lines)];
    Ok(Account { lines, repeats, checks })
}

async fn mapper_lines(store: &Store, scope: &Scope) -> Result<Vec<Line>, Error> {
    let sql = "select source, kind, state, reason, sum(count)::bigint as count from (
                 select coalesce(d.source, l.source, r.source) as source, coalesce(d.kind, l.kind, 'raw') as kind,
                        coalesce(account.state(l.state, d.state, d.unpublished), 'in_flight') as state,
                        account.reason(l.state, l.code, d.reason) as reason, count(*) as count
                 from (select distinct on (ce_id) ce_id, source from ingest.raw_record) r
                 full join (select * from account.decision where grp = $1) d using (ce_id)
                 full join (select ce_id, source, kind, state, code from letters.letter where grp = $1) l using (ce_id)
                 group by 1, 2, 3, 4
                 union all
                 select source, kind, state, nullif(reason, ''), count from retention.carried where grp = $1) counted
               group by 1, 2, 3, 4 order by 1, 2, 3, 4";
    let rows = sqlx::query(sql).bind(&scope.mapper).fetch_all(store.pool()).await?;
    rows.iter().map(|row| line(&scope.mapper, row)).collect()
}

/// Accepted and not yet seen by the mapper: in the spool, or in the raw topic beyond what is recorded.
async fn unread_lines(store: &Store, scope: &Scope) -> Result<Vec<Line>, Error> {
    let recorded: Vec<(i32, i64)> = sqlx::query_as(RECORDED).fetch_all(store.pool()).await?;
    let raw = scope.progress.iter().filter(|it| it.topic == scope.raw_topic);
    let unread = raw.map(|it| {
        let next = recorded.iter().find(|(partition, _)| *partition == it.partition).map_or(it.start, |(_, next)| *next);
        (it.end - next).max(0)
    });
    let spooled = crate::spool::backlog(store, None).await?.records;
    let in_flight = |reason: &str, count| Line {
        group: scope.mapper.clone(),
        source: "*".to_owned(),
        kind: "raw".to_owned(),
        state: "in_flight".to_owned(),
        reason: Some(reason.to_owned()),
        count,
    };
    let lines = [in_flight("unread", unread.sum()), in_flight("spooled", spooled)];
    Ok(lines.into_iter().filter(|it| it.count > 0).collect())
}

/// How far each partition of the raw topic is recorded, or was before its rows went.
const RECORDED: &str = "
    select partition, max(next) from (
      select partition, max(\"offset\") + 1 as next from ingest.raw_record group by 1
      union all select partition, next from retention.raw) recorded
    group by 1";

const OBLIGATIONS: &str = "
    with consumer as (select * from unnest($1::text[], $2::text[]) as t (topic, grp)),
    progress as (select * from unnest($3::text[], $4::text[], $5::int[], $6::bigint[]) as t (grp, topic, partition, committed)),
    obligation as (
        select c.grp, o.out_id as ce_id, coalesce(d.source, l.source, split_part(p.aggregate, '/', 1), '*') as source,
               coalesce(d.kind, l.kind, p.kind, 'raw') as kind, coalesce(d.aggregate, l.aggregate, p.aggregate, '') as aggregate,
               coalesce(account.state(l.state, d.state, d.unpublished),
                        case when o.\"offset\" >= coalesce(g.committed, 0) then 'in_flight' else 'missing' end) as state,
               case when d.ce_id is null and l.ce_id is null then 'unread' else account.reason(l.state, l.code, d.reason) end as reason,
               coalesce(l.last_failed_at, d.decided_at, o.published_at) as since
        from account.output o
        join consumer c on c.topic = o.topic
        left join account.decision d on d.grp = c.grp and d.ce_id = o.out_id
        left join letters.letter l on l.grp = c.grp and l.ce_id = o.out_id
        left join account.decision p on p.grp = o.grp and p.ce_id = o.ce_id
        left join progress g on g.grp = c.grp and g.topic = o.topic and g.partition = o.partition)";

async fn consumer_lines(store: &Store, scope: &Scope) -> Result<Vec<Line>, Error> {
    let sql = format!(
        "{OBLIGATIONS} select grp, source, kind, state, reason, sum(count)::bigint as count from (
           select grp, source, kind, state, reason, count(*) as count from obligation group by 1, 2, 3, 4, 5
           union all
           select grp, source, kind, state, nullif(reason, ''), count from retention.carried where grp in (select grp from consumer)) counted
         group by 1, 2, 3, 4, 5 order by 1, 2, 3, 4, 5"
    );
    let rows = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), scope).fetch_all(store.pool()).await?;
    rows.iter().map(|row| line(row.try_get("grp")?, row)).collect()
}

/// Obligations behind the sums of one group and state, oldest first. `state`: as in [`Line`].
pub async fn items(store: &Store, scope: &Scope, group: &str, state: &str, limit: i64) -> Result<Vec<Item>, Error> {
    if group == scope.mapper {
        return mapper_items(store, scope, state, limit).await;
    }
    let sql = format!("{OBLIGATIONS} select * from obligation where grp = $7 and state = $8 order by since limit $9");
    let rows = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), scope).bind(group).bind(state).bind(limit).fetch_all(store.pool()).await?;
    rows.iter().map(|row| item(group, row)).collect()
}

async fn mapper_items(store: &Store, scope: &Scope, state: &str, limit: i64) -> Result<Vec<Item>, Error> {
    let sql = "select * from (
                 select ce_id, coalesce(d.aggregate, l.aggregate, '') as aggregate,
                        coalesce(account.state(l.state, d.state, d.unpublished), 'in_flight') as state,
                        account.reason(l.state, l.code, d.reason) as reason,
                        coalesce(l.last_failed_at, d.decided_at, r.seen_at) as since
                 from (select distinct on (ce_id) ce_id, seen_at from ingest.raw_record) r
                 full join (select * from account.decision where grp = $1) d using (ce_id)
                 full join (select ce_id, aggregate, state, code, last_failed_at from letters.letter where grp = $1) l using (ce_id)) o
               where state = $2 order by since limit $3";
    let rows = sqlx::query(sql).bind(&scope.mapper).bind(state).bind(limit).fetch_all(store.pool()).await?;
    rows.iter().map(|row| item(&scope.mapper, row)).collect()
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bound<'q>(query: Query<'q>, scope: &Scope) -> Query<'q> {
    let progress: Vec<_> = scope.progress.iter().filter(|it| it.topic != scope.raw_topic).collect();
    query
        .bind(scope.consumers.iter().map(|it| it.0.clone()).collect::<Vec<_>>())
        .bind(scope.consumers.iter().map(|it| it.1.clone()).collect::<Vec<_>>())
        .bind(progress.iter().map(|it| it.group.clone()).collect::<Vec<_>>())
        .bind(progress.iter().map(|it| it.topic.clone()).collect::<Vec<_>>())
        .bind(progress.iter().map(|it| it.partition).collect::<Vec<_>>())
        .bind(progress.iter().map(|it| it.committed.unwrap_or(it.start)).collect::<Vec<_>>())
}

async fn repeats(store: &Store) -> Result<i64, Error> {
    let sql = "select (select count(*) - count(distinct ce_id) from ingest.raw_record)
                    + (select coalesce(sum(repeats), 0)::bigint from retention.raw)";
    Ok(sqlx::query_scalar(sql).fetch_one(store.pool()).await?)
}

/// Check 1: no offset below the mapper's commit is without its record. The broker's numbers against ours.
async fn raw_is_contiguous(store: &Store, scope: &Scope) -> Result<Check, Error> {
    let mut gaps = Vec::new();
    for it in scope.progress.iter().filter(|it| it.topic == scope.raw_topic && it.group == scope.mapper) {
        let Some(committed) = it.committed else { continue };
        let sql = "select coalesce(least(kept.first, gone.first), 0), kept.count + coalesce(gone.count, 0)
                   from (select min(\"offset\") as first, count(*) as count from ingest.raw_record where partition = $1 and \"offset\" < $2) kept
                   left join retention.raw gone on gone.partition = $1";
        let (first, recorded): (i64, i64) = sqlx::query_as(sql).bind(it.partition).bind(committed).fetch_one(store.pool()).await?;
        // What the topic's retention had deleted before we began is out of both; rows that our own has deleted were counted.
        let missing = committed - first.min(it.start) - recorded;
        if missing != 0 {
            gaps.push(format!("partition {}: {missing} of {committed} records below the commit are not in the ledger", it.partition));
        }
    }
    Ok(Check { name: "every raw record below the commit is recorded", holds: gaps.is_empty(), detail: gaps.join("; ") })
}

/// Check 2: every output below its consumer's commit has that consumer's row.
fn outputs_are_answered(lines: &[Line]) -> Check {
    let missing: Vec<_> = lines.iter().filter(|it| it.state == "missing").collect();
    let detail = missing.iter().map(|it| format!("{}: {} {} of {} have no answer", it.group, it.count, it.kind, it.source));
    Check {
        name: "every output has its consumer's answer or is still unread",
        holds: missing.is_empty(),
        detail: detail.collect::<Vec<_>>().join("; "),
    }
}

fn line(group: &str, row: &sqlx::postgres::PgRow) -> Result<Line, Error> {
    Ok(Line {
        group: group.to_owned(),
        source: row.try_get("source")?,
        kind: row.try_get("kind")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        count: row.try_get("count")?,
    })
}

fn item(group: &str, row: &sqlx::postgres::PgRow) -> Result<Item, Error> {
    Ok(Item {
        group: group.to_owned(),
        event_id: row.try_get("ce_id")?,
        aggregate: row.try_get("aggregate")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        since: row.try_get("since")?,
    })
}
