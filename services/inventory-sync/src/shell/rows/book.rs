//! Orders, levels, and the rows that are locked.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use domain::{AggregateKey, ConnectionId, Decimal, OpenSale, Sku};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use store::{Error, Tx};

use super::{corrupt, from_sql, parsed, sku_of, to_sql};
use crate::core::book::{Book, Level};
use crate::core::feeds::Source;
use crate::core::pending::{Confirmed, WebOrder};

/// A row is made where there is none, so that there is something to hold.
pub(super) async fn lock_orders(
    tx: &mut Tx,
    orders: &BTreeMap<&AggregateKey, &ConnectionId>,
) -> Result<BTreeMap<AggregateKey, WebOrder>, Error> {
    if orders.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<&str> = orders.keys().map(|it| it.as_str()).collect();
    let sql = "insert into stock.web_order (aggregate, connection)
               select i.aggregate, i.connection from unnest($1::text[], $2::text[]) as i (aggregate, connection) order by i.aggregate
               on conflict (aggregate) do nothing";
    sqlx::query(sql).bind(&keys).bind(orders.values().map(|it| it.as_str()).collect::<Vec<_>>()).execute(&mut *tx).await?;
    let sql = "select * from stock.web_order where aggregate = any($1) order by aggregate for update";
    let rows = sqlx::query(sql).bind(&keys).fetch_all(tx).await?;
    rows.iter().map(order).collect()
}

pub(super) async fn load_orders(tx: &mut Tx, keys: &BTreeSet<&AggregateKey>) -> Result<BTreeMap<AggregateKey, WebOrder>, Error> {
    if keys.is_empty() {
        return Ok(BTreeMap::new());
    }
    let keys: Vec<&str> = keys.iter().map(|it| it.as_str()).collect();
    let rows = sqlx::query("select * from stock.web_order where aggregate = any($1)").bind(keys).fetch_all(tx).await?;
    rows.iter().map(order).collect()
}

fn order(row: &PgRow) -> Result<(AggregateKey, WebOrder), Error> {
    let confirmed = match row.try_get::<Option<DateTime<Utc>>, _>("confirmed_at")? {
        None => None,
        Some(at) => {
            Some(Confirmed { target: parsed(row, "confirmed_target")?, sequence: from_sql(row.try_get("confirmed_sequence")?), at })
        }
    };
    let order = WebOrder {
        connection: parsed(row, "connection")?,
        sequence: from_sql(row.try_get("sequence")?),
        discarded: row.try_get("discarded")?,
        given_up: from_sql(row.try_get("given_up")?),
        confirmed,
    };
    Ok((parsed(row, "aggregate")?, order))
}

pub(super) async fn save_orders(tx: &mut Tx, book: &Book) -> Result<(), Error> {
    if book.touched.orders.is_empty() {
        return Ok(());
    }
    let orders: Vec<(&AggregateKey, &WebOrder)> = book.touched.orders.iter().map(|key| (key, &book.orders[key])).collect();
    let confirmed = || orders.iter().map(|(_, it)| it.confirmed.as_ref());
    let sql = "update stock.web_order o set sequence = i.sequence, discarded = i.discarded, given_up = i.given_up,
                 confirmed_target = i.confirmed_target, confirmed_sequence = i.confirmed_sequence, confirmed_at = i.confirmed_at,
                 updated_at = now()
               from unnest($1::text[], $2::bigint[], $3::bool[], $4::bigint[], $5::text[], $6::bigint[], $7::timestamptz[])
                 as i (aggregate, sequence, discarded, given_up, confirmed_target, confirmed_sequence, confirmed_at)
               where o.aggregate = i.aggregate";
    sqlx::query(sql)
        .bind(orders.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>())
        .bind(orders.iter().map(|(_, it)| to_sql(it.sequence)).collect::<Vec<_>>())
        .bind(orders.iter().map(|(_, it)| it.discarded).collect::<Vec<_>>())
        .bind(orders.iter().map(|(_, it)| to_sql(it.given_up)).collect::<Vec<_>>())
        .bind(confirmed().map(|it| it.map(|it| it.target.as_str())).collect::<Vec<_>>())
        .bind(confirmed().map(|it| it.map(|it| to_sql(it.sequence))).collect::<Vec<_>>())
        .bind(confirmed().map(|it| it.map(|it| it.at)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// One transaction at a time works on a SKU.
pub(super) async fn lock_skus(tx: &mut Tx, skus: &BTreeSet<Sku>) -> Result<(), Error> {
    if skus.is_empty() {
        return Ok(());
    }
    let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
    let sql = "insert into stock.sku (sku) select i.sku from unnest($1::text[]) as i (sku) order by i.sku on conflict (sku) do nothing";
    sqlx::query(sql).bind(&skus).execute(&mut *tx).await?;
    sqlx::query("select 1 from stock.sku where sku = any($1) order by sku for update").bind(&skus).execute(tx).await?;
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct StoredSale {
    order: String,
    quantity: Decimal,
}

pub(super) async fn load_levels(tx: &mut Tx, skus: &BTreeSet<Sku>) -> Result<BTreeMap<Sku, BTreeMap<Source, Level>>, Error> {
    let mut levels: BTreeMap<Sku, BTreeMap<Source, Level>> = BTreeMap::new();
    if skus.is_empty() {
        return Ok(levels);
    }
    let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
    let rows = sqlx::query("select * from stock.level where sku = any($1)").bind(skus).fetch_all(tx).await?;
    for row in &rows {
        let source = Source { target: parsed(row, "target")?, location: row.try_get("location")? };
        let Json(sales) = row.try_get::<Json<Vec<StoredSale>>, _>("open_sales")?;
        let sale = |it: StoredSale| {
            Ok(OpenSale { order: it.order.parse().map_err(|error| corrupt("an open sale", error))?, quantity: it.quantity })
        };
        let level = Level {
            sequence: from_sql(row.try_get("sequence")?),
            on_hand: row.try_get("on_hand")?,
            reserved: row.try_get("reserved")?,
            observed_at: row.try_get("observed_at")?,
            open_sales: sales.into_iter().map(sale).collect::<Result<_, Error>>()?,
        };
        levels.entry(sku_of(row)?).or_default().insert(source, level);
    }
    Ok(levels)
}

pub(super) async fn save_levels(tx: &mut Tx, book: &Book) -> Result<(), Error> {
    if book.touched.levels.is_empty() {
        return Ok(());
    }
    let levels: Vec<(&Sku, &Source, &Level)> =
        book.touched.levels.iter().map(|(sku, source)| (sku, source, &book.levels[sku][source])).collect();
    let sales = |level: &Level| {
        let stored = |it: &OpenSale| StoredSale { order: it.order.to_string(), quantity: it.quantity };
        Json(level.open_sales.iter().map(stored).collect::<Vec<_>>())
    };
    let sql = "insert into stock.level (target, location, sku, sequence, on_hand, reserved, observed_at, open_sales)
               select * from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::numeric[], $6::numeric[], $7::timestamptz[], $8::jsonb[])
               on conflict (sku, target, location) do update set sequence = excluded.sequence, on_hand = excluded.on_hand,
                 reserved = excluded.reserved, observed_at = excluded.observed_at, open_sales = excluded.open_sales";
    sqlx::query(sql)
        .bind(levels.iter().map(|it| it.1.target.as_str()).collect::<Vec<_>>())
        .bind(levels.iter().map(|it| it.1.location.as_str()).collect::<Vec<_>>())
        .bind(levels.iter().map(|it| it.0.as_str()).collect::<Vec<_>>())
        .bind(levels.iter().map(|it| to_sql(it.2.sequence)).collect::<Vec<_>>())
        .bind(levels.iter().map(|it| it.2.on_hand).collect::<Vec<_>>())
        .bind(levels.iter().map(|it| it.2.reserved).collect::<Vec<_>>())
        .bind(levels.iter().map(|it| it.2.observed_at).collect::<Vec<_>>())
        .bind(levels.iter().map(|it| sales(it.2)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}
