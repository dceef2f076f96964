//! Single statements, each in a transaction of its own, which comes back even if the database's host is gone without a word: TCP
//! notices that only where something is left to be acknowledged, and sqlx 0.9.0 waits for an answer for ever.

use std::io;
use std::ops::Deref;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, PgPool, Postgres, SqlStr};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

/// What single statements run on; see [`Store::pool`](crate::Store::pool).
#[derive(Debug, Clone, Copy)]
pub struct Pool<'s> {
    pub(crate) connections: &'s PgPool,
    pub(crate) deadline: Duration,
}

impl Deref for Pool<'_> {
    type Target = PgPool;

    fn deref(&self) -> &PgPool {
        self.connections
    }
}

/// A connection that did not answer is closed: what it still sends would be taken for the answer to the next question.
pub(crate) fn in_time<T, E: From<sqlx::Error>>(
    answer: Result<Result<T, E>, Elapsed>,
    connection: &mut PoolConnection<Postgres>,
) -> Result<T, E> {
    answer.unwrap_or_else(|_| {
        connection.close_on_drop();
        Err(no_answer().into())
    })
}

pub(crate) fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "the database did not answer in time"))
}

impl<'s> Executor<'s> for Pool<'s> {
    type Database = Postgres;

    /// All rows at once: nobody holds a connection while it works on some of them.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>
    where
        's: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let rows = async move {
            let mut connection = self.connections.acquire().await?;
            let answer = timeout(self.deadline, connection.fetch_many(query).try_collect::<Vec<_>>()).await;
            in_time(answer, &mut connection)
        };
        stream::once(rows).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        's: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut connection = self.connections.acquire().await?;
            let answer = timeout(self.deadline, connection.fetch_optional(query)).await;
            in_time(answer, &mut connection)
        })
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        's: 'e,
    {
        self.connections.prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, sqlx::Result<Describe<Postgres>>>
    where
        's: 'e,
    {
        self.connections.describe(sql)
    }
}
