//! `/_sandbox/` of the shop: what a script in another process does and asks. The shared routes (faults, latency, outages,
//! effects) are in [`crate::faults::admin`].

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::actions::{ActionError, Happened};
use super::delivery::RawDelivery;
use super::sender::Release;
use super::subscriptions::TOPICS;
use super::{ShelfLevel, Shop};
use crate::payloads::{EditWish, OrderWish, RefundWish, ShopOrder};

/// Orders: `POST|GET /_sandbox/orders`, `GET|DELETE /_sandbox/orders/{id}`, `POST /_sandbox/orders/{id}/{pay|cancel|refund|edit|annotate}`,
/// `POST /_sandbox/orders/{id}/refunds/{refund}/settle`, `POST /_sandbox/burst`. Customers: `POST /_sandbox/customers`.
/// Stock: `GET|PUT /_sandbox/levels`. Webhooks: `POST|GET /_sandbox/subscriptions`, `GET /_sandbox/deliveries`, `POST /_sandbox/send`,
/// `POST /_sandbox/hold`, `POST /_sandbox/release`, `POST /_sandbox/lose`, `DELETE /_sandbox/subscriptions`. Limits: `POST /_sandbox/throttle`. What happened: `GET /_sandbox/log`.
pub(super) fn routes(shop: Shop) -> Router {
    Router::new()
        .route("/_sandbox/orders", post(place).get(list))
        .route("/_sandbox/orders/{id}", get(show))
        .route("/_sandbox/orders/{id}", delete(remove))
        .route("/_sandbox/orders/{id}/pay", post(pay))
        .route("/_sandbox/orders/{id}/cancel", post(cancel))
        .route("/_sandbox/orders/{id}/refund", post(refund))
        .route("/_sandbox/orders/{id}/edit", post(edit))
        .route("/_sandbox/orders/{id}/annotate", post(annotate))
        .route("/_sandbox/orders/{id}/refunds/{refund}/settle", post(settle))
        .route("/_sandbox/burst", post(burst))
        .route("/_sandbox/customers", post(create_customer))
        .route("/_sandbox/levels", get(levels).put(set_level))
        .route("/_sandbox/subscriptions", post(subscribe).get(subscriptions).delete(unsubscribe))
        .route("/_sandbox/deliveries", get(counts))
        .route("/_sandbox/send", post(send))
        .route("/_sandbox/hold", post(hold))
        .route("/_sandbox/release", post(release))
        .route("/_sandbox/lose", post(lose))
        .route("/_sandbox/throttle", post(throttle))
        .route("/_sandbox/secret", put(rotate))
        .route("/_sandbox/log", get(log))
        .with_state(shop)
}

async fn place(State(shop): State<Shop>, body: Bytes) -> Response {
    match wish::<OrderWish>(&body) {
        Ok(wish) => said(&shop, shop.place_order(&wish)),
        Err(error) => unreadable(&error),
    }
}

async fn list(State(shop): State<Shop>) -> Response {
    Json(shop.orders().iter().map(summary).collect::<Vec<_>>()).into_response()
}

/// The order as a webhook would carry it now.
async fn show(State(shop): State<Shop>, Path(id): Path<u64>) -> Response {
    match shop.order(id) {
        Some(order) => Json(order.to_rest()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn remove(State(shop): State<Shop>, Path(id): Path<u64>) -> Response {
    said(&shop, shop.delete_order(id))
}

async fn pay(State(shop): State<Shop>, Path(id): Path<u64>) -> Response {
    said(&shop, shop.pay(id))
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cancel {
    reason: String,
    restock: bool,
}

impl Default for Cancel {
    fn default() -> Self {
        Self { reason: "customer".to_owned(), restock: true }
    }
}

async fn cancel(State(shop): State<Shop>, Path(id): Path<u64>, body: Bytes) -> Response {
    match wish::<Cancel>(&body) {
        Ok(wish) => said(&shop, shop.cancel(id, &wish.reason, wish.restock)),
        Err(error) => unreadable(&error),
    }
}

async fn refund(State(shop): State<Shop>, Path(id): Path<u64>, body: Bytes) -> Response {
    match wish::<RefundWish>(&body) {
        Ok(wish) => said(&shop, shop.refund(id, &wish)),
        Err(error) => unreadable(&error),
    }
}

async fn edit(State(shop): State<Shop>, Path(id): Path<u64>, body: Bytes) -> Response {
    match wish::<EditWish>(&body) {
        Ok(wish) => said(&shop, shop.edit(id, &wish)),
        Err(error) => unreadable(&error),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Note {
    note: String,
}

async fn annotate(State(shop): State<Shop>, Path(id): Path<u64>, body: Bytes) -> Response {
    match wish::<Note>(&body) {
        Ok(wish) => said(&shop, shop.annotate(id, &wish.note)),
        Err(error) => unreadable(&error),
    }
}

async fn settle(State(shop): State<Shop>, Path((id, refund)): Path<(u64, u64)>) -> Response {
    said(&shop, shop.settle_refund(id, refund))
}

#[derive(Debug, Deserialize)]
struct Burst {
    orders: usize,
}

async fn burst(State(shop): State<Shop>, Json(wish): Json<Burst>) -> Response {
    match shop.burst(wish.orders) {
        Ok(placed) => (StatusCode::CREATED, Json(placed.iter().map(|it| it.id).collect::<Vec<_>>())).into_response(),
        Err(error) => refused(&error),
    }
}

async fn create_customer(State(shop): State<Shop>) -> Response {
    let created = shop.create_customer();
    (StatusCode::CREATED, Json(json!({ "id": created.id, "deliveries": sent(&created) }))).into_response()
}

async fn levels(State(shop): State<Shop>) -> Response {
    let shown = |it: &ShelfLevel| {
        json!({
            "sku": it.sku,
            "inventory_item_id": it.item,
            "location_id": it.location,
            "available": it.available,
            "committed": it.committed,
            "on_hand": it.on_hand(),
            "updated_at": it.updated_at,
        })
    };
    Json(shop.levels().iter().map(shown).collect::<Vec<_>>()).into_response()
}

#[derive(Debug, Deserialize)]
struct SetLevel {
    sku: String,
    available: i64,
}

async fn set_level(State(shop): State<Shop>, Json(wish): Json<SetLevel>) -> Response {
    match shop.set_available(&wish.sku, wish.available) {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => refused(&error),
    }
}

#[derive(Debug, Deserialize)]
struct Subscribe {
    url: String,
    #[serde(default)]
    topics: Vec<String>,
}

async fn subscribe(State(shop): State<Shop>, Json(wish): Json<Subscribe>) -> Response {
    let named: Vec<&str> = wish.topics.iter().map(String::as_str).collect();
    let made = shop.subscribe(&wish.url, if named.is_empty() { &TOPICS } else { &named });
    (StatusCode::CREATED, Json(json!({ "made": made.len() }))).into_response()
}

async fn subscriptions(State(shop): State<Shop>) -> Response {
    let shown = |it: &super::Subscription| json!({ "id": it.id, "topic": it.topic, "address": it.address, "taken": it.taken });
    let all: Vec<Value> = shop.subscriptions().iter().map(shown).collect();
    Json(json!({ "subscriptions": all, "lost": shop.subscriptions_lost() })).into_response()
}

/// Those of the topics that are named, or all.
async fn unsubscribe(State(shop): State<Shop>, Json(topics): Json<Vec<String>>) -> Response {
    let named: Vec<&str> = topics.iter().map(String::as_str).collect();
    Json(json!({ "deleted": shop.unsubscribe(if named.is_empty() { &TOPICS } else { &named }) })).into_response()
}

async fn counts(State(shop): State<Shop>) -> Response {
    Json(shop.counts()).into_response()
}

#[derive(Debug, Deserialize)]
struct Send {
    topic: String,
    /// JSON, sent as it is written here without spaces; or text, sent byte for byte.
    body: Value,
    #[serde(default)]
    webhook_id: Option<String>,
    /// Signs with this instead of the shop's secret.
    #[serde(default)]
    secret: Option<String>,
    /// To this address, subscribed or not.
    #[serde(default)]
    url: Option<String>,
}

async fn send(State(shop): State<Shop>, Json(wish): Json<Send>) -> Response {
    let body = match wish.body {
        Value::String(text) => Bytes::from(text),
        json => Bytes::from(json.to_string()),
    };
    let raw = RawDelivery { webhook_id: wish.webhook_id, secret: wish.secret.map(Into::into), ..RawDelivery::new(wish.topic, body) };
    let sent = match wish.url {
        Some(url) => vec![shop.send_raw_to(&url, &raw)],
        None => shop.send_raw(raw),
    };
    (StatusCode::ACCEPTED, Json(sent.into_iter().map(|it| it.webhook_id).collect::<Vec<_>>())).into_response()
}

async fn hold(State(shop): State<Shop>) -> StatusCode {
    shop.hold();
    StatusCode::NO_CONTENT
}

async fn release(State(shop): State<Shop>, Json(release): Json<Release>) -> Response {
    Json(json!({ "released": shop.release(release) })).into_response()
}

/// What was held never comes.
async fn lose(State(shop): State<Shop>) -> Response {
    Json(json!({ "lost": shop.lose() })).into_response()
}

#[derive(Debug, Deserialize)]
struct Throttle {
    times: u64,
}

async fn throttle(State(shop): State<Shop>, Json(wish): Json<Throttle>) -> StatusCode {
    shop.throttle(wish.times);
    StatusCode::NO_CONTENT
}

#[derive(Debug, Deserialize)]
struct Rotate {
    secret: String,
}

async fn rotate(State(shop): State<Shop>, Json(wish): Json<Rotate>) -> Response {
    match shop.rotate_secret(wish.secret) {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "error": error.to_string() }))).into_response(),
    }
}

async fn log(State(shop): State<Shop>) -> Response {
    Json(shop.log().since(0)).into_response()
}

/// An empty body wishes nothing in particular.
fn wish<'a, T: Deserialize<'a> + Default>(body: &'a Bytes) -> Result<T, serde_json::Error> {
    if body.is_empty() { Ok(T::default()) } else { serde_json::from_slice(body) }
}

fn unreadable(error: &serde_json::Error) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": error.to_string() }))).into_response()
}

fn said(shop: &Shop, outcome: Result<Happened, ActionError>) -> Response {
    match outcome {
        Ok(happened) => {
            let mut answer = shop.order(happened.id).as_ref().map_or_else(|| json!({ "id": happened.id }), summary);
            answer["event_id"] = json!(happened.event_id);
            answer["deliveries"] = json!(sent(&happened));
            (StatusCode::CREATED, Json(answer)).into_response()
        }
        Err(error) => refused(&error),
    }
}

fn refused(error: &ActionError) -> Response {
    let status = match error {
        ActionError::Order(_) | ActionError::Customer(_) | ActionError::Refund(_) => StatusCode::NOT_FOUND,
        ActionError::Sku(_) => StatusCode::UNPROCESSABLE_ENTITY,
        ActionError::Cancelled => StatusCode::CONFLICT,
    };
    (status, Json(json!({ "error": error.to_string() }))).into_response()
}

fn sent(happened: &Happened) -> Vec<Value> {
    happened.deliveries.iter().map(|it| json!({ "topic": it.topic, "webhook_id": it.webhook_id })).collect()
}

/// What a script needs of an order.
fn summary(order: &ShopOrder) -> Value {
    let lines = order
        .lines
        .iter()
        .map(|it| json!({ "id": it.id, "sku": it.article.sku, "quantity": it.quantity, "current_quantity": it.current_quantity() }));
    json!({
        "id": order.id,
        "name": order.name,
        "financial_status": order.financial_status().as_str(),
        "cancelled": order.is_cancelled(),
        "total": order.total().shop.to_string(),
        "currency": order.currencies.shop.code(),
        "updated_at": order.updated_at,
        "lines": lines.collect::<Vec<_>>(),
        "refunds": order.refunds.iter().map(|it| it.id).collect::<Vec<_>>(),
    })
}
