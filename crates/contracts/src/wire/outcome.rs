//! What became of commands.

use chrono::{DateTime, Utc};
use domain::TargetId;
use uuid::Uuid;

use super::common::{time, to_time};
use super::{Wire, WireError, bad, enum_table, required};
use crate::proto::outcomes::v1 as wire;

/// Codes of order-router's letters about orders that no target was told of.
pub const UNPLACED: [&str; 2] = ["no_route", "rule_failed"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutcomeState {
    Applied,
    Superseded,
    Dead,
    Discarded,
    Replaying,
}

/// A record in the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `sale`, `invoice`, `party`, ...
    pub kind: String,
    pub id: String,
    /// The number that people use; may be empty.
    pub number: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub class: String,
    pub code: String,
    pub message: String,
}

/// The end of one command; or of an order that was given up before there was one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The command's record; where there was none, the change's.
    pub command_id: Uuid,
    /// `None`: no target was told of it.
    pub target: Option<TargetId>,
    pub operation_key: String,
    /// As [`domain::Operation::name`].
    pub operation: String,
    pub sequence: u64,
    pub state: OutcomeState,
    pub references: Vec<Reference>,
    pub failure: Option<Failure>,
    pub completed_at: DateTime<Utc>,
    /// Set when a person asked for it.
    pub reason: String,
    /// The target confirmed the order: from here on its stock counts it.
    pub confirmed: bool,
}

enum_table!(state, to_state, OutcomeState, wire::OutcomeState, "OutcomeReported", "state", {
    Applied <=> Applied,
    Superseded <=> Superseded,
    Dead <=> Dead,
    Discarded <=> Discarded,
    Replaying <=> Replaying,
});

impl Wire for Outcome {
    type Message = wire::OutcomeReported;
    const NAME: &'static str = "tradewind.outcomes.v1.OutcomeReported";

    fn to_wire(&self) -> wire::OutcomeReported {
        let reference = |it: &Reference| wire::Reference { kind: it.kind.clone(), id: it.id.clone(), number: it.number.clone() };
        let failure = |it: &Failure| wire::Failure { class: it.class.clone(), code: it.code.clone(), message: it.message.clone() };
        wire::OutcomeReported {
            command_id: self.command_id.to_string(),
            target: self.target.as_ref().map(ToString::to_string).unwrap_or_default(),
            operation_key: self.operation_key.clone(),
            operation: self.operation.clone(),
            sequence: self.sequence,
            state: state(self.state),
            references: self.references.iter().map(reference).collect(),
            failure: self.failure.as_ref().map(failure),
            completed_at: Some(time(self.completed_at)),
            reason: self.reason.clone(),
            confirmed: self.confirmed,
        }
    }

    fn from_wire(message: wire::OutcomeReported) -> Result<Self, WireError> {
        const NAME: &str = "OutcomeReported";
        Ok(Self {
            command_id: message.command_id.parse().map_err(|error| bad(NAME, "command_id", error))?,
            target: match message.target.as_str() {
                "" => None,
                target => Some(target.parse().map_err(|error| bad(NAME, "target", error))?),
            },
            operation_key: message.operation_key,
            operation: message.operation,
            sequence: message.sequence,
            state: to_state(message.state)?,
            references: message.references.into_iter().map(|it| Reference { kind: it.kind, id: it.id, number: it.number }).collect(),
            failure: message.failure.map(|it| Failure { class: it.class, code: it.code, message: it.message }),
            completed_at: to_time(required(message.completed_at, NAME, "completed_at")?, NAME, "completed_at")?,
            reason: message.reason,
            confirmed: message.confirmed,
        })
    }
}
