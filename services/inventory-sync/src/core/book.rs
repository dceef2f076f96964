//! What is known of orders and levels, as far as it is needed: a batch's share of it in the service, all of it in tests.
//! Each event is noted once, whatever order topics are read in; what is older than what is known changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use contracts::wire::{Outcome, OutcomeState};
use domain::{AggregateKey, ConnectionId, Decimal, OpenSale, Operation, Order, Sku};

use super::feeds::Source;
use super::pending::{Confirmed, Line, Quantity, Sold, WebOrder};

/// What an ERP says of a SKU at one of its places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    pub sequence: u64,
    pub on_hand: Decimal,
    pub reserved: Decimal,
    pub observed_at: DateTime<Utc>,
    pub open_sales: Vec<OpenSale>,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// It is not newer than what is known.
    Superseded,
    /// It has no bearing on stock.
    Needless(&'static str),
    Changed(Effect),
}

/// What an event changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effect {
    /// To be reckoned anew.
    pub skus: BTreeSet<Sku>,
    /// By how much the shop itself has moved its levels.
    pub sold: Vec<(ConnectionId, Sku, Sold)>,
}

/// A version of an order, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Takes {
    pub sequence: u64,
    /// Per SKU, what was ordered, and what of it is still to be delivered or has been.
    pub quantities: BTreeMap<Sku, Quantity>,
    /// Lines that name no SKU.
    pub nameless: u64,
}

impl Takes {
    pub fn of(sequence: u64, is_deleted: bool, order: &Order) -> Self {
        let mut takes = Self { sequence, quantities: BTreeMap::new(), nameless: 0 };
        let is_over = is_deleted || order.is_cancelled();
        for line in &order.lines {
            let Ok(sku) = Sku::new(line.sku.as_str()) else {
                takes.nameless += 1;
                continue;
            };
            let quantity = takes.quantities.entry(sku).or_default();
            quantity.ordered += line.quantity.max(Decimal::ZERO);
            if !is_over {
                quantity.current += line.current_quantity.max(Decimal::ZERO);
            }
        }
        takes
    }
}

/// What an outcome means for stock.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Bearing {
    /// The ERP counts the order from here on.
    Confirms(Confirmed),
    /// It counts another version of it, or all of that version that it ever will.
    Revises(Confirmed),
    /// It never will.
    Discards,
    /// No ERP will be told of this version, nor was of those before.
    GivesUp(u64),
}

fn bearing_of(outcome: &Outcome) -> Option<Bearing> {
    let [place, confirm, revise, ..] = Operation::NAMES;
    let Some(target) = outcome.target.clone() else {
        let is_given_up = outcome.state == OutcomeState::Discarded && outcome.operation == place;
        return is_given_up.then_some(Bearing::GivesUp(outcome.sequence));
    };
    let confirmed = Confirmed { target, sequence: outcome.sequence, at: outcome.completed_at };
    match (outcome.state, outcome.operation.as_str()) {
        (OutcomeState::Applied, it) if outcome.confirmed && (it == place || it == confirm) => Some(Bearing::Confirms(confirmed)),
        // Given up, it counts no more than if it had been done: what stands for it in the ERP, a person has seen to.
        (OutcomeState::Applied | OutcomeState::Discarded, it) if it == revise => Some(Bearing::Revises(confirmed)),
        (OutcomeState::Discarded, it) if it == place => Some(Bearing::Discards),
        _ => None,
    }
}

/// Whether an outcome has any bearing on stock.
pub fn concerns_stock(outcome: &Outcome) -> bool {
    bearing_of(outcome).is_some()
}

#[derive(Debug, Clone, Default)]
pub struct Book {
    pub orders: BTreeMap<AggregateKey, WebOrder>,
    pub lines: BTreeMap<(AggregateKey, Sku), Line>,
    pub levels: BTreeMap<Sku, BTreeMap<Source, Level>>,
    /// What has to be stored.
    pub touched: Touched,
}

#[derive(Debug, Clone, Default)]
pub struct Touched {
    pub orders: BTreeSet<AggregateKey>,
    pub lines: BTreeSet<(AggregateKey, Sku)>,
    pub levels: BTreeSet<(Sku, Source)>,
}

impl Book {
    /// A change of an order.
    pub fn order(&mut self, key: &AggregateKey, connection: &ConnectionId, takes: &Takes) -> Noted {
        let order = self.orders.entry(key.clone()).or_insert_with(|| WebOrder::new(connection.clone()));
        if takes.sequence <= order.sequence {
            return Noted::Superseded;
        }
        let was_given_up = order.is_given_up();
        let before = std::mem::replace(&mut order.sequence, takes.sequence);
        let counts_again = was_given_up && !order.is_given_up();
        self.touched.orders.insert(key.clone());
        let mut skus: BTreeSet<Sku> = takes.quantities.keys().cloned().collect();
        skus.extend(self.skus_of(key));
        let mut effect = Effect::default();
        for sku in skus {
            let place = (key.clone(), sku.clone());
            let line = self.lines.entry(place.clone()).or_default();
            let is_new = line.history.is_empty();
            let sold = line.change(before, takes.sequence, takes.quantities.get(&sku).copied().unwrap_or_default());
            // What the newest level lists of it is in its reserved. One that stays the same is not told again.
            for (source, level) in self.levels.get(&sku).into_iter().flatten() {
                for sale in level.open_sales.iter().filter(|it| it.order == *key) {
                    line.list(source, sale.quantity);
                }
            }
            let is_moved = sold != Sold::default();
            if is_new || is_moved || counts_again {
                self.touched.lines.insert(place);
            }
            if is_moved {
                effect.sold.push((connection.clone(), sku.clone(), sold));
            }
            if is_moved || counts_again {
                effect.skus.insert(sku);
            }
        }
        Noted::Changed(effect)
    }

    /// The end of a command about an order.
    pub fn outcome(&mut self, key: &AggregateKey, connection: &ConnectionId, outcome: &Outcome) -> Noted {
        let Some(bearing) = bearing_of(outcome) else { return Noted::Needless("not_stock") };
        let order = self.orders.entry(key.clone()).or_insert_with(|| WebOrder::new(connection.clone()));
        let before = order.clone();
        match (bearing, &order.confirmed) {
            (Bearing::Discards, _) => order.discarded = true,
            (Bearing::GivesUp(sequence), _) => order.given_up = order.given_up.max(sequence),
            (Bearing::Confirms(confirmed), None) => {
                order.discarded = false;
                order.confirmed = Some(confirmed);
            }
            (Bearing::Revises(confirmed), Some(known)) if known.target == confirmed.target && known.sequence < confirmed.sequence => {
                let (from, to) = (known.sequence, confirmed.sequence);
                let at = known.at;
                let is_more = self.skus_of(key).iter().any(|sku| {
                    let line = &self.lines[&(key.clone(), sku.clone())];
                    line.quantity_at(to) > line.quantity_at(from)
                });
                // What observations since then have shown stays shown, unless there is more to be shown.
                let confirmed = if is_more { confirmed } else { Confirmed { at, ..confirmed } };
                self.orders.get_mut(key).expect("it was just there").confirmed = Some(confirmed);
            }
            (Bearing::Confirms(_) | Bearing::Revises(_), _) => {}
        }
        if self.orders[key] == before {
            return Noted::Superseded;
        }
        self.touched.orders.insert(key.clone());
        let skus = self.skus_of(key);
        self.touched.lines.extend(skus.iter().map(|sku| (key.clone(), sku.clone())));
        Noted::Changed(Effect { skus, sold: Vec::new() })
    }

    /// An observation. Its place's older ones are overtaken by it, and never come back.
    pub fn level(&mut self, sku: &Sku, source: &Source, level: Level) -> Noted {
        let known = self.levels.entry(sku.clone()).or_default();
        if known.get(source).is_some_and(|known| level.sequence <= known.sequence) {
            return Noted::Superseded;
        }
        for sale in &level.open_sales {
            let line = (sale.order.clone(), sku.clone());
            if self.lines.entry(line.clone()).or_default().list(source, sale.quantity) {
                self.touched.lines.insert(line);
            }
        }
        known.insert(source.clone(), level);
        self.touched.levels.insert((sku.clone(), source.clone()));
        Noted::Changed(Effect { skus: [sku.clone()].into(), sold: Vec::new() })
    }

    pub fn skus_of(&self, key: &AggregateKey) -> BTreeSet<Sku> {
        let from = (key.clone(), Sku::new("\u{1}").expect("it is one, the first of all"));
        self.lines.range(from..).take_while(|((it, _), _)| it == key).map(|((_, sku), _)| sku.clone()).collect()
    }
}
