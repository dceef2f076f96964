//! Records of our topics. The input is `name: value` lines, an empty line, and the record's value.

use std::fmt::Debug;

use bytes::Bytes;
use contracts::headers::{self, Headers, dlq};
use contracts::reflect;
use contracts::wire::{Changed, Outcome, Wire};
use domain::{AggregateKey, ErpCommand};

use crate::first_line;

/// Whatever somebody wrote into a topic: it is read or refused with an error that says why, and what is read can be written again.
/// A letter of it has each of our headers once.
pub fn check(input: &[u8]) {
    let (headers, value) = record(input);
    let subject = headers.text(headers::CE_SUBJECT).and_then(|it| it.parse::<AggregateKey>().ok());
    assert!(subject.is_none_or(|it| it.as_str().parse::<AggregateKey>().as_ref() == Ok(&it)));
    let _known = (headers.event_id(), headers.sequence());

    let type_name = headers.text(headers::CE_TYPE).unwrap_or_default();
    if let Ok(changed) = Changed::decode(type_name, value) {
        assert_eq!(changed.type_name(), type_name);
        assert_eq!(Changed::decode(type_name, &changed.encode()).as_ref(), Ok(&changed));
    }
    match type_name {
        ErpCommand::NAME => comes_back::<ErpCommand>(value),
        Outcome::NAME => comes_back::<Outcome>(value),
        _ => {}
    }
    let _shown = reflect::to_json(type_name, value, false);
    described_once(&headers);
}

fn comes_back<T: Wire + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(T::decode(&value.encode()).as_ref(), Ok(&value));
    }
}

/// What the replayer does to a record's headers when it publishes the letter of it.
fn described_once(original: &Headers) {
    let mut published = original.clone();
    for name in dlq::ALL {
        published.set(name, "new");
    }
    for name in dlq::ALL {
        let values: Vec<&[u8]> = published.iter().filter(|(it, _)| *it == name).map(|(_, value)| &value[..]).collect();
        assert_eq!(values, [b"new"], "{name}");
    }
    let others = |of: &Headers| -> Vec<(String, Bytes)> {
        of.iter().filter(|(it, _)| !dlq::ALL.contains(it)).map(|(name, value)| (name.to_owned(), value.clone())).collect()
    };
    assert_eq!(others(original), others(&published), "all other headers are as they were");
}

fn record(input: &[u8]) -> (Headers, &[u8]) {
    let (mut headers, mut rest) = (Headers::default(), input);
    loop {
        let (line, after) = first_line(rest);
        rest = after;
        if line.is_empty() || headers.len() == HEADERS_MAX {
            return (headers, rest);
        }
        let colon = line.windows(2).position(|it| it == b": ").unwrap_or(line.len());
        let value = line.get(colon + 2..).unwrap_or_default();
        headers.push(headers::name(&String::from_utf8_lossy(&line[..colon])), Bytes::copy_from_slice(value));
    }
}

const HEADERS_MAX: usize = 64;
