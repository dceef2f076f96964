//! Locks on keys that have no row.

use store::{Error, Tx};

/// Held until the transaction ends. In one order for all transactions: two of them must not wait for each other.
pub(super) async fn take(tx: &mut Tx, keys: impl Iterator<Item = &str>) -> Result<(), Error> {
    let keys: Vec<&str> = keys.collect();
    let sql = "select pg_advisory_xact_lock(k.id) from (select distinct hashtextextended(key, 0) as id from unnest($1::text[]) as u (key) order by 1) k";
    sqlx::query(sql).bind(keys).execute(tx).await?;
    Ok(())
}
