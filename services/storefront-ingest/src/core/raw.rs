//! Raw records: a delivery, verbatim, under the key of its aggregate.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use connector::storefront::{Delivery, DeliveryFacts};
use contracts::headers::{self, Headers};
use contracts::ids;
use domain::{ConnectionId, EntityRef};
use fault::{Class, Fault};
use pipeline::{OutRecord, Record};
use sha2::{Digest as _, Sha256};

/// `ce_type` of raw records.
pub const TYPE: &str = "tradewind.raw.v1.Delivery";
const API_VERSION: &str = "tw-api-version";

/// A delivery as it came through the door. Made inside its span, it carries the trace.
pub fn of_webhook(topic: &str, connection: &ConnectionId, facts: &DeliveryFacts, body: Bytes, received_at: DateTime<Utc>) -> OutRecord {
    let mut record = base(topic, connection, &facts.topic, &facts.identity, facts.aggregate.as_str(), body, received_at);
    if let Some(at) = facts.triggered_at {
        record.headers.push(headers::TRIGGERED_AT, time(at));
    }
    if let Some(version) = &facts.api_version {
        record.headers.push(API_VERSION, version.clone());
    }
    record
}

/// An entity that we read again. The same answer twice is the same delivery.
pub fn of_reread(topic: &str, entity: &EntityRef, key: &str, source_topic: &str, body: Bytes, read_at: DateTime<Utc>) -> OutRecord {
    let hash: String = Sha256::digest(&body).iter().map(|it| format!("{it:02x}")).collect();
    let identity = format!("read/{entity}/{hash}");
    let mut record = base(topic, &entity.connection, source_topic, &identity, key, body, read_at);
    record.headers.push(headers::READ_AT, time(read_at));
    record
}

fn base(
    topic: &str,
    connection: &ConnectionId,
    source_topic: &str,
    identity: &str,
    key: &str,
    body: Bytes,
    received_at: DateTime<Utc>,
) -> OutRecord {
    let mut out = Headers::default();
    out.push(headers::CE_SPECVERSION, "1.0");
    out.push(headers::CE_ID, ids::raw(connection.as_str(), source_topic, identity).to_string());
    out.push(headers::CE_SOURCE, format!("tradewind/{connection}"));
    out.push(headers::CE_TYPE, TYPE);
    out.push(headers::CE_SUBJECT, key.to_owned());
    out.push(headers::CONTENT_TYPE, headers::JSON);
    out.push(headers::CONNECTION, connection.to_string());
    out.push(headers::SOURCE_TOPIC, source_topic.to_owned());
    out.push(headers::DELIVERY, identity.to_owned());
    out.push(headers::RECEIVED_AT, time(received_at));
    telemetry::spans::inject(&mut out);
    let timestamp_ms = received_at.timestamp_millis();
    OutRecord { topic: topic.into(), key: key.to_owned().into(), value: body, headers: out, timestamp_ms }
}

/// Back from the record. Its headers are ours: if they can't be read, something else wrote into our topic.
pub fn to_delivery(record: &Record) -> Result<Delivery, Fault> {
    let text = |name: &'static str| record.headers.text(name).ok_or_else(|| malformed(format!("it has no header {name}")));
    let optional_time = |name| record.headers.text(name).map(parse_time).transpose();
    Ok(Delivery {
        connection: text(headers::CONNECTION)?.parse().map_err(|error| malformed(format!("{}: {error}", headers::CONNECTION)))?,
        topic: text(headers::SOURCE_TOPIC)?.to_owned(),
        identity: text(headers::DELIVERY)?.to_owned(),
        triggered_at: optional_time(headers::TRIGGERED_AT)?,
        received_at: parse_time(text(headers::RECEIVED_AT)?)?,
        read_at: optional_time(headers::READ_AT)?,
        body: record.value.clone(),
    })
}

/// What a later good delivery must be about to supersede a dead one: the same aggregate, by the same kind of topic. A good
/// order says nothing about a refund that could not be read.
pub fn subject(record: &Record) -> Option<String> {
    let topic = record.headers.text(headers::SOURCE_TOPIC)?;
    let family = topic.split('/').next().unwrap_or(topic);
    Some(format!("{}#{family}", record.key_text()))
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn parse_time(text: &str) -> Result<DateTime<Utc>, Fault> {
    DateTime::parse_from_rfc3339(text).map(|it| it.to_utc()).map_err(|_| malformed("a time in its headers is not RFC 3339".to_owned()))
}

fn malformed(what: String) -> Fault {
    Fault::new(Class::Decode, "raw_record_malformed", format!("the record is no delivery of ours: {what}"))
}

#[cfg(test)]
mod tests {
    use domain::AggregateKey;
    use pipeline::{Origin, Partition};

    use super::*;

    fn read(out: OutRecord) -> Record {
        Record {
            partition: Partition::new(out.topic, 0),
            offset: 0,
            timestamp_ms: out.timestamp_ms,
            key: out.key,
            value: out.value,
            headers: out.headers,
            origin: Origin::Topic,
        }
    }

    #[test]
    fn a_delivery_comes_back_as_it_went() {
        let shop: ConnectionId = "shop-eu".parse().unwrap();
        let at = DateTime::from_timestamp(1_790_000_000, 123_456_789).unwrap();
        let facts = DeliveryFacts {
            topic: "orders/create".to_owned(),
            identity: "orders/create/w-1".to_owned(),
            aggregate: AggregateKey::order(&shop, "1"),
            triggered_at: Some(at),
            api_version: Some("2026-07".to_owned()),
        };
        let record = read(of_webhook("raw", &shop, &facts, Bytes::from_static(b"{}"), at));
        let delivery = to_delivery(&record).unwrap();
        assert_eq!(
            (delivery.connection, delivery.topic.as_str(), delivery.identity.as_str()),
            (shop, "orders/create", "orders/create/w-1")
        );
        assert_eq!((delivery.triggered_at, delivery.read_at, delivery.received_at), (Some(at), None, at));
        assert_eq!(subject(&record).as_deref(), Some("shop-eu/order/1#orders"));
    }

    #[test]
    fn the_same_answer_read_twice_is_one_delivery() {
        let entity = EntityRef::new("shop-eu".parse().unwrap(), domain::EntityKind::Order, "1");
        let read_at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let one = of_reread("raw", &entity, "shop-eu/order/1", "orders/graphql", Bytes::from_static(b"{}"), read_at(1));
        let two = of_reread("raw", &entity, "shop-eu/order/1", "orders/graphql", Bytes::from_static(b"{}"), read_at(2));
        let other = of_reread("raw", &entity, "shop-eu/order/1", "orders/graphql", Bytes::from_static(b"{ }"), read_at(2));
        assert_eq!(one.headers.event_id(), two.headers.event_id());
        assert_ne!(one.headers.event_id(), other.headers.event_id());
    }

    #[test]
    fn a_foreign_record_in_our_topic_is_named() {
        let record = Record {
            partition: Partition::new("raw", 0),
            offset: 0,
            timestamp_ms: 0,
            key: Bytes::new(),
            value: Bytes::new(),
            headers: Headers::default(),
            origin: Origin::Topic,
        };
        let fault = to_delivery(&record).unwrap_err();
        assert_eq!((fault.class, fault.code), (Class::Decode, "raw_record_malformed"));
    }
}
