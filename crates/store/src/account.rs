//! The account: every obligation is in exactly one state, and two independent checks say whether one is missing.
//!
//! The unit is an obligation: a distinct delivery or event, and a group that must answer for it. The ledgers say what became of
//! it; the broker, asked separately, says how far each group has come. What the ledgers don't know must lie beyond that.
//!
//! An obligation is of the time when it was taken on: when its delivery was first recorded, or its event produced. That time
//! never changes, so windows that meet add up.

mod part;
mod waiting;

use chrono::{DateTime, Utc};
use sqlx::Row as _;
use uuid::Uuid;

use crate::{Error, Store};

pub use part::{Cursor, CursorError, Part};
pub use waiting::{Waiting, waiting};

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

impl Progress {
    /// The next offset to be read, also of a group that never committed.
    pub fn next(&self) -> i64 {
        self.committed.unwrap_or(self.start)
    }

    pub fn is_behind(&self) -> bool {
        self.next() < self.end
    }
}

/// What the account is about. Topics by their full names.
#[derive(Debug, Clone)]
pub struct Scope {
    pub raw_topic: String,
    pub mapper: String,
    /// Which group must answer for the records of which topic; the raw topic is not among them.
    pub consumers: Vec<(String, String)>,
    /// Topics whose records nobody has to answer for. Those of any other topic are missing: nobody is known for them.
    pub unanswered: Vec<String>,
    pub progress: Vec<Progress>,
}

/// Obligations of one group, source and kind in one state.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// The topic's name where nobody is known for it.
    pub group: String,
    pub source: String,
    pub kind: String,
    /// `applied`, `superseded`, `held`, `dead`, `discarded`, `in_flight`, or (an alarm) `missing`.
    pub state: String,
    /// Why it waits, was discarded, is dead or missing.
    pub reason: Option<String>,
    pub count: i64,
}

/// One of the independent checks.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Check {
    pub of: CheckOf,
    pub name: &'static str,
    pub holds: bool,
    /// What is missing, and where.
    pub detail: String,
}

/// What a check compares with the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOf {
    /// What the mapper has read.
    RawRecords,
    /// What groups have answered.
    Answers,
}

impl CheckOf {
    /// A metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RawRecords => "raw_records",
            Self::Answers => "answers",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Account {
    pub lines: Vec<Line>,
    /// Obligations of the part that have no time, and are in no window for that: unread ones, and those whose rows went with
    /// their age. Zero where no window was asked for: then they are in the lines.
    pub without_time: i64,
    /// Deliveries that came more than once, ever; in no sum.
    pub repeats: i64,
    /// Of all that there is, whatever part was asked for.
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
    pub source: String,
    pub kind: String,
    pub aggregate: String,
    pub state: String,
    pub reason: Option<String>,
    /// When it was taken on: what windows go by.
    pub taken_at: DateTime<Utc>,
    /// When it came into its state.
    pub since: DateTime<Utc>,
}

/// Some of the obligations behind sums.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Items {
    pub items: Vec<Item>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Cursor>,
    /// What the sums count besides, and nothing has an id of: unread records, and rows that went with their age.
    pub unlisted: i64,
}

/// Of everything.
pub async fn account(store: &Store, scope: &Scope) -> Result<Account, Error> {
    account_of(store, scope, &Part::default()).await
}

/// The lines of a part; the checks are of everything.
pub async fn account_of(store: &Store, scope: &Scope, part: &Part) -> Result<Account, Error> {
    let counted = counted(store, scope, part).await?;
    let repeats = repeats(store).await?;
    let checks = vec![raw_is_contiguous(store, scope).await?, records_are_answered(&counted)];
    let (mut lines, mut without_time) = (Vec::new(), 0);
    for Counted { mut line, timeless, .. } in counted.into_iter().filter(|it| part.has(&it.line)) {
        if part.is_window() {
            without_time += timeless;
        } else {
            line.count += timeless;
        }
        if line.count > 0 {
            lines.push(line);
        }
    }
    Ok(Account { lines, without_time, repeats, checks })
}

/// Obligations behind the sums of a part, as they were taken on.
pub async fn items(store: &Store, scope: &Scope, part: &Part, after: Option<&Cursor>, limit: i64) -> Result<Items, Error> {
    let sql = format!(
        "{OBLIGATIONS} select * from obligation
         where {IN_WINDOW} and ($12::text is null or source = $12) and ($13::text is null or kind = $13)
           and ($14::text is null or grp = $14) and ($15::text is null or state = $15)
           and ($16::timestamptz is null or (taken_at, ce_id, grp) > ($16, $17::uuid, $18::text))
         order by taken_at, ce_id, grp limit $19"
    );
    let query = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), scope, part)
        .bind(&part.source)
        .bind(&part.kind)
        .bind(&part.group)
        .bind(&part.state)
        .bind(after.map(|it| it.taken_at))
        .bind(after.map(|it| it.event_id))
        .bind(after.map(|it| it.group.clone()))
        // One more than a page tells whether there is another.
        .bind(limit + 1);
    let mut items = query.fetch_all(store.pool_of_the_patient()).await?.iter().map(item).collect::<Result<Vec<_>, _>>()?;
    let is_last = items.len() as i64 <= limit;
    items.truncate(usize::try_from(limit).unwrap_or_default());
    let next = items.last().filter(|_| !is_last).map(Cursor::of);
    Ok(Items { items, next, unlisted: unlisted(store, scope, part).await? })
}

/// They have no time either, and are in no window for that.
async fn unlisted(store: &Store, scope: &Scope, part: &Part) -> Result<i64, Error> {
    if part.is_window() {
        return Ok(0);
    }
    let sql = "select coalesce(sum(count), 0)::bigint from retention.carried
               where ($1::text is null or source = $1) and ($2::text is null or kind = $2)
                 and ($3::text is null or grp = $3) and ($4::text is null or state = $4)";
    let carried: i64 = sqlx::query_scalar(sql)
        .bind(&part.source)
        .bind(&part.kind)
        .bind(&part.group)
        .bind(&part.state)
        .fetch_one(store.pool_of_the_patient())
        .await?;
    let unread = unread(store, scope).await?.filter(|it| part.has(&it.line)).map(|it| it.timeless).sum::<i64>();
    Ok(carried + unread)
}

/// A line before it is known what is asked for.
struct Counted {
    /// Counts what lies in the window and has a row.
    line: Line,
    /// The same of all times.
    whole: i64,
    /// What has no row, and no time.
    timeless: i64,
}

async fn counted(store: &Store, scope: &Scope, part: &Part) -> Result<Vec<Counted>, Error> {
    let sql = format!(
        "{OBLIGATIONS} select grp, source, kind, state, reason,
                              sum(inside)::bigint as count, sum(whole)::bigint as whole, sum(timeless)::bigint as timeless from (
           select grp, source, kind, state, reason, count(*) filter (where {IN_WINDOW}) as inside, count(*) as whole, 0 as timeless
           from obligation group by 1, 2, 3, 4, 5
           union all
           select grp, source, kind, state, nullif(reason, ''), 0, 0, count from retention.carried) counted
         group by 1, 2, 3, 4, 5 order by grp <> $7, 1, 2, 3, 4, 5"
    );
    let rows = bound(sqlx::query(sqlx::AssertSqlSafe(sql)), scope, part).fetch_all(store.pool_of_the_patient()).await?;
    let mut counted = rows.iter().map(of_row).collect::<Result<Vec<_>, Error>>()?;
    counted.extend(unread(store, scope).await?);
    Ok(counted)
}

/// Accepted and not yet seen by the mapper: in the spool, or in the raw topic without being recorded. Keys overtake each other, so
/// that this may be so below what is recorded already.
async fn unread(store: &Store, scope: &Scope) -> Result<impl Iterator<Item = Counted>, Error> {
    let raw: Vec<&Progress> = scope.progress.iter().filter(|it| it.topic == scope.raw_topic).collect();
    let unread: i64 = sqlx::query_scalar(UNREAD)
        .bind(raw.iter().map(|it| it.partition).collect::<Vec<_>>())
        .bind(raw.iter().map(|it| it.next()).collect::<Vec<_>>())
        .bind(raw.iter().map(|it| it.end).collect::<Vec<_>>())
        .fetch_one(store.pool_of_the_patient())
        .await?;
    let spooled = crate::spool::backlog(store, None).await?.records;
    let in_flight = |(reason, timeless): (&str, i64)| Counted {
        line: Line {
            group: scope.mapper.clone(),
            source: "*".to_owned(),
            kind: "raw".to_owned(),
            state: "in_flight".to_owned(),
            reason: Some(reason.to_owned()),
            count: 0,
        },
        whole: timeless,
        timeless,
    };
    Ok([("unread", unread), ("spooled", spooled)].map(in_flight).into_iter().filter(|it| it.timeless > 0))
}

/// Of what the mapper has to answer, per partition of the raw topic: what has no row and had none before its rows went.
const UNREAD: &str = "
    select coalesce(sum(greatest(p.\"end\" - f.first, 0) - (
      select count(*) from ingest.raw_record r where r.partition = p.partition and r.\"offset\" >= f.first and r.\"offset\" < p.\"end\")), 0)::bigint
    from unnest($1::int[], $2::bigint[], $3::bigint[]) as p (partition, next, \"end\")
    cross join lateral (
      select greatest(p.next, (select max(w.next) from retention.raw w where w.partition = p.partition)) as first) f";

/// Every obligation that has a row: the mapper's are deliveries, those of all others what was produced for them.
const OBLIGATIONS: &str = "
    with consumer as (select * from unnest($1::text[], $2::text[]) as t (topic, grp)),
    progress as (
        select * from unnest($3::text[], $4::text[], $5::int[], $6::bigint[], $11::bigint[]) as t (grp, topic, partition, committed, \"end\")),
    obligation as (
        select $7 as grp, ce_id, coalesce(d.source, l.source, r.source) as source, coalesce(d.kind, l.kind, 'raw') as kind,
               coalesce(d.aggregate, l.aggregate, '') as aggregate,
               coalesce(account.state(l.state, d.state, d.unpublished), case when r.is_passed then 'missing' else 'in_flight' end) as state,
               account.reason(l.state, l.code, d.reason) as reason,
               coalesce(r.seen_at, d.decided_at, l.first_failed_at) as taken_at,
               coalesce(l.last_failed_at, d.decided_at, r.seen_at) as since
        from (select ce_id, min(source) as source, min(seen_at) as seen_at, bool_or(r.\"offset\" < g.committed) as is_passed
              from ingest.raw_record r left join progress g on g.grp = $7 and g.topic = $10 and g.partition = r.partition group by 1) r
        full join (select * from account.decision where grp = $7) d using (ce_id)
        full join (select ce_id, source, kind, aggregate, state, code, first_failed_at, last_failed_at
                   from letters.letter where grp = $7) l using (ce_id)
        union all
        select coalesce(c.grp, o.topic), o.out_id, coalesce(d.source, l.source, split_part(p.aggregate, '/', 1), '*'),
               coalesce(d.kind, l.kind, p.kind, 'raw'), coalesce(d.aggregate, l.aggregate, p.aggregate, ''),
               coalesce(account.state(l.state, d.state, d.unpublished),
                        case when c.topic is null or o.\"offset\" < coalesce(g.committed, 0) then 'missing'
                             -- The broker was asked a moment ago, and had written it long before.
                             when o.\"offset\" >= g.\"end\" and o.published_at < now() - interval '5 minutes' then 'missing'
                             else 'in_flight' end),
               case when c.topic is null then 'no_consumer' when d.ce_id is null and l.ce_id is null then 'unread'
                    else account.reason(l.state, l.code, d.reason) end,
               o.published_at,
               coalesce(l.last_failed_at, d.decided_at, o.published_at)
        from account.output o
        -- Without a group: nobody has to answer. Without a row: the settings forgot somebody.
        left join consumer c on c.topic = o.topic
        left join account.decision d on d.grp = c.grp and d.ce_id = o.out_id
        left join letters.letter l on l.grp = c.grp and l.ce_id = o.out_id
        left join account.decision p on p.grp = o.grp and p.ce_id = o.ce_id
        left join progress g on g.grp = c.grp and g.topic = o.topic and g.partition = o.partition
        where c.topic is null or c.grp is not null)";

/// Why what was produced for somebody whom nobody named is missing.
const NOBODY: &str = "no_consumer";

/// From the first moment, up to the second.
const IN_WINDOW: &str = "($8::timestamptz is null or taken_at >= $8) and ($9::timestamptz is null or taken_at < $9)";

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn bound<'q>(query: Query<'q>, scope: &Scope, part: &Part) -> Query<'q> {
    let progress = &scope.progress;
    let answered = scope.consumers.iter().map(|(topic, group)| (topic.clone(), Some(group.clone())));
    let (topics, groups): (Vec<_>, Vec<_>) = answered.chain(scope.unanswered.iter().map(|topic| (topic.clone(), None))).unzip();
    query
        .bind(topics)
        .bind(groups)
        .bind(progress.iter().map(|it| it.group.clone()).collect::<Vec<_>>())
        .bind(progress.iter().map(|it| it.topic.clone()).collect::<Vec<_>>())
        .bind(progress.iter().map(|it| it.partition).collect::<Vec<_>>())
        .bind(progress.iter().map(|it| it.next()).collect::<Vec<_>>())
        .bind(scope.mapper.clone())
        .bind(part.since)
        .bind(part.until)
        .bind(scope.raw_topic.clone())
        .bind(progress.iter().map(|it| it.end).collect::<Vec<_>>())
}

async fn repeats(store: &Store) -> Result<i64, Error> {
    let sql = "select (select count(*) - count(distinct ce_id) from ingest.raw_record)
                    + (select coalesce(sum(repeats), 0)::bigint from retention.raw)";
    Ok(sqlx::query_scalar(sql).fetch_one(store.pool_of_the_patient()).await?)
}

/// Check 1: no offset below the mapper's commit is without its record. The broker's numbers against ours.
async fn raw_is_contiguous(store: &Store, scope: &Scope) -> Result<Check, Error> {
    let mut gaps = Vec::new();
    for it in scope.progress.iter().filter(|it| it.topic == scope.raw_topic && it.group == scope.mapper) {
        let Some(committed) = it.committed else { continue };
        let sql = "select coalesce(least(kept.first, gone.first), 0), kept.count + coalesce(gone.count, 0)
                   from (select min(\"offset\") as first, count(*) as count from ingest.raw_record where partition = $1 and \"offset\" < $2) kept
                   left join retention.raw gone on gone.partition = $1";
        let (first, recorded): (i64, i64) =
            sqlx::query_as(sql).bind(it.partition).bind(committed).fetch_one(store.pool_of_the_patient()).await?;
        // What the topic's retention had deleted before we began is out of both; rows that our own has deleted were counted.
        let missing = committed - first.min(it.start) - recorded;
        if missing != 0 {
            gaps.push(format!("partition {}: {missing} of {committed} records below the commit are not in the ledger", it.partition));
        }
    }
    let name = "every raw record below the commit is recorded";
    Ok(Check { of: CheckOf::RawRecords, name, holds: gaps.is_empty(), detail: gaps.join("; ") })
}

/// Check 2: every record below a group's commit has that group's row: a decision, or a letter.
fn records_are_answered(counted: &[Counted]) -> Check {
    let missing: Vec<_> = counted.iter().filter(|it| it.line.state == "missing").collect();
    let detail = missing.iter().map(|Counted { line, whole, .. }| {
        let why = if line.reason.as_deref() == Some(NOBODY) { "are for somebody whom the settings do not name" } else { "have no answer" };
        format!("{}: {whole} {} of {} {why}", line.group, line.kind, line.source)
    });
    Check {
        of: CheckOf::Answers,
        name: "every record below a commit has its group's answer",
        holds: missing.is_empty(),
        detail: detail.collect::<Vec<_>>().join("; "),
    }
}

fn of_row(row: &sqlx::postgres::PgRow) -> Result<Counted, Error> {
    let line = Line {
        group: row.try_get("grp")?,
        source: row.try_get("source")?,
        kind: row.try_get("kind")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        count: row.try_get("count")?,
    };
    Ok(Counted { line, whole: row.try_get("whole")?, timeless: row.try_get("timeless")? })
}

fn item(row: &sqlx::postgres::PgRow) -> Result<Item, Error> {
    Ok(Item {
        group: row.try_get("grp")?,
        event_id: row.try_get("ce_id")?,
        source: row.try_get("source")?,
        kind: row.try_get("kind")?,
        aggregate: row.try_get("aggregate")?,
        state: row.try_get("state")?,
        reason: row.try_get("reason")?,
        taken_at: row.try_get("taken_at")?,
        since: row.try_get("since")?,
    })
}
