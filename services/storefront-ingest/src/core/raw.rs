//! Raw records: a delivery, verbatim, under the key of its aggregate.

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use connector::storefront::{Delivery, DeliveryFacts};
use contracts::headers::{self, Headers};
use contracts::ids;
use domain::{AggregateKey, ConnectionId, EntityKind, EntityRef};
use fault::{Class, Fault};
use pipeline::{OutRecord, Record};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::core::sweep::FoundBy;

/// `ce_type` of a delivery.
pub const DELIVERY: &str = "tradewind.raw.v1.Delivery";
/// `ce_type` of our own note that a source has an entity no more.
pub const GONE: &str = "tradewind.raw.v1.Gone";
/// Stands where a delivery has its platform's topic.
const GONE_TOPIC: &str = "tradewind/gone";
const API_VERSION: &str = "tw-api-version";

/// What a raw record says.
#[derive(Debug)]
pub enum Raw {
    Delivery(Delivery),
    /// `told`: the source has said so, too.
    Gone {
        entity: EntityRef,
        read_at: DateTime<Utc>,
        told: bool,
    },
}

/// The body of [`Raw::Gone`]; the connection is in its header.
#[derive(Serialize, Deserialize)]
struct Gone {
    kind: String,
    id: String,
    #[serde(default)]
    told: bool,
}

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

/// An entity that we read again. Every read is a delivery of its own: an entity that came back to an earlier state must not be
/// taken for a repeat of it.
pub fn of_reread(topic: &str, entity: &EntityRef, source_topic: &str, body: Bytes, read_at: DateTime<Utc>) -> OutRecord {
    read_record(topic, entity, source_topic, body, read_at)
}

/// The source was asked for an entity and has none. `told`: it had said so before.
pub fn of_gone(topic: &str, entity: &EntityRef, read_at: DateTime<Utc>, told: bool) -> OutRecord {
    let body = serde_json::to_vec(&Gone { kind: entity.kind.to_string(), id: entity.id.clone(), told }).expect("texts are JSON");
    let mut record = read_record(topic, entity, GONE_TOPIC, body.into(), read_at);
    record.headers.set(headers::CE_TYPE, GONE);
    record
}

/// Says of a read who found that it was due, when nobody told. Events that follow from it say so, too.
#[must_use]
pub fn found_by(mut record: OutRecord, finder: Option<FoundBy>) -> OutRecord {
    if let Some(finder) = finder {
        record.headers.push(headers::FOUND_BY, finder.as_str());
    }
    record
}

/// Who found it; `None`: a delivery told of it.
pub fn finder(record: &Record) -> Option<FoundBy> {
    record.headers.text(headers::FOUND_BY).and_then(FoundBy::parse)
}

fn read_record(topic: &str, entity: &EntityRef, source_topic: &str, body: Bytes, read_at: DateTime<Utc>) -> OutRecord {
    let identity = format!("read/{entity}/{}", time(read_at));
    let key = aggregate(entity);
    let mut record = base(topic, &entity.connection, source_topic, &identity, key.as_str(), body, read_at);
    record.headers.push(headers::READ_AT, time(read_at));
    record
}

/// Only what is an aggregate itself is read: a refund comes with its order.
pub fn aggregate(entity: &EntityRef) -> AggregateKey {
    match entity.kind {
        EntityKind::Customer => AggregateKey::customer(&entity.connection, &entity.id),
        _ => AggregateKey::order(&entity.connection, &entity.id),
    }
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
    out.push(headers::CE_TYPE, DELIVERY);
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
pub fn read(record: &Record) -> Result<Raw, Fault> {
    let text = |name: &'static str| record.headers.text(name).ok_or_else(|| malformed(format!("it has no header {name}")));
    let optional_time = |name| record.headers.text(name).map(parse_time).transpose();
    let connection = text(headers::CONNECTION)?.parse().map_err(|error| malformed(format!("{}: {error}", headers::CONNECTION)))?;
    if record.headers.text(headers::CE_TYPE) == Some(GONE) {
        let gone: Gone = serde_json::from_slice(&record.value).map_err(|error| malformed(error.to_string()))?;
        let kind = gone.kind.parse().map_err(|error: domain::ids::IdError| malformed(error.to_string()))?;
        let (entity, read_at) = (EntityRef::new(connection, kind, gone.id), parse_time(text(headers::READ_AT)?)?);
        return Ok(Raw::Gone { entity, read_at, told: gone.told });
    }
    Ok(Raw::Delivery(Delivery {
        connection,
        topic: text(headers::SOURCE_TOPIC)?.to_owned(),
        identity: text(headers::DELIVERY)?.to_owned(),
        triggered_at: optional_time(headers::TRIGGERED_AT)?,
        received_at: parse_time(text(headers::RECEIVED_AT)?)?,
        read_at: optional_time(headers::READ_AT)?,
        body: record.value.clone(),
    }))
}

/// What a good delivery must be about to supersede a dead one: the same aggregate, by the same kind of topic. A good order says
/// nothing about a refund that could not be read, and a good refund nothing about another one of its order: which one a refund is,
/// only a body says that can be read, so none supersedes another than its own twin.
pub fn subject(record: &Record) -> Option<String> {
    let topic = record.headers.text(headers::SOURCE_TOPIC)?;
    let family = topic.split('/').next().unwrap_or(topic);
    let subject = format!("{}#{family}", record.key_text());
    Some(match family {
        "refunds" => format!("{subject}#{}", Uuid::new_v5(&Uuid::NAMESPACE_OID, &record.value)),
        _ => subject,
    })
}

/// As of when it tells, as text that sorts: all that is known of its version before it is mapped.
pub fn version(record: &Record) -> Option<String> {
    let told = [headers::READ_AT, headers::TRIGGERED_AT, headers::RECEIVED_AT].into_iter().find_map(|name| record.headers.text(name))?;
    parse_time(told).ok().map(time)
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
    use pipeline::{Origin, Partition};

    use super::*;

    fn record(out: OutRecord) -> Record {
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

    fn shop() -> ConnectionId {
        "shop-eu".parse().unwrap()
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_790_000_000 + seconds, 123_456_789).unwrap()
    }

    fn order() -> EntityRef {
        EntityRef::new(shop(), EntityKind::Order, "1")
    }

    #[test]
    fn a_delivery_comes_back_as_it_went() {
        let facts = DeliveryFacts {
            topic: "orders/create".to_owned(),
            identity: "orders/create/w-1".to_owned(),
            aggregate: AggregateKey::order(&shop(), "1"),
            triggered_at: Some(at(0)),
            api_version: Some("2026-07".to_owned()),
        };
        let record = record(of_webhook("raw", &shop(), &facts, Bytes::from_static(b"{}"), at(1)));
        let Ok(Raw::Delivery(delivery)) = read(&record) else { panic!("it is a delivery") };
        assert_eq!(
            (delivery.connection, delivery.topic.as_str(), delivery.identity.as_str(), &delivery.body[..]),
            (shop(), "orders/create", "orders/create/w-1", &b"{}"[..])
        );
        assert_eq!((delivery.triggered_at, delivery.read_at, delivery.received_at), (Some(at(0)), None, at(1)));
        assert_eq!(subject(&record).as_deref(), Some("shop-eu/order/1#orders"));
        assert_eq!(version(&record), Some(time(at(0))), "when it happened, not when it came");
    }

    #[test]
    fn a_refund_speaks_for_no_other_refund_of_its_order() {
        let refund = |identity: &str, body: &'static str| {
            let facts = DeliveryFacts {
                topic: "refunds/create".to_owned(),
                identity: identity.to_owned(),
                aggregate: AggregateKey::order(&shop(), "1"),
                triggered_at: Some(at(0)),
                api_version: None,
            };
            subject(&record(of_webhook("raw", &shop(), &facts, Bytes::from_static(body.as_bytes()), at(1)))).unwrap()
        };
        assert_ne!(refund("w-1", r#"{"id":1}"#), refund("w-2", r#"{"id":2}"#));
        assert_eq!(refund("w-1", r#"{"id":1}"#), refund("w-2", r#"{"id":1}"#), "told once more");
        assert!(refund("w-1", "no JSON").starts_with("shop-eu/order/1#refunds#"));
    }

    #[test]
    fn every_read_is_a_delivery_of_its_own_under_the_key_of_its_aggregate() {
        let read_at = |seconds| record(of_reread("raw", &order(), "orders/graphql", Bytes::from_static(b"{}"), at(seconds)));
        let (one, again, other) = (read_at(1), read_at(1), read_at(2));
        assert_eq!(one.headers.event_id(), again.headers.event_id());
        assert_ne!(one.headers.event_id(), other.headers.event_id());
        assert_eq!(one.key_text(), "shop-eu/order/1");
        let Ok(Raw::Delivery(delivery)) = read(&one) else { panic!("it is a delivery") };
        assert_eq!((delivery.topic.as_str(), delivery.read_at), ("orders/graphql", Some(at(1))));
        assert_eq!(version(&one), Some(time(at(1))));
        let customer = EntityRef::new(shop(), EntityKind::Customer, "9");
        assert_eq!(&of_gone("raw", &customer, at(1), false).key[..], b"shop-eu/customer/9");
    }

    #[test]
    fn that_an_entity_is_gone_comes_back_as_it_went() {
        let record = record(of_gone("raw", &order(), at(1), true));
        let Ok(Raw::Gone { entity, read_at, told }) = read(&record) else { panic!("it is gone") };
        assert_eq!((entity, read_at, told), (order(), at(1), true));
        assert_ne!(subject(&record).as_deref(), Some("shop-eu/order/1#orders"), "it says nothing about letters");
    }

    #[test]
    fn a_read_says_who_found_that_it_was_due() {
        let read = |by| record(found_by(of_gone("raw", &order(), at(1), false), by));
        assert_eq!(finder(&read(None)), None, "a delivery told of it");
        assert!(read(None).headers.get(headers::FOUND_BY).is_none());
        for by in FoundBy::ALL {
            assert_eq!(finder(&read(Some(by))), Some(by));
        }
    }

    proptest::proptest! {
        /// Its headers may be anything, and so may its value.
        #[test]
        fn whatever_lies_in_our_topic_is_a_delivery_or_is_named(
            values in proptest::collection::vec((0..8_usize, proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)), 0..12),
            good in 0..3_usize,
            body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..60),
        ) {
            let mut record = record([of_gone("raw", &order(), at(1), false), of_reread("raw", &order(), "t", Bytes::new(), at(1))][good % 2].clone());
            let names = [headers::CE_TYPE, headers::CONNECTION, headers::SOURCE_TOPIC, headers::DELIVERY, headers::TRIGGERED_AT,
                headers::RECEIVED_AT, headers::READ_AT, headers::FOUND_BY];
            for (name, value) in values {
                record.headers.set(names[name], value);
            }
            if good < 2 {
                record.value = body.into();
            }
            let (read, again) = (super::read(&record), super::read(&record));
            let text = |it: &Result<Raw, Fault>| match it {
                Ok(raw) => format!("{raw:?}"),
                Err(fault) => format!("{} {}", fault.code, fault.message),
            };
            proptest::prop_assert_eq!(text(&read), text(&again));
            proptest::prop_assert!(read.is_ok() || read.is_err_and(|it| it.code == "raw_record_malformed"));
            let _known = (finder(&record), subject(&record), version(&record));
        }
    }

    #[test]
    fn a_foreign_record_in_our_topic_is_named() {
        let mut foreign = record(of_gone("raw", &order(), at(1), false));
        foreign.value = Bytes::from_static(b"{\"kind\":\"parcel\",\"id\":\"1\"}");
        let mut nameless = foreign.clone();
        nameless.headers = Headers::default();
        for record in [foreign, nameless] {
            let fault = read(&record).unwrap_err();
            assert_eq!((fault.class, fault.code), (Class::Decode, "raw_record_malformed"));
        }
    }
}
