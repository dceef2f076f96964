//! The part of `/_sandbox/` that all doubles share: faults, latency, outages, the effect log. For scripts and the CLI; tests in
//! the same process use the Rust side.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::gate::GateKeeper;
use super::latency::{Latency, Pace};
use super::plan::Plan;
use super::rule::Rule;
use crate::effects::EffectLog;

/// What the shared routes work on.
#[derive(Debug, Clone)]
pub struct Controls {
    pub plan: Plan,
    pub pace: Pace,
    pub log: EffectLog,
    pub gate: GateKeeper,
}

/// An outage, as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// Connections are refused for so long.
    pub down_ms: u64,
    /// With `times` > 1: then open for so long.
    #[serde(default)]
    pub up_ms: u64,
    #[serde(default = "one")]
    pub times: u32,
}

fn one() -> u32 {
    1
}

#[derive(Debug, Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

/// `POST|GET|DELETE /_sandbox/faults`, `DELETE /_sandbox/faults/{id}`, `PUT /_sandbox/latency`, `POST /_sandbox/outage`,
/// `GET /_sandbox/effects?since=`, `GET /_sandbox/stock/replayed`.
pub fn routes(controls: Controls) -> Router {
    Router::new()
        .route("/_sandbox/faults", post(add).get(list).delete(clear))
        .route("/_sandbox/faults/{id}", delete(remove))
        .route("/_sandbox/latency", put(latency))
        .route("/_sandbox/outage", post(outage))
        .route("/_sandbox/effects", get(effects))
        .route("/_sandbox/stock/replayed", get(replayed))
        .with_state(controls)
}

async fn add(State(controls): State<Controls>, Json(rule): Json<Rule>) -> Response {
    match controls.plan.add(rule) {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

async fn list(State(controls): State<Controls>) -> Response {
    Json(controls.plan.rules()).into_response()
}

async fn clear(State(controls): State<Controls>) -> StatusCode {
    controls.plan.clear();
    StatusCode::NO_CONTENT
}

async fn remove(State(controls): State<Controls>, Path(id): Path<u64>) -> StatusCode {
    if controls.plan.remove(id) { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}

async fn latency(State(controls): State<Controls>, Json(latency): Json<Latency>) -> StatusCode {
    controls.pace.set(latency);
    StatusCode::NO_CONTENT
}

/// Answers first: the outage takes this connection too.
async fn outage(State(controls): State<Controls>, Json(outage): Json<Outage>) -> StatusCode {
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        controls.gate.flap(Duration::from_millis(outage.down_ms), Duration::from_millis(outage.up_ms), outage.times);
    });
    StatusCode::ACCEPTED
}

async fn effects(State(controls): State<Controls>, Query(Since { since }): Query<Since>) -> Response {
    Json(controls.log.since(since)).into_response()
}

async fn replayed(State(controls): State<Controls>) -> Response {
    Json(controls.log.effects().stock()).into_response()
}
