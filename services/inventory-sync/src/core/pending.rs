//! Web orders that an ERP does not show yet.
//!
//! A line counts from the order's first change event. It stops to count at a place of an ERP once an observation of that place
//! lists the order among its open sales, or began after the ERP had confirmed the order: then it is either in what the
//! observation calls reserved, or the goods have left what it calls on hand. Being dead or held changes nothing; a cancel, a
//! refund and a return do, because the shop lowers the order's quantities itself; so does discarding the order's placing, or what
//! no target was told of.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{ConnectionId, Decimal, TargetId};

use super::feeds::Source;

/// An ERP's word that it has the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    pub target: TargetId,
    /// The version of the order that it has.
    pub sequence: u64,
    /// By the ERP's clock, never too early.
    pub at: DateTime<Utc>,
}

/// What is known of an order as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebOrder {
    pub connection: ConnectionId,
    /// Of the newest version that was seen; 0 = none.
    pub sequence: u64,
    /// Its placing was discarded: no ERP will ever show it.
    pub discarded: bool,
    /// Versions up to this one were given up before any ERP was told of the order; a later one may come through. 0 = none.
    pub given_up: u64,
    pub confirmed: Option<Confirmed>,
}

impl WebOrder {
    pub fn new(connection: ConnectionId) -> Self {
        Self { connection, sequence: 0, discarded: false, given_up: 0, confirmed: None }
    }

    /// Whether no ERP will show it as it stands.
    pub(super) fn is_given_up(&self) -> bool {
        self.discarded || (self.confirmed.is_none() && self.given_up > 0 && self.sequence <= self.given_up)
    }
}

/// What a version of an order says of one SKU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quantity {
    /// Including what was removed, refunded or cancelled since.
    pub ordered: Decimal,
    pub current: Decimal,
}

/// By how much a shop itself has moved its level. It takes what is ordered, at once; whether it put back what was given back
/// its orders don't say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sold {
    pub taken: Decimal,
    pub given: Decimal,
}

impl std::ops::AddAssign for Sold {
    fn add_assign(&mut self, other: Self) {
        self.taken += other.taken;
        self.given += other.given;
    }
}

/// What an order takes of one SKU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    /// The most that was ordered. The shop took all of it, also where no version without the refund was ever seen.
    pub ordered: Decimal,
    /// As the shop says now.
    pub quantity: Decimal,
    /// Versions of the order that changed the quantity, with the new one; oldest first.
    pub history: Vec<(u64, Decimal)>,
    /// Per place, the most that was listed among its open sales. No list shrinks it: what is shipped is no open sale any more, but
    /// the place's stock goes on to show it. What was given back makes room for what came after it.
    pub listed: BTreeMap<String, Decimal>,
}

/// How much of a line counts as pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amounts {
    /// Where nothing is known that is newer than the order.
    pub unlisted: Decimal,
    /// Where an observation began after the confirm, and in all places of other ERPs than the one that confirmed it.
    pub unconfirmed: Decimal,
}

impl Line {
    /// Notes a version's quantity. Returns what it tells of the shop's level that the one before did not.
    pub(super) fn change(&mut self, before: u64, sequence: u64, Quantity { ordered, current: quantity }: Quantity) -> Sold {
        let (delta, ordered) = (quantity - self.quantity, ordered.max(quantity).max(self.ordered));
        let more = ordered - self.ordered;
        self.ordered = ordered;
        let is_first = self.history.is_empty();
        // What was given back stands for no piece that came after it.
        let is_replaced = !is_first && !more.is_zero() && quantity < ordered;
        if is_replaced {
            self.forget(quantity - more);
        }
        if is_first && before > 0 {
            // Added by an edit: earlier versions had none of it.
            self.history.push((before, Decimal::ZERO));
        }
        if !delta.is_zero() || is_replaced || is_first {
            self.history.push((sequence, quantity));
            self.quantity = quantity;
        }
        // What is not there any more, or is there again although it was given back.
        let given = more - delta;
        Sold { taken: more + (-given).max(Decimal::ZERO), given: given.max(Decimal::ZERO) }
    }

    /// Of what earlier versions had and places have listed, only so much still stands.
    fn forget(&mut self, left: Decimal) {
        let mut left = left.max(Decimal::ZERO);
        for (_, had) in &mut self.history {
            *had = left.min(*had);
        }
        for listed in self.listed.values_mut() {
            *listed = left.min(*listed);
            left -= *listed;
        }
    }

    /// Returns whether that is more than was known.
    pub(super) fn list(&mut self, source: &Source, quantity: Decimal) -> bool {
        let known = self.listed.entry(source.to_string()).or_default();
        let is_more = quantity > *known;
        *known = quantity.max(*known);
        is_more
    }

    /// As of a version of the order. Of versions before the first that we saw we only know what came next.
    pub(super) fn quantity_at(&self, sequence: u64) -> Decimal {
        let entry = self.history.iter().rfind(|(it, _)| *it <= sequence).or(self.history.first());
        entry.map_or(Decimal::ZERO, |(_, quantity)| *quantity)
    }

    /// What counts of it, given what is known of its order.
    pub fn amounts(&self, order: &WebOrder) -> Amounts {
        if order.is_given_up() {
            return Amounts { unlisted: Decimal::ZERO, unconfirmed: Decimal::ZERO };
        }
        let listed: Decimal = self.listed.values().sum();
        let shown = order.confirmed.as_ref().map_or(listed, |it| listed.max(self.quantity_at(it.sequence)));
        Amounts { unlisted: (self.quantity - listed).max(Decimal::ZERO), unconfirmed: (self.quantity - shown).max(Decimal::ZERO) }
    }
}

/// Lines of one SKU that share everything which decides where they count, summed up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub connection: ConnectionId,
    pub confirmed: Option<(TargetId, DateTime<Utc>)>,
    pub amounts: Amounts,
}

impl Group {
    /// Whether an observation of a place that began then knows of the confirm, or has nothing to do with it.
    pub(super) fn is_settled_at(&self, source: &Source, observed_at: DateTime<Utc>) -> bool {
        self.confirmed.as_ref().is_some_and(|(target, at)| *target != source.target || observed_at > *at)
    }
}
