//! Cursors that are kept. One may be refused: by the shop, because it is old or of another version of its API, or by a connector
//! of another version than the one that made it.

use std::time::{Duration, Instant};

use connector::storefront::{ListFrom, ListPage};
use domain::EntityKind;
use fault::{Class, Fault};
use store::Error;

use super::Sweeper;

/// Trust in the cursors of one listing.
#[derive(Default)]
pub(super) struct Trust {
    lost_at: Option<Instant>,
}

impl Trust {
    /// Whether a refusal is the cursor's fault. A page that can't be read is refused in the same way, and the listing would come
    /// back to it again and again: so at most once an hour.
    fn is_lost(&mut self, from: &ListFrom, fault: &Fault) -> bool {
        let is_doubtful = matches!(from, ListFrom::Cursor(_)) && matches!(fault.class, Class::Schema | Class::Validation);
        let is_lost = is_doubtful && self.lost_at.is_none_or(|it| it.elapsed() >= LOST_AGAIN);
        if is_lost {
            self.lost_at = Some(Instant::now());
        }
        is_lost
    }
}

impl Sweeper {
    /// The next page of what `table` keeps the cursor of. After a refused cursor the next try is the first page again.
    pub(super) async fn next_page(
        &self,
        table: &'static str,
        kind: EntityKind,
        from: ListFrom,
        trust: &mut Trust,
    ) -> Result<ListPage, Fault> {
        let page = self.listing.page(kind, &from).await;
        if let Err(fault) = &page
            && trust.is_lost(&from, fault)
        {
            tracing::warn!(connection = %self.connection, %kind, table, "the shop refuses a cursor that it gave: the listing begins anew");
            self.forget_cursor(table, kind).await?;
        }
        page
    }

    async fn forget_cursor(&self, table: &'static str, kind: EntityKind) -> Result<(), Error> {
        let sql = format!("update {table} set cursor = null, listed = 0 where source = $1 and kind = $2 and state = 'listing'");
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.connection.as_str()).bind(kind.as_str()).execute(self.store.pool()).await?;
        Ok(())
    }
}

const LOST_AGAIN: Duration = Duration::from_secs(3600);
