//! Rules told as short stories, and the same rules under every interleaving.

mod counted_once;
mod pushed_safely;
mod stories;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use contracts::wire::{Outcome, OutcomeState};
use domain::{AggregateKey, Availability, ConnectionId, Decimal, OpenSale, Sku};

use super::availability::reckon;
use super::book::{Book, Effect, Level, Noted, Takes};
use super::feeds::{Feeds, Place, Source};
use super::pending::{Group, Quantity, Sold};

pub(super) fn shop() -> ConnectionId {
    "shop".parse().unwrap()
}

pub(super) fn mug() -> Sku {
    Sku::new("MUG").unwrap()
}

pub(super) fn order(id: &str) -> AggregateKey {
    AggregateKey::order(&shop(), id)
}

pub(super) fn place(connection: &str) -> Place {
    Place { connection: connection.parse().unwrap(), location: "1".to_owned() }
}

pub(super) fn warehouse(location: &str) -> Source {
    Source { target: "erp".parse().unwrap(), location: location.to_owned() }
}

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

/// One warehouse that one shop sells from.
pub(super) fn feeds() -> Feeds {
    let mut feeds = Feeds::default();
    feeds.connect(warehouse("WH"), place("shop"));
    feeds
}

pub(super) fn of(ordered: i64, current: i64) -> Quantity {
    Quantity { ordered: ordered.into(), current: current.into() }
}

pub(super) fn sold(taken: i64, given: i64) -> Sold {
    Sold { taken: taken.into(), given: given.into() }
}

pub(super) fn takes(sequence: u64, quantity: i64) -> Takes {
    Takes { sequence, quantities: [(mug(), of(quantity, quantity))].into(), nameless: 0 }
}

pub(super) fn outcome(operation: &str, state: OutcomeState, sequence: u64, seconds: i64) -> Outcome {
    Outcome {
        command_id: uuid::Uuid::nil(),
        target: Some("erp".parse().unwrap()),
        operation_key: String::new(),
        operation: operation.to_owned(),
        sequence,
        state,
        references: Vec::new(),
        failure: None,
        completed_at: at(seconds),
        reason: String::new(),
        confirmed: state == OutcomeState::Applied && operation != "revise_order",
    }
}

pub(super) fn level(sequence: u64, on_hand: i64, reserved: i64, seconds: i64, listed: &[(&str, i64)]) -> Level {
    let sale = |(id, quantity): &(&str, i64)| OpenSale { order: order(id), quantity: (*quantity).into() };
    Level {
        sequence,
        on_hand: on_hand.into(),
        reserved: reserved.into(),
        observed_at: at(seconds),
        open_sales: listed.iter().map(sale).collect(),
    }
}

/// Everything that is known, reckoned the way the service does it with its tables.
pub(super) fn reckoned(book: &Book, feeds: &Feeds, place: &Place) -> Option<Availability> {
    let levels = book.levels.get(&mug()).cloned().unwrap_or_default();
    let groups: Vec<Group> = book
        .lines
        .iter()
        .filter_map(|((key, sku), line)| {
            let order = book.orders.get(key).filter(|_| *sku == mug())?;
            let confirmed = order.confirmed.as_ref().map(|it| (it.target.clone(), it.at));
            Some(Group { connection: order.connection.clone(), confirmed, amounts: line.amounts(order) })
        })
        .collect();
    reckon(feeds, place, &mug(), &levels, &groups)
}

pub(super) fn effect(noted: Noted) -> Effect {
    match noted {
        Noted::Changed(effect) => effect,
        other => panic!("it changes nothing: {other:?}"),
    }
}

pub(super) fn decimal(value: i64) -> Decimal {
    value.into()
}
