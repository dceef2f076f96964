//! The poll thread's loop.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kill_point::{Point, reach};
use pipeline::{Origin, Partition, Record, SourceEvent};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use tokio::sync::mpsc;

use crate::consumer::Heartbeat;
use crate::headers;
use crate::rebalance::Context;

/// Polls until stopped. Ends early when the engine is gone or the client is beyond repair.
pub(crate) fn poll_loop(consumer: &BaseConsumer<Context>, events: &mpsc::Sender<SourceEvent>, stopped: &AtomicBool, heartbeat: &Heartbeat) {
    let mut names = HashMap::new();
    let mut complaint = String::new();
    while !stopped.load(Ordering::Relaxed) && !consumer.context().is_broken() {
        heartbeat.beat();
        match consumer.poll(POLL_WAIT) {
            None => {}
            Some(Ok(message)) => {
                reach(Point::ConsumerPolled);
                let event = SourceEvent::Record(record(&message, &mut names));
                if events.blocking_send(event).is_err() {
                    return;
                }
            }
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                tracing::error!(%error, "the Kafka client can't go on: starting anew");
                consumer.context().note_broken();
                return;
            }
            Some(Err(error)) => {
                if is_out_of_range(&error) {
                    consumer.context().note_out_of_range();
                }
                complain(&error, &mut complaint);
            }
        }
    }
}

fn record(message: &BorrowedMessage<'_>, names: &mut HashMap<String, Arc<str>>) -> Record {
    let topic = match names.get(message.topic()) {
        Some(known) => known.clone(),
        None => names.entry(message.topic().to_owned()).or_insert_with(|| Arc::from(message.topic())).clone(),
    };
    let (key, value, headers) = headers::copied(message);
    Record {
        partition: Partition { topic, number: message.partition() },
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis().unwrap_or_default(),
        key,
        value,
        headers,
        origin: Origin::Topic,
    }
}

/// Each kind of error is said once at the level where a human should act, then quietly.
fn complain(error: &KafkaError, last: &mut String) {
    let text = error.to_string();
    if *last == text {
        tracing::debug!(%error, "kafka");
        return;
    }
    *last = text;
    if is_out_of_range(error) {
        tracing::error!(
            %error,
            runbook = "docs/runbooks/offset-out-of-range.md",
            "committed offsets are no longer in the topic: records were deleted before they were read; \
             the partition stands still until somebody decides where to go on"
        );
    } else {
        tracing::warn!(%error, "kafka");
    }
}

fn is_out_of_range(error: &KafkaError) -> bool {
    matches!(error.rdkafka_error_code(), Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange))
}

const POLL_WAIT: Duration = Duration::from_millis(100);
