//! The adapter of ERPs: what the router asks for is done there, each effect once where the ERP allows it, and what lies in
//! their warehouses is told to everybody.
//!
//! Reads: the command topic of each of its targets, the targets' stock. Writes: the targets, outcomes, the inventory topic,
//! schema `effects`. Per target there is one engine of the pipeline over the [`ledger`], which claims steps before they are
//! sent, and the [`actor`], which sends them; beside them [`capture`] and [`relay`], in one process per target.
//!
//! It knows targets by the traits of [`connector`] only; whoever starts it registers the platforms.

pub mod act;
pub mod actor;
pub mod capture;
pub mod claims;
pub mod clock;
pub mod config;
pub mod core;
pub mod ledger;
pub mod metrics;
pub mod outcome;
pub mod relay;
pub mod sole;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::{Consumer, ConsumerHandle, Producer, Publisher, Role};
use connector::{ErpConnection, Platforms};
use contracts::topics::{self, groups};
use domain::TargetId;
use pipeline::{Engine, EngineSettings};
use serde_json::Value;
use service_kit::{Ended, Life, ServiceInfo, Startup, Tasks};
use store::Store;

use crate::actor::EffectActor;
use crate::capture::{Capture, CaptureSettings};
use crate::clock::TargetClock;
pub use crate::config::{Settings, TargetSettings};
use crate::core::step::LookWaits;
use crate::ledger::{EffectLedger, LedgerSettings, Signals};
use crate::metrics::Metrics;
use crate::outcome::Outcomes;
use crate::relay::Relay;

/// Who the service is.
pub fn info() -> ServiceInfo {
    ServiceInfo {
        name: "erp-adapter",
        about: "Does what the router asks of the ERPs, each effect once; captures their stock; writes outcomes and inventory",
        version: env!("CARGO_PKG_VERSION"),
        defaults_toml: config::DEFAULTS,
        parts: vec![("librdkafka", bus::librdkafka_version())],
    }
}

/// Works until it is stopped.
pub async fn run(settings: Settings, platforms: Platforms, life: Life) -> anyhow::Result<Ended> {
    let ready = life.readiness.latch("erp-adapter");
    let targets = open(&settings, &platforms)?;
    let store = Store::open(&settings.store).await.map_err(Startup::refused("the database could not be opened"))?;
    check_schema(&store).await?;
    let producer = Producer::new(&settings.bus, CLIENT, Role::Relay).map_err(Startup::settings("the Kafka producer could not be made"))?;
    for topic in [topics::OUTCOMES, topics::INVENTORY] {
        let topic = settings.bus.topic(topic);
        producer.warm_up(&topic, KAFKA_WAIT).await.map_err(Startup::refused(format!("{topic} could not be looked up")))?;
    }

    let mut tasks = Tasks::new(life.stop.clone());
    let mut handles = Vec::new();
    for target in targets {
        handles.push(target.start(&settings, &store, &producer, &life, &mut tasks)?);
    }
    ready.release();

    let ended = tasks.run(settings.grace).await;
    for handle in handles {
        if !handle.close(CLOSING).await {
            tracing::warn!(wait = ?CLOSING, "leaving the consumer group takes longer than it may; its offsets are committed already or read again");
        }
    }
    store.close().await;
    ended.context("the adapter stopped working")
}

/// One target, opened.
struct Target {
    id: TargetId,
    settings: TargetSettings,
    connection: ErpConnection,
}

fn open(settings: &Settings, platforms: &Platforms) -> Result<Vec<Target>, Startup> {
    let open = |(name, settings): (&String, &TargetSettings)| {
        let id: TargetId = name.parse().map_err(Startup::settings(format!("targets.{name} can't be used")))?;
        let own = Value::Object(settings.settings.clone());
        let connection =
            platforms.open_erp(&settings.platform, &id, &own).map_err(Startup::settings(format!("targets.{name} can't be used")))?;
        Ok(Target { id, settings: settings.clone(), connection })
    };
    settings.targets.iter().map(open).collect()
}

impl Target {
    /// Starts its engine, its capture and its relay.
    fn start(
        self,
        settings: &Settings,
        store: &Store,
        producer: &Producer,
        life: &Life,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Arc<ConsumerHandle>> {
        let (group, topic) = (groups::erp(&self.id), settings.bus.topic(&topics::commands(&self.id)));
        let clock = Arc::new(TargetClock::default());
        let signals = Arc::new(Signals::default());
        let metrics = Metrics::new(self.id.as_str());
        let publisher = Publisher::new(producer.clone());

        let ledger = Arc::new(EffectLedger::new(
            store.clone(),
            Arc::clone(&self.connection.erp),
            Outcomes { topic: settings.bus.topic(topics::OUTCOMES), target: self.id.clone(), group: group.clone() },
            LedgerSettings {
                lease: self.settings.lease,
                look_waits: LookWaits { first: self.settings.look_after, next: self.settings.look_gap },
            },
            Arc::clone(&clock),
            Arc::clone(&signals),
        ));
        let actor = EffectActor::new(
            Arc::clone(&self.connection.erp),
            self.id.clone(),
            self.settings.concurrency,
            ledger.call_max(),
            ledger.claims(),
            publisher.clone(),
        );
        let (consumer, handle) =
            Consumer::start(&settings.bus, CLIENT, &group, &[&topic]).map_err(Startup::settings("the Kafka consumer could not be made"))?;
        let heartbeat = handle.heartbeat.clone();
        life.liveness.watch("kafka-poll", POLL_AGE_MAX, move || heartbeat.age());
        let engine = Engine::new(self.engine_settings(&group, settings), Arc::clone(&ledger), Arc::new(actor), handle.clone());
        let stop = life.stop.clone();
        tasks.spawn("engine", async move {
            let ended = engine.run(consumer, stop).await;
            if let Err(error) = ledger.give_back().await {
                tracing::warn!(%error, "claims were not given back, they end with their leases");
            }
            ended
        });

        let relay = Relay { store: store.clone(), target: self.id.to_string(), group, publisher, metrics: metrics.clone() };
        let capture = Capture {
            store: store.clone(),
            target: self.id,
            source: self.connection.stock,
            topic: settings.bus.topic(topics::INVENTORY),
            settings: CaptureSettings {
                interval: self.settings.stock_interval,
                comparison_interval: self.settings.stock_comparison_interval,
                missing_max: self.settings.stock_missing_max,
            },
            metrics,
        };
        let stop = life.stop.clone();
        tasks.spawn("capture", async move {
            let work = async { tokio::join!(clock.keep(&*capture.source), sole::run(&capture, &relay, &signals)) };
            stop.run_until_cancelled(work).await;
            anyhow::Ok(())
        });
        Ok(handle)
    }

    fn engine_settings(&self, group: &str, service: &Settings) -> EngineSettings {
        let mut settings = EngineSettings::new(group);
        settings.stop_grace = service.grace.saturating_sub(CLOSING).max(CLOSING);
        settings.breaker = service.breaker.clone();
        settings.retry.dependency_cap = self.settings.dependency_wait_max;
        settings.retry.delay_cap = self.settings.dependency_wait_max;
        settings.retry.delays = Some(self.settings.delays);
        // Whatever is taken in is claimed ahead of its slot. Far more than the slots can do within a lease would be claimed
        // over and over, and after a crash would wait for leases that nobody needed.
        settings.bounds.partition_outstanding_max = (self.settings.concurrency * 40).clamp(200, settings.bounds.partition_records_max);
        settings
    }
}

async fn check_schema(store: &Store) -> anyhow::Result<()> {
    let pending = store::pending_migrations(store).await.map_err(Startup::refused("the schema could not be looked at"))?;
    if pending > 0 {
        Err("run `tradewind migrate` first")
            .map_err(Startup::refused(format!("the database lacks {pending} migrations of this version")))?;
    }
    Ok(())
}

const CLIENT: &str = "erp-adapter";
const KAFKA_WAIT: Duration = Duration::from_secs(10);
/// The poll loop turns every few milliseconds, whatever Kafka does.
const POLL_AGE_MAX: Duration = Duration::from_secs(60);
/// Of the grace period, for leaving the group and the database.
const CLOSING: Duration = Duration::from_secs(3);
