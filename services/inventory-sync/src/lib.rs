//! inventory-sync: what may be sold of each SKU in each shop.
//!
//! Reads: orders, stock levels, outcomes of commands. Writes: availability events, the levels of storefronts, schema `stock`.
//! What it owns: the one sum — on hand − reserved − web orders that the ERP does not show yet − buffer — and that shops show it:
//! coalesced pushes by compare-and-set, drift found and repaired.

pub mod config;
pub mod core;
pub mod metrics;
pub mod shell;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bus::{Consumer, Producer, Publisher, Role};
use connector::{Platforms, StorefrontConnection};
use contracts::topics::{self, Parking, groups};
use domain::ConnectionId;
use pipeline::{Engine, EngineSettings};
use service_kit::{Ended, Life, ServiceInfo, Startup, Tasks};
use store::decisions::DecisionLedger;
use store::{Owner, Store};

pub use config::{DEFAULTS, Settings};

use crate::metrics::Metrics;
use shell::hearing::Hearing;
use shell::pusher::Pusher;
use shell::recount::Recount;
use shell::{Gauge, Reckoner};

pub fn info() -> ServiceInfo {
    ServiceInfo {
        name: "inventory-sync",
        about: "Reckons what may be sold from ERP levels and web orders, publishes it and sets the shops' levels",
        version: env!("CARGO_PKG_VERSION"),
        defaults_toml: DEFAULTS,
        parts: vec![("librdkafka", bus::librdkafka_version())],
    }
}

/// Runs until `life.stop`.
pub async fn run(settings: Settings, platforms: Platforms, life: Life) -> anyhow::Result<Ended> {
    let connections = open_connections(&settings, &platforms)?;
    let ready = life.readiness.latch("stock");
    let store = Store::open(&settings.store).await.map_err(Startup::refused("the database could not be opened"))?;
    check_schema(&store).await?;
    let producer = Producer::new(&settings.bus, CLIENT, Role::Relay).map_err(Startup::settings("the Kafka producer could not be made"))?;
    let availability = settings.bus.topic(topics::AVAILABILITY);
    producer.warm_up(&availability, KAFKA_WAIT).await.map_err(Startup::refused(format!("{availability} could not be looked up")))?;

    let (feeds, metrics) = (Arc::new(settings.stock.feeds()), Metrics::default());
    let mut tasks = Tasks::new(life.stop.clone());
    let recount = Recount { store: store.clone(), feeds: Arc::clone(&feeds), bus: settings.bus.clone(), producer: producer.clone() };
    let stop = life.stop.clone();
    tasks.spawn("recount", async move {
        recount.run(stop).await;
        anyhow::Ok(())
    });
    let (hearing, heard) =
        Hearing::new(store.clone(), &settings.bus).map_err(Startup::settings("the Kafka clients for offsets could not be made"))?;
    let stop = life.stop.clone();
    tasks.spawn("hearing", async move {
        hearing.run(stop).await;
        anyhow::Ok(())
    });
    let locations = |id: &ConnectionId| feeds.locations(id).map(str::to_owned).collect::<Vec<_>>();
    for (id, connection) in &connections {
        let locations = locations(id);
        let stock = Arc::clone(&connection.stock);
        let pusher = Pusher::new(store.clone(), id.clone(), stock, locations, settings.stock.clone(), heard.clone(), metrics.clone());
        let stop = life.stop.clone();
        tasks.spawn("pusher", async move {
            pusher.run(stop).await;
            anyhow::Ok(())
        });
    }
    let gauge = Gauge {
        store: store.clone(),
        connections: connections.keys().map(|id| (id.clone(), locations(id))).collect(),
        metrics: metrics.clone(),
    };
    let stop = life.stop.clone();
    tasks.spawn("gauge", async move {
        gauge.run(stop).await;
        anyhow::Ok(())
    });

    let reckoner = Reckoner::new(feeds, settings.bus.clone(), metrics);
    let ledger = DecisionLedger::new(store.clone(), groups::STOCK, Owner::Stock, Parking::LatestWins, reckoner);
    let inputs = INPUTS.map(|topic| settings.bus.topic(topic));
    let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
    let (source, handle) = Consumer::start(&settings.bus, CLIENT, groups::STOCK, &inputs)
        .map_err(Startup::settings("the Kafka consumer could not be made"))?;
    let heartbeat = handle.heartbeat.clone();
    life.liveness.watch("stock poll", POLL_AGE_MAX, move || heartbeat.age());
    let engine_settings =
        EngineSettings { stop_grace: settings.grace / 2, breaker: settings.breaker.clone(), ..EngineSettings::new(groups::STOCK) };
    let engine = Engine::new(engine_settings, Arc::new(ledger), Arc::new(Publisher::new(producer)), handle.clone());
    let stop = life.stop.clone();
    tasks.spawn("engine", async move {
        let ended = engine.run(source, stop).await;
        handle.close(CLOSE).await;
        ended
    });
    ready.release();

    let ended = tasks.run(settings.grace).await.context("inventory-sync stopped working");
    store.close().await;
    ended
}

fn open_connections(settings: &Settings, platforms: &Platforms) -> anyhow::Result<BTreeMap<ConnectionId, StorefrontConnection>> {
    let mut connections = BTreeMap::new();
    for (name, connection) in &settings.connections {
        let id: ConnectionId = name.parse()?;
        let opened = platforms
            .open_storefront(&connection.platform, &id, &serde_json::Value::Object(connection.settings.clone()))
            .map_err(Startup::settings(format!("connections.{name}")))?;
        connections.insert(id, opened);
    }
    Ok(connections)
}

async fn check_schema(store: &Store) -> anyhow::Result<()> {
    let pending = store::pending_migrations(store).await.map_err(Startup::refused("the schema could not be looked at"))?;
    if pending > 0 {
        Err("run `tradewind migrate` first")
            .map_err(Startup::refused(format!("the database lacks {pending} migrations of this version")))?;
    }
    Ok(())
}

const CLIENT: &str = "inventory-sync";
const INPUTS: [&str; 3] = [topics::ORDERS, topics::INVENTORY, topics::OUTCOMES];
const KAFKA_WAIT: Duration = Duration::from_secs(10);
const POLL_AGE_MAX: Duration = Duration::from_secs(30);
/// Leaving the group; a kill must be harmless, so a deadline is free.
const CLOSE: Duration = Duration::from_secs(4);
