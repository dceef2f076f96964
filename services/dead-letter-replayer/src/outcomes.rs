//! What others are told when a person replays or discards a command's letter.

use std::sync::Arc;

use bus::BusSettings;
use chrono::Utc;
use contracts::topics;
use contracts::wire::{Outcome, OutcomeState, Wire as _};
use domain::ErpCommand;
use pipeline::OutRecord;
use pipeline::outgoing::Event;
use store::letters::{Original, OutcomeOf};
use uuid::Uuid;

/// Of letters that hold commands; letters of other groups concern nobody else.
pub fn of(bus: &BusSettings, state: OutcomeState, reason: &str) -> OutcomeOf {
    let (topic, reason) = (bus.topic(topics::OUTCOMES), reason.trim().to_owned());
    Arc::new(move |original| outcome(&topic, original, state, &reason))
}

fn outcome(topic: &str, original: &Original, state: OutcomeState, reason: &str) -> Option<OutRecord> {
    // A letter whose bytes are no command was never counted as one.
    let command = ErpCommand::decode(&original.value).ok()?;
    let outcome = Outcome {
        command_id: original.event_id,
        target: command.target.clone(),
        operation_key: command.operation_key.to_string(),
        operation: command.operation.name().to_owned(),
        sequence: command.sequence,
        state,
        references: Vec::new(),
        failure: None,
        completed_at: Utc::now(),
        reason: reason.to_owned(),
        confirmed: false,
    };
    let event = Event {
        topic,
        // A person may ask twice: each time is an event of its own.
        id: Uuid::new_v4(),
        key: command.aggregate.as_str(),
        type_name: Outcome::NAME,
        source: "dead-letter-replayer",
        subject: command.aggregate.as_str(),
        sequence: None,
        idempotency_key: Some(command.operation_key.as_str()),
        value: outcome.encode(),
    };
    Some(event.into_record())
}
