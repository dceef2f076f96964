//! erp-adapter's group against an ERP in the same process that only takes its time: what is left is ours.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use bus::{Producer, Publisher, Role};
use connector::erp::{Erp, Findings, Guarantee, Probe, Step, StepCall, StepError};
use contracts::topics::{self, groups};
use domain::{ErpCommand, TargetId};
use erp_adapter::actor::EffectActor;
use erp_adapter::ledger::{EffectLedger, LedgerSettings, Signals};
use erp_adapter::outcome::Outcomes;
use fault::Fault;
use serde::{Deserialize, Serialize};
use store::{Store, StoreSettings};

use super::groups::{GroupOrders, settle};
use super::{Ready, Stage, Work};
use crate::kafka;

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct AdapterOrders {
    pub(crate) group: GroupOrders,
    pub(crate) target: String,
    /// Most calls at once.
    pub(crate) slots: usize,
    pub(crate) latency_ms: u64,
}

/// What the ERP itself says of the run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) work: Work,
    pub(crate) calls: u64,
    /// From the first call to the end of the last.
    pub(crate) seconds: f64,
    /// How long calls really took: timers are late.
    pub(crate) latency_ms: f64,
    pub(crate) most_at_once: usize,
    /// Calls of a key that came out of turn, or beside another of the same key.
    pub(crate) disorder: u64,
}

pub(crate) async fn adapter(mut stage: Stage, orders: AdapterOrders) -> anyhow::Result<()> {
    let _telemetry = super::telemetry()?;
    let target: TargetId = orders.target.parse()?;
    let bus = kafka::settings(&orders.group.brokers, &orders.group.prefix);
    let group = groups::erp(&target);
    let store = Store::open(&StoreSettings::new(&orders.group.database)).await?;
    let erp = Arc::new(SlowErp { latency: Duration::from_millis(orders.latency_ms), state: Mutex::default() });
    let outcomes = Outcomes { topic: bus.topic(topics::OUTCOMES), target: target.clone(), group: group.clone() };
    let producer = Producer::new(&bus, "bench", Role::Relay)?;
    producer.warm_up(&outcomes.topic, kafka::WAIT).await?;
    let settings = LedgerSettings { lease: Duration::from_secs(60), look_gap: Duration::from_secs(2) };
    let ledger = EffectLedger::new(store, Arc::clone(&erp) as _, outcomes, settings, Arc::default(), Arc::<Signals>::default());
    let (claims, call_max) = (ledger.claims(), ledger.call_max());
    let actor = EffectActor::new(Arc::clone(&erp) as _, target, orders.slots, call_max, claims, Publisher::new(producer));
    stage.say(&Ready {})?;
    if !stage.go().await {
        return Ok(());
    }
    let work = settle(&bus, &group, &orders.group.input, orders.group.records, ledger, actor).await?;
    let account = erp.account(work)?;
    stage.say(&account)
}

/// Takes its time and does nothing.
struct SlowErp {
    latency: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    first: Option<Instant>,
    last: Option<Instant>,
    calls: u64,
    slept: Duration,
    at_once: usize,
    most_at_once: usize,
    disorder: u64,
    /// By key: the newest sequence, and whether a call of it is running.
    keys: HashMap<String, (u64, bool)>,
}

impl SlowErp {
    fn account(&self, work: Work) -> anyhow::Result<Account> {
        let state = self.state.lock().expect("nobody panics with it");
        let (first, last) = (state.first.context("no call was made")?, state.last.context("no call has ended")?);
        Ok(Account {
            work,
            calls: state.calls,
            seconds: (last - first).as_secs_f64(),
            latency_ms: state.slept.as_secs_f64() * 1_000.0 / state.calls as f64,
            most_at_once: state.most_at_once,
            disorder: state.disorder,
        })
    }

    fn begin(&self, command: &ErpCommand, now: Instant) {
        let mut state = self.state.lock().expect("nobody panics with it");
        state.first.get_or_insert(now);
        state.at_once += 1;
        state.most_at_once = state.most_at_once.max(state.at_once);
        let (newest, busy) = state.keys.get(command.aggregate.as_str()).copied().unwrap_or_default();
        state.disorder += u64::from(busy || command.sequence <= newest);
        state.keys.insert(command.aggregate.to_string(), (command.sequence, true));
    }

    fn end(&self, command: &ErpCommand, begun: Instant) {
        let mut state = self.state.lock().expect("nobody panics with it");
        let now = Instant::now();
        state.last = Some(now);
        state.calls += 1;
        state.slept += now - begun;
        state.at_once -= 1;
        if let Some(key) = state.keys.get_mut(command.aggregate.as_str()) {
            key.1 = false;
        }
    }
}

#[async_trait]
impl Erp for SlowErp {
    fn platform(&self) -> &'static str {
        "slow"
    }

    fn steps(&self, _command: &ErpCommand) -> Result<Vec<Step>, Fault> {
        Ok(vec![Step { name: "book", guarantee: Guarantee::Upsert, look_first: false, identity: None }])
    }

    async fn probe(&self, _call: &StepCall<'_>) -> Result<Probe, Fault> {
        Ok(Probe::Missing)
    }

    async fn perform(&self, call: &StepCall<'_>) -> Result<Findings, StepError> {
        let begun = Instant::now();
        self.begin(call.command, begun);
        tokio::time::sleep(self.latency).await;
        self.end(call.command, begun);
        Ok(Findings::from([("sale".to_owned(), call.command.aggregate.id().to_owned())]))
    }

    async fn ping(&self) -> Result<(), Fault> {
        Ok(())
    }
}
