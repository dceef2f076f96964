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

/// A connection of the pool, for as long as something is asked on it.
pub(crate) struct Lent {
    pub(crate) connection: PoolConnection<Postgres>,
    is_silent: bool,
}

impl Lent {
    pub(crate) async fn of(connections: &PgPool) -> sqlx::Result<Self> {
        Ok(Self { connection: connections.acquire().await?, is_silent: false })
    }

    /// A connection that did not answer is closed: what it still sends would be taken for the answer to the next question.
    pub(crate) fn in_time<T, E: From<sqlx::Error>>(&mut self, answer: Result<Result<T, E>, Elapsed>) -> Result<T, E> {
        answer.unwrap_or_else(|_| {
            self.is_silent = true;
            self.connection.close_on_drop();
            Err(no_answer().into())
        })
    }
}

impl Drop for Lent {
    /// The pool asks it once more whether it is well, and would wait for that for ever, with its place.
    fn drop(&mut self) {
        if !self.is_silent {
            tokio::spawn(timeout(RETURN, self.connection.return_to_pool()));
        }
    }
}

/// A connection whose caller has gone may be at a long statement still.
const RETURN: Duration = Duration::from_secs(5);

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
            let mut lent = Lent::of(self.connections).await?;
            let answer = timeout(self.deadline, lent.connection.fetch_many(query).try_collect::<Vec<_>>()).await;
            lent.in_time(answer)
        };
        stream::once(rows).map_ok(|rows| stream::iter(rows.into_iter().map(Ok))).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        's: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(async move {
            let mut lent = Lent::of(self.connections).await?;
            let answer = timeout(self.deadline, lent.connection.fetch_optional(query)).await;
            lent.in_time(answer)
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
