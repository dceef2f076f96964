//! Change events: an entity, whole, after a change, in its envelope.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{AggregateKey, Availability, ConnectionId, Customer, EntityKind, EntityRef, Order, Refund, StockLevel};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

use super::common::{time, to_time_opt};
use super::{Wire, WireError, bad, enum_table, required};
use crate::proto::{availability, common, customers, inventory, orders, refunds};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChangeKind {
    Created,
    Updated,
    Deleted,
}

enum_table!(kind, to_kind, ChangeKind, common::v1::ChangeKind, "Change", "kind", {
    Created <=> Created,
    Updated <=> Updated,
    Deleted <=> Deleted,
});

/// The envelope of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// The entity's own counter, from 1, without gaps.
    pub sequence: u64,
    /// The connection, or the target, that the change came from.
    pub source: String,
    /// The version that the source gave, as text that sorts.
    pub source_version: String,
    pub source_time: Option<DateTime<Utc>>,
    pub channel: String,
    /// Top-level fields that differ from the version before; empty on the first.
    pub changed_paths: Vec<String>,
}

/// The kinds of entities that have change events today.
#[derive(Debug, Clone, PartialEq)]
pub enum Entity {
    Order(Box<Order>),
    Customer(Box<Customer>),
    Refund(Box<Refund>),
    Stock(Box<StockLevel>),
    Availability(Box<Availability>),
}

/// An entity after a change.
#[derive(Debug, Clone, PartialEq)]
pub struct Changed {
    pub change: Change,
    pub entity: Entity,
}

impl Entity {
    pub fn kind(&self) -> EntityKind {
        match self {
            Self::Order(_) => EntityKind::Order,
            Self::Customer(_) => EntityKind::Customer,
            Self::Refund(_) => EntityKind::Refund,
            Self::Stock(_) => EntityKind::Stock,
            Self::Availability(_) => EntityKind::Availability,
        }
    }

    /// Its encoded message, without an envelope.
    pub fn encode(&self) -> Bytes {
        match self {
            Self::Order(it) => it.encode(),
            Self::Customer(it) => it.encode(),
            Self::Refund(it) => it.encode(),
            Self::Stock(it) => it.encode(),
            Self::Availability(it) => it.encode(),
        }
    }

    /// The key that it travels under. `source`: the connection, or the target, that it came from.
    pub fn aggregate(&self, source: &ConnectionId) -> AggregateKey {
        match self {
            Self::Order(it) => AggregateKey::order(source, &it.id),
            Self::Customer(it) => AggregateKey::customer(source, &it.id),
            Self::Refund(it) => AggregateKey::order(source, &it.order_id),
            Self::Stock(it) => AggregateKey::stock(source.as_str(), &it.location, &it.sku),
            Self::Availability(it) => AggregateKey::stock(it.connection.as_str(), &it.location, &it.sku),
        }
    }

    /// What the event is about.
    pub fn subject(&self, source: &ConnectionId) -> EntityRef {
        let id = match self {
            Self::Order(it) => it.id.clone(),
            Self::Customer(it) => it.id.clone(),
            Self::Refund(it) => it.id.clone(),
            Self::Stock(it) => format!("{}/{}", it.location, it.sku),
            Self::Availability(it) => format!("{}/{}", it.location, it.sku),
        };
        EntityRef::new(source.clone(), self.kind(), id)
    }
}

impl Changed {
    /// The message's full name, as in `ce_type`.
    pub fn type_name(&self) -> &'static str {
        match self.entity.kind() {
            EntityKind::Order => "tradewind.orders.v1.OrderChanged",
            EntityKind::Customer => "tradewind.customers.v1.CustomerChanged",
            EntityKind::Refund => "tradewind.refunds.v1.RefundChanged",
            EntityKind::Stock => "tradewind.inventory.v1.StockChanged",
            EntityKind::Availability => "tradewind.availability.v1.AvailabilityChanged",
            other => unreachable!("{other} has no change events yet, and no variant of `Entity`"),
        }
    }

    pub fn encode(&self) -> Bytes {
        let change = Some(envelope(&self.change));
        let bytes = match &self.entity {
            Entity::Order(it) => orders::v1::OrderChanged { change, order: Some(it.to_wire()) }.encode_to_vec(),
            Entity::Customer(it) => customers::v1::CustomerChanged { change, customer: Some(it.to_wire()) }.encode_to_vec(),
            Entity::Refund(it) => refunds::v1::RefundChanged { change, refund: Some(it.to_wire()) }.encode_to_vec(),
            Entity::Stock(it) => inventory::v1::StockChanged { change, level: Some(it.to_wire()) }.encode_to_vec(),
            Entity::Availability(it) => availability::v1::AvailabilityChanged { change, availability: Some(it.to_wire()) }.encode_to_vec(),
        };
        bytes.into()
    }

    /// `type_name`: the record's `ce_type`.
    pub fn decode(type_name: &str, bytes: &[u8]) -> Result<Self, WireError> {
        /// One arm: the message, its entity's field and the variant.
        macro_rules! decoded {
            ($message:ty, $field:ident, $variant:ident, $name:literal) => {{
                let message: $message = parse($name, bytes)?;
                let change = to_change(required(message.change, $name, "change")?)?;
                let entity = Wire::from_wire(required(message.$field, $name, stringify!($field))?)?;
                Ok(Self { change, entity: Entity::$variant(Box::new(entity)) })
            }};
        }
        match type_name {
            "tradewind.orders.v1.OrderChanged" => decoded!(orders::v1::OrderChanged, order, Order, "OrderChanged"),
            "tradewind.customers.v1.CustomerChanged" => decoded!(customers::v1::CustomerChanged, customer, Customer, "CustomerChanged"),
            "tradewind.refunds.v1.RefundChanged" => decoded!(refunds::v1::RefundChanged, refund, Refund, "RefundChanged"),
            "tradewind.inventory.v1.StockChanged" => decoded!(inventory::v1::StockChanged, level, Stock, "StockChanged"),
            "tradewind.availability.v1.AvailabilityChanged" => {
                decoded!(availability::v1::AvailabilityChanged, availability, Availability, "AvailabilityChanged")
            }
            other => Err(WireError::Unknown { message: "record", field: "ce_type", value: other.to_owned() }),
        }
    }
}

fn parse<M: prost::Message + Default>(message: &'static str, bytes: &[u8]) -> Result<M, WireError> {
    M::decode(bytes).map_err(|error| WireError::Decode { message, what: error.to_string() })
}

fn envelope(value: &Change) -> common::v1::Change {
    common::v1::Change {
        kind: kind(value.kind),
        sequence: value.sequence,
        connection: value.source.clone(),
        source_version: value.source_version.clone(),
        source_time: value.source_time.map(time),
        channel: value.channel.clone(),
        changed_paths: value.changed_paths.clone(),
    }
}

fn to_change(value: common::v1::Change) -> Result<Change, WireError> {
    if value.sequence == 0 {
        return Err(bad("Change", "sequence", "sequences count from 1"));
    }
    Ok(Change {
        kind: to_kind(value.kind)?,
        sequence: value.sequence,
        source: value.connection,
        source_version: value.source_version,
        source_time: to_time_opt(value.source_time, "Change", "source_time")?,
        channel: value.channel,
        changed_paths: value.changed_paths,
    })
}

/// The canonical hash of an encoded entity: equal for equal entities, because our messages have no maps and prost writes fields
/// in order.
pub fn entity_hash(encoded: &[u8]) -> [u8; 32] {
    Sha256::digest(encoded).into()
}

/// Top-level fields that differ between two encoded entities of one kind, sorted by field number.
pub fn changed_paths(kind: EntityKind, before: &[u8], after: &[u8]) -> Vec<String> {
    let name = match kind {
        EntityKind::Order => Order::NAME,
        EntityKind::Customer => Customer::NAME,
        EntityKind::Refund => Refund::NAME,
        EntityKind::Stock => StockLevel::NAME,
        EntityKind::Availability => Availability::NAME,
        EntityKind::Product | EntityKind::Price | EntityKind::Shipment | EntityKind::Payment => return Vec::new(),
    };
    crate::reflect::changed_fields(name, before, after)
}
