//! Goods or money given back. Independent from the movement of money: see the refund's payments.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::money::MoneyPair;
use crate::order::{Order, Payment, PaymentStatus};

/// What becomes of the goods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Restock {
    /// They come back and can be sold again.
    Return,
    /// They never left.
    Cancel,
    /// They are not sellable again.
    NoRestock,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundLine {
    pub id: String,
    pub order_line_id: String,
    pub sku: String,
    pub quantity: Decimal,
    pub restock: Restock,
    pub location_id: String,
    /// Without tax unless the order's `taxes_included` is set.
    pub subtotal: MoneyPair,
    pub tax: MoneyPair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefundAdjustmentKind {
    Shipping,
    Goodwill,
    /// Of money that is on its way: taken back, and given back once it has moved. Never of what the refund is worth.
    PendingDiscrepancy,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundAdjustment {
    pub id: String,
    pub kind: RefundAdjustmentKind,
    pub reason: String,
    /// Given back: positive; negative takes back. Without tax, also where the order's prices have it in them.
    pub amount: MoneyPair,
    pub tax: MoneyPair,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refund {
    pub id: String,
    pub order_id: String,
    pub created_at: Option<DateTime<Utc>>,
    pub note: String,
    /// Empty for goodwill.
    pub lines: Vec<RefundLine>,
    pub adjustments: Vec<RefundAdjustment>,
    pub payments: Vec<Payment>,
}

impl Refund {
    /// Whether this version of its order has every line that it is about: a version from before an edit may not.
    pub fn fits(&self, order: &Order) -> bool {
        self.lines.iter().all(|line| order.lines.iter().any(|it| it.id == line.order_line_id))
    }

    /// Whether any money went back, or is about to.
    pub fn moves_money(&self) -> bool {
        self.payments.iter().any(|it| matches!(it.status, PaymentStatus::Success | PaymentStatus::Pending))
    }
}
