//! What goes out because of letters: outcomes of what people did, and a published copy of each dead letter.

use std::time::Duration;

use bus::{BusSettings, Producer};
use contracts::headers::{Headers, dlq};
use contracts::topics;
use fault::{Answer, Fault};
use kill_point::{Point, reach};
use pipeline::OutRecord;
use store::letters::Letter;
use store::{Store, letters, outbox};
use tokio_util::sync::CancellationToken;

pub struct Relay {
    pub store: Store,
    pub producer: Producer,
    pub bus: BusSettings,
    pub interval: Duration,
}

impl Relay {
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let (mut failures, mut told) = (0_u32, None);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.turn().await {
                Ok(()) => (failures, told) = (0, None),
                Err(fault) => {
                    // One line when it begins or is about something else, and again from time to time.
                    if told.replace(fault.code) != Some(fault.code) || failures.is_multiple_of(TOLD_AGAIN) {
                        let runbook = "docs/runbooks/letters-not-told.md";
                        tracing::warn!(code = fault.code, error = %fault, failures, runbook, "what people did, and letters, are published later");
                    }
                    failures = failures.saturating_add(1);
                    let pause = self.interval.saturating_mul(1 << failures.min(5)).min(PAUSE_MAX);
                    stop.run_until_cancelled(tokio::time::sleep(pause)).await;
                }
            }
        }
    }

    /// What is refused to one topic keeps nothing back from the other.
    async fn turn(&self) -> Result<(), Fault> {
        let outcomes = self.outcomes().await;
        self.copies().await.and(outcomes)
    }

    async fn outcomes(&self) -> Result<(), Fault> {
        let pending = outbox::pending_outcomes(&self.store, ROWS).await?;
        let (mut done, mut failed) = (Vec::with_capacity(pending.len()), None);
        for it in &pending {
            match self.producer.produce(&it.record).await.map_err(Fault::from) {
                Ok(position) => {
                    reach(Point::OutcomeProduced);
                    done.push((it.id, position));
                }
                Err(fault) => {
                    let is_of_this = concerns_one(&fault);
                    failed = Some(fault);
                    if !is_of_this {
                        break;
                    }
                }
            }
        }
        // What is out is noted although another one is not.
        if !done.is_empty() {
            outbox::mark_outcomes(&self.store, &done).await?;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn copies(&self) -> Result<(), Fault> {
        let mut failed = None;
        for letter in letters::unpublished(&self.store, ROWS).await? {
            match self.producer.produce(&self.copy(&letter)).await.map_err(Fault::from) {
                Ok(_) => {
                    reach(Point::CopyProduced);
                    letters::mark_published(&self.store, &letter.letter).await?;
                }
                Err(fault) if concerns_one(&fault) => failed = Some(fault),
                Err(fault) => return Err(fault),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// The original key, value and headers, and ours beside them. A copy that is too large goes without its value.
    fn copy(&self, stored: &letters::StoredLetter) -> OutRecord {
        let letter = &stored.letter;
        let mut out: Headers = stored.headers.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        for (name, value) in described(letter) {
            out.set(name, value);
        }
        let is_too_large = stored.value.len() > VALUE_BYTES_MAX;
        if is_too_large {
            out.set(dlq::VALUE_OMITTED, stored.value.len().to_string());
        }
        OutRecord {
            topic: self.bus.topic(topics::DEAD_LETTERS).into(),
            key: stored.key.clone().into(),
            value: if is_too_large { bytes::Bytes::new() } else { stored.value.clone().into() },
            headers: out,
            timestamp_ms: letter.last_failed_at.timestamp_millis(),
        }
    }
}

/// Kafka refuses this very record. It stays where it is, is tried again at the next turn, and keeps no other one back.
fn concerns_one(fault: &Fault) -> bool {
    fault.class.answer() == Answer::Letter
}

/// One header per field; a re-failure replaces them, nothing is appended.
fn described(letter: &Letter) -> [(&'static str, String); 16] {
    let text = |it: &Option<String>| it.clone().unwrap_or_default();
    [
        (dlq::SCHEMA, "1".to_owned()),
        (dlq::ID, letter.id.to_string()),
        (dlq::GROUP, letter.group.clone()),
        (dlq::EVENT_ID, letter.event_id.to_string()),
        (dlq::AGGREGATE, letter.aggregate.clone()),
        (dlq::ORIGIN_TOPIC, letter.topic.clone()),
        (dlq::ORIGIN_PARTITION, letter.partition.to_string()),
        (dlq::ORIGIN_OFFSET, letter.offset.to_string()),
        (dlq::ERROR_CLASS, text(&letter.class)),
        (dlq::ERROR_CODE, text(&letter.code)),
        (dlq::ERROR_PAGE, letter.code.as_deref().map(fault::page).unwrap_or_default()),
        (dlq::ERROR_MESSAGE, text(&letter.message).chars().take(1024).collect()),
        (dlq::ERROR_FINGERPRINT, text(&letter.fingerprint)),
        (dlq::ATTEMPTS, letter.attempts.to_string()),
        (dlq::FIRST_FAILED_AT, letter.first_failed_at.to_rfc3339()),
        (dlq::LAST_FAILED_AT, letter.last_failed_at.to_rfc3339()),
    ]
}

const ROWS: i64 = 200;
/// Turns that fail in a row.
const TOLD_AGAIN: u32 = 30;
/// What is refused may be so for long.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Room for headers below the topic's limit.
const VALUE_BYTES_MAX: usize = 4 << 20;
