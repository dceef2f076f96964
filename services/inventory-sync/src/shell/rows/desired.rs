//! What the shops shall show.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Availability, Sku};
use sqlx::Row as _;
use store::{Error, Store, Tx};

use super::{from_sql, parsed, sku_of, to_sql, units};
use crate::core::feeds::Place;
use crate::core::pending::Sold;
use crate::shell::reckoner::Announcement;

#[derive(Debug, Clone)]
pub(in crate::shell) struct Desired {
    pub(in crate::shell) place: Place,
    pub(in crate::shell) availability: Availability,
    /// Of its newest event.
    pub(in crate::shell) sequence: u64,
    /// That event, if nobody else produces it.
    pub(in crate::shell) unannounced: Option<bytes::Bytes>,
    /// Since it was stored last.
    pub(in crate::shell) sold: Sold,
}

/// Locked in the order in which the pusher locks them, too.
pub(in crate::shell) async fn load(tx: &mut Tx, skus: &BTreeSet<Sku>) -> Result<BTreeMap<(Place, Sku), Desired>, Error> {
    let sql = "select connection, location, sku, on_hand, reserved, pending, buffer, sequence, unannounced
               from stock.desired where sku = any($1) order by sku, connection, location for update";
    let rows = sqlx::query(sql).bind(skus.iter().map(Sku::as_str).collect::<Vec<_>>()).fetch_all(tx).await?;
    let mut desired = BTreeMap::new();
    for row in &rows {
        let place = Place { connection: parsed(row, "connection")?, location: row.try_get("location")? };
        let sku = sku_of(row)?;
        let availability = Availability {
            connection: place.connection.clone(),
            sku: sku.clone(),
            location: place.location.clone(),
            on_hand: row.try_get("on_hand")?,
            reserved: row.try_get("reserved")?,
            pending: row.try_get("pending")?,
            buffer: row.try_get("buffer")?,
        };
        let known = Desired {
            place: place.clone(),
            availability,
            sequence: from_sql(row.try_get("sequence")?),
            unannounced: row.try_get::<Option<Vec<u8>>, _>("unannounced")?.map(Into::into),
            sold: Sold::default(),
        };
        desired.insert((place, sku), known);
    }
    Ok(desired)
}

/// The shop has to be told whenever the level is another, and whenever orders have moved the shop's own.
pub(in crate::shell) async fn save(tx: &mut Tx, desired: &[Desired]) -> Result<(), Error> {
    if desired.is_empty() {
        return Ok(());
    }
    let sql = "insert into stock.desired as d
                 (connection, location, sku, on_hand, reserved, pending, buffer, available, sequence, unannounced, taken, given)
               select * from unnest($1::text[], $2::text[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::bigint[],
                 $9::bigint[], $10::bytea[], $11::numeric[], $12::numeric[])
               on conflict (connection, location, sku) do update set
                 on_hand = excluded.on_hand, reserved = excluded.reserved, pending = excluded.pending, buffer = excluded.buffer,
                 available = excluded.available, sequence = excluded.sequence, unannounced = excluded.unannounced,
                 taken = d.taken + excluded.taken, given = d.given + excluded.given,
                 generation = d.generation + case when MOVED then 1 else 0 end,
                 changed_at = case when MOVED then now() else d.changed_at end,
                 dirty_since = case when MOVED then coalesce(d.dirty_since, now()) else d.dirty_since end,
                 due_at = case when MOVED and d.problem is null then now() else d.due_at end";
    let sql = sql.replace("MOVED", "(d.available <> excluded.available or excluded.taken <> 0 or excluded.given <> 0)");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(desired.iter().map(|it| it.place.connection.as_str()).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.place.location.as_str()).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.availability.sku.as_str()).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.availability.on_hand).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.availability.reserved).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.availability.pending).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.availability.buffer).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| units(it.availability.available())).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| to_sql(it.sequence)).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.unannounced.as_deref()).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.sold.taken).collect::<Vec<_>>())
        .bind(desired.iter().map(|it| it.sold.given).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// Events that are kept in their rows.
pub(in crate::shell) async fn unannounced(store: &Store, limit: i64) -> Result<Vec<Announcement>, Error> {
    let sql = "select connection, location, sku, sequence, unannounced from stock.desired where unannounced is not null limit $1";
    let rows = sqlx::query(sql).bind(limit).fetch_all(store.pool()).await?;
    let announcement = |row: &sqlx::postgres::PgRow| {
        Ok(Announcement {
            place: Place { connection: parsed(row, "connection")?, location: row.try_get("location")? },
            sku: sku_of(row)?,
            sequence: from_sql(row.try_get("sequence")?),
            value: row.try_get::<Vec<u8>, _>("unannounced")?.into(),
        })
    };
    rows.iter().map(announcement).collect()
}

pub(in crate::shell) async fn announced(store: &Store, rows: &[Announcement]) -> Result<(), Error> {
    let sql = "with held as (
                 select d.connection, d.location, d.sku from stock.desired d
                 join unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) as i (connection, location, sku, sequence)
                   using (connection, location, sku, sequence)
                 order by d.sku, d.connection, d.location for update of d)
               update stock.desired d set unannounced = null from held
               where d.connection = held.connection and d.location = held.location and d.sku = held.sku";
    sqlx::query(sql)
        .bind(rows.iter().map(|it| it.place.connection.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.place.location.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| it.sku.as_str()).collect::<Vec<_>>())
        .bind(rows.iter().map(|it| to_sql(it.sequence)).collect::<Vec<_>>())
        .execute(store.pool())
        .await?;
    Ok(())
}
