//! Backfills: somebody asked for what happened since a day in the past. A row each, worked off page by page whenever live
//! traffic leaves room.

use chrono::{DateTime, Utc};
use connector::storefront::{ListFrom, ListPage};
use domain::EntityKind;
use fault::Fault;
use kill_point::{Point, reach};
use serde::Serialize;
use sqlx::Row as _;
use store::{Error, Store};

use super::Sweeper;
use super::sweeps::Course;
use crate::core::sweep::FoundBy;
use crate::shell::found::{count, overtaken};

/// An open backfill.
struct Backfill {
    id: i64,
    since: DateTime<Utc>,
    cursor: Option<String>,
    is_listed: bool,
}

impl Sweeper {
    pub(super) async fn backfill(&self, course: &mut Course) -> Result<(), Fault> {
        let kind = course.kind;
        let Some(backfill) = self.open_backfill(kind).await? else { return Ok(()) };
        if backfill.is_listed {
            self.finish(kind, &backfill).await?;
            return Ok(());
        }
        if !self.may_go_on(FoundBy::Backfill).await? {
            return Ok(());
        }
        let from = backfill.cursor.clone().map_or(ListFrom::Since(backfill.since), ListFrom::Cursor);
        let page = self.next_page("ingest.backfill", kind, from, &mut course.of_backfill).await?;
        reach(Point::ListingRead);
        let listed = page.listed.len();
        let ordered = self.keep_backfilled(kind, backfill, page).await?;
        self.metrics.listed(self.connection.as_str(), kind, FoundBy::Backfill, listed, ordered);
        Ok(())
    }

    async fn open_backfill(&self, kind: EntityKind) -> Result<Option<Backfill>, Error> {
        let sql = "select id, since, cursor, state = 'reading' as is_listed from ingest.backfill
                   where source = $1 and kind = $2 and state <> 'done'";
        let row = sqlx::query(sql).bind(self.connection.as_str()).bind(kind.as_str()).fetch_optional(self.store.pool()).await?;
        row.map(|it| {
            Ok(Backfill {
                id: it.try_get("id")?,
                since: it.try_get("since")?,
                cursor: it.try_get("cursor")?,
                is_listed: it.try_get("is_listed")?,
            })
        })
        .transpose()
    }

    async fn keep_backfilled(&self, kind: EntityKind, backfill: Backfill, page: ListPage) -> Result<i64, Error> {
        let finding = self.finding(kind, FoundBy::Backfill);
        self.store
            .transaction(move |tx| {
                Box::pin(async move {
                    let ordered = finding.order(tx, &page.listed).await?;
                    let sql = "update ingest.backfill set cursor = $3, listed = listed + $4, ordered = ordered + $5, updated_at = now(),
                                 state = case when $3 is null then 'reading' else state end
                               where id = $1 and state = 'listing' and cursor is not distinct from $2";
                    let moved = sqlx::query(sql)
                        .bind(backfill.id)
                        .bind(&backfill.cursor)
                        .bind(&page.next)
                        .bind(count(page.listed.len()))
                        .bind(ordered)
                        .execute(tx)
                        .await?;
                    if moved.rows_affected() == 0 { Err(overtaken()) } else { Ok(ordered) }
                })
            })
            .await
    }

    /// Done when nothing that it ordered waits any more. From then on scans look as far back as it did.
    async fn finish(&self, kind: EntityKind, backfill: &Backfill) -> Result<(), Error> {
        let sql = "with done as (
                     update ingest.backfill b set state = 'done', done_at = now(), updated_at = now()
                     where b.id = $1 and b.state = 'reading'
                       and not exists (select from ingest.reread r where r.source = b.source and r.kind = b.kind and r.found_by = 'backfill')
                     returning b.source, b.kind, b.since)
                   update ingest.sweep s set floor = least(s.floor, done.since) from done where s.source = done.source and s.kind = done.kind";
        let done = sqlx::query(sql).bind(backfill.id).execute(self.store.pool()).await?;
        if done.rows_affected() > 0 {
            tracing::info!(connection = %self.connection, %kind, since = %backfill.since, "a backfill is done");
        }
        Ok(())
    }
}

/// What became of a wish for a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Ordered(i64),
    /// One at a time: this one is not done yet.
    Busy {
        id: i64,
        since: DateTime<Utc>,
    },
    /// No service with such a connection has run here; these have.
    Unknown {
        known: Vec<String>,
    },
}

/// Orders a backfill; a service that has the connection works it off.
pub async fn ask(store: &Store, connection: &str, kind: EntityKind, since: DateTime<Utc>) -> Result<Asked, Error> {
    let sql = "select distinct source from ingest.sweep where kind = $1 order by source";
    let known: Vec<String> = sqlx::query_scalar(sql).bind(kind.as_str()).fetch_all(store.pool()).await?;
    if !known.iter().any(|it| it == connection) {
        return Ok(Asked::Unknown { known });
    }
    let sql = "insert into ingest.backfill (source, kind, since) values ($1, $2, $3)
               on conflict (source, kind) where state <> 'done' do nothing returning id";
    let made: Option<i64> = sqlx::query_scalar(sql).bind(connection).bind(kind.as_str()).bind(since).fetch_optional(store.pool()).await?;
    if let Some(id) = made {
        return Ok(Asked::Ordered(id));
    }
    let sql = "select id, since from ingest.backfill where source = $1 and kind = $2 order by id desc limit 1";
    let (id, since) = sqlx::query_as(sql).bind(connection).bind(kind.as_str()).fetch_one(store.pool()).await?;
    Ok(Asked::Busy { id, since })
}

/// How far a backfill is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct Progress {
    pub id: i64,
    pub connection: String,
    pub kind: String,
    pub since: DateTime<Utc>,
    pub state: String,
    /// Entities that the source listed.
    pub listed: i64,
    /// Those of them that were not known, and had to be read.
    pub ordered: i64,
    /// Those of them that were read.
    pub done: i64,
    pub asked_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub done_at: Option<DateTime<Utc>>,
}

/// The last ones, newest first.
pub async fn progress(store: &Store, connection: Option<&str>) -> Result<Vec<Progress>, Error> {
    let sql = "select b.id, b.source as connection, b.kind, b.since, b.state, b.listed, b.ordered, b.asked_at, b.updated_at, b.done_at,
                 case when b.state = 'done' then b.ordered
                      else greatest(0, b.ordered - (select count(*) from ingest.reread r
                        where r.source = b.source and r.kind = b.kind and r.found_by = 'backfill')) end as done
               from ingest.backfill b where $1::text is null or b.source = $1 order by b.id desc limit 20";
    Ok(sqlx::query_as(sql).bind(connection).fetch_all(store.pool()).await?)
}
