//! The door: 200 only after the bytes are durable. Kafka first, else the spool, else 503.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::post;
use bus::{ProduceError, Producer};
use chrono::Utc;
use connector::StorefrontConnection;
use domain::ConnectionId;
use http::{HeaderMap, StatusCode};
use http_kit::Problem;
use http_kit::body::{self, BodyError, Room};
use kill_point::{Point, reach};
use pipeline::OutRecord;
use store::Store;
use tracing::Instrument as _;

use crate::config::DoorSettings;
use crate::core::failover::{Failover, Route};
use crate::core::gauge::Gauge;
use crate::core::raw;
use crate::metrics::Metrics;
use crate::shell::oversize::Oversize;
use crate::shell::pulse::Pulse;
use crate::shell::spool::size_of;

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
    pub room: Room,
    pub metrics: Metrics,
    pub oversize: Oversize,
    pub pulse: Arc<Pulse>,
}

pub fn router(door: Arc<Door>) -> Router {
    let webhooks = post(receive).fallback(only_post);
    Router::new().route("/webhooks/{connection}", webhooks).fallback(nothing_here).with_state(door)
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_found", "Nothing here", "Webhooks are sent to /webhooks/<connection> by POST.")
}

async fn only_post() -> ([(http::HeaderName, &'static str); 1], Problem) {
    let detail = "Webhooks are sent to this address by POST.";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "not_found", "Nothing here", detail);
    ([(http::header::ALLOW, "POST")], problem)
}

async fn receive(
    State(door): State<Arc<Door>>,
    name: Result<Path<String>, PathRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Problem> {
    // A name that is no text is none of ours.
    let name = name.map(|Path(name)| name).unwrap_or_default();
    let span = telemetry::spans::server("POST", "/webhooks/{connection}");
    let accepted = door.accept(&name, &headers, body).instrument(span.clone()).await;
    let (status, outcome) = accepted.as_ref().map_or_else(|it| (it.status, it.code), |()| (StatusCode::OK, "accepted"));
    span.record("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        telemetry::spans::fail(&span, outcome);
    }
    door.metrics.delivery(if door.connections.contains_key(&name) { &name } else { "unknown" }, outcome);
    accepted.map(|()| status)
}

impl Door {
    async fn accept(&self, name: &str, headers: &HeaderMap, body: Body) -> Result<(), Problem> {
        let (id, connection) = self.connections.get(name).ok_or_else(|| {
            let detail = "No connection of this name is configured here; check the address that the webhook was registered with.";
            Problem::new(StatusCode::NOT_FOUND, "unknown_connection", "Unknown connection", detail)
        })?;
        let unsigned = |detail| Err(Problem::new(StatusCode::UNAUTHORIZED, "bad_signature", "Signature refused", detail));
        if !connection.webhooks.is_signed(headers) {
            return unsigned("The signature header is missing, or is none. Nothing of the body was read.");
        }
        let limit = self.settings.body_bytes_max;
        // Held until it is durable.
        let mut share = self.room.share();
        let bytes = body::read(headers, body, limit, &mut share).await.inspect_err(|error| {
            if matches!(error, BodyError::TooLarge { .. }) {
                self.oversize.note(&self.store, name, &connection.webhooks.facts(id, headers, &[]), limit);
            }
        })?;
        let Some(secret) = connection.webhooks.verify(headers, &bytes) else {
            return unsigned(
                "The signature does not match these bytes under any active secret of this connection; check the app's secret.",
            );
        };
        self.metrics.signature(name, secret);
        let facts = connection.webhooks.facts(id, headers, &bytes);
        let now = Utc::now();
        self.keep(raw::of_webhook(&self.raw_topic, id, &facts, bytes, now)).await?;
        self.pulse.beat(name, now);
        Ok(())
    }

    async fn keep(&self, record: OutRecord) -> Result<(), Problem> {
        if self.settings.partition_bytes_max.is_some_and(|limit| self.producer.fullest_partition_bytes() >= limit) {
            return Err(full());
        }
        if self.failover.route() == Route::Kafka {
            match tokio::time::timeout(self.settings.kafka_budget, self.producer.produce(&record)).await {
                Ok(Ok(_)) => {
                    reach(Point::DoorConfirmed);
                    return Ok(());
                }
                Ok(Err(ProduceError::PartitionFull { .. })) => return Err(full()),
                // Refused for good: spooled, where the drain makes it a letter with every byte.
                Ok(Err(ProduceError::Refused { .. })) => {}
                // Unknown whether Kafka has it. It is spooled as well, and the mapper drops the twin.
                Ok(Err(ProduceError::Unconfirmed { .. } | ProduceError::QueueFull)) | Err(_) => {
                    if self.failover.kafka_failed() {
                        tracing::warn!(
                            runbook = "docs/runbooks/spool-growing.md",
                            "Kafka did not confirm in time, deliveries go to the spool"
                        );
                    }
                }
            }
        }
        self.spool(record).await
    }

    /// In a task of its own: the sender may hang up, and a statement that is cut off would cost its connection to the database.
    async fn spool(&self, record: OutRecord) -> Result<(), Problem> {
        let size = size_of(&record);
        if !self.spooled.reserve(size, self.settings.spool_bytes_max) {
            return Err(away("The spool is full, because the broker has been away for long.", Duration::from_secs(60)));
        }
        let (store, instance, spooled, metrics) =
            (self.store.clone(), self.instance.clone(), Arc::clone(&self.spooled), self.metrics.clone());
        let put = tokio::spawn(async move {
            let put = store::spool::put(&store, &instance, &record).await;
            match &put {
                Ok(()) => {
                    reach(Point::DoorSpooled);
                    metrics.spooled();
                }
                Err(error) => {
                    spooled.free(size);
                    // Said once by the readiness, not once per delivery.
                    tracing::debug!(%error, "the spool did not take a delivery");
                }
            }
            put.is_ok()
        });
        match tokio::time::timeout(self.settings.spool_budget, put).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false) | Err(_)) | Err(_) => Err(away("Neither the broker nor the database took it.", Duration::from_secs(5))),
        }
    }
}

fn full() -> Problem {
    let detail = "The embedded broker keeps its records in memory and is full of unread ones. Send it again later.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "embedded_broker_full", "Not stored", detail).retry_after(Duration::from_secs(5))
}

fn away(detail: &str, retry_after: Duration) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "door_unavailable", "Not stored", format!("{detail} Send it again later."))
        .retry_after(retry_after)
}
