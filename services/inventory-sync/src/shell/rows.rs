//! The SQL of orders, lines, levels, and of what the shops shall show.
//!
//! Two processes may decide about one SKU at the same time, from partitions of different topics. Each holds the rows of its
//! orders first, then those of its SKUs, both in one order for all; everything else that belongs to a SKU is read and written
//! under its row.

mod book;
pub(super) mod desired;
mod lines;

use std::collections::{BTreeMap, BTreeSet};

use domain::{AggregateKey, Decimal, Sku};
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use store::{Error, Tx};

use crate::core::book::{Book, concerns_stock};
use crate::core::feeds::Feeds;
use crate::core::pending::Group;
use crate::shell::inbound::{Event, What};

pub(super) use lines::{close, groups};

/// What is known of everything that these events are about, locked.
pub(super) async fn open<'a>(tx: &mut Tx, events: impl Iterator<Item = &'a Event>) -> Result<Book, Error> {
    let (mut orders, mut skus) = (BTreeMap::new(), BTreeSet::new());
    let mut listed: BTreeSet<(AggregateKey, Sku)> = BTreeSet::new();
    for event in events {
        match &event.what {
            What::Order(connection, takes) => {
                orders.insert(&event.key, connection);
                skus.extend(takes.quantities.keys().cloned());
            }
            What::Outcome(connection, outcome) if concerns_stock(outcome) => drop(orders.insert(&event.key, connection)),
            What::Outcome(..) => {}
            What::Level(_, sku, level) => {
                skus.insert(sku.clone());
                listed.extend(level.open_sales.iter().map(|it| (it.order.clone(), sku.clone())));
            }
        }
    }
    let mut book = Book { orders: book::lock_orders(tx, &orders).await?, ..Book::default() };
    let keys: Vec<&AggregateKey> = orders.keys().copied().collect();
    skus.extend(lines::skus_of(tx, &keys).await?);
    book::lock_skus(tx, &skus).await?;
    book.lines = lines::load(tx, &keys, &listed).await?;
    let strangers: BTreeSet<&AggregateKey> = listed.iter().map(|(key, _)| key).filter(|key| !orders.contains_key(*key)).collect();
    let strangers = book::load_orders(tx, &strangers).await?;
    book.orders.extend(strangers);
    book.levels = book::load_levels(tx, &skus).await?;
    Ok(book)
}

/// As [`open`], for SKUs that nothing happened to.
pub(super) async fn open_skus(tx: &mut Tx, skus: &BTreeSet<Sku>) -> Result<Book, Error> {
    book::lock_skus(tx, skus).await?;
    Ok(Book { levels: book::load_levels(tx, skus).await?, ..Book::default() })
}

pub(super) async fn save(tx: &mut Tx, book: &Book, feeds: &Feeds) -> Result<(), Error> {
    book::save_orders(tx, book).await?;
    book::save_levels(tx, book).await?;
    lines::save(tx, book, feeds).await
}

/// SKUs behind one, in the database's order.
pub(super) async fn skus_after(store: &store::Store, after: &str, limit: i64) -> Result<BTreeSet<Sku>, Error> {
    let sql = "select sku from stock.sku where sku > $1 order by sku limit $2";
    let skus: Vec<String> = sqlx::query_scalar(sql).bind(after).bind(limit).fetch_all(store.pool()).await?;
    skus.into_iter().map(|it| Sku::new(it).map_err(|error| corrupt("a SKU", error))).collect()
}

type Groups = BTreeMap<Sku, Vec<Group>>;

fn corrupt(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Corrupt { what, source: source.into() }
}

/// A name or key from a column.
fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(row: &PgRow, column: &'static str) -> Result<T, Error> {
    row.try_get::<&str, _>(column)?.parse().map_err(|error| corrupt(column, error))
}

fn sku_of(row: &PgRow) -> Result<Sku, Error> {
    Sku::new(row.try_get::<String, _>("sku")?).map_err(|error| corrupt("sku", error))
}

/// Sequences count from 1, one by one: they don't get out of range.
fn to_sql(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn from_sql(sequence: i64) -> u64 {
    u64::try_from(sequence).unwrap_or_default()
}

/// Shops show whole units; what is available is rounded down already.
pub(super) fn units(available: Decimal) -> i64 {
    i64::try_from(available).unwrap_or(i64::MAX)
}
