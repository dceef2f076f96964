//! The door: 200 only after the bytes are durable. Kafka first, else the spool, else 503.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::routing::post;
use bus::Producer;
use bytes::Bytes;
use chrono::Utc;
use connector::StorefrontConnection;
use domain::ConnectionId;
use http::{HeaderMap, StatusCode};
use http_kit::Problem;
use http_kit::body::{self, BodyError};
use pipeline::OutRecord;
use store::Store;
use tracing::Instrument as _;

use crate::config::DoorSettings;
use crate::core::failover::{Failover, Route};
use crate::core::raw;
use crate::metrics::Metrics;
use crate::shell::spool::Gauge;

/// Everything that one request needs.
pub struct Door {
    pub connections: HashMap<String, (ConnectionId, StorefrontConnection)>,
    pub producer: Producer,
    pub store: Store,
    pub failover: Arc<Failover>,
    pub spooled: Arc<Gauge>,
    /// Names the rows of the spool.
    pub instance: String,
    /// The raw topic's full name.
    pub raw_topic: String,
    pub settings: DoorSettings,
    pub metrics: Metrics,
}

pub fn router(door: Arc<Door>) -> Router {
    Router::new().route("/webhooks/{connection}", post(receive)).fallback(nothing_here).with_state(door)
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "Nothing here", "Webhooks are sent to /webhooks/<connection> by POST.")
}

async fn receive(State(door): State<Arc<Door>>, Path(name): Path<String>, headers: HeaderMap, body: Body) -> Result<StatusCode, Problem> {
    let span = telemetry::spans::server("POST", "/webhooks/{connection}");
    let accepted = door.accept(&name, &headers, body).instrument(span.clone()).await;
    let outcome = accepted.as_ref().err().map_or("accepted", |problem| problem.code);
    if accepted.is_err() {
        telemetry::spans::fail(&span, outcome);
    }
    door.metrics.delivery(if door.connections.contains_key(&name) { &name } else { "unknown" }, outcome);
    accepted.map(|()| StatusCode::OK)
}

impl Door {
    async fn accept(&self, name: &str, headers: &HeaderMap, body: Body) -> Result<(), Problem> {
        let (id, connection) = self.connections.get(name).ok_or_else(|| {
            let detail = "No connection of this name is configured here; check the address that the webhook was registered with.";
            Problem::new(StatusCode::NOT_FOUND, "unknown_connection", "Unknown connection", detail)
        })?;
        let bytes = match body::read(headers, body, self.settings.body_bytes_max).await {
            Ok(bytes) => bytes,
            Err(error) => {
                if matches!(error, BodyError::TooLarge { .. }) {
                    tracing::error!(
                        connection = name,
                        limit = self.settings.body_bytes_max,
                        "a delivery is over the size limit and was refused"
                    );
                }
                return Err(error.into());
            }
        };
        if !connection.webhooks.verify(headers, &bytes) {
            let detail = "The signature does not match these bytes under any active secret of this connection; check the app's secret.";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", "Signature refused", detail));
        }
        self.keep(id, connection, headers, bytes).await
    }

    async fn keep(&self, id: &ConnectionId, connection: &StorefrontConnection, headers: &HeaderMap, bytes: Bytes) -> Result<(), Problem> {
        let facts = connection.webhooks.facts(id, headers, &bytes);
        let record = raw::of_webhook(&self.raw_topic, id, &facts, bytes, Utc::now());
        if let Some(limit) = self.settings.partition_bytes_max
            && self.producer.fullest_partition_bytes() >= limit
        {
            let detail = "The embedded broker keeps its records in memory and is full. Start again, or use a real broker.";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "embedded_broker_full", "Not stored", detail));
        }
        if self.failover.route() == Route::Kafka {
            match tokio::time::timeout(self.settings.kafka_budget, self.producer.produce(&record)).await {
                Ok(Ok(_)) => return Ok(()),
                // Refused for good: spooled, where the drain makes it a letter with every byte.
                Ok(Err(bus::ProduceError::Refused { .. })) => {}
                // Unknown whether Kafka has it. It is spooled as well, and the mapper drops the twin.
                Ok(Err(_)) | Err(_) => {
                    if self.failover.kafka_failed() {
                        tracing::warn!("Kafka did not confirm in time, deliveries go to the spool");
                    }
                }
            }
        }
        self.spool(record).await
    }

    /// In a task of its own: the sender may hang up, and its bytes are kept all the same.
    async fn spool(&self, record: OutRecord) -> Result<(), Problem> {
        let size = record.key.len() + record.value.len();
        if !self.spooled.admits(size, self.settings.spool_bytes_max) {
            return Err(away("The spool is full: Kafka has been away for long.", Duration::from_secs(60)));
        }
        let (store, instance) = (self.store.clone(), self.instance.clone());
        let put = tokio::spawn(async move { store::spool::put(&store, &instance, &record).await });
        match tokio::time::timeout(self.settings.spool_budget, put).await {
            Ok(Ok(Ok(()))) => {
                self.spooled.added(size);
                self.metrics.spooled();
                Ok(())
            }
            Ok(Ok(Err(error))) => {
                tracing::warn!(error = %fault::Fault::from(error), "neither Kafka nor the spool took a delivery");
                Err(away("Neither the broker nor the database answers.", Duration::from_secs(5)))
            }
            Ok(Err(_)) | Err(_) => Err(away("Neither the broker nor the database answers in time.", Duration::from_secs(5))),
        }
    }
}

fn away(detail: &str, retry_after: Duration) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "door_unavailable", "Not stored", format!("{detail} Send it again later."))
        .retry_after(retry_after)
}
