//! What may be sold at a place: on hand − reserved − pending − buffer.

use std::collections::BTreeMap;

use domain::{Availability, Decimal, Sku};

use super::book::Level;
use super::feeds::{Feeds, Place, Source};
use super::pending::Group;

/// `None`: no ERP has said anything about the SKU there. `levels`: all of the SKU; `groups`: all lines of it that are open.
pub fn reckon(feeds: &Feeds, place: &Place, sku: &Sku, levels: &BTreeMap<Source, Level>, groups: &[Group]) -> Option<Availability> {
    let sources = feeds.places().find(|(it, _)| *it == place).map(|(_, sources)| sources)?;
    let known: BTreeMap<&Source, &Level> = sources.iter().filter_map(|it| Some((it, levels.get(it)?))).collect();
    if known.is_empty() {
        return None;
    }
    Some(Availability {
        connection: place.connection.clone(),
        sku: sku.clone(),
        location: place.location.clone(),
        on_hand: known.values().map(|it| it.on_hand).sum(),
        reserved: known.values().map(|it| it.reserved).sum(),
        pending: groups.iter().map(|it| pending(feeds, it, &known)).sum(),
        buffer: feeds.buffer(&place.connection, sku),
    })
}

/// Of a place that was sold from, and of whose sources as they are mapped now no ERP has said anything: nothing may be sold there.
pub fn nothing(before: &Availability) -> Availability {
    Availability { on_hand: Decimal::ZERO, reserved: Decimal::ZERO, pending: Decimal::ZERO, ..before.clone() }
}

/// What a group of lines takes of these sources. An order does not say which source it will be taken from: it counts in full
/// until all that it may be taken from have been looked at after its confirm.
fn pending(feeds: &Feeds, group: &Group, known: &BTreeMap<&Source, &Level>) -> Decimal {
    let reached: Vec<_> = feeds.draws_from(&group.connection).filter_map(|it| Some((it, known.get(it)?.observed_at))).collect();
    if reached.is_empty() {
        Decimal::ZERO
    } else if reached.iter().all(|(source, observed_at)| group.is_settled_at(source, *observed_at)) {
        group.amounts.unconfirmed
    } else {
        group.amounts.unlisted
    }
}

/// Whether the lines of a group will never count again, anywhere: the ERP has them whole, and wherever it may take them from has
/// been looked at since. (A place that never had the SKU is no such place.)
pub fn is_over(feeds: &Feeds, group: &Group, levels: &BTreeMap<Source, Level>) -> bool {
    let Some((target, _)) = group.confirmed.as_ref().filter(|_| group.amounts.unconfirmed.is_zero()) else { return false };
    let mut its = feeds.draws_from(&group.connection).filter(|it| it.target == *target).peekable();
    if its.peek().is_none() {
        return true;
    }
    let mut looks = its.filter_map(|it| Some((it, levels.get(it)?.observed_at))).peekable();
    looks.peek().is_some() && looks.all(|(source, observed_at)| group.is_settled_at(source, observed_at))
}
