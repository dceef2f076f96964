//! erp-adapter's group: against an ERP in the same process that only takes its time, so that what is left is ours, and against
//! one elsewhere that may go away.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use async_trait::async_trait;
use bus::{BusSettings, Producer, Publisher, Role};
use connector::erp::{Erp, Findings, Guarantee, Probe, Step, StepCall, StepError};
use contracts::topics::{self, groups};
use domain::{ErpCommand, TargetId};
use erp_adapter::actor::EffectActor;
use erp_adapter::core::step::LookWaits;
use erp_adapter::ledger::{EffectLedger, LedgerSettings, Signals};
use erp_adapter::outcome::Outcomes;
use fault::Fault;
use pipeline::EngineSettings;
use serde::{Deserialize, Serialize};
use store::{Store, StoreSettings};

use super::groups::{GroupOrders, Running, settle};
use super::http_erp::HttpErp;
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
    let erp = Arc::new(SlowErp { latency: Duration::from_millis(orders.latency_ms), state: Mutex::default() });
    let parts = Parts::make(&orders.group, &orders.target, orders.slots, Arc::clone(&erp) as _).await?;
    stage.say(&Ready {})?;
    if !stage.go().await {
        return Ok(());
    }
    let Parts { bus, engine, ledger, actor } = parts;
    let work = settle(&bus, engine, &orders.group.input, orders.group.records, ledger, actor).await?;
    let account = erp.account(work)?;
    stage.say(&account)
}

/// For an adapter that works until it is told to stop.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LastingOrders {
    pub(crate) group: GroupOrders,
    pub(crate) target: String,
    /// Most calls at once.
    pub(crate) slots: usize,
    pub(crate) erp: SocketAddr,
}

/// What a party with an ERP elsewhere can tell and the ERP can't.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Farewell {
    /// Requests that found the port closed.
    pub(crate) refused: u64,
}

/// Says when it has begun; at the next line it stops.
pub(crate) async fn lasting(mut stage: Stage, orders: LastingOrders) -> anyhow::Result<()> {
    let _telemetry = super::telemetry()?;
    let erp = Arc::new(HttpErp::new(orders.erp)?);
    let parts = Parts::make(&orders.group, &orders.target, orders.slots, Arc::clone(&erp) as _).await?;
    stage.say(&Ready {})?;
    if !stage.go().await {
        return Ok(());
    }
    let Parts { bus, engine, ledger, actor } = parts;
    let mut running = Running::start(&bus, engine, &orders.group.input, ledger, actor)?;
    stage.say(&Ready {})?;
    tokio::select! {
        _ = stage.go() => {}
        ended = running.ended() => return Err(ended),
    }
    stage.say(&Farewell { refused: erp.refused() })?;
    running.stop().await
}

/// The adapter of one target, as the service puts it together.
struct Parts {
    bus: BusSettings,
    engine: EngineSettings,
    ledger: EffectLedger,
    actor: EffectActor<Publisher>,
}

impl Parts {
    async fn make(orders: &GroupOrders, target: &str, slots: usize, erp: Arc<dyn Erp>) -> anyhow::Result<Self> {
        let target: TargetId = target.parse()?;
        let bus = kafka::settings(&orders.brokers, &orders.prefix);
        let group = groups::erp(&target);
        let store = Store::open(&StoreSettings::new(&orders.database)).await?;
        let outcomes = Outcomes { topic: bus.topic(topics::OUTCOMES), target: target.clone(), group: group.clone() };
        let producer = Producer::new(&bus, "bench", Role::Relay)?;
        producer.warm_up(&outcomes.topic, kafka::WAIT).await?;
        let look_waits = LookWaits { first: Duration::from_secs(30), next: Duration::from_secs(2) };
        let settings = LedgerSettings { lease: Duration::from_secs(60), look_waits };
        let ledger = EffectLedger::new(store, Arc::clone(&erp), outcomes, settings, Arc::default(), Arc::<Signals>::default());
        let (claims, call_max) = (ledger.claims(), ledger.call_max());
        let actor = EffectActor::new(erp, target, slots, call_max, claims, Publisher::new(producer));
        let mut engine = EngineSettings::new(group);
        // As the service bounds it: what is taken in is claimed.
        engine.bounds.partition_outstanding_max = (slots * 40).clamp(200, engine.bounds.partition_records_max);
        Ok(Self { bus, engine, ledger, actor })
    }
}

/// What every ERP here makes of a command: one request that may be sent again.
pub(super) fn one_step() -> Vec<Step> {
    vec![Step { name: "book", guarantee: Guarantee::Upsert, look_first: false, identities: Vec::new() }]
}

/// And what it learns of it.
pub(super) fn sale_of(command: &ErpCommand) -> Findings {
    Findings::from([("sale".to_owned(), command.aggregate.id().to_owned())])
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
        Ok(one_step())
    }

    async fn probe(&self, _call: &StepCall<'_>) -> Result<Probe, Fault> {
        Ok(Probe::Missing)
    }

    async fn perform(&self, call: &StepCall<'_>) -> Result<Findings, StepError> {
        let begun = Instant::now();
        self.begin(call.command, begun);
        tokio::time::sleep(self.latency).await;
        self.end(call.command, begun);
        Ok(sale_of(call.command))
    }

    async fn ping(&self) -> Result<(), Fault> {
        Ok(())
    }
}
