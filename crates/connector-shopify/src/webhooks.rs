//! The receiving side: signatures, and what the door needs to know of a delivery.

mod lookup;

use chrono::DateTime;
use connector::storefront::{DeliveryFacts, Webhooks};
use domain::{AggregateKey, ConnectionId};
use http::HeaderMap;
use http_kit::signature::is_signature;
use http_kit::{Encoding, SecretFiles};
use sha2::{Digest, Sha256};

use lookup::Subject;

/// Shopify's names are a fraction of this; what is longer is cut, so that keys and identities stay within their bounds.
const NAME_MAX: usize = 120;

/// Of the body alone. No header says when it was signed that the signature covers: what is sent again is known by its id.
const SIGNATURE: &str = "x-shopify-hmac-sha256";

pub(crate) struct ShopifyWebhooks {
    secrets: SecretFiles,
}

impl ShopifyWebhooks {
    pub(crate) fn new(secrets: SecretFiles) -> Self {
        Self { secrets }
    }
}

impl Webhooks for ShopifyWebhooks {
    fn is_signed(&self, headers: &HeaderMap) -> bool {
        headers.get(SIGNATURE).is_some_and(|it| is_signature(it.as_bytes(), Encoding::Base64))
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Option<usize> {
        self.secrets.verify(headers.get(SIGNATURE)?.as_bytes(), Encoding::Base64, &[body])
    }

    fn facts(&self, connection: &ConnectionId, headers: &HeaderMap, body: &[u8]) -> DeliveryFacts {
        let topic = text(headers, "x-shopify-topic").unwrap_or_default();
        let delivery = text(headers, "x-shopify-webhook-id").unwrap_or_else(|| fingerprint(body));
        DeliveryFacts {
            identity: format!("{topic}/{delivery}"),
            aggregate: aggregate(connection, &topic, body),
            triggered_at: text(headers, "x-shopify-triggered-at")
                .and_then(|it| DateTime::parse_from_rfc3339(&it).ok())
                .map(|it| it.to_utc()),
            api_version: text(headers, "x-shopify-api-version"),
            topic,
        }
    }
}

fn aggregate(connection: &ConnectionId, topic: &str, body: &[u8]) -> AggregateKey {
    let found = Subject::of(topic).and_then(|subject| Some((subject, subject.find(body)?)));
    match found {
        Some((Subject::Order | Subject::OfOrder | Subject::OrderEdit | Subject::OrderObject, id)) => {
            AggregateKey::order(connection, &id.to_string())
        }
        Some((Subject::Customer, id)) => AggregateKey::customer(connection, &id.to_string()),
        Some((Subject::Product | Subject::OfProduct, id)) => AggregateKey::product(connection, &id.to_string()),
        // A key without a last part would be none.
        None => AggregateKey::raw(connection, if topic.is_empty() { "unknown" } else { topic }),
    }
}

/// A header's text; `None` when it is absent or empty.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.as_bytes().trim_ascii();
    let printable = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '?' };
    let text: String = value.iter().take(NAME_MAX).map(printable).collect();
    (!text.is_empty()).then_some(text)
}

/// Stands in for a missing delivery id: the same bytes are the same delivery.
fn fingerprint(body: &[u8]) -> String {
    Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
