//! What a record says.

use contracts::headers;
use contracts::wire::{ChangeKind, Changed, Entity, Outcome, Wire as _, WireError};
use domain::{AggregateKey, ConnectionId, Decimal, IdError, Sku, StockLevel};
use fault::{Class, Fault};
use store::decisions::Input;

use crate::core::book::{Level, Takes};
use crate::core::feeds::Source;

/// An event under its aggregate key.
pub(super) struct Event {
    pub(super) key: AggregateKey,
    pub(super) what: What,
}

pub(super) enum What {
    Order(ConnectionId, Takes),
    Outcome(ConnectionId, Box<Outcome>),
    Level(Source, Sku, Level),
}

impl What {
    /// For metrics.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Order(..) => "order",
            Self::Outcome(..) => "outcome",
            Self::Level(..) => "stock",
        }
    }
}

pub(super) fn read(input: &Input<'_>) -> Result<Event, Fault> {
    let record = input.record;
    let type_name = record.headers.text(headers::CE_TYPE).ok_or(WireError::Missing { message: "record", field: "ce_type" })?;
    let key: AggregateKey = record.key_text().parse().map_err(|error| bad("key", &error))?;
    if type_name == Outcome::NAME {
        let connection = key.source().parse().map_err(|error| bad("key", &error))?;
        return Ok(Event { key, what: What::Outcome(connection, Box::new(Outcome::decode(&record.value)?)) });
    }
    let Changed { change, entity } = Changed::decode(type_name, &record.value)?;
    // Targets are named by the same rules.
    let source: ConnectionId = change.source.parse().map_err(|error| bad("connection", &error))?;
    let expected = entity.aggregate(&source);
    if expected != key {
        let message = format!("the record's key is `{key}`, its content belongs under `{expected}`: correct whoever produced it");
        return Err(Fault::new(Class::Schema, "key_mismatch", message));
    }
    let is_deleted = change.kind == ChangeKind::Deleted;
    let what = match entity {
        Entity::Order(it) => What::Order(source, Takes::of(change.sequence, is_deleted, &it)),
        Entity::Stock(it) => {
            let target = change.source.parse().map_err(|error| bad("connection", &error))?;
            let place = Source { target, location: it.location.clone() };
            What::Level(place, it.sku.clone(), level(change.sequence, is_deleted, *it))
        }
        Entity::Refund(_) | Entity::Customer(_) | Entity::Availability(_) => {
            Err(WireError::Unknown { message: "record", field: "ce_type", value: type_name.to_owned() })?
        }
    };
    Ok(Event { key, what })
}

/// Of an article that the ERP has no more, nothing is left.
fn level(sequence: u64, is_deleted: bool, level: StockLevel) -> Level {
    let StockLevel { on_hand, reserved, observed_at, open_sales, .. } = level;
    let (on_hand, reserved) = if is_deleted { (Decimal::ZERO, Decimal::ZERO) } else { (on_hand, reserved) };
    Level { sequence, on_hand, reserved, observed_at, open_sales }
}

fn bad(field: &'static str, error: &IdError) -> WireError {
    WireError::Value { message: "record", field, what: error.to_string() }
}
