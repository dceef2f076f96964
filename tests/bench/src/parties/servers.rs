//! Doors: ours, and one that does nothing.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::routing::post;
use bus::{Producer, Role};
use bytes::Bytes;
use contracts::topics;
use http::StatusCode;
use http_kit::Limits;
use http_kit::body::Room;
use serde::{Deserialize, Serialize};
use store::{Store, StoreSettings};
use storefront_ingest::config::DoorSettings;
use storefront_ingest::core::failover::Failover;
use storefront_ingest::core::gauge::Gauge;
use storefront_ingest::metrics::Metrics;
use storefront_ingest::shell::door::{self, Door};
use storefront_ingest::shell::oversize::Oversize;
use storefront_ingest::shell::pulse::Pulse;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::Stage;
use crate::{kafka, orders};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DoorOrders {
    pub(crate) brokers: String,
    pub(crate) database: String,
    pub(crate) prefix: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
}

/// Reads the body and says 200.
pub(crate) async fn null(mut stage: Stage) -> anyhow::Result<()> {
    let router = Router::new().route("/webhooks/{connection}", post(|_body: Bytes| async { StatusCode::OK }));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    stage.say(&Listening { address: listener.local_addr()? })?;
    tokio::select! {
        served = axum::serve(listener, router).into_future() => Ok(served?),
        _ = stage.go() => Ok(()),
    }
}

/// The door of storefront-ingest as its `run` opens it, without the mapper behind it.
pub(crate) async fn door(mut stage: Stage, orders: DoorOrders) -> anyhow::Result<()> {
    let _telemetry = super::telemetry()?;
    let dir = tempfile::tempdir()?;
    let bus = kafka::settings(&orders.brokers, &orders.prefix);
    let raw_topic = bus.topic(topics::RAW);
    let settings = door_settings();
    let producer = Producer::new(&bus, "door", Role::Door { budget: settings.kafka_budget })?;
    producer.warm_up(&raw_topic, kafka::WAIT).await?;
    let door = Door {
        connections: HashMap::from([(orders::SHOP.to_owned(), (orders::shop(), orders::connection(dir.path())?))]),
        producer,
        store: Store::open_lazily(&StoreSettings::new(orders.database))?,
        failover: Arc::new(Failover::default()),
        spooled: Arc::new(Gauge::default()),
        instance: "bench".to_owned(),
        raw_topic,
        room: Room::new(settings.bodies_bytes_max),
        settings,
        metrics: Metrics::default(),
        pulse: Arc::new(Pulse::new([&orders::shop()])),
        oversize: Oversize::default(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    stage.say(&Listening { address: listener.local_addr()? })?;
    let stop = CancellationToken::new();
    let limits = Limits { connections: 4096, connections_per_ip: None, ..Limits::default() };
    let serving = tokio::spawn(http_kit::serve(listener, door::router(Arc::new(door)), limits, stop.clone()));
    while stage.go().await {}
    stop.cancel();
    serving.await.context("the server panicked")?;
    Ok(())
}

fn door_settings() -> DoorSettings {
    DoorSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        body_bytes_max: 4 << 20,
        bodies_bytes_max: 256 << 20,
        kafka_budget: Duration::from_millis(1_500),
        spool_budget: Duration::from_millis(1_500),
        spool_bytes_max: 1 << 30,
        connections_max: 4096,
        connections_per_ip_max: 0,
        partition_bytes_max: None,
    }
}
