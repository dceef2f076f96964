//! Records as bytes in a column: our own small messages, so that what is produced again is the same to the byte.

use bytes::Bytes;
use contracts::headers::Headers;
use pipeline::OutRecord;
use prost::Message as _;

use crate::Error;

#[derive(Clone, PartialEq, prost::Message)]
struct StoredHeader {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredHeaders {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<StoredHeader>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredRecord {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(bytes = "bytes", tag = "2")]
    key: Bytes,
    #[prost(bytes = "bytes", tag = "3")]
    value: Bytes,
    #[prost(message, repeated, tag = "4")]
    headers: Vec<StoredHeader>,
    #[prost(int64, tag = "5")]
    timestamp_ms: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct StoredRecords {
    #[prost(message, repeated, tag = "1")]
    records: Vec<StoredRecord>,
}

pub(crate) fn encode_headers(headers: &Headers) -> Vec<u8> {
    StoredHeaders { headers: stored_headers(headers) }.encode_to_vec()
}

pub(crate) fn decode_headers(bytes: &[u8]) -> Result<Headers, Error> {
    let stored = StoredHeaders::decode(bytes).map_err(|error| Error::corrupt("headers", error))?;
    Ok(headers(stored.headers))
}

pub(crate) fn encode_records(records: &[OutRecord]) -> Vec<u8> {
    StoredRecords { records: records.iter().map(stored_record).collect() }.encode_to_vec()
}

pub(crate) fn decode_records(bytes: &[u8]) -> Result<Vec<OutRecord>, Error> {
    let stored = StoredRecords::decode(bytes).map_err(|error| Error::corrupt("output records", error))?;
    Ok(stored.records.into_iter().map(out_record).collect())
}

pub(crate) fn encode_record(record: &OutRecord) -> Vec<u8> {
    stored_record(record).encode_to_vec()
}

pub(crate) fn decode_record(bytes: &[u8]) -> Result<OutRecord, Error> {
    StoredRecord::decode(bytes).map(out_record).map_err(|error| Error::corrupt("a record", error))
}

fn stored_headers(headers: &Headers) -> Vec<StoredHeader> {
    headers.iter().map(|(name, value)| StoredHeader { name: name.to_owned(), value: value.clone() }).collect()
}

fn headers(stored: Vec<StoredHeader>) -> Headers {
    stored.into_iter().map(|it| (it.name, it.value)).collect()
}

fn stored_record(record: &OutRecord) -> StoredRecord {
    StoredRecord {
        topic: record.topic.to_string(),
        key: record.key.clone(),
        value: record.value.clone(),
        headers: stored_headers(&record.headers),
        timestamp_ms: record.timestamp_ms,
    }
}

fn out_record(stored: StoredRecord) -> OutRecord {
    OutRecord {
        topic: stored.topic.into(),
        key: stored.key,
        value: stored.value,
        headers: headers(stored.headers),
        timestamp_ms: stored.timestamp_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_records_come_back_to_the_byte() {
        let mut headers = Headers::default();
        headers.push("ce_id", "1");
        headers.push("binary", &b"\xff\x00"[..]);
        let record = OutRecord { topic: "t".into(), key: "k".into(), value: Bytes::from_static(b"\x00\xff"), headers, timestamp_ms: 7 };
        let back = decode_records(&encode_records(std::slice::from_ref(&record))).unwrap().remove(0);
        assert_eq!((back.topic, back.key, back.value), (record.topic, record.key, record.value));
        assert_eq!((back.headers, back.timestamp_ms), (record.headers, record.timestamp_ms));
        assert!(decode_records(b"\x0a\xff").is_err());
    }
}
