//! The client's own log lines.

use std::sync::Arc;

use rdkafka::Statistics;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;

use crate::lonely::Lonely;

/// It calls every lost connection an error, though it reconnects by itself.
pub(crate) fn line(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => tracing::error!(facility, "kafka client: {message}"),
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => tracing::debug!(facility, "kafka client: {message}"),
        _ => tracing::trace!(facility, "kafka client: {message}"),
    }
}

/// The same events once more, as a callback.
pub(crate) fn error(error: &KafkaError, reason: &str) {
    tracing::debug!(%error, reason, "kafka client");
}

/// For clients that need nothing else. Only those that have statistics look whether they still know any broker.
#[derive(Default)]
pub(crate) struct Logged {
    pub(crate) lonely: Arc<Lonely>,
}

impl ClientContext for Logged {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        line(level, facility, message);
    }

    fn error(&self, failure: KafkaError, reason: &str) {
        error(&failure, reason);
    }

    fn stats(&self, statistics: Statistics) {
        self.lonely.look(&statistics);
    }
}

impl ConsumerContext for Logged {}
