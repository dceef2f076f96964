//! Availability events.

use bus::BusSettings;
use bytes::Bytes;
use contracts::wire::{Change, ChangeKind, Changed, Entity, Wire as _, changed_paths};
use contracts::{ids, topics};
use domain::{AggregateKey, Availability, EntityKind, EntityRef};
use pipeline::OutRecord;
use pipeline::outgoing::Event;

use crate::core::feeds::Place;

/// The event's value: all of it but the headers.
pub(super) fn encode(before: Option<&Availability>, now: &Availability, sequence: u64) -> Bytes {
    let changed_paths = before.map(|it| changed_paths(EntityKind::Availability, &it.encode(), &now.encode())).unwrap_or_default();
    let change = Change {
        kind: if sequence == 1 { ChangeKind::Created } else { ChangeKind::Updated },
        sequence,
        source: now.connection.to_string(),
        source_version: format!("{sequence:020}"),
        source_time: None,
        channel: String::new(),
        changed_paths,
    };
    Changed { change, entity: Entity::Availability(Box::new(now.clone())) }.encode()
}

/// Call it inside the span of the record that it follows from.
pub(super) fn record(bus: &BusSettings, place: &Place, sku: &domain::Sku, sequence: u64, value: Bytes) -> OutRecord {
    let entity = EntityRef::new(place.connection.clone(), EntityKind::Availability, format!("{}/{sku}", place.location));
    Event {
        topic: &bus.topic(topics::AVAILABILITY),
        id: ids::change(&entity, sequence),
        key: AggregateKey::stock(place.connection.as_str(), &place.location, sku).as_str(),
        type_name: "tradewind.availability.v1.AvailabilityChanged",
        source: place.connection.as_str(),
        subject: &entity.to_string(),
        sequence: Some(sequence),
        idempotency_key: None,
        value,
    }
    .into_record()
}
