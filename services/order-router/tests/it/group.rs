//! The router's ledger, with somebody in the engine's place who takes each record as far as it goes.

use std::sync::Arc;

use bus::BusSettings;
use contracts::topics::{Parking, groups};
use contracts::wire::Wire as _;
use domain::{ErpCommand, TargetId};
use mapping::Rules;
use order_router::shell::Router;
use pipeline::{Batch, Entry, Ledger as _, Next, OutRecord, Position, Record, Turn, Verdict};
use store::decisions::DecisionLedger;
use store::{Owner, Store, StoreSettings};
use telemetry::spans;

pub(super) const RULES: &str = r#"
[[hold]]
name = "fraud check"
when = '"check" in order.tags'
reason = "fraud_check"

[[route]]
name = "germany"
when = 'order.country == "DE"'
target = "erp-main"
"#;

pub(super) struct Group {
    pub(super) store: Store,
    pub(super) ledger: DecisionLedger<Router>,
}

pub(super) fn rules(text: &str) -> Rules {
    let targets: [TargetId; 1] = ["erp-main".parse().unwrap()];
    Rules::parse(text, &targets.into()).unwrap()
}

impl Group {
    pub(super) async fn new() -> Self {
        let store = Store::open(&StoreSettings::new(testkit::database().await)).await.unwrap();
        Self::over(store, RULES)
    }

    /// Another process of the group, with other rules perhaps.
    pub(super) fn over(store: Store, text: &str) -> Self {
        let router = Router::new(rules(text), vec!["erp-main".parse().unwrap()], BusSettings::local("unused").with_prefix("t."));
        let ledger = DecisionLedger::new(store.clone(), groups::ROUTER, Owner::Router, Parking::Park, router);
        Self { store, ledger }
    }

    pub(super) async fn commit(&self, turns: Vec<(Record, Turn<Vec<Position>>)>) -> Vec<Next<Vec<OutRecord>>> {
        let entry = |(record, turn): (Record, _)| {
            let span = spans::process("group", &record.partition.topic, 0, 0, &record.headers);
            Arc::new(Entry { record: Arc::new(record), turn, span })
        };
        let batch: Batch<_> = turns.into_iter().map(entry).collect();
        self.ledger.commit(batch).await.unwrap()
    }

    pub(super) async fn arrives(&self, record: &Record) -> Next<Vec<OutRecord>> {
        self.commit(vec![(record.clone(), Turn::Arrived)]).await.remove(0)
    }

    /// What came of it, commands by their operations.
    pub(super) async fn settle(&self, record: &Record) -> String {
        match self.arrives(record).await {
            Next::Done | Next::Lettered => "done".to_owned(),
            Next::Act(outputs) => {
                self.produced(record, &outputs).await;
                outputs.iter().map(|it| ErpCommand::decode(&it.value).unwrap().operation.name()).collect::<Vec<_>>().join(", ")
            }
            Next::Fail(fault) => {
                let code = fault.code;
                let turn = Turn::Failed { fault: Arc::new(fault), verdict: Verdict::Letter, attempts: 1, report: None };
                assert!(matches!(self.commit(vec![(record.clone(), turn)]).await.remove(0), Next::Done));
                format!("letter {code}")
            }
            Next::Later(_) => "later".to_owned(),
        }
    }

    pub(super) async fn produced(&self, record: &Record, outputs: &[OutRecord]) {
        let position = |(n, it): (usize, &OutRecord)| Position::of(it, 0, record.offset.wrapping_mul(10).wrapping_add(n as i64));
        let positions = outputs.iter().enumerate().map(position).collect();
        let next = self.commit(vec![(record.clone(), Turn::Acted(positions))]).await.remove(0);
        assert!(matches!(next, Next::Done));
    }

    /// Settles what the letters give back, until they give nothing more.
    pub(super) async fn drain(&self) -> Vec<String> {
        let mut said = Vec::new();
        loop {
            let letters = self.ledger.drain(100).await.unwrap();
            if letters.is_empty() {
                return said;
            }
            for pipeline::Drained { record, .. } in letters {
                said.push(self.settle(&record).await);
            }
        }
    }

    /// Topic, state and reason of each decision, sorted.
    pub(super) async fn states(&self) -> Vec<String> {
        let sql = "select concat_ws(' ', topic, state, reason) from router.decision";
        let mut states: Vec<String> = sqlx::query_scalar(sql).fetch_all(self.store.pool()).await.unwrap();
        states.sort();
        states
    }

    pub(super) async fn text(&self, sql: &'static str) -> String {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }
}
