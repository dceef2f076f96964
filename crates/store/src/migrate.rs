//! The one linear history of the schema, embedded.

use std::time::Duration;

use sqlx::migrate::{Migrate as _, Migrator};

use crate::{Error, Store, StoreSettings};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Brings the database up to this version. Safe to run from several processes at once, and again.
pub async fn migrate(settings: &StoreSettings) -> Result<(), Error> {
    let settings = StoreSettings { connections_max: 1, acquire_timeout: Duration::from_secs(30), ..settings.clone() };
    let store = Store::open(&settings).await?;
    let migrated = MIGRATIONS.run(store.pool()).await.map_err(Error::Migrate);
    store.close().await;
    migrated
}

/// How many migrations of this version the database lacks.
pub async fn pending_migrations(store: &Store) -> Result<usize, Error> {
    let mut connection = store.pool().acquire().await?;
    let table = "_sqlx_migrations";
    connection.ensure_migrations_table(table).await.map_err(Error::Migrate)?;
    let applied = connection.list_applied_migrations(table).await.map_err(Error::Migrate)?;
    let is_applied = |version| applied.iter().any(|it| it.version == version);
    Ok(MIGRATIONS.iter().filter(|it| !is_applied(it.version)).count())
}
