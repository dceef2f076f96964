//! The router: what the shops say about orders, customers and refunds becomes what the ERPs are asked to do.
//!
//! [`core`] decides and does no I/O: given what is known of an order and one event, it says what is known afterwards, which
//! commands follow, and which earlier obligations end. [`shell`] loads, stores and makes records; the store's ledger and the
//! pipeline's engine do the rest, as for every group.

pub mod config;
pub mod core;
mod metrics;
pub mod shell;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::{Consumer, Producer, Publisher, Role};
use contracts::topics::{self, Parking, groups};
use mapping::Rules;
use pipeline::{Engine, EngineSettings};
use service_kit::{Ended, Life, ServiceInfo, Startup, Tasks};
use store::decisions::DecisionLedger;
use store::{Owner, Store};

pub use config::Settings;
use shell::Router;

/// Who the service is.
pub fn info() -> ServiceInfo {
    ServiceInfo {
        name: "order-router",
        about: "Reads changes of orders, customers and refunds and the outcomes of commands; writes commands for the ERPs",
        version: env!("CARGO_PKG_VERSION"),
        defaults_toml: config::DEFAULTS,
        parts: Vec::new(),
    }
}

/// Routes until it is stopped.
pub async fn run(settings: Settings, life: Life) -> anyhow::Result<Ended> {
    let rules = read_rules(&settings)?;
    run_with(settings, rules, life).await
}

/// As [`run`], with rules that somebody else has read.
pub async fn run_with(settings: Settings, rules: Rules, life: Life) -> anyhow::Result<Ended> {
    let ready = life.readiness.latch("router");
    let store = Store::open(&settings.store).await.map_err(Startup::refused("the database could not be opened"))?;
    check_schema(&store).await?;
    let producer = Producer::new(&settings.bus, CLIENT, Role::Relay).map_err(Startup::settings("the Kafka producer could not be made"))?;
    for target in settings.target_ids() {
        let topic = settings.bus.topic(&topics::commands(&target));
        producer.warm_up(&topic, KAFKA_WAIT).await.map_err(Startup::refused(format!("{topic} could not be looked up")))?;
    }

    let router = Router::new(rules, settings.customer_target_ids(), settings.bus.clone());
    let ledger = DecisionLedger::new(store.clone(), groups::ROUTER, Owner::Router, Parking::Park, router);
    let inputs = INPUTS.map(|topic| settings.bus.topic(topic));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let (consumer, handle) = Consumer::start(&settings.bus, CLIENT, groups::ROUTER, &inputs)
        .map_err(Startup::settings("the Kafka consumer could not be made"))?;
    let heartbeat = handle.heartbeat.clone();
    life.liveness.watch("kafka-poll", POLL_AGE_MAX, move || heartbeat.age());

    let mut engine_settings = EngineSettings::new(groups::ROUTER);
    engine_settings.stop_grace = settings.grace.saturating_sub(CLOSING).max(CLOSING);
    engine_settings.breaker = settings.breaker.clone();
    let engine = Engine::new(engine_settings, Arc::new(ledger), Arc::new(Publisher::new(producer)), handle.clone());
    let mut tasks = Tasks::new(life.stop.clone());
    tasks.spawn("engine", engine.run(consumer, life.stop.clone()));
    ready.release();

    let ended = tasks.run(settings.grace).await;
    if !handle.close(CLOSING).await {
        tracing::warn!(wait = ?CLOSING, "leaving the consumer group takes longer than it may; its offsets are committed already or read again");
    }
    store.close().await;
    ended.context("the router stopped working")
}

fn read_rules(settings: &Settings) -> Result<Rules, Startup> {
    let file = settings.rules.file.display();
    let text = std::fs::read_to_string(&settings.rules.file).map_err(Startup::settings(format!("the rules file {file} can't be read")))?;
    Rules::parse(&text, &settings.target_ids()).map_err(|errors| {
        let lines: Vec<_> = errors.iter().map(|it| format!("{file}:{it}")).collect();
        Startup::settings(format!("the rules file {file} has mistakes"))(lines.join("; "))
    })
}

async fn check_schema(store: &Store) -> anyhow::Result<()> {
    let pending = store::pending_migrations(store).await.map_err(Startup::refused("the schema could not be looked at"))?;
    if pending > 0 {
        Err("run `tradewind migrate` first")
            .map_err(Startup::refused(format!("the database lacks {pending} migrations of this version")))?;
    }
    Ok(())
}

const CLIENT: &str = "order-router";
const INPUTS: [&str; 4] = [topics::ORDERS, topics::CUSTOMERS, topics::REFUNDS, topics::OUTCOMES];
const KAFKA_WAIT: Duration = Duration::from_secs(10);
/// The poll loop turns every few milliseconds, whatever Kafka does.
const POLL_AGE_MAX: Duration = Duration::from_secs(60);
/// Of the grace period, for leaving the group and the database.
const CLOSING: Duration = Duration::from_secs(3);
