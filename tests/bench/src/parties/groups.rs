//! Consumer groups of the product over a backlog: mapper, router, and an engine that decides and stores nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use bus::{BusSettings, Consumer, ConsumerHandle, Producer, Publisher, Role};
use contracts::topics::{self, Parking, groups};
use domain::TargetId;
use mapping::Rules;
use order_router::shell::Router;
use pipeline::{Actor, Batch, CommitError, Engine, EngineSettings, Ledger, Next, OutRecord, Position, Turn};
use serde::{Deserialize, Serialize};
use store::decisions::DecisionLedger;
use store::{Owner, Store, StoreSettings};
use storefront_ingest::metrics::Metrics;
use storefront_ingest::shell::mapper::Mapper;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::meter::{Meter, Metered};
use super::{Ready, Stage, Work};
use crate::{kafka, orders};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GroupOrders {
    pub(crate) brokers: String,
    pub(crate) database: String,
    /// Of the group, and of what it writes.
    pub(crate) prefix: String,
    /// The full name of what it reads.
    pub(crate) input: String,
    /// The full name of what it writes, where it does not follow from the prefix.
    pub(crate) output: String,
    pub(crate) records: u64,
}

pub(crate) const TARGET: &str = "erp-main";

const RULES: &str = r#"
[[hold]]
name = "fraud check"
when = '"check" in order.tags'
reason = "fraud_check"

[[route]]
name = "europe"
when = 'order.connection == "shop-eu" && order.country in ["DE", "FR", "AT", "IT"]'
target = "erp-main"
"#;

/// As storefront-ingest runs it.
pub(crate) async fn mapper(mut stage: Stage, orders: GroupOrders) -> anyhow::Result<()> {
    let _telemetry = super::telemetry()?;
    let dir = tempfile::tempdir()?;
    let bus = kafka::settings(&orders.brokers, &orders.prefix);
    let connections = HashMap::from([(orders::shop(), orders::connection(dir.path())?.mapper)]);
    let store = Store::open(&StoreSettings::new(&orders.database)).await?;
    let mapper = Mapper { connections, bus: bus.clone(), metrics: Metrics::default() };
    let ledger = DecisionLedger::new(store, groups::MAPPER, Owner::Ingest, Parking::LatestWins, mapper);
    let publisher = publisher(&bus, &bus.topic(topics::ORDERS)).await?;
    work(&mut stage, &bus, groups::MAPPER, &orders, ledger, publisher).await
}

/// As order-router runs it.
pub(crate) async fn router(mut stage: Stage, orders: GroupOrders) -> anyhow::Result<()> {
    let _telemetry = super::telemetry()?;
    let bus = kafka::settings(&orders.brokers, &orders.prefix);
    let target: TargetId = TARGET.parse()?;
    let rules = Rules::parse(RULES, &[target.clone()].into()).map_err(|errors| anyhow::anyhow!("the rules: {errors:?}"))?;
    let store = Store::open(&StoreSettings::new(&orders.database)).await?;
    let router = Router::new(rules, vec![target.clone()], bus.clone());
    let ledger = DecisionLedger::new(store, groups::ROUTER, Owner::Router, Parking::Park, router);
    let publisher = publisher(&bus, &bus.topic(&topics::commands(&target))).await?;
    work(&mut stage, &bus, groups::ROUTER, &orders, ledger, publisher).await
}

/// Consumer, engine and producer with nothing between them.
pub(crate) async fn pass_through(mut stage: Stage, orders: GroupOrders) -> anyhow::Result<()> {
    let _telemetry = super::telemetry()?;
    let bus = kafka::settings(&orders.brokers, &orders.prefix);
    let publisher = publisher(&bus, &orders.output).await?;
    let copy = Copy { topic: orders.output.as_str().into() };
    work(&mut stage, &bus, "pass-through", &orders, copy, publisher).await
}

async fn publisher(bus: &BusSettings, topic: &str) -> anyhow::Result<Publisher> {
    let producer = Producer::new(bus, "bench", Role::Relay)?;
    producer.warm_up(topic, kafka::WAIT).await?;
    Ok(Publisher::new(producer))
}

async fn work<L, A>(stage: &mut Stage, bus: &BusSettings, group: &str, orders: &GroupOrders, ledger: L, actor: A) -> anyhow::Result<()>
where
    L: Ledger,
    A: Actor<L::Act, L::Report>,
{
    stage.say(&Ready {})?;
    if stage.go().await {
        stage.say(&settle(bus, EngineSettings::new(group), &orders.input, orders.records, ledger, actor).await?)?;
    }
    Ok(())
}

/// Runs an engine until it has settled so many records.
pub(crate) async fn settle<L, A>(
    bus: &BusSettings,
    settings: EngineSettings,
    input: &str,
    records: u64,
    ledger: L,
    actor: A,
) -> anyhow::Result<Work>
where
    L: Ledger,
    A: Actor<L::Act, L::Report>,
{
    let meter = Meter::new(records);
    let ledger = Metered { inner: ledger, meter: Arc::clone(&meter) };
    let mut running = Running::start(bus, settings, input, ledger, actor)?;
    tokio::select! {
        () = meter.over() => {}
        ended = running.ended() => return Err(ended),
    }
    let work = meter.work().context("what is over has begun")?;
    running.stop().await?;
    Ok(work)
}

/// A consumer and its engine.
pub(crate) struct Running {
    engine: JoinHandle<anyhow::Result<()>>,
    handle: Arc<ConsumerHandle>,
    stop: CancellationToken,
}

impl Running {
    pub(crate) fn start<L, A>(bus: &BusSettings, settings: EngineSettings, input: &str, ledger: L, actor: A) -> anyhow::Result<Self>
    where
        L: Ledger,
        A: Actor<L::Act, L::Report>,
    {
        let (source, handle) = Consumer::start(bus, "bench", settings.group.as_str(), &[input])?;
        let engine = Engine::new(settings, Arc::new(ledger), Arc::new(actor), handle.clone());
        let stop = CancellationToken::new();
        let until = stop.clone();
        let engine = tokio::spawn(async move {
            engine.run(source, until).await.context("the engine failed")?;
            Ok(())
        });
        Ok(Self { engine, handle, stop })
    }

    /// Why it ended, though nobody stopped it.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match (&mut self.engine).await {
            Ok(Ok(())) => anyhow::anyhow!("the engine ended by itself"),
            Ok(Err(error)) => error,
            Err(panic) => anyhow::Error::new(panic).context("the engine panicked"),
        }
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.engine.await.context("the engine panicked")??;
        self.handle.close(CLOSE).await;
        Ok(())
    }
}

const CLOSE: Duration = Duration::from_secs(4);

/// A ledger that remembers nothing: the record goes on as it came.
struct Copy {
    topic: Arc<str>,
}

#[async_trait]
impl Ledger for Copy {
    type Act = Vec<OutRecord>;
    type Report = Vec<Position>;

    async fn commit(&self, batch: Batch<Vec<Position>>) -> Result<Vec<Next<Vec<OutRecord>>>, CommitError> {
        let next = |entry: &Arc<pipeline::Entry<Vec<Position>>>| match entry.turn {
            Turn::Arrived => Next::Act(vec![OutRecord {
                topic: Arc::clone(&self.topic),
                key: entry.record.key.clone(),
                value: entry.record.value.clone(),
                headers: entry.record.headers.clone(),
                timestamp_ms: entry.record.timestamp_ms,
            }]),
            Turn::Acted(_) => Next::Done,
            Turn::Failed { .. } => Next::Later(Duration::ZERO),
        };
        Ok(batch.iter().map(next).collect())
    }
}
