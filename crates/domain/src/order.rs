//! Orders as the buyer placed them and as they stand now.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::customer::Address;
use crate::money::{Currency, Money, MoneyError, MoneyPair};

/// Where the money stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FinancialState {
    Pending,
    Authorized,
    PartiallyPaid,
    Paid,
    PartiallyRefunded,
    Refunded,
    Voided,
    Expired,
}

impl FinancialState {
    /// The seller has, or had, the whole amount.
    pub fn is_paid(self) -> bool {
        matches!(self, Self::Paid | Self::PartiallyRefunded | Self::Refunded)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Authorized => "authorized",
            Self::PartiallyPaid => "partially_paid",
            Self::Paid => "paid",
            Self::PartiallyRefunded => "partially_refunded",
            Self::Refunded => "refunded",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }
}

/// Where the goods stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FulfillmentState {
    Unfulfilled,
    Partial,
    Fulfilled,
    Restocked,
}

/// Who bought. An order without any contact has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Buyer {
    /// The source's customer id; empty for guests.
    pub customer_id: String,
    pub email: String,
    pub phone: String,
    pub first_name: String,
    pub last_name: String,
    pub locale: String,
}

/// A company that buys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Company {
    pub id: String,
    /// Its branch.
    pub location_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaxLine {
    pub title: String,
    /// 0.2 = 20 %.
    pub rate: Decimal,
    /// For the whole line; part of the price when the order's `taxes_included` is set.
    pub amount: MoneyPair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DiscountKind {
    Code,
    Automatic,
    Manual,
    Script,
}

impl DiscountKind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Automatic => "automatic",
            Self::Manual => "manual",
            Self::Script => "script",
        }
    }
}

/// A part of a discount that fell on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiscountAllocation {
    /// Empty for automatic and manual discounts.
    pub code: String,
    pub title: String,
    pub kind: DiscountKind,
    /// Taken off the whole line, positive.
    pub amount: MoneyPair,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    pub id: String,
    pub product_id: String,
    pub variant_id: String,
    /// May be empty.
    pub sku: String,
    pub title: String,
    pub quantity: Decimal,
    /// Ordered minus removed and refunded.
    pub current_quantity: Decimal,
    /// Price of one, before discounts; gross when `taxes_included`.
    pub unit_price: MoneyPair,
    pub discounts: Vec<DiscountAllocation>,
    pub taxes: Vec<TaxLine>,
    pub requires_shipping: bool,
    pub gift_card: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShippingLine {
    pub id: String,
    pub code: String,
    pub title: String,
    /// Before discounts; gross when `taxes_included`.
    pub price: MoneyPair,
    pub discounts: Vec<DiscountAllocation>,
    pub taxes: Vec<TaxLine>,
}

/// A code that the buyer typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CouponCode {
    pub code: String,
    /// `percentage`, `fixed_amount` or `shipping`.
    pub kind: String,
    pub amount: MoneyPair,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentKind {
    Authorization,
    Capture,
    Sale,
    Void,
    Refund,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentStatus {
    Success,
    Pending,
    Failure,
    Error,
}

/// One movement of money or of the right to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payment {
    pub id: String,
    pub order_id: String,
    pub kind: PaymentKind,
    pub status: PaymentStatus,
    pub gateway: String,
    pub brand: String,
    /// In the currency that it moved in.
    pub amount: Money,
    pub reference: String,
    pub processed_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub value: String,
}

/// Sums as the source states them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderTotals {
    /// Lines before discounts.
    pub lines: MoneyPair,
    /// All discounts on lines and delivery, positive.
    pub discounts: MoneyPair,
    /// Delivery after discounts.
    pub shipping: MoneyPair,
    pub tax: MoneyPair,
    pub tip: MoneyPair,
    /// What the buyer owes or paid, at the time of sale.
    pub total: MoneyPair,
    /// The same after edits, refunds and cancel.
    pub current_total: MoneyPair,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub id: String,
    /// What the buyer sees, such as #1001.
    pub display_number: String,
    pub buyer: Option<Buyer>,
    pub billing_address: Option<Address>,
    pub shipping_address: Option<Address>,
    pub lines: Vec<OrderLine>,
    pub shipping_lines: Vec<ShippingLine>,
    pub coupons: Vec<CouponCode>,
    pub payments: Vec<Payment>,
    pub gateways: Vec<String>,
    pub po_number: String,
    pub note: String,
    pub attributes: Vec<Attribute>,
    /// Sorted.
    pub tags: Vec<String>,
    pub shop_currency: Currency,
    pub presentment_currency: Currency,
    pub taxes_included: bool,
    pub totals: OrderTotals,
    pub financial_state: FinancialState,
    pub fulfillment_state: FulfillmentState,
    pub cancelled_at: Option<DateTime<Utc>>,
    pub cancel_reason: String,
    /// When the buyer ordered.
    pub placed_at: Option<DateTime<Utc>>,
    /// Sales channel: `web`, `pos`, ...
    pub channel: String,
    /// Set for an order of a company (B2B).
    pub company: Option<Company>,
    /// Never to be shipped.
    pub test: bool,
}

/// The source's own sums do not add up: its payload is wrong, or we read it wrongly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TotalsError {
    #[error("the {part} add up to {computed}, the order says {stated}")]
    Mismatch { part: &'static str, computed: Money, stated: Money },
    #[error(transparent)]
    Money(#[from] MoneyError),
}

impl Order {
    pub fn is_cancelled(&self) -> bool {
        self.cancelled_at.is_some()
    }

    /// Whether money of it went back, as far as the order itself tells.
    pub fn shows_refund(&self) -> bool {
        matches!(self.financial_state, FinancialState::PartiallyRefunded | FinancialState::Refunded)
            || self.payments.iter().any(|it| it.kind == PaymentKind::Refund)
    }

    /// The address that the goods go to, else the bill.
    pub fn destination(&self) -> Option<&Address> {
        self.shipping_address.as_ref().or(self.billing_address.as_ref())
    }

    /// Checks the sums in shop currency: lines, minus discounts, plus delivery, plus tax unless included, plus tip = total.
    pub fn check_totals(&self) -> Result<(), TotalsError> {
        let currency = self.shop_currency;
        let lines = sum(currency, self.lines.iter().map(|line| line.unit_price.shop.times(line.quantity)))?;
        stated("lines", lines, self.totals.lines.shop)?;

        let allocations = self.lines.iter().flat_map(|line| &line.discounts).map(|it| Ok(it.amount.shop));
        let discounts = sum(currency, allocations)?;
        let taxes = self.lines.iter().flat_map(|it| &it.taxes).chain(self.shipping_lines.iter().flat_map(|it| &it.taxes));
        let tax = sum(currency, taxes.map(|it| Ok(it.amount.shop)))?;
        stated("taxes", tax, self.totals.tax.shop)?;

        let added_tax = if self.taxes_included { Money::zero(currency) } else { tax };
        let total = lines
            .checked_sub(discounts)?
            .checked_add(self.totals.shipping.shop)?
            .checked_add(added_tax)?
            .checked_add(self.totals.tip.shop)?;
        stated("lines, discounts, delivery and taxes", total, self.totals.total.shop)
    }
}

fn sum(currency: Currency, amounts: impl Iterator<Item = Result<Money, MoneyError>>) -> Result<Money, TotalsError> {
    let mut total = Money::zero(currency);
    for amount in amounts {
        total = total.checked_add(amount?)?;
    }
    Ok(total)
}

fn stated(part: &'static str, computed: Money, stated: Money) -> Result<(), TotalsError> {
    if computed == stated { Ok(()) } else { Err(TotalsError::Mismatch { part, computed, stated }) }
}
