//! Work that only one process may do at a time.

use sqlx::postgres::PgConnection;

use crate::{Error, Store};

/// A wish to be the only one, with a connection of its own: the lock lives as long as that connection.
pub struct Sole {
    connection: PgConnection,
    key: i64,
    held: bool,
}

impl Sole {
    /// `name`: what the processes agree on.
    pub async fn new(store: &Store, name: &str) -> Result<Self, Error> {
        let mut connection = store.pool().acquire().await?.detach();
        let key = sqlx::query_scalar("select hashtextextended($1, 0)").bind(name).fetch_one(&mut connection).await?;
        Ok(Self { connection, key, held: false })
    }

    /// Whether we are the one, now. An error means that nobody can say: somebody else may be.
    pub async fn is_ours(&mut self) -> Result<bool, Error> {
        if self.held {
            sqlx::query("select 1").execute(&mut self.connection).await?;
        } else {
            self.held = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(self.key).fetch_one(&mut self.connection).await?;
        }
        Ok(self.held)
    }
}
