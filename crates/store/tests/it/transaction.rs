use std::time::Duration;

use futures_util::FutureExt as _;
use rand::{Rng as _, SeedableRng as _};
use store::{Error, Store, StoreSettings};

/// sqlx 0.9.0 hands a connection whose BEGIN was cancelled to the next caller, inside a transaction.
#[tokio::test]
async fn callers_that_are_cancelled_leave_nothing_behind() {
    let store = Store::open(&StoreSettings { connections_max: 1, ..StoreSettings::new(testkit::database().await) }).await.unwrap();
    let mut draw = rand::rngs::StdRng::seed_from_u64(7);
    for round in 0..testkit::rounds(500, 10_000) {
        let work = store.transaction(|tx| {
            Box::pin(async move {
                sqlx::query("insert into letters.outbox (record) values ('x')").execute(&mut *tx).await?;
                Ok(())
            })
        });
        // Gone at whatever it waits for: a connection, BEGIN, the statement, COMMIT.
        let patience = Duration::from_micros(draw.random_range(0..2_000));
        if let Ok(done) = tokio::time::timeout(patience, work).await {
            done.unwrap();
        }
        // Outside of a transaction every statement is one of its own.
        let number = "select pg_current_xact_id()::text";
        let one: String = sqlx::query_scalar(number).fetch_one(store.pool()).await.unwrap();
        let other: String = sqlx::query_scalar(number).fetch_one(store.pool()).await.unwrap();
        assert_ne!(one, other, "round {round}: the pool hands out a connection inside a transaction");
    }
    let idle = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'";
    testkit::eventually(Duration::from_secs(10), || async {
        let open: i64 = sqlx::query_scalar(idle).fetch_one(store.pool()).await.unwrap();
        (open == 0).then_some(()).ok_or_else(|| format!("{open} idle in transaction"))
    })
    .await;
    store.transaction(|tx| Box::pin(async move { Ok(sqlx::query("select 1").execute(&mut *tx).await?) })).await.unwrap();
}

#[tokio::test]
async fn an_error_rolls_everything_back() {
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    let failed = store
        .transaction(|tx| {
            Box::pin(async move {
                sqlx::query("insert into letters.outbox (record) values ('x')").execute(&mut *tx).await?;
                sqlx::query("insert into letters.outbox (record) values (null)").execute(&mut *tx).await?;
                Ok(())
            })
        })
        .await;
    assert!(matches!(failed, Err(Error::Rejected(_))), "{failed:?}");
    let rows: i64 = sqlx::query_scalar("select count(*) from letters.outbox").fetch_one(store.pool()).await.unwrap();
    assert_eq!(rows, 0);
}

#[tokio::test]
async fn a_migrated_database_has_nothing_pending() {
    let settings = StoreSettings::new(testkit::database().await);
    let store = Store::open(&settings).await.unwrap();
    assert_eq!(store::pending_migrations(&store).await.unwrap(), 0);
    store::migrate(&settings).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_away_is_an_outage_and_a_missing_table_is_a_question_of_schema() {
    let port = testkit::free_port();
    let away = Store::open(&StoreSettings {
        acquire_timeout: Duration::from_secs(1),
        ..StoreSettings::new(format!("postgres://t@127.0.0.1:{port}/x"))
    })
    .await;
    assert!(matches!(away, Err(Error::Unavailable(_))), "{away:?}");
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    let error = Error::from(sqlx::query("select 1 from nothing").execute(store.pool()).await.unwrap_err());
    assert!(matches!(error, Error::Schema(_)), "{error:?}");
}

/// A host that vanished never answers, and TCP never says so.
#[tokio::test]
async fn a_database_that_does_not_answer_holds_nobody_for_ever() {
    let settings =
        StoreSettings { connections_max: 1, answer_timeout: Duration::from_secs(2), ..StoreSettings::new(testkit::database().await) };
    let store = Store::open(&settings).await.unwrap();
    let silent = "select pg_sleep(600)";
    let statement = async { sqlx::query(silent).execute(store.pool()).await.map(drop).map_err(Error::from) };
    let row = async { sqlx::query(silent).fetch_one(store.pool()).await.map(drop).map_err(Error::from) };
    let transaction = store.transaction(move |tx| Box::pin(async move { Ok(sqlx::query(silent).execute(&mut *tx).await.map(drop)?) }));
    for silence in [statement.boxed(), row.boxed(), transaction.boxed()] {
        let given_up = tokio::time::timeout(Duration::from_secs(60), silence).await.expect("nobody waits for ever");
        assert!(matches!(given_up, Err(Error::Unavailable(_))), "{given_up:?}");
        // Its connection is not the next one's.
        let one: i32 = sqlx::query_scalar("select 1").fetch_one(store.pool()).await.unwrap();
        assert_eq!(one, 1);
    }
}

#[tokio::test]
async fn a_lock_of_a_database_that_does_not_answer_is_nobodys() {
    let server = testkit::own::postgres().await;
    let store = Store::open(&StoreSettings { answer_timeout: Duration::from_secs(2), ..StoreSettings::new(&server.url) }).await.unwrap();
    let mut sole = store::effects::Sole::new(&store, "it").await.unwrap();
    assert!(sole.is_ours().await.unwrap());
    server.freeze();
    let given_up = tokio::time::timeout(Duration::from_secs(60), sole.is_ours()).await.expect("nobody waits for ever");
    server.thaw();
    assert!(matches!(given_up, Err(Error::Unavailable(_))), "{given_up:?}");
}

/// A plan that was made while its table was new believes in such a key, and goes on to read the whole table for every row.
#[tokio::test]
async fn no_ledger_key_leads_with_what_all_rows_share() {
    let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
    let sql = "select c.oid::regclass::text || ': ' || a.attname from pg_index x
               join pg_class c on c.oid = x.indexrelid join pg_namespace n on n.oid = c.relnamespace
               join pg_class t on t.oid = x.indrelid
               join pg_attribute a on a.attrelid = x.indrelid and a.attnum = x.indkey[0]
               where x.indisunique and n.nspname in ('ingest', 'router', 'effects', 'stock', 'letters')
                 and a.attname in ('grp', 'target', 'connection', 'source', 'kind')
                 -- A row or two per connection or target.
                 and t.relname not in ('cursor', 'sweep', 'scan', 'backfill', 'pulse')";
    let leading: Vec<String> = sqlx::query_scalar(sql).fetch_all(store.pool()).await.unwrap();
    assert_eq!(leading, Vec::<String>::new());
}
