//! What a listing showed, against what is known: in one transaction with the listing's own place, unknown versions are ordered
//! as re-reads.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use connector::storefront::Listed;
use contracts::topics::groups;
use domain::{ConnectionId, EntityKind, EntityRef};
use sqlx::Row as _;
use store::{Error, Store, Tx};

use crate::core::guard::Version;
use crate::core::raw;
use crate::core::sweep::{self, Facts, FoundBy, Sighting};

/// Whose entities are listed, and by whom.
#[derive(Debug, Clone)]
pub struct Finding {
    pub connection: ConnectionId,
    pub kind: EntityKind,
    pub by: FoundBy,
    /// How long a delivery may be on its way to us: until then nothing is read.
    pub settle: Duration,
}

/// Of one entity to be read.
#[derive(Clone, Copy)]
struct Order {
    /// The version that is missing; a delivery that tells it saves the read. `None`: it is read whatever is told.
    wanted: Option<DateTime<Utc>>,
    reason: &'static str,
}

impl Finding {
    /// Orders what of a page is not known, and in a scan what is not certain. Returns how much that was.
    pub async fn order(&self, tx: &mut Tx, page: &[Listed]) -> Result<i64, Error> {
        if page.is_empty() {
            return Ok(0);
        }
        let facts = self.facts(tx, page).await?;
        let wanted = sweep::wanted(page, &facts);
        let mut orders: BTreeMap<&str, Order> = self.uncertain(page, &facts).collect();
        orders.extend(wanted.iter().map(|it| (it.id.as_str(), Order { wanted: Some(it.updated_at), reason: self.reason() })));
        self.request(tx, &orders).await?;
        if self.by == FoundBy::Sweep {
            self.hasten(tx, &sweep::ordered(page, &facts)).await?;
        }
        if wanted.is_empty() {
            return Ok(count(orders.len()));
        }
        let (ids, times): (Vec<_>, Vec<_>) = wanted.iter().map(|it| (it.id.as_str(), Some(it.updated_at))).unzip();
        let sql = "insert into ingest.sighting as s (source, kind, id, updated_at)
                   select $1, $2, id, updated_at from unnest($3::text[], $4::timestamptz[]) as i (id, updated_at)
                   on conflict (source, kind, id) do update
                     set orders = case when s.updated_at < excluded.updated_at then 1 else s.orders + 1 end,
                         updated_at = excluded.updated_at, ordered_at = now()";
        sqlx::query(sql).bind(self.connection.as_str()).bind(self.kind.as_str()).bind(&ids).bind(&times).execute(tx).await?;
        Ok(count(orders.len()))
    }

    /// What was ordered by a scan or backfill, which can wait, is wanted by a sweep now.
    async fn hasten(&self, tx: &mut Tx, ids: &[&str]) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = "update ingest.reread set found_by = $4
                   where source = $1 and kind = $2 and id = any($3) and found_by is not null and found_by <> $4";
        let query = sqlx::query(sql).bind(self.connection.as_str()).bind(self.kind.as_str()).bind(ids).bind(self.by.as_str());
        query.execute(tx).await?;
        Ok(())
    }

    /// Only the scan has the time: it is nearly every entity that has changed, once more.
    fn uncertain<'a>(&self, page: &'a [Listed], facts: &HashMap<String, Facts>) -> impl Iterator<Item = (&'a str, Order)> {
        let is_uncertain = |it: &&Listed| self.by == FoundBy::Scan && facts.get(&it.id).is_some_and(|facts| sweep::is_uncertain(it, facts));
        let order = |it: &'a Listed| (it.id.as_str(), Order { wanted: None, reason: "it was last seen within seconds of its change" });
        page.iter().filter(is_uncertain).map(order)
    }

    /// Orders what should have been listed and was not: the answer says whether it is gone.
    pub async fn order_missing(&self, tx: &mut Tx, ids: &[String]) -> Result<(), Error> {
        let order = Order { wanted: None, reason: "its source did not list it" };
        self.request(tx, &ids.iter().map(|id| (id.as_str(), order)).collect()).await
    }

    /// A request that is there already may be under way, with an older state: its generation rises, its turn stays. What a
    /// delivery asked for stays the delivery's.
    async fn request(&self, tx: &mut Tx, orders: &BTreeMap<&str, Order>) -> Result<(), Error> {
        if orders.is_empty() {
            return Ok(());
        }
        let sql = "insert into ingest.reread as r (source, kind, id, reason, found_by, wanted, due_at)
                   select $1, $2, id, reason, $6, wanted, now() + $7 from unnest($3::text[], $4::timestamptz[], $5::text[]) as i (id, wanted, reason)
                   on conflict (source, kind, id) do update
                     set generation = r.generation + 1,
                         wanted = case when r.wanted is null or excluded.wanted is null then null else greatest(r.wanted, excluded.wanted) end,
                         found_by = case when r.found_by is not null and excluded.found_by = 'sweep' then 'sweep' else r.found_by end";
        sqlx::query(sql)
            .bind(self.connection.as_str())
            .bind(self.kind.as_str())
            .bind(orders.keys().copied().collect::<Vec<_>>())
            .bind(orders.values().map(|it| it.wanted).collect::<Vec<_>>())
            .bind(orders.values().map(|it| it.reason).collect::<Vec<_>>())
            .bind(self.by.as_str())
            .bind(self.settle)
            .execute(tx)
            .await?;
        Ok(())
    }

    async fn facts(&self, tx: &mut Tx, page: &[Listed]) -> Result<HashMap<String, Facts>, Error> {
        let sql = "select i.id, e.updated_at as known, e.source_version, s.updated_at as sighted, s.orders,
                     extract(epoch from now() - s.ordered_at)::float8 as age,
                     s.id is not null and exists (
                       select from letters.letter l
                       where l.grp = $5 and l.aggregate = i.aggregate and l.state in ('dead', 'held', 'waiting', 'replaying')) as is_letter
                   from unnest($3::text[], $4::text[]) as i (id, aggregate)
                   left join ingest.entity e on e.source = $1 and e.kind = $2 and e.id = i.id
                   left join ingest.sighting s on s.source = $1 and s.kind = $2 and s.id = i.id";
        let key = |it: &Listed| raw::aggregate(&EntityRef::new(self.connection.clone(), self.kind, it.id.clone())).as_str().to_owned();
        let rows = sqlx::query(sql)
            .bind(self.connection.as_str())
            .bind(self.kind.as_str())
            .bind(page.iter().map(|it| it.id.as_str()).collect::<Vec<_>>())
            .bind(page.iter().map(key).collect::<Vec<_>>())
            .bind(groups::MAPPER)
            .fetch_all(tx)
            .await?;
        let mut facts = HashMap::with_capacity(rows.len());
        for row in rows {
            let sighting = match row.try_get::<Option<_>, _>("sighted")? {
                None => None,
                Some(updated_at) => Some(Sighting {
                    updated_at,
                    age: Duration::try_from_secs_f64(row.try_get("age")?).unwrap_or_default(),
                    orders: row.try_get("orders")?,
                    is_letter: row.try_get("is_letter")?,
                }),
            };
            let version = row.try_get::<Option<&str>, _>("source_version")?.and_then(Version::parse);
            facts.insert(row.try_get("id")?, Facts { known: row.try_get("known")?, seen_at: version.map(|it| it.seen_at), sighting });
        }
        Ok(facts)
    }

    fn reason(&self) -> &'static str {
        match self.by {
            FoundBy::Sweep => "a sweep found it",
            FoundBy::Scan => "a scan found it",
            FoundBy::Backfill => "a backfill asked for it",
        }
    }

    /// Forgets what was ordered and is known by now.
    pub async fn forget_known(&self, tx: &mut Tx) -> Result<(), Error> {
        let sql = "delete from ingest.sighting s using ingest.entity e
                   where s.source = $1 and s.kind = $2 and e.source = s.source and e.kind = s.kind and e.id = s.id
                     and e.updated_at >= s.updated_at";
        sqlx::query(sql).bind(self.connection.as_str()).bind(self.kind.as_str()).execute(tx).await?;
        Ok(())
    }
}

/// Re-reads of a connection that wait for their turn. Those that wait because they failed are nobody's turn.
pub async fn waiting(store: &Store, connection: &ConnectionId, by: FoundBy, settle: Duration) -> Result<i64, Error> {
    let priority_max: i16 = if by == FoundBy::Sweep { 1 } else { 2 };
    let sql = "select count(*) from ingest.reread where source = $1 and priority <= $2 and due_at <= now() + $3";
    Ok(sqlx::query_scalar(sql).bind(connection.as_str()).bind(priority_max).bind(settle).fetch_one(store.pool()).await?)
}

/// Somebody else was here since we looked: the transaction is given up, and the next turn looks again.
pub fn overtaken() -> Error {
    Error::Unavailable(sqlx::Error::RowNotFound)
}

pub fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
