//! The SQL of lives, refunds and customers.

mod life;
mod locks;
mod refund;

use std::collections::{BTreeMap, HashMap};

use domain::AggregateKey;
use store::{Error, Tx};

use crate::core::Life;

/// How much of a life is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// To compare with, or to act on.
    Whole,
    /// Without the order itself: an outcome only moves how far its commands have come.
    Progress,
}

/// What is known under these keys, locked until the transaction ends.
pub(super) async fn load_lives(tx: &mut Tx, wanted: &BTreeMap<&AggregateKey, Want>) -> Result<HashMap<AggregateKey, Life>, Error> {
    if wanted.is_empty() {
        return Ok(HashMap::new());
    }
    let mut lives = life::load(tx, wanted).await?;
    let unseen: BTreeMap<&AggregateKey, Want> =
        wanted.iter().filter(|(key, want)| **want == Want::Whole && !lives.contains_key(**key)).map(|(key, want)| (*key, *want)).collect();
    if !unseen.is_empty() {
        // There is no row to lock yet. While partitions move from one process to another both may decide about the same new
        // order: one must see what the other did.
        locks::take(tx, unseen.keys().map(|it| it.as_str())).await?;
        lives.extend(life::load(tx, &unseen).await?);
    }
    for (key, refunds) in refund::load(tx, wanted.keys().map(|it| it.as_str())).await? {
        match lives.get_mut(&key) {
            Some(life) => life.refunds = refunds,
            None => {
                let connection = key.source().parse().map_err(|error| corrupt("router.refund", error))?;
                let life = Life { refunds, ..Life::new(connection, key.id()) };
                lives.insert(key, life);
            }
        }
    }
    Ok(lives)
}

pub(super) async fn save_lives(tx: &mut Tx, lives: &[Life]) -> Result<(), Error> {
    life::save(tx, lives).await?;
    life::save_progress(tx, lives).await?;
    refund::save(tx, lives).await?;
    refund::save_progress(tx, lives).await
}

/// The newest sequence of each customer that was seen, locked.
pub(super) async fn load_customers(tx: &mut Tx, keys: &[&str]) -> Result<HashMap<AggregateKey, u64>, Error> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = "select aggregate, sequence from router.customer where aggregate = any($1) order by aggregate for update";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).bind(keys).fetch_all(tx).await?;
    rows.into_iter().map(|(key, sequence)| Ok((parse_key(&key)?, from_sql(sequence)))).collect()
}

/// An older sequence never replaces a newer one, whoever wrote it.
pub(super) async fn save_customers(tx: &mut Tx, customers: &[(AggregateKey, u64)]) -> Result<(), Error> {
    if customers.is_empty() {
        return Ok(());
    }
    let sql = "insert into router.customer (aggregate, sequence) select * from unnest($1::text[], $2::bigint[])
               on conflict (aggregate) do update set sequence = excluded.sequence, updated_at = now()
               where router.customer.sequence < excluded.sequence";
    sqlx::query(sql)
        .bind(customers.iter().map(|(key, _)| key.as_str()).collect::<Vec<_>>())
        .bind(customers.iter().map(|(_, sequence)| to_sql(*sequence)).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

fn corrupt(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Corrupt { what, source: source.into() }
}

fn parse_key(key: &str) -> Result<AggregateKey, Error> {
    key.parse().map_err(|error| corrupt("an aggregate key", error))
}

/// Sequences count from 1, one by one: they don't get this far.
fn to_sql(sequence: u64) -> i64 {
    i64::try_from(sequence).unwrap_or(i64::MAX)
}

fn from_sql(sequence: i64) -> u64 {
    u64::try_from(sequence).unwrap_or_default()
}
