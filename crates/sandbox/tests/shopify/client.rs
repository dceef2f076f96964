//! A plain client of the double's API.

use std::time::Duration;

use http::{HeaderValue, Method};
use http_kit::client::{Outgoing, Settings};
use http_kit::{Client, Exchange};
use sandbox::payloads::PayloadSettings;
use sandbox::shopify::{ACCESS_TOKEN, ShopDouble, ShopSettings, WebhookSettings};
use serde_json::{Value, json};

/// Longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Sums of simple orders can be foreseen.
pub(crate) fn plain() -> PayloadSettings {
    PayloadSettings { foreign: None, discount_share: 0.0, tip_share: 0.0, ..PayloadSettings::default() }
}

/// Hours of retries pass in half a second.
pub(crate) fn hasty() -> WebhookSettings {
    WebhookSettings { time_scale: 30_000.0, ..WebhookSettings::default() }
}

pub(crate) fn settings() -> ShopSettings {
    ShopSettings { payloads: plain(), webhooks: hasty(), ..ShopSettings::default() }
}

pub(crate) fn start(settings: ShopSettings) -> ShopDouble {
    ShopDouble::start(settings).unwrap()
}

fn http(total: Duration) -> Client {
    let settings = Settings { allow_private: vec!["127.0.0.0/8".parse().unwrap()], read: total, total, ..Settings::default() };
    Client::new(&settings).unwrap()
}

pub(crate) async fn send(method: Method, url: String, body: Value) -> (u16, Value) {
    let outgoing = Outgoing { method, ..Outgoing::post_json(url, body.to_string()) };
    match http(PATIENCE).send(outgoing).await {
        Exchange::Answered { status, body, .. } => (status.as_u16(), serde_json::from_slice(&body).unwrap_or(Value::Null)),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn exchange(shop: &ShopDouble, token: &str, query: &str, variables: Value, total: Duration) -> Exchange {
    let url = format!("{}/admin/api/2026-07/graphql.json", shop.base_url());
    let body = json!({ "query": query, "variables": variables }).to_string();
    let token = HeaderValue::from_str(token).unwrap();
    http(total).send(Outgoing::post_json(url, body).header(ACCESS_TOKEN, token)).await
}

/// A whole answer to a query.
pub(crate) async fn ask(shop: &ShopDouble, query: &str, variables: Value) -> Value {
    match exchange(shop, "sandbox-access-token", query, variables, PATIENCE).await {
        Exchange::Answered { status, body, .. } => {
            assert_eq!(status, 200);
            serde_json::from_slice(&body).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

pub(crate) fn codes(answer: &Value) -> Vec<&str> {
    let errors = answer["errors"].as_array().map_or(&[][..], Vec::as_slice);
    errors.iter().map(|it| it["extensions"]["code"].as_str().unwrap()).collect()
}
