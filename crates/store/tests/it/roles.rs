//! Each service under its own role: enough for its work, and nothing else.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use contracts::topics::Parking;
use fault::Classify as _;
use pipeline::{OutRecord, Position};
use sqlx::AssertSqlSafe;
use store::account::{self, Scope};
use store::effects::{self, EffectState, Ended, Findings, NewEffect, StepRow, StepState, captures, identities};
use store::retention::{self, Ages, Answered, Sweep};
use store::roles::{self, Prefix, Role};
use store::{Error, Owner, Store, StoreSettings, letters, outbox, spool};
use testkit::Logins;
use uuid::Uuid;

use super::group::{GROUP, Group, record};

async fn open(url: &str) -> Store {
    Store::open(&StoreSettings { connections_max: 2, ..StoreSettings::new(url) }).await.unwrap()
}

async fn run(store: &Store, sql: impl Into<String>) -> Result<u64, Error> {
    Ok(sqlx::raw_sql(AssertSqlSafe(sql.into())).execute(store.pool()).await?.rows_affected())
}

#[track_caller]
fn assert_refused(done: Result<u64, Error>, what: &str) {
    let error = done.expect_err(what);
    assert_eq!(error.code(), "database_forbidden", "{what}: {error:?}");
    assert!(error.to_string().contains("tradewind migrate --roles"), "{error}");
    let cause = std::error::Error::source(&error).expect("the server says what is not allowed").to_string();
    assert!(cause.contains("permission denied"), "{what}: {cause}");
}

#[tokio::test]
async fn every_group_settles_buries_holds_and_drains_under_the_role_of_its_schema() {
    for owner in Owner::ALL {
        let logins = Logins::of(&testkit::database().await).await;
        let group = Group::on(&logins.url(Role::Owner(owner)), owner, Parking::Park).await;
        assert_eq!(group.settle(&record("1", 1, "bad a")).await, "letter", "{owner:?}");
        assert_eq!(group.settle(&record("1", 2, "b")).await, "done");
        assert_eq!(group.settle(&record("2", 3, "c")).await, "produced");

        let replayer = open(&logins.url(Role::Replayer)).await;
        let head = contracts::ids::letter(GROUP, Uuid::from_u128(1));
        let outcome: letters::OutcomeOf = std::sync::Arc::new(|_| {
            let mut outcome = out("outcomes");
            outcome.headers.push(contracts::headers::CE_ID, Uuid::from_u128(99).to_string());
            Some(outcome)
        });
        letters::replay(&replayer, head, "ada", "item added", Some("r-1"), outcome).await.unwrap();
        let pending = outbox::pending_outcomes(&replayer, 10).await.unwrap();
        let lies = |it: &outbox::Pending| (it.id, Position::of(&it.record, 0, 1));
        outbox::mark_outcomes(&replayer, &pending.iter().map(lies).collect::<Vec<_>>()).await.unwrap();
        let noted: i64 = sqlx::query_scalar("select count(*) from letters.output").fetch_one(replayer.pool()).await.unwrap();
        assert_eq!(noted, 1, "where it lies");

        group.script.repaired.store(true, Ordering::Relaxed);
        let mut drained = group.drained().await;
        assert_eq!(group.settle(&drained.remove(0)).await, "produced", "{owner:?}");
        let mut held = group.drained().await;
        assert_eq!(group.settle(&held.remove(0)).await, "produced", "{owner:?}");
        assert!(group.states().await.iter().all(|(_, state)| state == "applied"));
    }
}

#[tokio::test]
async fn the_door_spools_and_drains_under_its_role() {
    let logins = Logins::of(&testkit::database().await).await;
    let store = open(&logins.url(Role::Owner(Owner::Ingest))).await;
    spool::put(&store, "a", &out("raw")).await.unwrap();
    run(&store, "update ingest.spool set received_at = now() - interval '1 hour'").await.unwrap();
    assert_eq!(spool::adopt(&store, "b").await.unwrap(), 1);
    let ids: Vec<_> = spool::oldest(&store, "b", 0, 10).await.unwrap().iter().map(|it| it.id).collect();
    spool::claim(&store, &ids, Duration::from_secs(1)).await.unwrap();
    assert_eq!(spool::backlog(&store, None).await.unwrap().records, 1);
    spool::remove(&store, &ids).await.unwrap();
    assert_eq!(spool::backlog(&store, None).await.unwrap().records, 0);
}

#[tokio::test]
async fn the_adapter_claims_applies_captures_and_relays_under_its_role() {
    let logins = Logins::of(&testkit::database().await).await;
    let store = open(&logins.url(Role::Owner(Owner::Effects))).await;
    store.transaction(|tx| Box::pin(applied(tx))).await.unwrap();
    assert_eq!(effects::give_back(&store, "erp", &[("o/create", "sale", 1)]).await.unwrap(), 1);
    assert!(captures::cursor(&store, "erp", "stock").await.unwrap().is_some());
    let pending = outbox::pending_captured(&store, "erp", 10).await.unwrap();
    let produced = vec![(pending[0].id, Position::of(&pending[0].record, 0, 3))];
    store.transaction(move |tx| Box::pin(async move { outbox::mark_captured(tx, GROUP, &produced).await })).await.unwrap();
    let mut sole = effects::Sole::new(&store, "erp-adapter/erp").await.unwrap();
    assert!(sole.is_ours().await.unwrap());
}

/// One operation from its claim to its end, and one capture.
async fn applied(tx: &mut store::Tx) -> Result<(), Error> {
    let new = NewEffect { op_key: "o/create", command: Uuid::from_u128(1), aggregate: "shop/order/1", operation: "create", sequence: 1 };
    effects::open(tx, "erp", &[new], &["o/create"]).await?;
    let step = StepRow { state: StepState::Confirmed, fence: 1, leased: Duration::from_secs(9), ..StepRow::new("sale") };
    effects::write_steps(tx, "erp", Duration::from_secs(60), &[("o/create", &step)]).await?;
    let wanted = identities::Wanted { kind: "customer", match_key: "a@example.com", op_key: "o/create" };
    identities::claim(tx, "erp", &[wanted]).await?;
    identities::confirm(tx, "erp", &[(wanted, &Findings::new())]).await?;
    identities::release(tx, "erp", &[wanted]).await?;
    effects::close(tx, "erp", &[Ended { op_key: "o/create", state: EffectState::Applied, findings: &Findings::new() }]).await?;
    effects::replays_of(tx, GROUP, Uuid::from_u128(1)).await?;
    let captured = captures::Captured { sequence: 1, hash: vec![1], body: vec![2], observed_at: Utc::now(), gone: false };
    captures::known(tx, "erp", "stock", &["W/A"]).await?;
    captures::write(tx, "erp", "stock", &[("W/A", &captured)]).await?;
    captures::move_cursor(tx, "erp", "stock", &serde_json::json!(1)).await?;
    outbox::insert_captured(tx, "erp", &[(Uuid::from_u128(9), out("inventory"))]).await
}

#[tokio::test]
async fn nobody_reads_or_writes_what_another_service_owns() {
    let logins = Logins::of(&testkit::database().await).await;
    for owner in Owner::ALL {
        let store = open(&logins.url(Role::Owner(owner))).await;
        for other in Owner::ALL.into_iter().filter(|it| *it != owner) {
            let schema = other.schema();
            for sql in [format!("delete from {schema}.decision"), format!("select outputs from {schema}.decision")] {
                assert_refused(run(&store, &sql).await, &format!("{owner:?}: {sql}"));
            }
        }
        for sql in [
            "select * from account.decision",
            "insert into retention.carried values ('g', 's', 'k', 'applied', '', 1)",
            "delete from letters.letter",
            "insert into letters.outbox (record) values ('x')",
            "create table letters.mine ()",
            "truncate letters.parked",
        ] {
            assert_refused(run(&store, sql).await, &format!("{owner:?}: {sql}"));
        }
    }
}

#[tokio::test]
async fn the_replayer_draws_the_account_up_and_sweeps_but_writes_no_ledger() {
    let logins = Logins::of(&testkit::database().await).await;
    let store = open(&logins.url(Role::Replayer)).await;
    assert!(account::account(&store, &scope()).await.unwrap().balances());
    assert_eq!(store::pending_migrations(&store).await.unwrap(), 0);
    let mut sole = effects::Sole::new(&store, "retention").await.unwrap();
    assert!(sole.is_ours().await.unwrap());
    let ages = Ages { deliveries: Duration::from_secs(1), settled: Duration::from_secs(1), letters: Duration::from_secs(1) };
    for sweep in Sweep::all(&[Answered { topic: "orders".to_owned(), groups: vec![GROUP.to_owned()] }]) {
        assert_eq!(retention::sweep(&store, &sweep, &ages, 10).await.unwrap(), 0, "{sweep:?}");
    }
    for owner in Owner::ALL {
        let schema = owner.schema();
        assert_refused(run(&store, format!("update {schema}.decision set state = 'applied'")).await, schema);
        assert_refused(run(&store, format!("insert into {schema}.output select * from {schema}.output")).await, schema);
    }
    for sql in [
        "delete from letters.letter",
        "delete from effects.effect",
        "delete from effects.identity",
        "select record from ingest.spool",
        "select order_value from router.life",
    ] {
        assert_refused(run(&store, sql).await, sql);
    }
}

#[tokio::test]
async fn the_reader_sees_what_became_of_things_and_no_record() {
    let logins = Logins::of(&testkit::database().await).await;
    let store = open(&logins.url(Role::Reader)).await;
    assert!(account::account(&store, &scope()).await.unwrap().balances());
    assert!(account::items(&store, &scope(), &account::Part::default(), None, 10).await.unwrap().items.is_empty());
    assert_eq!(store::pending_migrations(&store).await.unwrap(), 0);
    for sql in [
        "select value from letters.letter",
        "select key, headers from letters.letter",
        "select body from ingest.entity",
        "select record from ingest.spool",
        "select outputs from router.decision",
        "select order_value from router.life",
        "select customer_id from router.life",
        "select findings from effects.effect",
        "update letters.letter set state = 'dead'",
        "delete from ingest.raw_record",
    ] {
        assert_refused(run(&store, sql).await, sql);
    }
}

#[tokio::test]
async fn granting_once_more_changes_nothing_and_takes_away_what_is_not_in_the_list() {
    let database = testkit::database().await;
    let logins = Logins::of(&database).await;
    let owner = open(&database).await;
    let before = rights(&owner).await;
    assert!(before.len() > 100, "{}", before.len());
    let prefix: Prefix = "tw_test_".parse().unwrap();
    assert_eq!(roles::grant(&StoreSettings::new(&database), &prefix).await.unwrap(), Vec::<String>::new());
    assert_eq!(rights(&owner).await, before);

    run(&owner, "grant delete on letters.letter to tw_test_router; grant usage on schema ingest to tw_test_router; grant select (body) on ingest.entity to tw_test_router")
        .await
        .unwrap();
    assert_ne!(rights(&owner).await, before);
    roles::grant(&StoreSettings::new(&database), &prefix).await.unwrap();
    assert_eq!(rights(&owner).await, before);
    drop(logins);
}

/// Every right in the database, one per line.
async fn rights(owner: &Store) -> Vec<String> {
    let sql = "
        select concat_ws(' ', 'relation', c.oid::regclass, a.grantee::regrole, a.privilege_type) from pg_class c, aclexplode(c.relacl) a where a.grantee <> 0
        union all select concat_ws(' ', 'column', t.attrelid::regclass, t.attname, a.grantee::regrole, a.privilege_type)
          from pg_attribute t, aclexplode(t.attacl) a where a.grantee <> 0
        union all select concat_ws(' ', 'schema', n.nspname, a.grantee::regrole, a.privilege_type) from pg_namespace n, aclexplode(n.nspacl) a where a.grantee <> 0
        union all select concat_ws(' ', 'function', p.oid::regprocedure, a.grantee::regrole, a.privilege_type) from pg_proc p, aclexplode(p.proacl) a where a.grantee <> 0
        union all select concat_ws(' ', 'default', d.defaclnamespace::regnamespace, d.defaclobjtype, a.grantee::regrole, a.privilege_type)
          from pg_default_acl d, aclexplode(d.defaclacl) a where a.grantee <> 0
        order by 1";
    sqlx::query_scalar(sql).fetch_all(owner.pool()).await.unwrap()
}

#[tokio::test]
async fn a_table_of_a_later_migration_belongs_to_the_service_of_its_schema() {
    let database = testkit::database().await;
    let logins = Logins::of(&database).await;
    run(&open(&database).await, "create table router.later (id bigserial primary key, text text)").await.unwrap();
    let insert = "insert into router.later (text) values ('x')";
    assert_eq!(run(&open(&logins.url(Role::Owner(Owner::Router))).await, insert).await.unwrap(), 1);
    assert_refused(run(&open(&logins.url(Role::Owner(Owner::Stock))).await, insert).await, "stock");
}

#[tokio::test]
async fn who_may_not_make_roles_is_told_so() {
    let database = testkit::database().await;
    let logins = Logins::of(&database).await;
    let settings = StoreSettings::new(logins.url(Role::Reader));
    let made = roles::grant(&settings, &"tw_never_".parse().unwrap()).await;
    assert!(matches!(made, Err(Error::Forbidden(_))), "{made:?}");
}

fn scope() -> Scope {
    Scope {
        raw_topic: "raw".to_owned(),
        mapper: "mapper".to_owned(),
        consumers: vec![("orders".to_owned(), GROUP.to_owned())],
        unanswered: Vec::new(),
        progress: Vec::new(),
    }
}

fn out(topic: &str) -> OutRecord {
    OutRecord {
        topic: topic.to_owned().into(),
        key: Bytes::from_static(b"shop/order/1"),
        value: Bytes::from_static(b"v"),
        headers: contracts::headers::Headers::default(),
        timestamp_ms: 0,
    }
}
