//! Record headers: CloudEvents 1.0 in binary mode (<https://github.com/cloudevents/spec>, Kafka binding), W3C trace context,
//! and ours. Values are UTF-8.

use std::borrow::Cow;

use bytes::Bytes;
use uuid::Uuid;

pub const CE_SPECVERSION: &str = "ce_specversion";
/// The record's id: deduplicates everywhere but at the source.
pub const CE_ID: &str = "ce_id";
/// `tradewind/<connection or service>`.
pub const CE_SOURCE: &str = "ce_source";
/// `tradewind.orders.v1.OrderChanged`: the message's full name.
pub const CE_TYPE: &str = "ce_type";
/// RFC 3339.
pub const CE_TIME: &str = "ce_time";
/// The entity: `<connection>/<kind>/<id>`.
pub const CE_SUBJECT: &str = "ce_subject";
/// `type.googleapis.com/<message>`.
pub const CE_DATASCHEMA: &str = "ce_dataschema";
pub const CONTENT_TYPE: &str = "content-type";
pub const TRACEPARENT: &str = "traceparent";
pub const TRACESTATE: &str = "tracestate";

/// The entity's own counter, decimal.
pub const ENTITY_SEQ: &str = "tw-entity-seq";
/// What stays the same when a platform sends the same delivery again.
pub const DELIVERY: &str = "tw-delivery";
/// Unchanged over retries, restarts and replays.
pub const IDEMPOTENCY_KEY: &str = "tw-idempotency-key";
/// Of a raw record: the platform's topic.
pub const SOURCE_TOPIC: &str = "tw-source-topic";
/// Of a raw record: the connection.
pub const CONNECTION: &str = "tw-connection";
/// Of a raw record: when the platform says that it happened, RFC 3339.
pub const TRIGGERED_AT: &str = "tw-triggered-at";
/// Of a raw record: when it reached us, RFC 3339.
pub const RECEIVED_AT: &str = "tw-received-at";
/// Of a re-read or sweep: when the source was read, RFC 3339.
pub const READ_AT: &str = "tw-read-at";
/// Of a raw record and of the change events that follow from it, where we found the change instead of being told: `sweep`,
/// `scan`, `backfill`. Absent: told by a delivery. It may be long past: a customer is not to be written to because of it.
pub const FOUND_BY: &str = "tw-found-by";

/// Of a published dead letter. Its key, value and other headers are the original record's.
pub mod dlq {
    pub const SCHEMA: &str = "dlq.schema";
    pub const ID: &str = "dlq.id";
    pub const GROUP: &str = "dlq.group";
    pub const EVENT_ID: &str = "dlq.event_id";
    pub const AGGREGATE: &str = "dlq.aggregate";
    pub const ORIGIN_TOPIC: &str = "dlq.origin.topic";
    pub const ORIGIN_PARTITION: &str = "dlq.origin.partition";
    pub const ORIGIN_OFFSET: &str = "dlq.origin.offset";
    pub const ERROR_CLASS: &str = "dlq.error.class";
    pub const ERROR_CODE: &str = "dlq.error.code";
    /// The code's page in the documentation.
    pub const ERROR_PAGE: &str = "dlq.error.page";
    /// At most 1,024 characters.
    pub const ERROR_MESSAGE: &str = "dlq.error.message";
    pub const ERROR_FINGERPRINT: &str = "dlq.error.fingerprint";
    pub const ATTEMPTS: &str = "dlq.attempts";
    /// RFC 3339, like the next.
    pub const FIRST_FAILED_AT: &str = "dlq.first_failed_at";
    pub const LAST_FAILED_AT: &str = "dlq.last_failed_at";
    /// The value was too large to be published: its size. The letter itself has it.
    pub const VALUE_OMITTED: &str = "dlq.value_omitted";

    /// All of the above.
    pub const ALL: [&str; 17] = [
        SCHEMA,
        ID,
        GROUP,
        EVENT_ID,
        AGGREGATE,
        ORIGIN_TOPIC,
        ORIGIN_PARTITION,
        ORIGIN_OFFSET,
        ERROR_CLASS,
        ERROR_CODE,
        ERROR_PAGE,
        ERROR_MESSAGE,
        ERROR_FINGERPRINT,
        ATTEMPTS,
        FIRST_FAILED_AT,
        LAST_FAILED_AT,
        VALUE_OMITTED,
    ];
}

pub const PROTOBUF: &str = "application/protobuf";
pub const JSON: &str = "application/json";

/// Names and values in the order of the record. Small: a search is a walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Cow<'static, str>, Bytes)>);

/// A name as it is kept: the known ones cost nothing.
pub fn name(name: &str) -> Cow<'static, str> {
    KNOWN.iter().find(|known| **known == name).map_or_else(|| Cow::Owned(name.to_owned()), |known| Cow::Borrowed(*known))
}

/// What nearly every record has.
const KNOWN: [&str; 18] = [
    CE_SPECVERSION,
    CE_ID,
    CE_SOURCE,
    CE_TYPE,
    CE_TIME,
    CE_SUBJECT,
    CE_DATASCHEMA,
    CONTENT_TYPE,
    TRACEPARENT,
    ENTITY_SEQ,
    DELIVERY,
    IDEMPOTENCY_KEY,
    SOURCE_TOPIC,
    CONNECTION,
    TRIGGERED_AT,
    RECEIVED_AT,
    READ_AT,
    FOUND_BY,
];

impl Headers {
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Bytes>) {
        self.0.push((name.into(), value.into()));
    }

    /// Replaces the value, or appends it: one value per name, also where a foreign record brought several.
    pub fn set(&mut self, name: &str, value: impl Into<Bytes>) {
        let value = value.into();
        let Some(first) = self.0.iter().position(|(known, _)| known == name) else {
            return self.push(self::name(name), value);
        };
        self.0[first].1 = value;
        let mut place = 0;
        self.0.retain(|(known, _)| {
            place += 1;
            place <= first + 1 || known != name
        });
    }

    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// `None` also where the value is no UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    pub fn event_id(&self) -> Option<Uuid> {
        self.text(CE_ID)?.parse().ok()
    }

    pub fn sequence(&self) -> Option<u64> {
        self.text(ENTITY_SEQ)?.parse().ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(String, Bytes)> for Headers {
    fn from_iter<I: IntoIterator<Item = (String, Bytes)>>(headers: I) -> Self {
        Self(headers.into_iter().map(|(name, value)| (Cow::Owned(name), value)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_set_twice_has_its_last_value_and_its_first_place() {
        let mut headers = Headers::default();
        headers.set(CE_ID, "a");
        headers.set(CE_TYPE, "t");
        headers.set(CE_ID, "b");
        assert_eq!(headers.iter().map(|(name, value)| (name, &value[..])).collect::<Vec<_>>(), [(CE_ID, &b"b"[..]), (CE_TYPE, &b"t"[..])]);
    }

    /// The letter of a record that was a letter of somebody else's, with headers that were appended and not replaced.
    #[test]
    fn of_a_name_that_a_record_brought_twice_only_what_was_set_is_left() {
        let mut headers = Headers::default();
        for (name, value) in [("a", "1"), (dlq::ERROR_CODE, "old"), ("a", "2"), (dlq::ERROR_CODE, "older")] {
            headers.push(name, value);
        }
        headers.set(dlq::ERROR_CODE, "new");
        let left: Vec<_> = headers.iter().map(|(name, value)| (name, &value[..])).collect();
        assert_eq!(left, [("a", &b"1"[..]), (dlq::ERROR_CODE, b"new"), ("a", b"2")]);
    }

    #[test]
    fn what_is_no_text_is_no_text() {
        let mut headers = Headers::default();
        headers.push(CE_ID, &b"\xff"[..]);
        assert_eq!(headers.text(CE_ID), None);
        assert_eq!(headers.event_id(), None);
    }
}
