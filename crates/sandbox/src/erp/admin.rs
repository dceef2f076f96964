//! The ERP's own part of `/_sandbox/`: stock, items, what a person at a desk would do, and a new start.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use super::desk::{self, DeskError};
use super::server::Erp;
use super::settings::{Dedupe, Item, Processing};

#[derive(Debug, Deserialize)]
struct SetStock {
    sku: String,
    on_hand: Decimal,
}

#[derive(Debug, Deserialize)]
struct Order {
    web_id: String,
}

#[derive(Debug, Deserialize)]
struct Filter {
    web_id: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Warn {
    /// Without `model.`: `sale.sale.confirm`.
    method: String,
    name: String,
}

/// What can be changed while it runs; what is left out stays.
#[derive(Debug, Default, Deserialize)]
struct ConductChange {
    dedupe: Option<Dedupe>,
    processing: Option<Processing>,
    lookup_lag_ms: Option<i64>,
    stock_cancellation: Option<bool>,
}

pub(super) fn routes(erp: Arc<Erp>) -> Router {
    Router::new()
        .route("/_sandbox/ids", get(ids))
        .route("/_sandbox/load", get(load))
        .route("/_sandbox/stock", get(stock).put(set_stock))
        .route("/_sandbox/items", post(add_item))
        .route("/_sandbox/sales", get(sales))
        .route("/_sandbox/ship", post(ship))
        .route("/_sandbox/pay", post(pay))
        .route("/_sandbox/conduct", put(conduct))
        .route("/_sandbox/warnings", post(warn))
        .route("/_sandbox/sessions/expire", post(expire))
        .route("/_sandbox/reset", post(reset))
        .with_state(erp)
}

async fn ids(State(erp): State<Arc<Erp>>) -> Response {
    Json(desk::ids(&erp)).into_response()
}

async fn load(State(erp): State<Arc<Erp>>) -> Response {
    Json(erp.gauge.load()).into_response()
}

async fn stock(State(erp): State<Arc<Erp>>) -> Response {
    Json(desk::stock(&erp)).into_response()
}

async fn set_stock(State(erp): State<Arc<Erp>>, Json(it): Json<SetStock>) -> Response {
    done(desk::set_stock(&erp, &it.sku, it.on_hand))
}

async fn add_item(State(erp): State<Arc<Erp>>, Json(item): Json<Item>) -> Response {
    match desk::add_item(&erp, &item) {
        Ok(id) => (StatusCode::CREATED, Json(json!({ "id": id }))).into_response(),
        Err(error) => done(Err(error)),
    }
}

async fn sales(State(erp): State<Arc<Erp>>, Query(filter): Query<Filter>) -> Response {
    Json(desk::sales(&erp, filter.web_id.as_deref())).into_response()
}

async fn ship(State(erp): State<Arc<Erp>>, Json(order): Json<Order>) -> Response {
    done(desk::ship(&erp, &order.web_id))
}

async fn pay(State(erp): State<Arc<Erp>>, Json(order): Json<Order>) -> Response {
    done(desk::pay(&erp, &order.web_id))
}

async fn conduct(State(erp): State<Arc<Erp>>, Json(change): Json<ConductChange>) -> StatusCode {
    let conduct = &mut erp.world().conduct;
    conduct.dedupe = change.dedupe.unwrap_or(conduct.dedupe);
    conduct.processing = change.processing.unwrap_or(conduct.processing);
    conduct.stock_cancellation = change.stock_cancellation.unwrap_or(conduct.stock_cancellation);
    if let Some(ms) = change.lookup_lag_ms {
        conduct.lookup_lag = chrono::Duration::milliseconds(ms);
    }
    StatusCode::NO_CONTENT
}

async fn warn(State(erp): State<Arc<Erp>>, Json(warn): Json<Warn>) -> StatusCode {
    erp.world().warnings.insert(warn.method, warn.name);
    StatusCode::NO_CONTENT
}

async fn expire(State(erp): State<Arc<Erp>>) -> StatusCode {
    erp.sessions().expire();
    StatusCode::NO_CONTENT
}

async fn reset(State(erp): State<Arc<Erp>>) -> StatusCode {
    desk::reset(&erp);
    StatusCode::NO_CONTENT
}

fn done(result: Result<(), DeskError>) -> Response {
    match result {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}
