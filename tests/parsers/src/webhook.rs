//! Bodies of webhooks and of our own re-reads. The input is the platform's topic, a line break, and the body.

use std::fmt::Debug;
use std::sync::LazyLock;

use bytes::Bytes;
use chrono::DateTime;
use connector::storefront::{Delivery, Entity, Mapped};
use connector::{StorefrontConnection, StorefrontPlatform as _};
use contracts::wire::Wire;
use domain::{AggregateKey, ConnectionId};
use fault::Fault;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

use crate::first_line;

pub(crate) const SECRET: &str = "a secret of the fuzzer";

/// Every topic that is mapped to something; all others come to nothing, by one arm.
pub const TOPICS: [&str; 16] = [
    "orders/create",
    "orders/updated",
    "orders/paid",
    "orders/cancelled",
    "orders/fulfilled",
    "orders/partially_fulfilled",
    "orders/graphql",
    "orders/edited",
    "orders/delete",
    "refunds/create",
    "refunds/graphql",
    "customers/create",
    "customers/update",
    "customers/enable",
    "customers/disable",
    "customers/graphql",
];

/// Whatever is signed is named, maps to the same entities every time, and what it maps to can be read back by those who come next.
pub fn check(input: &[u8]) {
    let (topic, body) = first_line(input);
    if let Ok(topic) = HeaderValue::from_bytes(topic) {
        let headers = HeaderMap::from_iter([(HeaderName::from_static("x-shopify-topic"), topic)]);
        let facts = connection().webhooks.facts(&id(), &headers, body);
        assert_eq!(facts, connection().webhooks.facts(&id(), &headers, body));
        assert_eq!(facts.aggregate.as_str().parse::<AggregateKey>().as_ref(), Ok(&facts.aggregate));
    }
    let delivery = delivery(&String::from_utf8_lossy(topic), body);
    let mapped = map(&delivery);
    assert_eq!(mapped, map(&delivery), "the same body, mapped twice");
    match mapped {
        Ok(Mapped::Entities(entities)) => entities.iter().for_each(|it| comes_back(&it.body)),
        Ok(Mapped::ReRead(_) | Mapped::Gone(_) | Mapped::Unmapped) => {}
        Err((code, message)) => assert!(message.len() <= MESSAGE_MAX, "{code}: {} bytes of message", message.len()),
    }
}

/// A message is for people; what a stranger sent must not make it long.
const MESSAGE_MAX: usize = 1024;

fn map(delivery: &Delivery) -> Result<Mapped, (&'static str, String)> {
    connection().mapper.map(delivery).map_err(|fault: Fault| (fault.code, fault.to_string()))
}

fn comes_back(entity: &Entity) {
    match entity {
        Entity::Order(it) => same(&**it),
        Entity::Customer(it) => same(&**it),
        Entity::Refund(it) => same(&**it),
    }
}

fn same<T: Wire + PartialEq + Debug>(value: &T) {
    let encoded = value.encode();
    let decoded = T::decode(&encoded);
    assert_eq!(decoded.as_ref(), Ok(value), "what was written is read");
    assert_eq!(decoded.expect("it was just compared").encode(), encoded, "and written again to the byte");
}

pub(crate) fn connection() -> &'static StorefrontConnection {
    static CONNECTION: LazyLock<StorefrontConnection> = LazyLock::new(|| {
        let folder = tempfile::tempdir().expect("a folder for two secrets");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("the folder was just made");
            path
        };
        let settings = json!({
            "shop": "example.myshopify.com",
            "access_token_file": file("token", "a token of the fuzzer"),
            "webhook_secret_files": [file("secret", SECRET)],
        });
        connector_shopify::Shopify.open(&id(), &settings).expect("these settings are usable")
    });
    &CONNECTION
}

fn id() -> ConnectionId {
    "shop-eu".parse().expect("a name as it should be")
}

fn delivery(topic: &str, body: &[u8]) -> Delivery {
    Delivery {
        connection: id(),
        topic: topic.to_owned(),
        identity: String::new(),
        triggered_at: None,
        received_at: DateTime::UNIX_EPOCH,
        read_at: None,
        body: Bytes::copy_from_slice(body),
    }
}
