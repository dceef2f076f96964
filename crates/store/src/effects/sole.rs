//! Work that only one process may do at a time.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::QueryScalar;
use sqlx::{FromRow, Postgres};
use tokio::time::timeout;

use crate::pool::no_answer;
use crate::{Error, Store};

/// A wish to be the only one, with a connection of its own: the lock lives as long as that connection.
pub struct Sole {
    connection: PgConnection,
    answer_timeout: Duration,
    key: i64,
    held: bool,
}

impl Sole {
    /// `name`: what the processes agree on.
    pub async fn new(store: &Store, name: &str) -> Result<Self, Error> {
        let pool = store.pool();
        let connection = pool.acquire().await?.detach();
        let mut sole = Self { connection, answer_timeout: pool.deadline, key: 0, held: false };
        sole.key = sole.ask(sqlx::query_scalar("select hashtextextended($1, 0)").bind(name)).await?;
        Ok(sole)
    }

    /// Whether we are the one, now. An error means that nobody can say: somebody else may be.
    pub async fn is_ours(&mut self) -> Result<bool, Error> {
        let sql = if self.held { "select $1 is not null" } else { "select pg_try_advisory_lock($1)" };
        self.held = self.ask(sqlx::query_scalar(sql).bind(self.key)).await?;
        Ok(self.held)
    }

    async fn ask<T>(&mut self, question: QueryScalar<'_, Postgres, T, PgArguments>) -> Result<T, Error>
    where
        T: Send + Unpin,
        (T,): for<'r> FromRow<'r, PgRow>,
    {
        let answer = timeout(self.answer_timeout, question.fetch_one(&mut self.connection)).await;
        Ok(answer.unwrap_or_else(|_| Err(no_answer()))?)
    }
}
