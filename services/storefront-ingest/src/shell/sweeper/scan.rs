//! The full scan: lists everything within its horizon, slowly, and compares it with what we know. It finds what a sweep can't:
//! what is gone at the source without a word, what a listing once left out, and what changed twice within a second.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use connector::storefront::{ListFrom, ListPage, Mapper};
use contracts::wire::Wire as _;
use domain::{EntityKind, Order};
use fault::Fault;
use kill_point::{Point, reach};
use sqlx::Row as _;
use store::{Error, Tx};

use super::Sweeper;
use super::sweeps::Course;
use crate::core::sweep::FoundBy;
use crate::shell::found::{Finding, count, overtaken};

/// A scan that is running.
struct Scan {
    since: DateTime<Utc>,
    until: Option<DateTime<Utc>>,
    cursor: Option<String>,
}

/// What a page came to.
struct Kept {
    ordered: i64,
    /// At the end: what we know and the source did not list.
    missing: usize,
}

impl Sweeper {
    /// One page of the running scan, or the begin of one that is due.
    pub(super) async fn scan(&self, course: &mut Course) -> Result<(), Fault> {
        let kind = course.kind;
        let scan = match self.running(kind).await? {
            Some(scan) => scan,
            None => match self.begin_scan(kind).await? {
                Some(scan) => scan,
                None => return Ok(()),
            },
        };
        if !self.may_go_on(FoundBy::Scan).await? {
            return Ok(());
        }
        let from = scan.cursor.clone().map_or(ListFrom::Since(scan.since), ListFrom::Cursor);
        let page = self.next_page("ingest.scan", kind, from, &mut course.of_scan).await?;
        reach(Point::ListingRead);
        let (listed, is_last) = (page.listed.len(), page.next.is_none());
        let kept = self.keep_scanned(kind, scan, page).await?;
        self.metrics.listed(self.connection.as_str(), kind, FoundBy::Scan, listed, kept.ordered);
        if is_last {
            self.tell(kind, kept.missing);
        }
        Ok(())
    }

    fn tell(&self, kind: EntityKind, missing: usize) {
        let (connection, max) = (&self.connection, self.settings.missing_max);
        if missing > max {
            tracing::error!(
                %connection, %kind, max,
                runbook = "docs/runbooks/webhooks-silent.md",
                "a scan misses more entities than it may; none is looked for, because the source may not show us everything"
            );
        } else if missing > 0 {
            tracing::warn!(%connection, %kind, missing, "a scan misses entities that we know; they are looked for one by one");
        }
    }

    async fn running(&self, kind: EntityKind) -> Result<Option<Scan>, Error> {
        let sql = "select since, until, cursor from ingest.scan where source = $1 and kind = $2 and state = 'listing'";
        let row = sqlx::query(sql).bind(self.connection.as_str()).bind(kind.as_str()).fetch_optional(self.store.pool()).await?;
        row.map(|it| Ok(Scan { since: it.try_get("since")?, until: it.try_get("until")?, cursor: it.try_get("cursor")? })).transpose()
    }

    /// A horizon may be told by our clock: it leaves out, and nothing goes on from it.
    async fn begin_scan(&self, kind: EntityKind) -> Result<Option<Scan>, Error> {
        let (connection, settings) = (self.connection.clone(), self.settings.clone());
        self.store
            .transaction(move |tx| {
                Box::pin(async move {
                    let sql =
                        "update ingest.scan s set since = greatest(w.floor, now() - $3), state = 'listing', cursor = null, listed = 0,
                                 ordered = 0, missing = 0, begun_at = now(), done_at = null,
                                 until = (select max(updated_at) from ingest.entity e where e.source = $1 and e.kind = $2 and not e.deleted)
                               from ingest.sweep w
                               where s.source = $1 and s.kind = $2 and w.source = s.source and w.kind = s.kind and s.state = 'done'
                                 and s.done_at + $4 <= now()
                               returning s.since, s.until";
                    let query = sqlx::query(sql).bind(connection.as_str()).bind(kind.as_str());
                    let begun = query.bind(settings.scan_horizon).bind(settings.scan_interval).fetch_optional(&mut *tx).await?;
                    let Some(row) = begun else { return Ok(None) };
                    // What an earlier scan saw is not seen by this one.
                    forget_seen(tx, connection.as_str(), kind).await?;
                    Ok(Some(Scan { since: row.try_get("since")?, until: row.try_get("until")?, cursor: None }))
                })
            })
            .await
    }

    async fn keep_scanned(&self, kind: EntityKind, scan: Scan, page: ListPage) -> Result<Kept, Error> {
        let (finding, missing_max) = (self.finding(kind, FoundBy::Scan), self.settings.missing_max);
        let mapper = Arc::clone(&self.mapper);
        self.store
            .transaction(move |tx| {
                Box::pin(async move {
                    let (connection, kind) = (finding.connection.as_str(), finding.kind.as_str());
                    let mut ordered = finding.order(tx, &page.listed).await?;
                    let sql = "insert into ingest.scan_seen (source, kind, id) select $1, $2, unnest($3::text[]) on conflict do nothing";
                    let ids: Vec<&str> = page.listed.iter().map(|it| it.id.as_str()).collect();
                    sqlx::query(sql).bind(connection).bind(kind).bind(&ids).execute(&mut *tx).await?;
                    let mut missing = Vec::new();
                    if page.next.is_none() {
                        missing = missing_of(tx, &finding, &scan, &*mapper, missing_max).await?;
                        if missing.len() <= missing_max {
                            finding.order_missing(tx, &missing).await?;
                            ordered += count(missing.len());
                        }
                        forget_seen(tx, connection, finding.kind).await?;
                    }
                    let sql = "update ingest.scan set cursor = $4, listed = listed + $5, ordered = ordered + $6, missing = $7,
                                 state = case when $4 is null then 'done' else state end, done_at = case when $4 is null then now() end
                               where source = $1 and kind = $2 and state = 'listing' and cursor is not distinct from $3";
                    let moved = sqlx::query(sql)
                        .bind(connection)
                        .bind(kind)
                        .bind(&scan.cursor)
                        .bind(&page.next)
                        .bind(count(ids.len()))
                        .bind(ordered)
                        .bind(count(missing.len()))
                        .execute(tx)
                        .await?;
                    if moved.rows_affected() == 0 {
                        return Err(overtaken());
                    }
                    Ok(Kept { ordered, missing: missing.len() })
                })
            })
            .await
    }
}

/// What we know as alive, in the range, and the source did not list although it does not hide it. One more than may be is enough to
/// know that it is too many.
async fn missing_of(tx: &mut Tx, finding: &Finding, scan: &Scan, mapper: &dyn Mapper, missing_max: usize) -> Result<Vec<String>, Error> {
    let sql = "select e.id, e.body from ingest.entity e
               where e.source = $1 and e.kind = $2 and not e.deleted and e.updated_at >= $3 and e.updated_at <= $4 and e.id > $5
                 and not exists (select from ingest.scan_seen s where s.source = e.source and s.kind = e.kind and s.id = e.id)
               order by e.id limit $6";
    let (mut missing, mut after) = (Vec::new(), String::new());
    loop {
        let query = sqlx::query_as(sql).bind(finding.connection.as_str()).bind(finding.kind.as_str()).bind(scan.since).bind(scan.until);
        let page: Vec<(String, Vec<u8>)> = query.bind(&after).bind(count(PAGE)).fetch_all(&mut *tx).await?;
        let is_last = page.len() < PAGE;
        for (id, body) in page {
            after.clone_from(&id);
            if !is_hidden(finding.kind, &body, mapper) {
                missing.push(id);
            }
        }
        if is_last || missing.len() > missing_max {
            missing.truncate(missing_max.saturating_add(1));
            return Ok(missing);
        }
    }
}

fn is_hidden(kind: EntityKind, body: &[u8], mapper: &dyn Mapper) -> bool {
    kind == EntityKind::Order && Order::decode(body).is_ok_and(|it| mapper.may_hide(&it, Utc::now()))
}

/// Bodies of entities in memory at once.
const PAGE: usize = 100;

async fn forget_seen(tx: &mut Tx, connection: &str, kind: EntityKind) -> Result<(), Error> {
    let sql = "delete from ingest.scan_seen where source = $1 and kind = $2";
    sqlx::query(sql).bind(connection).bind(kind.as_str()).execute(tx).await?;
    Ok(())
}
