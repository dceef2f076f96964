//! The admin port: probes, metrics, log level, version and the settings in force. Up from before `run` until after it, so that
//! a start that hangs and a stop that hangs can both be looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use http_kit::serve::Drained;
use http_kit::{Limits, Problem, serve};
use telemetry::{LogLevel, Metrics};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::life::Life;

/// What the port answers from.
#[derive(Clone)]
pub struct Admin {
    pub service: &'static str,
    /// By name: the service's own version, and those of parts that are not Rust (`librdkafka`).
    pub versions: BTreeMap<&'static str, String>,
    pub life: Life,
    pub metrics: Metrics,
    pub log_level: LogLevel,
    /// The settings in force, without secrets.
    pub shown_settings: String,
}

/// Serves until `stop`; connections that are busy then have two seconds.
pub async fn serve_on(listener: TcpListener, admin: Admin, stop: CancellationToken) -> Drained {
    let limits = Limits { connections: 64, connections_per_ip: None, drain: Duration::from_secs(2), ..Limits::default() };
    serve(listener, router(admin), limits, stop).await
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .route("/version", get(version))
        .route("/config", get(config))
        .route("/log-level", get(log_level).put(set_log_level))
        .layer(DefaultBodyLimit::max(4096))
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "not_found", "No such page", "GET / lists what is here."))
        .with_state(Arc::new(admin))
}

type Shared = State<Arc<Admin>>;

async fn index(State(admin): Shared) -> String {
    format!(
        "{}\n\nGET /live /ready /metrics /version /config /log-level\nPUT /log-level   body: a level, or directives like info,bus=debug\n",
        admin.service
    )
}

async fn live(State(admin): Shared) -> Response {
    let stale = admin.life.liveness.stale();
    if stale.is_empty() {
        return "alive\n".into_response();
    }
    let each = stale.iter().map(|it| format!("{}: no sign of life for {:?}, at most {:?} is normal", it.name, it.age, it.max_age));
    let detail = each.collect::<Vec<_>>().join("; ");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_alive", "A loop stands still", detail).into_response()
}

async fn ready(State(admin): Shared) -> Response {
    let waiting = admin.life.readiness.waiting();
    if waiting.is_empty() {
        return "ready\n".into_response();
    }
    let detail = waiting.iter().map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>().join("; ");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", "Not ready for work", detail).into_response()
}

async fn metrics(State(admin): Shared) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, Metrics::CONTENT_TYPE)], admin.metrics.render())
}

async fn version(State(admin): Shared) -> impl IntoResponse {
    let mut versions: BTreeMap<_, _> = admin.versions.clone();
    versions.insert("service", admin.service.to_owned());
    axum::Json(versions)
}

async fn config(State(admin): Shared) -> String {
    admin.shown_settings.clone()
}

async fn log_level(State(admin): Shared) -> String {
    format!("{}\n", admin.log_level.get())
}

async fn set_log_level(State(admin): Shared, level: String) -> Response {
    match admin.log_level.set(level.trim()) {
        Ok(()) => {
            tracing::warn!(level = level.trim(), "the log level was changed over the admin port, until the next start");
            format!("{}\n", admin.log_level.get()).into_response()
        }
        Err(error) => Problem::new(StatusCode::BAD_REQUEST, "log_filter", "No log filter", error.to_string()).into_response(),
    }
}
