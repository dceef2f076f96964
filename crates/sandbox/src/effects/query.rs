//! Questions to a log: what was applied how often, and what stock follows from it.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::Serialize;

use super::entry::{Entry, Kind, Movement, Place, RESET, Stock};

/// A log, read at one moment.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    entries: Vec<Entry>,
}

/// What follows for one SKU from all movements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Held {
    pub on_hand: Decimal,
    /// In open movements to customers.
    pub reserved: Decimal,
}

impl Effects {
    /// Leaves out what happened before the last reset.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        if let Some(reset) = entries.iter().rposition(|it| it.operation == RESET) {
            entries.drain(..=reset);
        }
        Self { entries }
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Applied effects of one operation, oldest first.
    pub fn applied<'a>(&'a self, operation: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.of(Kind::Applied, operation)
    }

    /// Requests of one operation that arrived, applied or not.
    pub fn received<'a>(&'a self, operation: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.of(Kind::Received, operation)
    }

    /// How often the operation took effect under this external id. More than once is what must never happen to a create.
    pub fn count_applied(&self, operation: &str, external_id: &str) -> usize {
        self.applied(operation).filter(|it| it.external_id.as_deref() == Some(external_id)).count()
    }

    /// External ids under which the operation took effect more than once, with their counts.
    pub fn repeated(&self, operation: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for external_id in self.applied(operation).filter_map(|it| it.external_id.as_ref()) {
            *counts.entry(external_id.clone()).or_default() += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts
    }

    /// All sales that an ERP booked.
    pub fn sales(&self) -> impl Iterator<Item = &Entry> {
        self.applied("sale.sale.create")
    }

    /// The last known state of every movement, by id.
    pub fn movements(&self) -> BTreeMap<i64, &Movement> {
        let movements = self.entries.iter().filter_map(|it| match &it.stock {
            Some(Stock::Movement(movement)) => Some((movement.id, movement)),
            _ => None,
        });
        movements.collect()
    }

    /// Stock by SKU, recomputed from the movements alone.
    pub fn stock(&self) -> BTreeMap<String, Held> {
        let mut stock: BTreeMap<String, Held> = BTreeMap::new();
        for movement in self.movements().into_values() {
            let held = stock.entry(movement.sku.clone()).or_default();
            match movement.state.as_str() {
                "done" => held.on_hand += on_hand_change(movement),
                "draft" | "assigned" if movement.to == Place::Customer => held.reserved += movement.quantity,
                _ => {}
            }
        }
        stock
    }

    /// Levels as they were last set, by SKU and location.
    pub fn levels(&self) -> BTreeMap<(String, String), i64> {
        let levels = self.entries.iter().filter_map(|it| match &it.stock {
            Some(Stock::Level(level)) => Some(((level.sku.clone(), level.location.clone()), level.available)),
            _ => None,
        });
        levels.collect()
    }

    fn of<'a>(&'a self, kind: Kind, operation: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries.iter().filter(move |it| it.kind == kind && it.operation == operation)
    }
}

fn on_hand_change(movement: &Movement) -> Decimal {
    match (movement.from, movement.to) {
        (Place::Warehouse, Place::Warehouse) => Decimal::ZERO,
        (Place::Warehouse, _) => -movement.quantity,
        (_, Place::Warehouse) => movement.quantity,
        _ => Decimal::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::{Draft, EffectLog, Source};

    fn log_of(movements: &[(i64, i64, Place, Place, &str)]) -> Effects {
        let log = EffectLog::in_memory(Source::Erp);
        log.append(movements.iter().map(|&(id, quantity, from, to, state)| {
            let movement = Movement { id, sku: "MUG".into(), quantity: quantity.into(), from, to, state: state.into() };
            Draft::new(Kind::Moved, "stock.move").id(id).stock(Stock::Movement(movement))
        }));
        log.effects()
    }

    fn check(movements: &[(i64, i64, Place, Place, &str)], on_hand: i64, reserved: i64) {
        let held = Held { on_hand: on_hand.into(), reserved: reserved.into() };
        assert_eq!(log_of(movements).stock()["MUG"], held, "{movements:?}");
    }

    #[test]
    fn stock_follows_from_the_last_state_of_every_movement() {
        use Place::{Customer, LostAndFound, Warehouse};
        let found = (1, 100, LostAndFound, Warehouse, "done");
        check(&[found], 100, 0);
        check(&[found, (2, 3, Warehouse, Customer, "draft")], 100, 3);
        check(&[found, (2, 3, Warehouse, Customer, "draft"), (2, 3, Warehouse, Customer, "assigned")], 100, 3);
        check(&[found, (2, 3, Warehouse, Customer, "draft"), (2, 3, Warehouse, Customer, "done")], 97, 0);
        check(&[found, (2, 3, Warehouse, Customer, "done"), (2, 3, Warehouse, Customer, "cancelled")], 100, 0);
        check(&[found, (2, 3, Warehouse, Warehouse, "done")], 100, 0);
        check(&[found, (2, 3, Customer, Warehouse, "draft")], 100, 0);
        check(&[found, (2, 3, Customer, Warehouse, "done")], 103, 0);
        check(&[found, (2, 3, Warehouse, Customer, "draft"), (2, 3, Warehouse, Customer, "deleted")], 100, 0);
    }

    #[test]
    fn what_was_applied_twice_is_found() {
        let log = EffectLog::in_memory(Source::Erp);
        for (kind, external) in
            [(Kind::Received, "1"), (Kind::Applied, "1"), (Kind::Received, "1"), (Kind::Applied, "1"), (Kind::Applied, "2")]
        {
            log.append([Draft::new(kind, "sale.sale.create").external(external)]);
        }
        let effects = log.effects();
        assert_eq!(effects.count_applied("sale.sale.create", "1"), 2);
        assert_eq!(effects.repeated("sale.sale.create"), BTreeMap::from([("1".to_owned(), 2)]));
        assert_eq!(effects.sales().count(), 3);
        assert_eq!(effects.received("sale.sale.create").count(), 2);
    }
}
