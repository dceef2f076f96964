//! The pool, and the only way to a transaction.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

use crate::Error;
use crate::pool::{Lent, Pool};

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
    /// How long a statement or a transaction may take until its connection is given up: the database's host is gone, or hangs.
    /// The account, which reads whole ledgers, may take five times as long.
    #[serde(with = "humantime_serde", default = "default_answer")]
    pub answer_timeout: Duration,
}

fn default_connections() -> u32 {
    8
}

fn default_acquire() -> Duration {
    Duration::from_secs(5)
}

fn default_answer() -> Duration {
    Duration::from_secs(120)
}

impl StoreSettings {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            password_file: None,
            connections_max: default_connections(),
            acquire_timeout: default_acquire(),
            answer_timeout: default_answer(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct Store {
    pool: PgPool,
    answer_timeout: Duration,
}

impl Store {
    /// Connects once, so that a wrong address is found at start.
    pub async fn open(settings: &StoreSettings) -> Result<Self, Error> {
        let store = Self::open_lazily(settings)?;
        store.pool.acquire().await?;
        Ok(store)
    }

    /// Connects when first used: for a door that opens before its database is there.
    pub fn open_lazily(settings: &StoreSettings) -> Result<Self, Error> {
        Ok(Self { pool: Self::connect(settings)?, answer_timeout: settings.answer_timeout })
    }

    fn connect(settings: &StoreSettings) -> Result<PgPool, Error> {
        let mut options: PgConnectOptions = settings.url.parse().map_err(Error::Url)?;
        if let Some(file) = &settings.password_file {
            let password = std::fs::read_to_string(file).map_err(|source| Error::Url(sqlx::Error::Io(source)))?;
            options = options.password(password.trim_end());
        }
        let options = options.options([
            // A transaction that its process forgot would hold locks for ever.
            ("idle_in_transaction_session_timeout", "30s"),
            ("lock_timeout", "30s"),
            // And a host of ours that vanished its sessions, with their advisory locks, for hours: whoever waits would not take over.
            ("tcp_keepalives_idle", "30"),
            ("tcp_keepalives_interval", "10"),
            ("tcp_keepalives_count", "3"),
            // So would a statement that nobody waits for any more.
            ("client_connection_check_interval", "10s"),
        ]);
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
        let (pool, answer_timeout) = (self.pool.clone(), self.answer_timeout);
        let run = async move {
            let mut lent = Lent::of(&pool).await?;
            let whole = async {
                #[expect(clippy::disallowed_methods, reason = "the one place that may begin")]
                let mut transaction = lent.connection.begin().await?;
                let done = work(&mut transaction).await?;
                transaction.commit().await?;
                Ok(done)
            };
            let answer = tokio::time::timeout(answer_timeout, whole).await;
            lent.in_time(answer)
        };
        tokio::spawn(run).await.unwrap_or(Err(Error::Panicked))
    }

    /// For single statements, which commit by themselves.
    pub fn pool(&self) -> Pool<'_> {
        Pool { connections: &self.pool, deadline: self.answer_timeout }
    }

    /// For statements that read whole ledgers.
    pub(crate) fn pool_of_the_patient(&self) -> Pool<'_> {
        Pool { connections: &self.pool, deadline: self.answer_timeout * 5 }
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }
}
