//! storefront-ingest: the door and the mapper.
//!
//! Reads: webhooks, storefront APIs (re-reads, sweeps), the raw topic. Writes: the raw topic, change topics, schema `ingest`.
//! What it owns: the durable ack, signatures, dedupe, canonical mapping, the sequence of every entity, and that lost webhooks are
//! found.

pub mod config;
pub mod core;
pub mod metrics;
pub mod shell;

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bus::{Consumer, Producer, Publisher, Role};
use connector::{Platforms, StorefrontConnection};
use contracts::topics::{self, Parking, groups};
use domain::ConnectionId;
use http_kit::Limits;
use http_kit::body::Room;
use pipeline::{Engine, EngineSettings};
use service_kit::{Ended, Life, ServiceInfo, Startup, Tasks};
use store::decisions::DecisionLedger;
use store::{Owner, Store};
use tokio::net::TcpListener;

pub use config::Settings;

use crate::core::failover::Failover;
use crate::core::gauge::Gauge;
use crate::metrics::Metrics;
use shell::door::{self, Door};
use shell::durable::Durable;
use shell::mapper::Mapper;
use shell::oversize::Oversize;
use shell::pulse::Pulse;
use shell::reread::ReReads;
use shell::spool::Drain;
use shell::sweeper::Sweeper;

pub const DEFAULTS: &str = include_str!("../storefront-ingest.default.toml");

pub fn info() -> ServiceInfo {
    ServiceInfo {
        name: "storefront-ingest",
        about: "Takes signed webhooks in, keeps them durably, and turns them into change events",
        version: env!("CARGO_PKG_VERSION"),
        defaults_toml: DEFAULTS,
        parts: vec![("librdkafka", bus::librdkafka_version())],
    }
}

type Connections = HashMap<String, (ConnectionId, StorefrontConnection)>;

/// Runs until `life.stop`. The door opens before the database is there: Kafka alone is enough to keep a delivery, and so is the
/// database alone.
pub async fn run(settings: Settings, platforms: Platforms, life: Life) -> anyhow::Result<Ended> {
    let connections = open_connections(&settings, &platforms)?;
    let store = Store::open_lazily(&settings.store).map_err(Startup::settings("the settings of the store"))?;
    let (failover, spooled) = (Arc::new(Failover::default()), Arc::new(Gauge::default()));
    let instance = uuid::Uuid::new_v4().to_string();
    let raw_topic = settings.bus.topic(topics::RAW);
    let metrics = Metrics::default();
    let pulse = Arc::new(Pulse::new(connections.values().map(|(id, _)| id)));

    let latch = life.readiness.latch("durable acks");
    let producer = |name, role| Producer::new(&settings.bus, name, role).map_err(Startup::settings("a Kafka producer could not be made"));
    let door_producer = producer("door", Role::Door { budget: settings.door.kafka_budget })?;
    let relay = producer("mapper", Role::Relay)?;
    let listen = settings.door.listen;
    let listener = TcpListener::bind(listen).await.map_err(Startup::refused(format!("the door's address {listen} can't be opened")))?;

    let mut tasks = Tasks::new(life.stop.clone());
    let door = Door {
        connections: connections.clone(),
        producer: door_producer.clone(),
        store: store.clone(),
        failover: Arc::clone(&failover),
        spooled: Arc::clone(&spooled),
        instance: instance.clone(),
        raw_topic: raw_topic.clone(),
        settings: settings.door.clone(),
        room: Room::new(settings.door.bodies_bytes_max),
        metrics: metrics.clone(),
        oversize: Oversize::default(),
        pulse: Arc::clone(&pulse),
    };
    // An idempotent producer that knows no broker yet would ack its first record half a second late.
    if let Err(error) = door_producer.warm_up(&raw_topic, WARM_UP).await {
        tracing::warn!(%error, "Kafka is not there yet, deliveries go to the spool");
        failover.kafka_failed();
    }
    let (stop, limits) = (life.stop.clone(), limits(&settings));
    tasks.spawn("door", async move { anyhow::Ok(http_kit::serve(listener, door::router(Arc::new(door)), limits, stop).await) });

    let durable = Durable {
        latch,
        store: store.clone(),
        producer: door_producer.clone(),
        failover: Arc::clone(&failover),
        spooled: Arc::clone(&spooled),
        spool_bytes_max: settings.door.spool_bytes_max,
        spool_budget: settings.door.spool_budget,
        raw_topic: raw_topic.clone(),
    };
    tasks.spawn("readiness", until_stopped(durable.run(life.stop.clone())));

    let drain = Drain {
        store: store.clone(),
        producer: relay.clone(),
        failover,
        spooled,
        bytes_max: settings.door.spool_bytes_max,
        metrics: metrics.clone(),
        instance,
        group: groups::MAPPER.to_owned(),
        interval: settings.mapper.spool_interval,
    };
    tasks.spawn("spool drain", until_stopped(drain.run(life.stop.clone())));

    let rereads = ReReads {
        store: store.clone(),
        producer: relay.clone(),
        connections: connections.values().map(|(id, it)| (id.clone(), Arc::clone(&it.reread))).collect(),
        listings: connections.values().filter_map(|(id, it)| Some((id.clone(), it.listing.clone()?))).collect(),
        reserve: settings.sweep.reserve,
        raw_topic: raw_topic.clone(),
        interval: settings.mapper.reread_interval,
        metrics: metrics.clone(),
    };
    tasks.spawn("re-reads", until_stopped(rereads.run(life.stop.clone())));

    for (id, connection) in connections.values().filter(|_| settings.sweep.enabled) {
        let Some(listing) = connection.listing.clone() else { continue };
        let sweeper = Sweeper {
            store: store.clone(),
            connection: id.clone(),
            listing,
            mapper: Arc::clone(&connection.mapper),
            subscriptions: connection.subscriptions.clone(),
            settings: settings.sweep.clone(),
            pulse: Arc::clone(&pulse),
            metrics: metrics.clone(),
        };
        tasks.spawn("sweeps", until_stopped(sweeper.run(life.stop.clone())));
    }

    let mapper = Mapper {
        connections: connections.values().map(|(id, it)| (id.clone(), Arc::clone(&it.mapper))).collect(),
        bus: settings.bus.clone(),
        metrics,
    };
    let ledger = DecisionLedger::new(store.clone(), groups::MAPPER, Owner::Ingest, Parking::LatestWins, mapper);
    let (source, handle) = Consumer::start(&settings.bus, "mapper", groups::MAPPER, &[&raw_topic])
        .map_err(Startup::settings("the Kafka consumer could not be made"))?;
    life.liveness.watch("mapper poll", Duration::from_secs(30), {
        let heartbeat = handle.heartbeat.clone();
        move || heartbeat.age()
    });
    let engine_settings =
        EngineSettings { stop_grace: settings.grace / 2, breaker: settings.breaker.clone(), ..EngineSettings::new(groups::MAPPER) };
    let engine = Engine::new(engine_settings, Arc::new(ledger), Arc::new(Publisher::new(relay)), handle.clone());
    let stop = life.stop.clone();
    tasks.spawn("mapper", async move {
        let ended = engine.run(source, stop).await;
        handle.close(CLOSE).await;
        ended
    });

    let ended = tasks.run(settings.grace).await?;
    // A statement that hangs in the database must not keep the process: what it was to store is not acked, or stored already.
    if tokio::time::timeout(CLOSE, store.close()).await.is_err() {
        tracing::warn!("the database did not answer the goodbye");
    }
    Ok(ended)
}

async fn until_stopped(work: impl Future<Output = ()>) -> anyhow::Result<()> {
    work.await;
    Ok(())
}

fn open_connections(settings: &Settings, platforms: &Platforms) -> anyhow::Result<Connections> {
    let mut connections = Connections::new();
    for (name, connection) in &settings.connections {
        let id: ConnectionId = name.parse()?;
        let opened = platforms
            .open_storefront(&connection.platform, &id, &serde_json::Value::Object(connection.settings.clone()))
            .map_err(Startup::settings(format!("connections.{name}")))?;
        connections.insert(name.clone(), (id, opened));
    }
    Ok(connections)
}

fn limits(settings: &Settings) -> Limits {
    let per_ip = NonZeroUsize::new(settings.door.connections_per_ip_max).map(NonZeroUsize::get);
    Limits { connections: settings.door.connections_max, connections_per_ip: per_ip, drain: settings.grace / 2, ..Limits::default() }
}

const WARM_UP: Duration = Duration::from_secs(2);
/// Leaving the group, and the database; a kill must be harmless, so a deadline is free.
const CLOSE: Duration = Duration::from_secs(2);
