//! Stock as an ERP sees it, and what may be sold of it.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::ids::{AggregateKey, ConnectionId, Sku};

/// A web order among the open sales that a level's `reserved` contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenSale {
    pub order: AggregateKey,
    pub quantity: Decimal,
}

/// What lies at one place, read in one consistent call with the open sales that it contains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockLevel {
    pub sku: Sku,
    /// The ERP's location or warehouse.
    pub location: String,
    /// Reserved included.
    pub on_hand: Decimal,
    /// Promised by the ERP to open sales.
    pub reserved: Decimal,
    /// When the call began, by the ERP's clock where it tells one.
    pub observed_at: DateTime<Utc>,
    /// The last of them, at most [`Self::MOST_OPEN_SALES`].
    pub open_sales: Vec<OpenSale>,
}

impl StockLevel {
    /// So that an item with a hundred thousand orders waiting still fits a record. Older sales need no mention: an observation
    /// that began after the ERP's confirm settles an order anyway.
    pub const MOST_OPEN_SALES: usize = 256;
}

/// What one channel may sell of one SKU at one location, with the parts of the sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Availability {
    pub connection: ConnectionId,
    pub sku: Sku,
    /// The shop's location.
    pub location: String,
    pub on_hand: Decimal,
    pub reserved: Decimal,
    /// In web orders that the ERP does not show yet.
    pub pending: Decimal,
    /// Kept back by configuration.
    pub buffer: Decimal,
}

impl Availability {
    /// on hand − reserved − pending − buffer, in whole units, not below zero.
    pub fn available(&self) -> Decimal {
        (self.on_hand - self.reserved - self.pending - self.buffer).floor().max(Decimal::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn available(on_hand: i64, reserved: i64, pending: i64, buffer: i64) -> Decimal {
        Availability {
            connection: "shop".parse().unwrap(),
            sku: Sku::new("MUG").unwrap(),
            location: "1".to_owned(),
            on_hand: on_hand.into(),
            reserved: reserved.into(),
            pending: pending.into(),
            buffer: buffer.into(),
        }
        .available()
    }

    #[test]
    fn what_is_promised_or_kept_back_is_not_for_sale() {
        assert_eq!(available(102, 2, 3, 5), Decimal::from(92));
        assert_eq!(available(1, 1, 1, 0), Decimal::ZERO, "never below zero");
    }
}
