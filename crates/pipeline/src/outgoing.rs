//! Our own events on their way out: one place that writes their headers.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use contracts::headers::{self, Headers};
use uuid::Uuid;

use crate::record::OutRecord;

/// A protobuf event. Made inside the span of the record that it follows from, it carries that record's trace.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// The full topic name.
    pub topic: &'a str,
    pub id: Uuid,
    /// The aggregate.
    pub key: &'a str,
    /// The message's full name.
    pub type_name: &'a str,
    /// The connection, target or service that it comes from.
    pub source: &'a str,
    /// The entity that it is about: `<connection>/<kind>/<id>`.
    pub subject: &'a str,
    pub sequence: Option<u64>,
    /// Unchanged over retries, restarts and replays.
    pub idempotency_key: Option<&'a str>,
    pub value: Bytes,
}

impl Event<'_> {
    pub fn into_record(self) -> OutRecord {
        let mut out = Headers::default();
        out.push(headers::CE_SPECVERSION, "1.0");
        out.push(headers::CE_ID, self.id.to_string());
        out.push(headers::CE_SOURCE, format!("tradewind/{}", self.source));
        out.push(headers::CE_TYPE, self.type_name.to_owned());
        out.push(headers::CE_SUBJECT, self.subject.to_owned());
        out.push(headers::CE_DATASCHEMA, format!("type.googleapis.com/{}", self.type_name));
        out.push(headers::CONTENT_TYPE, headers::PROTOBUF);
        if let Some(sequence) = self.sequence {
            out.push(headers::ENTITY_SEQ, sequence.to_string());
        }
        if let Some(key) = self.idempotency_key {
            out.push(headers::IDEMPOTENCY_KEY, key.to_owned());
        }
        telemetry::spans::inject(&mut out);
        let timestamp_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |it| i64::try_from(it.as_millis()).unwrap_or(i64::MAX));
        OutRecord { topic: self.topic.into(), key: self.key.to_owned().into(), value: self.value, headers: out, timestamp_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_says_what_it_is_about_and_where_it_comes_from() {
        let event = Event {
            topic: "t.tradewind.orders.v1",
            id: Uuid::from_u128(1),
            key: "shop/order/1",
            type_name: "tradewind.orders.v1.OrderChanged",
            source: "shop",
            subject: "shop/order/1",
            sequence: Some(3),
            idempotency_key: Some("shop/order/1/place"),
            value: Bytes::from_static(b"x"),
        };
        let record = event.into_record();
        assert_eq!(&*record.topic, "t.tradewind.orders.v1");
        assert_eq!(record.headers.event_id(), Some(Uuid::from_u128(1)));
        assert_eq!(record.headers.sequence(), Some(3));
        assert_eq!(record.headers.text(headers::CE_SOURCE), Some("tradewind/shop"));
        assert_eq!(record.headers.text(headers::IDEMPOTENCY_KEY), Some("shop/order/1/place"));
        assert!(record.timestamp_ms > 1_700_000_000_000);
    }
}
