//! One delivery of a webhook: bytes and headers that stay the same over all its attempts.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_kit::{Encoding, Secrets};
use secrecy::SecretString;

/// A delivery, as it was first sent.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `orders/create`, ...
    pub topic: String,
    /// The same over all attempts.
    pub webhook_id: String,
    /// Shared by all deliveries that one action caused.
    pub event_id: String,
    pub triggered_at: DateTime<Utc>,
    pub api_version: String,
    /// Where it goes, even if the subscription changes meanwhile.
    pub address: String,
    pub body: Bytes,
    /// What it is about: the order's, customer's or item's id.
    pub subject: String,
    /// `None`: sent by hand, for no subscription.
    pub(super) subscription: Option<u64>,
    /// Signed with this instead of the shop's secret.
    pub(super) secret: Option<SecretString>,
}

/// Headers whose names are not in the `http` crate.
pub const TOPIC: HeaderName = HeaderName::from_static("x-shopify-topic");
pub const HMAC: HeaderName = HeaderName::from_static("x-shopify-hmac-sha256");
pub const SHOP_DOMAIN: HeaderName = HeaderName::from_static("x-shopify-shop-domain");
pub const API_VERSION: HeaderName = HeaderName::from_static("x-shopify-api-version");
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("x-shopify-webhook-id");
pub const EVENT_ID: HeaderName = HeaderName::from_static("x-shopify-event-id");
pub const TRIGGERED_AT: HeaderName = HeaderName::from_static("x-shopify-triggered-at");

impl Delivery {
    /// The platform's headers, signed.
    pub(super) fn headers(&self, shop_domain: &str, secrets: &Secrets) -> HeaderMap {
        let signature = match &self.secret {
            Some(secret) => Secrets::new([secret.clone()]).map_or_else(|_| String::new(), |it| it.sign(Encoding::Base64, &[&self.body])),
            None => secrets.sign(Encoding::Base64, &[&self.body]),
        };
        let mut headers = HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let values = [
            (TOPIC, self.topic.as_str()),
            (HMAC, signature.as_str()),
            (SHOP_DOMAIN, shop_domain),
            (API_VERSION, self.api_version.as_str()),
            (WEBHOOK_ID, self.webhook_id.as_str()),
            (EVENT_ID, self.event_id.as_str()),
        ];
        for (name, value) in values {
            // What is no header value is left out: scripts may send any topic.
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        let triggered = self.triggered_at.to_rfc3339_opts(SecondsFormat::Nanos, true);
        headers.insert(TRIGGERED_AT, HeaderValue::from_str(&triggered).expect("a time is plain text"));
        headers
    }
}

/// A delivery by hand: any bytes under any topic.
#[derive(Debug, Clone, Default)]
pub struct RawDelivery {
    pub topic: String,
    pub body: Bytes,
    /// `None`: a new one. Give one that was used to send an id again, with whatever body.
    pub webhook_id: Option<String>,
    pub event_id: Option<String>,
    pub triggered_at: Option<DateTime<Utc>>,
    pub api_version: Option<String>,
    /// Sign with this instead of the shop's secret: a forgery, or a secret that is being rotated.
    pub secret: Option<SecretString>,
}

impl RawDelivery {
    pub fn new(topic: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), body: body.into(), ..Self::default() }
    }

    #[must_use]
    pub fn with_id(mut self, webhook_id: impl Into<String>) -> Self {
        self.webhook_id = Some(webhook_id.into());
        self
    }

    #[must_use]
    pub fn triggered_at(mut self, at: DateTime<Utc>) -> Self {
        self.triggered_at = Some(at);
        self
    }

    #[must_use]
    pub fn signed_with(mut self, secret: impl Into<SecretString>) -> Self {
        self.secret = Some(secret.into());
        self
    }
}
