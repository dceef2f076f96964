//! A connection with secrets in files, and deliveries to it.

use std::sync::OnceLock;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use connector::storefront::{Delivery, Entity, Mapped, MappedEntity};
use connector::{StorefrontConnection, StorefrontPlatform};
use connector_shopify::Shopify;
use domain::{Customer, Order, Refund};
use fault::Fault;
use serde_json::json;

/// A connection whose API is at `url`.
pub(crate) fn open_at(url: &str) -> StorefrontConnection {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let settings = json!({
        "shop": "example.myshopify.com",
        "api_url": url,
        "access_token_file": file("token", "shpat_test\n"),
        "webhook_secret_files": [file("secret", "shpss_test\n")],
        "allow_private": ["127.0.0.1"],
        "callback_url": "https://hooks.example.com/webhooks/shop-eu",
    });
    Shopify.open(&"shop-eu".parse().unwrap(), &settings).unwrap()
}

/// Opened once: nothing that only maps sends anything.
pub(crate) fn open() -> &'static StorefrontConnection {
    static OPENED: OnceLock<StorefrontConnection> = OnceLock::new();
    OPENED.get_or_init(|| open_at("http://127.0.0.1:1"))
}

pub(crate) fn time(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

pub(crate) fn map(topic: &str, body: impl Into<Bytes>) -> Result<Mapped, Fault> {
    let delivery = Delivery {
        connection: "shop-eu".parse().unwrap(),
        topic: topic.to_owned(),
        identity: "test".to_owned(),
        triggered_at: None,
        received_at: time("2026-07-01T00:00:00Z"),
        read_at: None,
        body: body.into(),
    };
    open().mapper.map(&delivery)
}

pub(crate) fn entities(topic: &str, body: impl Into<Bytes>) -> Vec<MappedEntity> {
    match map(topic, body).unwrap_or_else(|fault| panic!("{topic}: {fault}")) {
        Mapped::Entities(entities) => entities,
        other => panic!("{topic}: {other:?}"),
    }
}

pub(crate) fn order(topic: &str, body: impl Into<Bytes>) -> Order {
    match entities(topic, body).remove(0).body {
        Entity::Order(order) => *order,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn refund(entity: &MappedEntity) -> &Refund {
    match &entity.body {
        Entity::Refund(refund) => refund,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn customer(topic: &str, body: impl Into<Bytes>) -> Customer {
    match entities(topic, body).remove(0).body {
        Entity::Customer(customer) => *customer,
        other => panic!("{other:?}"),
    }
}

/// One of our own payloads.
pub(crate) fn golden(name: &str) -> Bytes {
    let path = format!("{}/tests/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
    Bytes::from(std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}
