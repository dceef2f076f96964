//! The one linear history of the schema, embedded.

use std::time::Duration;

use sqlx::migrate::Migrator;

use crate::{Error, Store, StoreSettings};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Brings the database up to this version. Safe to run from several processes at once, and again.
pub async fn migrate(settings: &StoreSettings) -> Result<(), Error> {
    let settings = StoreSettings { connections_max: 1, acquire_timeout: Duration::from_secs(30), ..settings.clone() };
    let store = Store::open(&settings).await?;
    let migrated = MIGRATIONS.run(&*store.pool()).await.map_err(Error::Migrate);
    store.close().await;
    migrated
}

/// How many migrations of this version the database lacks.
pub async fn pending_migrations(store: &Store) -> Result<usize, Error> {
    let has_history: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(store.pool()).await?;
    let applied: Vec<i64> = match has_history {
        true => sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(store.pool()).await?,
        false => Vec::new(),
    };
    Ok(MIGRATIONS.iter().filter(|it| !applied.contains(&it.version)).count())
}
