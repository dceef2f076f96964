//! The account's two checks are of use: each goes red for what it is there for, and only then.

use contracts::topics::groups;
use sandbox::payloads::PaymentWish;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use testkit::eventually_eq;

use e2e::{Installation, Program, SOON, Setup, mugs};

/// The exit code, and which checks hold.
async fn checks(it: &Installation) -> (i32, Vec<bool>) {
    let said = it.tradewind(&["--json", "account"]).await;
    let account: Value = serde_json::from_str(&said.out).unwrap();
    (said.code, account["checks"].as_array().unwrap().iter().map(|it| it["holds"] == true).collect())
}

/// Takes a row out of a table, and puts it back.
struct Taken<'a> {
    it: &'a Installation,
    table: &'static str,
}

impl<'a> Taken<'a> {
    async fn one_of(it: &'a Installation, table: &'static str) -> Self {
        let taken = Self { it, table };
        taken.run(format!("create table taken as select ctid as place, * from {table} limit 1")).await;
        assert_eq!(taken.run(format!("delete from {table} where ctid in (select place from taken)")).await, 1);
        taken.run("alter table taken drop column place".to_owned()).await;
        taken
    }

    async fn put_back(self) {
        assert_eq!(self.run(format!("insert into {} select * from taken", self.table)).await, 1);
        self.run("drop table taken".to_owned()).await;
    }

    async fn run(&self, sql: String) -> u64 {
        sqlx::query(AssertSqlSafe(sql)).execute(self.it.store.pool()).await.unwrap().rows_affected()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_missing_turns_its_check_red_and_the_exit_code_with_it() {
    let Some(it) = Installation::start(Setup::default()).await else { return };
    it.shop.place_order(&mugs(PaymentWish::Paid)).unwrap();
    it.settled().await;
    assert_eq!(checks(&it).await, (0, vec![true, true]));

    // A delivery that the mapper passed over: it lies below the commit and is in no ledger.
    let record = Taken::one_of(&it, "ingest.raw_record").await;
    assert_eq!(checks(&it).await, (3, vec![false, true]));
    record.put_back().await;
    assert_eq!(checks(&it).await, (0, vec![true, true]));

    // An event that a consumer passed over.
    for ledger in ["router.decision", "effects.decision"] {
        let decision = Taken::one_of(&it, ledger).await;
        assert_eq!(checks(&it).await, (4, vec![true, false]), "{ledger}");
        decision.put_back().await;
        assert_eq!(checks(&it).await, (0, vec![true, true]), "{ledger}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_that_stands_still_is_told_of_by_somebody_else() {
    let Some(mut it) = Installation::start(Setup::default()).await else { return };
    it.shop.place_order(&mugs(PaymentWish::Paid)).unwrap();
    it.settled().await;
    eventually_eq(SOON, false, async || router_is_behind(&it).await).await;
    assert_eq!(measured(&mut it).await, (0, 1));

    it.process(Program::Router).service().freeze();
    it.shop.place_order(&mugs(PaymentWish::Paid)).unwrap();
    eventually_eq(SOON, true, async || router_is_behind(&it).await).await;
    let (lag, balances) = measured(&mut it).await;
    assert!(lag > 0 && balances == 1, "nothing is missing, somebody is late: {lag}");
    it.process(Program::Router).service().thaw();
    it.settled().await;
}

async fn router_is_behind(it: &Installation) -> bool {
    let progress = it.scope().await.expect("Kafka answers").progress;
    progress.iter().any(|it| it.group == groups::ROUTER && it.is_behind())
}

/// The router's lag, and whether the account balances, as the replayer measures them when it starts.
async fn measured(it: &mut Installation) -> (usize, usize) {
    let replayer = it.process(Program::Replayer);
    replayer.kill_and_restart();
    replayer.ready().await;
    eventually_eq(SOON, true, async || replayer.metric("tradewind_account_timestamp_seconds").await > 0).await;
    let lag = replayer.metric_of("tradewind_group_lag_records", &format!("group=\"{}\"", groups::ROUTER)).await;
    (lag, replayer.metric("tradewind_account_balanced").await)
}
