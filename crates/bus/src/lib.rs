//! Kafka, as this product uses it. librdkafka's defaults are unsafe for us in a dozen places; every client is built here, from
//! one set of settings, so that no service can forget one of them.

mod client;
mod commits;
mod consumer;
pub mod embedded;
pub mod fullness;
mod headers;
mod lag;
mod log;
mod lonely;
mod offsets;
mod poll;
mod producer;
mod publisher;
mod rebalance;
mod sleeping;
pub mod topics;

pub use client::{BusSettings, Security};
pub use consumer::{Consumer, ConsumerHandle, Heartbeat};
pub use offsets::{Offsets, PartitionOffsets};
pub use producer::{ProduceError, Producer, Role};
pub use publisher::Publisher;

use fault::{Class, Classify};
use rdkafka::error::KafkaError;

/// A client that could not be made, or an administrative call that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the Kafka client could not be made from these settings")]
    Client(#[source] KafkaError),
    #[error("bus.properties may not set `{name}`: {why}")]
    Forbidden { name: &'static str, why: &'static str },
    #[error("Kafka at {brokers} did not answer: is it running, and is the address right?")]
    Unreachable {
        brokers: String,
        #[source]
        source: KafkaError,
    },
    #[error("Kafka refused: {what}")]
    Refused {
        what: String,
        #[source]
        source: KafkaError,
    },
    #[error("with {min_insync} copies in step required and {replication} kept, nothing could ever be written")]
    Durability { replication: i32, min_insync: i32 },
}

impl Classify for Error {
    fn class(&self) -> Class {
        match self {
            Self::Client(_) | Self::Forbidden { .. } | Self::Durability { .. } => Class::Auth,
            Self::Unreachable { .. } => Class::Outage,
            Self::Refused { .. } => Class::Transient,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Client(_) | Self::Forbidden { .. } => "kafka_settings",
            Self::Unreachable { .. } => "kafka_unreachable",
            Self::Refused { .. } => "kafka_refused",
            Self::Durability { .. } => "kafka_durability",
        }
    }
}

/// The C library's version, which no Rust lock file shows.
pub fn librdkafka_version() -> String {
    rdkafka::util::get_rdkafka_version().1
}
