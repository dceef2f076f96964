//! An order of the shop, as it stands. What it adds up to is in `sums`, what can happen to it in `changes`.

mod changes;
mod sums;

use chrono::{DateTime, FixedOffset, Utc};
use rust_decimal::Decimal;

use super::articles::Article;
use super::customer::{ShopAddress, ShopCustomer};
use super::money::{Currencies, Pair};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopTax {
    pub title: String,
    /// 0.2 = 20 %.
    pub rate: Decimal,
    pub amount: Pair,
}

/// A discount's part that fell on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopAllocation {
    /// Index into [`ShopOrder::discounts`]; the index says nothing of the order in which they were applied.
    pub discount: usize,
    pub amount: Pair,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopLine {
    pub id: u64,
    pub article: Article,
    /// As ordered (or added by an edit); never lowered.
    pub quantity: u32,
    /// Taken away by edits.
    pub removed: u32,
    /// Given back by refunds or the cancellation.
    pub refunded: u32,
    pub unit_price: Pair,
    pub allocations: Vec<ShopAllocation>,
    pub taxes: Vec<ShopTax>,
    pub properties: Vec<(String, String)>,
}

impl ShopLine {
    /// Ordered minus removed and refunded.
    pub fn current_quantity(&self) -> u32 {
        self.quantity - self.removed - self.refunded
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopShipping {
    pub id: u64,
    pub code: String,
    pub title: String,
    pub price: Pair,
    pub allocations: Vec<ShopAllocation>,
    pub taxes: Vec<ShopTax>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscountTarget {
    Lines,
    Shipping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscountValue {
    Percentage(Decimal),
    /// In shop currency.
    Fixed(Decimal),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopDiscount {
    /// Set: the buyer typed it. Else automatic, or manual when `manual`.
    pub code: Option<String>,
    pub title: String,
    pub manual: bool,
    pub value: DiscountValue,
    pub target: DiscountTarget,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionKind {
    Authorization,
    Capture,
    Sale,
    Void,
    Refund,
}

impl TransactionKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorization => "authorization",
            Self::Capture => "capture",
            Self::Sale => "sale",
            Self::Void => "void",
            Self::Refund => "refund",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Success,
    Pending,
}

impl TransactionStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Pending => "pending",
        }
    }
}

/// Money that moved, or the right to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopTransaction {
    pub id: u64,
    pub kind: TransactionKind,
    pub status: TransactionStatus,
    pub gateway: String,
    pub amount: Pair,
    pub parent: Option<u64>,
    pub at: DateTime<Utc>,
    /// Of the card, if it was one.
    pub brand: Option<String>,
    pub authorization: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restock {
    /// The goods come back.
    Return,
    /// They never left.
    Cancel,
    NoRestock,
}

impl Restock {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Return => "return",
            Self::Cancel => "cancel",
            Self::NoRestock => "no_restock",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopRefundLine {
    pub id: u64,
    pub line: u64,
    pub quantity: u32,
    pub restock: Restock,
    pub subtotal: Pair,
    pub tax: Pair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdjustmentKind {
    /// Delivery, given back: negative.
    Shipping,
    /// Money for nothing: negative.
    Goodwill,
    /// Positive, as much as the refund's money that has not moved yet; once it has, there is one that is negative beside it.
    Pending,
}

/// What a refund has beside goods.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopAdjustment {
    pub id: u64,
    pub kind: AdjustmentKind,
    pub reason: String,
    /// With the tax in it where the order's prices have it.
    pub amount: Pair,
    pub tax: Pair,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopRefund {
    pub id: u64,
    pub at: DateTime<Utc>,
    pub note: Option<String>,
    pub lines: Vec<ShopRefundLine>,
    pub adjustments: Vec<ShopAdjustment>,
    pub transactions: Vec<ShopTransaction>,
}

/// A company that buys (B2B).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopCompany {
    pub id: u64,
    pub location_id: u64,
    pub name: String,
}

/// A committed edit, as `orders/edited` tells it: what changed, not what is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopEdit {
    pub id: u64,
    pub order: u64,
    pub at: DateTime<Utc>,
    /// Line and quantity.
    pub additions: Vec<(u64, u32)>,
    pub removals: Vec<(u64, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinancialStatus {
    Pending,
    Authorized,
    PartiallyPaid,
    Paid,
    PartiallyRefunded,
    Refunded,
    Voided,
}

impl FinancialStatus {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authorized => "authorized",
            Self::PartiallyPaid => "partially_paid",
            Self::Paid => "paid",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Voided => "voided",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopOrder {
    pub id: u64,
    /// 1001, 1002, ...
    pub order_number: u32,
    /// What the buyer sees, such as `#1001`.
    pub name: String,
    pub token: String,
    pub confirmation_number: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub cancel_reason: Option<String>,
    pub closed_at: Option<DateTime<Utc>>,
    /// Of the shop; webhooks write their times with it.
    pub offset: FixedOffset,
    pub customer: Option<ShopCustomer>,
    pub email: String,
    pub phone: Option<String>,
    pub locale: String,
    pub billing_address: Option<ShopAddress>,
    pub shipping_address: Option<ShopAddress>,
    pub lines: Vec<ShopLine>,
    pub shipping: Vec<ShopShipping>,
    pub discounts: Vec<ShopDiscount>,
    pub currencies: Currencies,
    pub taxes_included: bool,
    pub tax_exempt: bool,
    /// Whose taxes are on it, also on what is added later. ISO 3166-1 alpha-2.
    pub tax_country: String,
    pub tip: Pair,
    pub gateways: Vec<String>,
    pub transactions: Vec<ShopTransaction>,
    pub refunds: Vec<ShopRefund>,
    pub note: Option<String>,
    pub note_attributes: Vec<(String, String)>,
    pub po_number: Option<String>,
    pub tags: Vec<String>,
    pub company: Option<ShopCompany>,
    /// `web`, `pos`, ...
    pub source_name: String,
    pub test: bool,
    pub location_id: u64,
}

impl ShopOrder {
    pub fn line(&self, id: u64) -> Option<&ShopLine> {
        self.lines.iter().find(|it| it.id == id)
    }

    pub fn refund_of(&self, id: u64) -> Option<&ShopRefund> {
        self.refunds.iter().find(|it| it.id == id)
    }

    pub fn is_cancelled(&self) -> bool {
        self.cancelled_at.is_some()
    }
}
