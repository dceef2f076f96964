//! What was settled long ago goes, and the account does not notice.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use store::account::{self, Account, Progress, Scope};
use store::effects::{self, EffectState, NewEffect};
use store::retention::{self, Ages, Answered, Sweep};
use store::{Store, StoreSettings, letters};
use uuid::Uuid;

const CONSUMERS: [(&str, &str); 5] = [
    ("orders", "order-router"),
    ("orders", "inventory-sync"),
    ("commands", "erp-adapter-erp"),
    ("outcomes", "order-router"),
    ("outcomes", "inventory-sync"),
];

const DAY: Duration = Duration::from_secs(24 * 3600);
const AGES: Ages = Ages { deliveries: DAY.saturating_mul(90), settled: DAY.saturating_mul(180), letters: DAY.saturating_mul(180) };

/// One order of a shop per number, each with all that follows from it: delivery, event, command, outcome, answers.
const ORDERS: &str = "
    create or replace function pg_temp.id(kind int, n int) returns uuid language sql as
      $$ select format('00000000-0000-0000-%s-%s', lpad(to_hex(kind), 4, '0'), lpad(to_hex(n), 12, '0'))::uuid $$;
    create temp table o as select n, 'shop-eu/order/' || n as key, now() - interval '{days} days' as at from generate_series({from}, {to}) as n;
    insert into ingest.raw_record select n % 2, n / 2, pg_temp.id(1, n), 'shop-eu', at from o;
    insert into ingest.decision select 'mapper', pg_temp.id(1, n), 'shop-eu', 'order', key, 'applied', null, 'h', null, 'raw', n % 2, n / 2, at, at from o;
    insert into ingest.output select pg_temp.id(2, n), pg_temp.id(1, n), 'mapper', 'orders', 0, n, at from o;
    insert into router.decision select 'order-router', pg_temp.id(2, n), 'shop-eu', 'order', key, 'applied', null, null, null, 'orders', 0, n, at, at from o;
    insert into stock.decision select 'inventory-sync', pg_temp.id(2, n), 'shop-eu', 'order', key, 'superseded', 'no_sku', null, null, 'orders', 0, n, at, at from o;
    insert into router.output select pg_temp.id(3, n), pg_temp.id(2, n), 'order-router', 'commands', 0, n, at from o;
    insert into effects.decision select 'erp-adapter-erp', pg_temp.id(3, n), 'shop-eu', 'order', key, 'applied', null, null, null, 'commands', 0, n, at, at from o;
    insert into effects.effect select 'erp', key || '/create', pg_temp.id(3, n), key, 'create', 1, 'applied', '{\"sale\": \"7\"}', at, at from o;
    insert into effects.effect_step (target, op_key, step, state, owner, fence, lease_until, updated_at) select 'erp', key || '/create', step, 'confirmed', pg_temp.id(0, 0), 2, at, at from o, unnest(array['customer', 'sale']) as step;
    insert into effects.output select pg_temp.id(4, n), pg_temp.id(3, n), 'erp-adapter-erp', 'outcomes', 0, n, at from o;
    insert into router.decision select 'order-router', pg_temp.id(4, n), 'shop-eu', 'order', key, 'applied', null, null, null, 'outcomes', 0, n, at, at from o;
    insert into stock.decision select 'inventory-sync', pg_temp.id(4, n), 'shop-eu', 'order', key, 'applied', null, null, null, 'outcomes', 0, n, at, at from o;
    drop table o";

struct Books {
    store: Store,
}

impl Books {
    async fn new() -> Self {
        // One connection: what a test sets up is temporary.
        let settings = StoreSettings { connections_max: 1, ..StoreSettings::new(testkit::database().await) };
        Self { store: Store::open(&settings).await.unwrap() }
    }

    /// Numbers from 0, so that raw offsets have no gap.
    async fn orders(&self, from: u32, to: u32, days: u32) {
        let sql = ORDERS.replace("{from}", &from.to_string()).replace("{to}", &to.to_string()).replace("{days}", &days.to_string());
        self.run(&sql).await;
    }

    async fn run(&self, sql: &str) {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(self.store.pool()).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    async fn count(&self, from: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(format!("select count(*) from {from}"))).fetch_one(self.store.pool()).await.unwrap()
    }

    async fn account(&self) -> Account {
        account::account(&self.store, &self.scope().await).await.unwrap()
    }

    /// Every group has read everything, by what the broker says.
    async fn scope(&self) -> Scope {
        let mut progress: Vec<_> = CONSUMERS.iter().map(|(topic, group)| at(group, topic, 0, 100_000)).collect();
        let ends: Vec<(i32, i64)> = sqlx::query_as(
            "select partition, max(next) from (select partition, max(\"offset\") + 1 as next from ingest.raw_record group by 1
                                               union all select partition, next from retention.raw) r group by 1",
        )
        .fetch_all(self.store.pool())
        .await
        .unwrap();
        progress.extend(ends.into_iter().map(|(partition, end)| at("mapper", "raw", partition, end)));
        let consumers = CONSUMERS.map(|(topic, group)| (topic.to_owned(), group.to_owned())).into();
        Scope { raw_topic: "raw".to_owned(), mapper: "mapper".to_owned(), consumers, unanswered: Vec::new(), progress }
    }

    /// Until nothing is left. By name, what went.
    async fn sweep(&self) -> BTreeMap<&'static str, u64> {
        let mut gone = BTreeMap::new();
        for sweep in Sweep::all(&answered()) {
            loop {
                let rows = retention::sweep(&self.store, &sweep, &AGES, LIMIT).await.unwrap();
                assert!(rows <= u64::from(LIMIT), "{sweep:?}: {rows}");
                *gone.entry(sweep.name()).or_default() += rows;
                if rows < u64::from(LIMIT) {
                    break;
                }
            }
        }
        gone.retain(|_, rows| *rows > 0);
        gone
    }

    /// Rows of one order in all ledgers but that of effects.
    async fn rows_of(&self, n: u32) -> i64 {
        self.count(&format!("account.decision where aggregate = 'shop-eu/order/{n}'")).await
    }
}

const LIMIT: u32 = 7;

fn at(group: &str, topic: &str, partition: i32, committed: i64) -> Progress {
    Progress { group: group.to_owned(), topic: topic.to_owned(), partition, committed: Some(committed), start: committed, end: committed }
}

fn answered() -> Vec<Answered> {
    let topics: std::collections::BTreeSet<_> = CONSUMERS.iter().map(|it| it.0).collect();
    let groups = |topic| CONSUMERS.iter().filter(|it| it.0 == topic).map(|it| it.1.to_owned()).collect();
    topics.into_iter().map(|topic| Answered { topic: topic.to_owned(), groups: groups(topic) }).collect()
}

#[tokio::test]
async fn the_account_is_the_same_before_and_after_and_balances() {
    let books = Books::new().await;
    books.orders(0, 39, 200).await;
    books.orders(40, 49, 1).await;
    // The shop had sent two of them twice.
    books.run("insert into ingest.raw_record select partition, 100 + \"offset\", ce_id, source, seen_at from ingest.raw_record where \"offset\" = 3").await;
    books.run("update ingest.raw_record set \"offset\" = 25 where \"offset\" = 103").await;
    let before = books.account().await;
    assert!(before.balances(), "{:?}", before.checks);
    assert_eq!((before.repeats, before.count("applied"), before.count("superseded")), (2, 250, 50));

    let gone = books.sweep().await;
    assert_eq!(gone, BTreeMap::from([("outputs", 120), ("deliveries", 40), ("decisions", 200), ("steps", 80)]));
    assert_eq!(books.account().await, before);
    assert_eq!(books.count("ingest.raw_record").await, 10);
    assert_eq!(books.count("account.output").await, 30);
    assert_eq!(books.count("account.decision").await, 60);
    assert_eq!(books.sweep().await, BTreeMap::new(), "nothing is left to do");

    // And once more, when the rest has grown old: nothing is left of the ledgers, and everything is still accounted for.
    for table in ["ingest", "router", "effects", "stock"] {
        books
            .run(&format!("update {table}.decision set decided_at = now() - interval '1 year', published_at = now() - interval '1 year'"))
            .await;
        books.run(&format!("update {table}.output set published_at = now() - interval '1 year'")).await;
    }
    books.run("update ingest.raw_record set seen_at = now() - interval '1 year'").await;
    books.sweep().await;
    assert_eq!(books.count("account.decision").await + books.count("ingest.raw_record").await, 0);
    assert_eq!(books.account().await, before);
}

#[tokio::test]
async fn identities_of_deliveries_go_before_what_followed_from_them() {
    let books = Books::new().await;
    books.orders(0, 9, 100).await;
    let before = books.account().await;
    assert_eq!(books.sweep().await, BTreeMap::from([("outputs", 10), ("deliveries", 10)]));
    assert_eq!((books.count("ingest.raw_record").await, books.count("router.decision").await), (0, 20));
    assert_eq!(books.account().await, before);
}

#[tokio::test]
async fn what_is_open_stays_however_old_it_is() {
    let letter = |grp: &str, kind: i32, n: i32, state: &str| {
        format!(
            "insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, origin_topic, origin_partition, origin_offset, origin_time_ms,
               key, value, headers, settled_at) values (gen_random_uuid(), '{grp}', pg_temp.id({kind}, {n}), 'shop-eu', 'order', 'shop-eu/order/{n}',
               '{state}', 't', 0, 1, 1, 'k', 'v', '', case when '{state}' = 'discarded' then now() - interval '1 year' end)"
        )
    };
    // Each opens one thing of an old order. The number is what stays of its decisions; 6 are all.
    let cases = [
        ("the mapper waits for a re-read", "update ingest.decision set state = 'in_flight' where ce_id = pg_temp.id(1, 0)".to_owned(), 1),
        ("the mapper's event is not produced", "update ingest.decision set outputs = 'x' where ce_id = pg_temp.id(1, 0)".to_owned(), 1),
        ("the router holds the order", "update router.decision set state = 'in_flight' where ce_id = pg_temp.id(2, 0)".to_owned(), 3),
        ("the command is not produced", "update router.decision set outputs = 'x' where ce_id = pg_temp.id(2, 0)".to_owned(), 3),
        ("the adapter has no answer", "delete from effects.decision where ce_id = pg_temp.id(3, 0)".to_owned(), 1),
        ("a command is dead", letter("erp-adapter-erp", 3, 0, "dead"), 2),
        ("a command is held", letter("erp-adapter-erp", 3, 0, "held"), 2),
        ("a command is being replayed", letter("erp-adapter-erp", 3, 0, "replaying"), 2),
        ("a letter was discarded", letter("erp-adapter-erp", 3, 0, "discarded"), 2),
        ("a delivery is dead", letter("mapper", 1, 0, "dead"), 1),
        ("stock has not decided on the outcome", "delete from stock.decision where ce_id = pg_temp.id(4, 0)".to_owned(), 2),
        (
            "it was decided yesterday",
            "update router.decision set decided_at = now() - interval '1 day' where ce_id = pg_temp.id(4, 0)".to_owned(),
            3,
        ),
    ];
    for (what, open, stays) in cases {
        let books = Books::new().await;
        books.orders(0, 9, 400).await;
        books.run(&open).await;
        let before = books.account().await;
        books.sweep().await;
        assert_eq!(books.account().await, before, "{what}");
        assert_eq!(books.rows_of(0).await, stays, "{what}");
        assert_eq!(books.rows_of(1).await, 0, "{what}");
    }
}

#[tokio::test]
async fn what_is_missing_stays_missing() {
    let books = Books::new().await;
    books.orders(0, 19, 200).await;
    books.run("delete from ingest.raw_record where partition = 1 and \"offset\" = 4").await;
    books.run("delete from ingest.decision where ce_id = pg_temp.id(1, 9)").await;
    books.run("delete from router.decision where ce_id = pg_temp.id(2, 6)").await;
    let before = books.account().await;
    assert_eq!(before.checks.iter().map(|it| it.holds).collect::<Vec<_>>(), [false, false]);
    assert!(!books.sweep().await.is_empty());
    assert_eq!(books.account().await, before, "an alarm does not end because its neighbours are old");
}

#[tokio::test]
async fn a_batch_is_bounded_and_the_last_one_is_smaller() {
    let books = Books::new().await;
    books.orders(0, 9, 200).await;
    let outputs = Sweep::Outputs(store::Owner::Ingest, answered().into_iter().find(|it| it.topic == "orders").unwrap());
    for expected in [4, 4, 2, 0] {
        assert_eq!(retention::sweep(&books.store, &outputs, &AGES, 4).await.unwrap(), expected);
    }
    for expected in [4, 4, 2, 0] {
        assert_eq!(retention::sweep(&books.store, &Sweep::Deliveries, &AGES, 4).await.unwrap(), expected);
    }
}

#[tokio::test]
async fn outputs_to_topics_that_nobody_named_stay() {
    let books = Books::new().await;
    books.orders(0, 4, 200).await;
    books.run("update router.output set topic = 'commands of a target that the settings forgot'").await;
    books.sweep().await;
    assert_eq!(books.count("router.output").await, 5);
    assert_eq!(books.count("effects.decision").await, 5, "and what answers them");
    // One that nobody has to answer for needs its age only.
    let public = Sweep::Outputs(
        store::Owner::Router,
        Answered { topic: "commands of a target that the settings forgot".to_owned(), groups: Vec::new() },
    );
    assert_eq!(retention::sweep(&books.store, &public, &AGES, 10).await.unwrap(), 5);
}

#[tokio::test]
async fn an_operation_that_is_applied_is_known_for_ever_with_what_it_learned() {
    let books = Books::new().await;
    books.orders(0, 2, 3_000).await;
    books.run("update effects.effect set state = 'rejected' where op_key = 'shop-eu/order/1/create'").await;
    books.run("update effects.effect_step set state = 'unknown' where op_key = 'shop-eu/order/2/create' and step = 'sale'").await;
    books.sweep().await;
    assert_eq!(books.count("effects.decision").await, 0, "the command itself is forgotten");

    // It comes again, perhaps under another id.
    let effects = books
        .store
        .transaction(|tx| {
            Box::pin(async move {
                let new = NewEffect {
                    op_key: "shop-eu/order/0/create",
                    command: Uuid::from_u128(77),
                    aggregate: "shop-eu/order/0",
                    operation: "create",
                    sequence: 9,
                };
                let keys = ["shop-eu/order/0/create", "shop-eu/order/1/create", "shop-eu/order/2/create"];
                effects::open(tx, "erp", &[new], &keys).await
            })
        })
        .await
        .unwrap();
    let applied = &effects["shop-eu/order/0/create"];
    assert_eq!((applied.state, applied.findings["sale"].as_str(), applied.steps.len()), (EffectState::Applied, "7", 0));
    assert_eq!(effects["shop-eu/order/1/create"].steps.len(), 2, "a rejected one may be replayed, and must not repeat a step");
    assert_eq!(effects["shop-eu/order/2/create"].steps.len(), 1, "what is in doubt stays");
}

#[tokio::test]
async fn a_delivery_that_comes_again_after_its_time_is_a_new_one_and_the_account_balances() {
    let books = Books::new().await;
    books.orders(0, 3, 200).await;
    let before = books.account().await;
    books.sweep().await;
    books.run("insert into ingest.raw_record values (0, 2, pg_temp.id(1, 0), 'shop-eu', now())").await;
    books.run("insert into ingest.decision select 'mapper', pg_temp.id(1, 0), 'shop-eu', 'order', 'k', 'superseded', null, 'h', null, 'raw', 0, 2, now(), now()")
        .await;
    let after = books.account().await;
    assert!(after.balances(), "{:?}", after.checks);
    assert_eq!((after.repeats, after.count("superseded")), (0, before.count("superseded") + 1));
}

#[tokio::test]
async fn of_a_settled_letter_only_the_record_goes() {
    let books = Books::new().await;
    books
        .run(
            "insert into letters.letter (id, grp, ce_id, source, kind, aggregate, state, origin_topic, origin_partition, origin_offset, origin_time_ms,
               key, value, headers, code, causes, settled_at)
             select format('00000000-0000-0000-0000-%s', lpad(n::text, 12, '0'))::uuid, 'g', gen_random_uuid(), 's', 'order', 's/order/' || n, state,
               't', 0, n, 1, 'k', 'the record', '', 'erp_refused', '{because}', at
             from (values (1, 'applied', now() - interval '200 days'), (2, 'discarded', now() - interval '100 days'), (3, 'dead', null),
                          (4, 'held', null), (5, 'superseded', now() - interval '181 days'), (6, 'replaying', now() - interval '1 year'))
               as l (n, state, at)",
        )
        .await;
    assert_eq!(books.sweep().await, BTreeMap::from([("letter_bodies", 2)]));
    let with_record: Vec<i64> =
        sqlx::query_scalar("select origin_offset from letters.letter where value = 'the record' and causes = '{because}' order by 1")
            .fetch_all(books.store.pool())
            .await
            .unwrap();
    assert_eq!(with_record, [2, 3, 4, 6]);
    let shown = letters::get(&books.store, Uuid::from_u128(1)).await.unwrap();
    assert_eq!((shown.letter.code.as_deref(), shown.value.len(), shown.headers.iter().count()), (Some("erp_refused"), 0, 0));
    assert_eq!(books.sweep().await, BTreeMap::new());
}

#[tokio::test]
async fn records_in_outboxes_go_when_they_were_produced_long_ago() {
    let books = Books::new().await;
    books
        .run(
            "insert into effects.outbox (target, out_id, record, created_at, published_at)
               select 'erp', gen_random_uuid(), null, now() - interval '1 year', at
               from (values (null), (now()), (now() - interval '200 days')) as v (at);
             insert into letters.outbox (record, created_at, published_at)
               select 'r', now() - interval '1 year', at from (values (null), (now()), (now() - interval '200 days')) as v (at)",
        )
        .await;
    assert_eq!(books.sweep().await, BTreeMap::from([("captures", 1), ("outcomes", 1)]));
    assert_eq!((books.count("effects.outbox").await, books.count("letters.outbox").await), (2, 2));
}

#[tokio::test]
async fn a_repeat_that_comes_while_its_delivery_goes_is_not_left_without_an_answer() {
    let books = Books::new().await;
    books.orders(0, 0, 200).await;
    for (topic, groups) in [("orders", vec!["order-router".to_owned(), "inventory-sync".to_owned()])] {
        let sweep = Sweep::Outputs(store::Owner::Ingest, Answered { topic: topic.to_owned(), groups });
        retention::sweep(&books.store, &sweep, &AGES, 10).await.unwrap();
    }
    // The mapper has noted the repeat and not committed yet.
    let url = books.store.pool().connect_options();
    let mapper = sqlx::PgPool::connect_with((*url).clone()).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "a transaction that is held open on purpose")]
    let mut open = mapper.begin().await.unwrap();
    sqlx::query("insert into ingest.raw_record select 0, 1, ce_id, source, now() from ingest.raw_record limit 1")
        .execute(&mut *open)
        .await
        .unwrap();
    let refused = retention::sweep(&books.store, &Sweep::Deliveries, &AGES, 10).await;
    assert!(matches!(refused, Err(store::Error::Unavailable(_))), "it waits a second and gives way: {refused:?}");
    open.commit().await.unwrap();
    assert_eq!(retention::sweep(&books.store, &Sweep::Deliveries, &AGES, 10).await.unwrap(), 0, "the delivery is young again");
    assert!(books.account().await.balances());
}

#[tokio::test]
async fn outcomes_of_what_people_did_are_obligations_and_go_when_all_have_answered() {
    let books = Books::new().await;
    books.orders(0, 0, 200).await;
    books.sweep().await;
    books
        .run(
            "create temp table p as select n, pg_temp.id(9, n) as id, now() - interval '200 days' as at from generate_series(0, 1) n;
             insert into letters.output select id, id, 'dead-letter-replayer', 'outcomes', 0, 50 + n, at from p;
             insert into router.decision select 'order-router', id, 'shop-eu', 'order', 'shop-eu/order/0', 'applied', null, null, null, 'outcomes', 0, 50 + n, at, at from p;
             insert into stock.decision select 'inventory-sync', id, 'shop-eu', 'order', 'shop-eu/order/0', 'applied', null, null, null, 'outcomes', 0, 50 + n, at, at from p where n = 0",
        )
        .await;
    let before = books.account().await;
    assert_eq!(before.count("missing"), 1, "stock has not answered for one of them");
    books.sweep().await;
    assert_eq!(books.account().await, before);
    assert_eq!((books.count("letters.output").await, books.count("router.decision").await), (1, 1));
}
