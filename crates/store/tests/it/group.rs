//! A small group over a decision ledger: its records carry what to decide in their value.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contracts::headers::{self, Headers};
use contracts::topics::Parking;
use fault::{Class, Fault};
use pipeline::{Batch, Entry, Ledger as _, Next, Origin, OutRecord, Partition, Position, Record, Turn, Verdict};
use store::decisions::{Decide, Decided, DecisionLedger, Input};
use store::letters::Subject;
use store::{Error, Owner, Store, StoreSettings, Tx};
use tokio::sync::Semaphore;
use tracing::Span;
use uuid::Uuid;

pub(super) const GROUP: &str = "order-router";

pub(super) struct Script {
    pub(super) decided: AtomicUsize,
    /// Values that start with `bad` pass once this is set.
    pub(super) repaired: AtomicBool,
    /// Values that start with `slow` are decided as soon as there is a permit; the second one is old by then.
    pub(super) gate: Semaphore,
    pub(super) slow: AtomicUsize,
    /// Offsets of what came from the topic.
    pub(super) seen: Mutex<Vec<i64>>,
}

pub(super) struct Rules(Arc<Script>);

#[async_trait]
impl Decide for Rules {
    async fn decide(&self, _: &mut Tx, batch: &[Input<'_>]) -> Result<Vec<Decided>, Error> {
        self.0.decided.fetch_add(batch.len(), Ordering::Relaxed);
        if batch.iter().any(|it| it.record.value.starts_with(b"slow")) {
            self.0.gate.acquire().await.unwrap().forget();
        }
        Ok(batch.iter().map(|input| self.0.one(input)).collect())
    }

    fn subject(&self, record: &Record) -> Option<Subject> {
        Some(Subject { name: record.key_text(), version: format!("{:020}", record.offset) })
    }

    fn ids_come_from_outside(&self) -> bool {
        true
    }

    async fn seen(&self, _: &mut Tx, batch: &[Input<'_>]) -> Result<(), Error> {
        self.0.seen.lock().unwrap().extend(batch.iter().map(|it| it.record.offset));
        Ok(())
    }
}

impl Default for Script {
    fn default() -> Self {
        Self {
            decided: AtomicUsize::default(),
            repaired: AtomicBool::default(),
            gate: Semaphore::new(0),
            slow: AtomicUsize::default(),
            seen: Mutex::default(),
        }
    }
}

impl Script {
    fn one(&self, input: &Input<'_>) -> Decided {
        let value = String::from_utf8_lossy(&input.record.value).into_owned();
        match value.split(' ').next() {
            Some("bad") if !self.repaired.load(Ordering::Relaxed) => Decided::Fail(Fault::new(Class::Validation, "bad", "it is bad")),
            Some("panic") if !self.repaired.load(Ordering::Relaxed) => panic!("a mistake of ours"),
            // Not an error and not a panic: the process is gone.
            Some("deadly") => std::process::abort(),
            Some("old") => Decided::superseded(),
            Some("slow") if self.slow.fetch_add(1, Ordering::Relaxed) > 0 => Decided::superseded(),
            Some("wait") => Decided::Waiting { reason: "payment_pending" },
            _ => {
                let mut headers = Headers::default();
                headers.push(headers::CE_ID, contracts::ids::derived(input.id, GROUP, 0).to_string());
                let out = OutRecord {
                    topic: "out".into(),
                    key: input.record.key.clone(),
                    value: format!("did {value}").into(),
                    headers,
                    timestamp_ms: 0,
                };
                Decided::applied(vec![out])
            }
        }
    }
}

pub(super) struct Group {
    pub(super) script: Arc<Script>,
    pub(super) store: Store,
    pub(super) ledger: DecisionLedger<Rules>,
    pub(super) policy: Parking,
}

impl Group {
    pub(super) async fn new(policy: Parking) -> Self {
        Self::on(&testkit::database().await, Owner::Router, policy).await
    }

    /// Under the role that the address names.
    pub(super) async fn on(url: &str, owner: Owner, policy: Parking) -> Self {
        let store = Store::open(&StoreSettings::new(url)).await.unwrap();
        let script = Arc::new(Script::default());
        let ledger = DecisionLedger::new(store.clone(), GROUP, owner, policy, Rules(Arc::clone(&script)));
        Self { script, store, ledger, policy }
    }

    /// The same group in a process started anew.
    pub(super) fn restarted(&self) -> DecisionLedger<Rules> {
        DecisionLedger::new(self.store.clone(), GROUP, Owner::Router, self.policy, Rules(Arc::clone(&self.script)))
    }

    pub(super) async fn turn(&self, record: &Record, turn: Turn<Vec<Position>>) -> Next<Vec<OutRecord>> {
        let batch: Batch<_> = vec![Arc::new(Entry { record: Arc::new(record.clone()), turn, span: Span::none() })];
        self.ledger.commit(batch).await.unwrap().remove(0)
    }

    pub(super) async fn arrives(&self, record: &Record) -> Next<Vec<OutRecord>> {
        self.turn(record, Turn::Arrived).await
    }

    /// Takes a record as far as it goes, as the engine would; says how it ended.
    pub(super) async fn settle(&self, record: &Record) -> &'static str {
        match self.arrives(record).await {
            Next::Done | Next::Lettered => "done",
            Next::Act(outputs) => {
                let positions = outputs.iter().enumerate().map(|(n, it)| Position::of(it, 0, record.offset * 10 + n as i64));
                let next = self.turn(record, Turn::Acted(positions.collect())).await;
                assert!(matches!(next, Next::Done));
                "produced"
            }
            Next::Fail(fault) => {
                self.give_up(record, fault).await;
                "letter"
            }
            Next::Later(_) => "later",
        }
    }

    /// As the engine says that it does.
    pub(super) async fn give_up(&self, record: &Record, fault: Fault) {
        let turn = Turn::Failed { fault: Arc::new(fault), verdict: Verdict::Letter, attempts: 1, report: None };
        assert!(matches!(self.turn(record, turn).await, Next::Done));
    }

    /// Its first try failed, as the engine would say it: once more after this wait. `missing`: what must appear first.
    pub(super) async fn put_off(&self, record: &Record, wait: Duration, missing: Option<&str>) {
        assert!(matches!(self.arrives(record).await, Next::Fail(_)));
        let mut fault = Fault::new(Class::DependencyMissing, "erp_unknown_item", "an item is unknown");
        fault.missing = missing.map(ToOwned::to_owned);
        let turn = Turn::Failed { fault: Arc::new(fault), verdict: Verdict::PutOff(wait), attempts: 3, report: None };
        assert!(matches!(self.turn(record, turn).await, Next::Done));
    }

    /// Time passes.
    pub(super) async fn wait_is_over(&self) {
        sqlx::query("update letters.letter set retry_at = now() where state = 'waiting'").execute(self.store.pool()).await.unwrap();
    }

    pub(super) async fn drained(&self) -> Vec<Record> {
        self.ledger.drain(100).await.unwrap().into_iter().map(|it| it.record).collect()
    }

    pub(super) async fn states(&self) -> Vec<(String, String)> {
        let sql = "select convert_from(value, 'UTF8'), state from letters.letter order by ordinal";
        sqlx::query_as(sql).fetch_all(self.store.pool()).await.unwrap()
    }

    pub(super) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }
}

/// A record of one order; `id` makes its `ce_id`.
pub(super) fn record(key: &str, id: u128, value: &str) -> Record {
    let mut headers = Headers::default();
    headers.push(headers::CE_ID, Uuid::from_u128(id).to_string());
    headers.push("binary", &b"\xff\x00"[..]);
    Record {
        partition: Partition::new("in", 0),
        offset: i64::try_from(id).unwrap(),
        timestamp_ms: 1_790_000_000_000,
        key: format!("shop/order/{key}").into(),
        value: value.to_owned().into(),
        headers,
        origin: Origin::Topic,
    }
}
