//! The sweep: lists what changed lately, again and again, each time from a little before where it ended.

use std::time::Instant;

use chrono::{DateTime, Utc};
use connector::storefront::{ListFrom, ListPage};
use domain::EntityKind;
use fault::Fault;
use kill_point::{Point, reach};
use store::Error;

use super::cursor::Trust;
use super::{Patience, Sweeper};
use crate::core::sweep::{FoundBy, advanced, start};
use crate::shell::found::overtaken;

/// The sweep of one kind.
pub(super) struct Course {
    pub(super) kind: EntityKind,
    pub(super) due: Instant,
    pub(super) patience: Patience,
    /// In the middle of one: where it goes on, and the position that it had come to. Lost with the process, which then begins at
    /// the stored position.
    next: Option<(String, DateTime<Utc>)>,
    pub(super) of_scan: Trust,
    pub(super) of_backfill: Trust,
}

impl Course {
    pub(super) fn new(kind: EntityKind, due: Instant) -> Self {
        Self { kind, due, patience: Patience::default(), next: None, of_scan: Trust::default(), of_backfill: Trust::default() }
    }

    /// From the stored position, at once.
    pub(super) fn begin_anew(&mut self) {
        self.next = None;
        self.due = Instant::now();
        self.patience = Patience::default();
    }
}

impl Sweeper {
    /// To its end, unless enough is waiting already. Returns whether it found anything.
    pub(super) async fn sweep(&self, course: &mut Course) -> Result<bool, Fault> {
        let mut is_any_found = false;
        while Instant::now() >= course.due {
            if !self.may_go_on(FoundBy::Sweep).await? {
                break;
            }
            let position = self.position(course.kind).await?;
            let from = match course.next.take() {
                // Whoever set the position back meanwhile wants what lies between listed again.
                Some((cursor, came_to)) if came_to == position => ListFrom::Cursor(cursor),
                Some(_) | None => ListFrom::Since(start(position, self.settings.overlap)),
            };
            let page = self.listing.page(course.kind, &from).await?;
            reach(Point::ListingRead);
            let next = page.next.clone();
            let (ordered, position) = self.keep(course.kind, position, page).await?;
            is_any_found |= ordered > 0;
            match next {
                Some(cursor) => course.next = Some((cursor, position)),
                None => course.due = self.next(self.interval()),
            }
        }
        Ok(is_any_found)
    }

    async fn position(&self, kind: EntityKind) -> Result<DateTime<Utc>, Error> {
        let sql = "select position from ingest.sweep where source = $1 and kind = $2";
        Ok(sqlx::query_scalar(sql).bind(self.connection.as_str()).bind(kind.as_str()).fetch_one(self.store.pool()).await?)
    }

    /// Orders what of the page is not known, and moves the position, together. Returns how much was ordered, and the position.
    async fn keep(&self, kind: EntityKind, position: DateTime<Utc>, page: ListPage) -> Result<(i64, DateTime<Utc>), Error> {
        let (finding, is_last) = (self.finding(kind, FoundBy::Sweep), page.next.is_none());
        let listed = page.listed.len();
        let kept = self
            .store
            .transaction(move |tx| {
                Box::pin(async move {
                    let ordered = finding.order(tx, &page.listed).await?;
                    let sql = "update ingest.sweep set position = $4, swept_at = case when $5 then now() else swept_at end
                               where source = $1 and kind = $2 and position = $3 returning position";
                    let moved: Option<DateTime<Utc>> = sqlx::query_scalar(sql)
                        .bind(finding.connection.as_str())
                        .bind(finding.kind.as_str())
                        .bind(position)
                        .bind(advanced(position, &page.listed, is_last))
                        .bind(is_last)
                        .fetch_optional(&mut *tx)
                        .await?;
                    let Some(position) = moved else { return Err(overtaken()) };
                    if is_last {
                        finding.forget_known(tx).await?;
                    }
                    Ok((ordered, position))
                })
            })
            .await?;
        self.metrics.listed(self.connection.as_str(), kind, FoundBy::Sweep, listed, kept.0);
        Ok(kept)
    }
}
