//! Records as they come and as they go.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use contracts::headers::Headers;
use uuid::Uuid;

/// A topic's partition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    pub topic: Arc<str>,
    pub number: i32,
}

impl Partition {
    pub fn new(topic: impl Into<Arc<str>>, number: i32) -> Self {
        Self { topic: topic.into(), number }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{}]", self.topic, self.number)
    }
}

/// Where a record was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    pub partition: Partition,
    pub offset: i64,
    /// Its `ce_id`, where it has one.
    pub event_id: Option<Uuid>,
}

impl Position {
    pub fn of(record: &OutRecord, partition: i32, offset: i64) -> Self {
        Self { partition: Partition { topic: record.topic.clone(), number: partition }, offset, event_id: record.headers.event_id() }
    }
}

/// How a record came to us, which says what has to happen when it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Read from the topic: its offset moves when it is settled.
    Topic,
    /// Drained from the letters: its letter changes state when it is settled.
    Letter(Uuid),
}

/// One record, as read. A drained letter is the same record again, byte for byte.
#[derive(Debug, Clone)]
pub struct Record {
    pub partition: Partition,
    pub offset: i64,
    /// Milliseconds since 1970: when the broker appended it. A drained letter keeps it.
    pub timestamp_ms: i64,
    /// The aggregate: it orders and parks.
    pub key: Bytes,
    pub value: Bytes,
    pub headers: Headers,
    pub origin: Origin,
}

impl Record {
    /// What it takes in memory, about: for the byte bounds.
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(_, value)| HEADER_OVERHEAD + value.len()).sum();
        RECORD_OVERHEAD + self.key.len() + self.value.len() + headers
    }

    /// As it can be stored and shown: what is no text is replaced, and so is NUL, which PostgreSQL's has not.
    pub fn key_text(&self) -> String {
        String::from_utf8_lossy(&self.key).replace('\0', "\u{fffd}")
    }
}

/// Of the record, its place in its queue and its span.
const RECORD_OVERHEAD: usize = 1_024;
const HEADER_OVERHEAD: usize = 64;

/// One record to produce. Its bytes are stored with the decision before they are sent, and sent again unchanged.
#[derive(Debug, Clone)]
pub struct OutRecord {
    pub topic: Arc<str>,
    pub key: Bytes,
    pub value: Bytes,
    pub headers: Headers,
    pub timestamp_ms: i64,
}
