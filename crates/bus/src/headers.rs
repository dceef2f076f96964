//! Kafka headers to ours and back, byte for byte and in order.

use bytes::Bytes;
use contracts::headers::Headers;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};

pub(crate) fn to_kafka(headers: &Headers) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |kafka, (name, value)| {
        kafka.insert(Header { key: name, value: Some(value.as_ref()) })
    })
}

pub(crate) fn from_kafka(kafka: Option<&rdkafka::message::BorrowedHeaders>) -> Headers {
    let mut headers = Headers::default();
    for header in kafka.into_iter().flat_map(|it| it.iter()) {
        headers.push(header.key, Bytes::copy_from_slice(header.value.unwrap_or_default()));
    }
    headers
}
