//! A database per test, copied from a template that is migrated once per process.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};
use store::StoreSettings;
use tokio::sync::OnceCell;

/// The address of a new database with the product's schema. It goes when the run ends, or with the next test process.
pub async fn database() -> String {
    static TEMPLATE: OnceCell<String> = OnceCell::const_new();
    let template = TEMPLATE.get_or_init(template).await;
    create(&crate::postgres().await, Some(template)).await
}

/// One without any schema.
pub async fn empty_database() -> String {
    create(&crate::postgres().await, None).await
}

async fn template() -> String {
    let server = crate::postgres().await;
    drop_leftovers(&server).await;
    let url = create(&server, None).await;
    store::migrate(&StoreSettings::new(&url)).await.expect("an empty database can be migrated");
    let name = url.rsplit('/').next().expect("an address ends in the database").to_owned();
    // A copy needs a template without sessions, and the migration's may still be ending.
    run(&server, &format!("alter database {name} with allow_connections false")).await;
    run(&server, &format!("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")).await;
    name
}

async fn create(server: &str, template: Option<&String>) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!("{PREFIX}{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let template = template.map_or("template0", String::as_str);
    // One with this name is of an earlier process with our number.
    run(server, &format!("drop database if exists {name} with (force)")).await;
    run(server, &format!("create database {name} template {template}")).await;
    let (address, _) = server.rsplit_once('/').expect("an address ends in the database");
    format!("{address}/{name}")
}

/// Tests don't drop their databases: the test that failed is the one that somebody wants to look into.
async fn drop_leftovers(server: &str) {
    let mut connection = PgConnection::connect(server).await.expect("the server answers");
    let query = sqlx::query("select datname from pg_database where starts_with(datname, $1)").bind(PREFIX);
    let rows = query.fetch_all(&mut connection).await.expect("databases can be listed");
    for name in rows.iter().map(|row| row.get::<String, _>(0)) {
        let pid = name.trim_start_matches(PREFIX).split('_').next().unwrap_or_default();
        if !std::path::Path::new("/proc").join(pid).exists() {
            // Another process may be doing the same.
            let drop = AssertSqlSafe(format!("drop database if exists {name} with (force)"));
            if let Err(error) = sqlx::raw_sql(drop).execute(&mut connection).await {
                eprintln!("{name} stays: {error}");
            }
        }
    }
}

async fn run(server: &str, statement: &str) {
    let mut connection = PgConnection::connect(server).await.expect("the server answers");
    let done = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

const PREFIX: &str = "tw_test_";

#[cfg(test)]
mod tests {
    use super::*;

    async fn count(url: &str, query: &'static str) -> i64 {
        let mut connection = PgConnection::connect(url).await.unwrap();
        sqlx::query(query).fetch_one(&mut connection).await.unwrap().get(0)
    }

    const TABLES: &str = "select count(*) from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')";

    #[tokio::test]
    async fn two_tests_have_two_databases_with_the_same_schema() {
        let (first, second) = (database().await, database().await);
        assert_ne!(first, second);
        assert!(count(&first, TABLES).await > 5);
        assert_eq!(count(&first, TABLES).await, count(&second, TABLES).await);
        assert_eq!(count(&empty_database().await, TABLES).await, 0);
    }
}
