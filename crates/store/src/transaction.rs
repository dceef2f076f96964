//! The pool, and the only way to a transaction.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::Error;

/// What a transaction's closure works with.
pub type Tx = sqlx::PgConnection;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSettings {
    /// `postgres://user@host:port/database`; a password belongs into `password_file`.
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<std::path::PathBuf>,
    /// Connections of this process; at most 8 keep a database of many services alive.
    #[serde(default = "default_connections")]
    pub connections_max: u32,
    /// How long a caller waits for a connection.
    #[serde(with = "humantime_serde", default = "default_acquire")]
    pub acquire_timeout: Duration,
}

fn default_connections() -> u32 {
    8
}

fn default_acquire() -> Duration {
    Duration::from_secs(5)
}

impl StoreSettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), password_file: None, connections_max: default_connections(), acquire_timeout: default_acquire() }
    }
}

#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
}

impl Store {
    /// Connects once, so that a wrong address is found at start.
    pub async fn open(settings: &StoreSettings) -> Result<Self, Error> {
        let pool = Self::connect(settings)?;
        pool.acquire().await?;
        Ok(Self { pool })
    }

    /// Connects when first used: for a door that opens before its database is there.
    pub fn open_lazily(settings: &StoreSettings) -> Result<Self, Error> {
        Ok(Self { pool: Self::connect(settings)? })
    }

    fn connect(settings: &StoreSettings) -> Result<PgPool, Error> {
        let mut options: PgConnectOptions = settings.url.parse().map_err(Error::Url)?;
        if let Some(file) = &settings.password_file {
            let password = std::fs::read_to_string(file).map_err(|source| Error::Url(sqlx::Error::Io(source)))?;
            options = options.password(password.trim_end());
        }
        // A transaction that its process forgot would hold locks for ever.
        let options = options.options([("idle_in_transaction_session_timeout", "30s"), ("lock_timeout", "30s")]);
        let pool = PgPoolOptions::new()
            .max_connections(settings.connections_max)
            .acquire_timeout(settings.acquire_timeout)
            .idle_timeout(Duration::from_secs(300))
            .connect_lazy_with(options);
        Ok(pool)
    }

    /// Runs `work` in one transaction and commits if it succeeds. It runs in a task of its own: a caller that is cancelled can
    /// neither leave a half-begun transaction behind (sqlx 0.9.0 would hand that connection to the next one) nor undo it.
    pub async fn transaction<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let pool = self.pool.clone();
        let run = async move {
            #[expect(clippy::disallowed_methods, reason = "the one place that may begin")]
            let mut transaction = pool.begin().await?;
            let done = work(&mut transaction).await?;
            transaction.commit().await?;
            Ok(done)
        };
        tokio::spawn(run).await.unwrap_or(Err(Error::Panicked))
    }

    /// For single statements, which commit by themselves.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}
