//! Every offset that was ever committed, as Kafka itself keeps it: in the order in which it took them.
//!
//! Keys and values of `__consumer_offsets` are those of `OffsetCommitKey.json` and `OffsetCommitValue.json` in Apache Kafka's
//! group coordinator. Other keys (versions from 2 on) are about members.

use std::collections::BTreeMap;

use anyhow::Context as _;
use bytes::{Buf as _, Bytes, TryGetError};

use crate::records::{self, Seen};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Group, topic and partition.
    pub place: (String, String, i32),
    pub offset: i64,
}

/// By whatever group; those of one place in their order.
pub async fn all(brokers: &str) -> anyhow::Result<Vec<Commit>> {
    let seen = records::read_all(brokers, "__consumer_offsets").await?;
    let read = |it: &Seen| commit(&it.key, &it.value).with_context(|| format!("a commit at {}@{}", it.partition, it.offset));
    seen.iter().filter_map(|it| read(it).transpose()).collect()
}

/// Where a group went back.
pub fn backward(commits: &[Commit]) -> Vec<String> {
    let (mut last, mut wrong) = (BTreeMap::new(), Vec::new());
    for Commit { place, offset } in commits {
        if let Some(before) = last.insert(place, *offset)
            && *offset < before
        {
            let (group, topic, partition) = place;
            wrong.push(format!("{group} in {topic}[{partition}]: {before}, then {offset}"));
        }
    }
    wrong
}

/// `None`: it is about something else, or an offset was deleted.
fn commit(key: &[u8], value: &[u8]) -> Result<Option<Commit>, TryGetError> {
    let (mut key, mut value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
    if key.try_get_i16()? > 1 || value.is_empty() {
        return Ok(None);
    }
    let place = (text(&mut key)?, text(&mut key)?, key.try_get_i32()?);
    value.try_get_i16()?;
    Ok(Some(Commit { place, offset: value.try_get_i64()? }))
}

fn text(from: &mut Bytes) -> Result<String, TryGetError> {
    let length = usize::try_from(from.try_get_i16()?).unwrap_or_default();
    if from.remaining() < length {
        return Err(TryGetError { requested: length, available: from.remaining() });
    }
    Ok(String::from_utf8_lossy(&from.split_to(length)).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_has_its_place_and_its_offset() {
        let key = b"\x00\x01\x00\x03pre\x00\x03raw\x00\x00\x00\x05";
        let value = b"\x00\x03\x00\x00\x00\x00\x00\x00\x01\x02\xff\xff\xff\xff\x00\x00";
        let expected = Commit { place: ("pre".to_owned(), "raw".to_owned(), 5), offset: 258 };
        assert_eq!(commit(key, value), Ok(Some(expected)));
        assert_eq!(commit(key, b""), Ok(None), "deleted");
        assert_eq!(commit(b"\x00\x02\x00\x03pre", b"\x00"), Ok(None), "members of a group");
        assert!(commit(&key[..9], value).is_err());
    }
}
