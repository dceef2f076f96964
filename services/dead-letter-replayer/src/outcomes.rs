//! What others are told when a person replays or discards a letter: of a command what became of it, of an order that no target was
//! told of that none ever will be.

use std::sync::Arc;

use bus::BusSettings;
use chrono::Utc;
use contracts::headers::CE_TYPE;
use contracts::topics::{self, groups};
use contracts::wire::{Changed, Entity, Outcome, OutcomeState, UNPLACED, Wire as _};
use domain::{AggregateKey, ErpCommand, Operation, OperationKey, TargetId};
use pipeline::OutRecord;
use pipeline::outgoing::Event;
use store::letters::{Original, OutcomeOf};
use uuid::Uuid;

/// Of letters that hold commands or such orders; others concern nobody else.
pub fn of(bus: &BusSettings, state: OutcomeState, reason: &str) -> OutcomeOf {
    let (topic, reason) = (bus.topic(topics::OUTCOMES), reason.trim().to_owned());
    Arc::new(move |original| {
        let about = match (original.group.as_str(), state) {
            (groups::ROUTER, OutcomeState::Discarded) => About::unplaced(original),
            (groups::ROUTER, _) => None,
            _ => About::command(original),
        };
        Some(about?.record(&topic, original.event_id, state, &reason))
    })
}

struct About {
    aggregate: AggregateKey,
    target: Option<TargetId>,
    operation_key: OperationKey,
    operation: &'static str,
    sequence: u64,
}

impl About {
    /// A letter whose bytes are no command was never counted as one.
    fn command(original: &Original) -> Option<Self> {
        let ErpCommand { target, aggregate, operation_key, sequence, operation, .. } = ErpCommand::decode(&original.value).ok()?;
        Some(Self { aggregate, target: Some(target), operation_key, operation: operation.name(), sequence })
    }

    fn unplaced(original: &Original) -> Option<Self> {
        original.code.as_deref().filter(|it| UNPLACED.contains(it))?;
        let Changed { change, entity } = Changed::decode(original.headers.text(CE_TYPE)?, &original.value).ok()?;
        if !matches!(entity, Entity::Order(_)) {
            return None;
        }
        let source = change.source.parse().ok()?;
        let [place, ..] = Operation::NAMES;
        let operation_key = OperationKey::create(&entity.subject(&source), place);
        Some(Self { aggregate: entity.aggregate(&source), target: None, operation_key, operation: place, sequence: change.sequence })
    }

    fn record(self, topic: &str, command_id: Uuid, state: OutcomeState, reason: &str) -> OutRecord {
        let outcome = Outcome {
            command_id,
            target: self.target,
            operation_key: self.operation_key.to_string(),
            operation: self.operation.to_owned(),
            sequence: self.sequence,
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
            key: self.aggregate.as_str(),
            type_name: Outcome::NAME,
            source: "dead-letter-replayer",
            subject: self.aggregate.as_str(),
            sequence: None,
            idempotency_key: Some(self.operation_key.as_str()),
            value: outcome.encode(),
        };
        event.into_record()
    }
}
