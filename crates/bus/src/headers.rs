//! Kafka headers to ours and back, byte for byte and in order.

use bytes::Bytes;
use contracts::headers::Headers;
use rdkafka::message::{BorrowedMessage, Header, Headers as _, Message as _, OwnedHeaders};

pub(crate) fn to_kafka(headers: &Headers) -> OwnedHeaders {
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |kafka, (name, value)| {
        kafka.insert(Header { key: name, value: Some(value.as_ref()) })
    })
}

/// A message's key, value and headers, all in one allocation.
pub(crate) fn copied(message: &BorrowedMessage<'_>) -> (Bytes, Bytes, Headers) {
    let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
    let theirs = || message.headers().into_iter().flat_map(|it| it.iter());
    let of_headers: usize = theirs().map(|it| it.value.map_or(0, <[u8]>::len)).sum();
    let mut all = Vec::with_capacity(key.len() + value.len() + of_headers);
    all.extend_from_slice(key);
    all.extend_from_slice(value);
    theirs().for_each(|it| all.extend_from_slice(it.value.unwrap_or_default()));
    let mut rest = Bytes::from(all);
    let (key, value) = (rest.split_to(key.len()), rest.split_to(value.len()));
    let mut headers = Headers::with_capacity(theirs().count());
    for header in theirs() {
        headers.push(contracts::headers::name(header.key), rest.split_to(header.value.map_or(0, <[u8]>::len)));
    }
    (key, value, headers)
}
