//! A database for each round, copied from one that is migrated once.

use anyhow::Context as _;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use store::StoreSettings;

/// Makes databases in one server.
pub(crate) struct Databases {
    server: String,
    made: u32,
}

const TEMPLATE: &str = "bench_template";

impl Databases {
    /// `server`: the address of any database in it.
    pub(crate) async fn new(server: &str) -> anyhow::Result<Self> {
        let databases = Self { server: server.to_owned(), made: 0 };
        databases.run(&format!("create database {TEMPLATE}")).await?;
        store::migrate(&StoreSettings::new(databases.url(TEMPLATE))).await?;
        Ok(databases)
    }

    /// The address of a new one with the product's schema.
    pub(crate) async fn fresh(&mut self) -> anyhow::Result<String> {
        self.made += 1;
        let name = format!("bench_{}", self.made);
        // A copy needs a template without sessions, and the migration's may still be ending.
        self.run(&format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{TEMPLATE}'")).await?;
        self.run(&format!("create database {name} template {TEMPLATE}")).await?;
        Ok(self.url(&name))
    }

    /// What the round left to be done is done now, and not while the next one is measured.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        self.run("checkpoint").await
    }

    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let mut connection = PgConnection::connect(&self.server).await.context("PostgreSQL does not answer")?;
        let version: String =
            sqlx::query_scalar("select split_part(current_setting('server_version'), ' ', 1)").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(version)
    }

    fn url(&self, name: &str) -> String {
        let (address, _) = self.server.rsplit_once('/').unwrap_or((&self.server, ""));
        format!("{address}/{name}")
    }

    async fn run(&self, sql: &str) -> anyhow::Result<()> {
        let mut connection = PgConnection::connect(&self.server).await.context("PostgreSQL does not answer")?;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut connection)
            .await
            .with_context(|| format!("PostgreSQL refused: {sql}"))?;
        Ok(connection.close().await?)
    }
}
