//! What a record says.

use bytes::Bytes;
use contracts::headers;
use contracts::wire::{ChangeKind, Changed, Entity, Outcome, Wire as _, WireError, entity_of};
use domain::{AggregateKey, ConnectionId, Customer, Order, Refund};
use fault::{Class, Fault};
use store::decisions::Input;

use crate::core::Version;

/// An event for the router, under its aggregate key.
pub(super) struct Event {
    pub(super) key: AggregateKey,
    pub(super) connection: ConnectionId,
    pub(super) what: What,
}

/// Entities with their messages, as they were read.
pub(super) enum What {
    Order(Version, Box<Order>, Bytes),
    Refund(Version, Box<Refund>, Bytes),
    Customer(Version, Box<Customer>, Bytes),
    Outcome(Box<Outcome>),
}

impl What {
    /// For metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Order(..) => "order",
            Self::Refund(..) => "refund",
            Self::Customer(..) => "customer",
            Self::Outcome(_) => "outcome",
        }
    }
}

pub(super) fn read(input: &Input<'_>) -> Result<Event, Fault> {
    let record = input.record;
    let type_name = record.headers.text(headers::CE_TYPE).ok_or(WireError::Missing { message: "record", field: "ce_type" })?;
    let key: AggregateKey = record.key_text().parse().map_err(|error| bad("key", error))?;
    if type_name == Outcome::NAME {
        let connection = connection(key.source())?;
        return Ok(Event { key, connection, what: What::Outcome(Box::new(Outcome::decode(&record.value)?)) });
    }
    let Changed { change, entity } = Changed::decode(type_name, &record.value)?;
    let connection = connection(&change.source)?;
    let expected = entity.aggregate(&connection);
    if expected != key {
        // Its neighbours would be decided elsewhere, in another order.
        let message = format!("the record's key is `{key}`, its content belongs under `{expected}`: correct whoever produced it");
        return Err(Fault::new(Class::Schema, "key_mismatch", message));
    }
    let version = Version { event: input.id, sequence: change.sequence, is_deleted: change.kind == ChangeKind::Deleted };
    let message = entity_of(&record.value);
    let what = match entity {
        Entity::Order(it) => What::Order(version, it, message),
        Entity::Refund(it) => What::Refund(version, it, message),
        Entity::Customer(it) => What::Customer(version, it, message),
        Entity::Stock(_) | Entity::Availability(_) => {
            Err(WireError::Unknown { message: "record", field: "ce_type", value: type_name.to_owned() })?
        }
    };
    Ok(Event { key, connection, what })
}

fn connection(name: &str) -> Result<ConnectionId, WireError> {
    name.parse().map_err(|error| bad("connection", error))
}

fn bad(field: &'static str, error: domain::IdError) -> WireError {
    WireError::Value { message: "record", field, what: error.to_string() }
}
