//! What a test or a script wants of a payload; the rest is drawn.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// An order to place.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OrderWish {
    /// SKU and quantity; empty: one to four lines are drawn.
    pub lines: Vec<(String, u32)>,
    pub payment: Option<PaymentWish>,
    pub buyer: Option<BuyerWish>,
    pub discounts: Option<Vec<DiscountWish>>,
    pub taxes_included: Option<bool>,
    /// ISO 3166-1 alpha-2: DE, FR, AT or IT.
    pub country: Option<String>,
    /// Prices in the buyer's own currency, where the settings name one.
    pub foreign_currency: Option<bool>,
}

impl OrderWish {
    pub fn of(sku: &str, quantity: u32) -> Self {
        Self { lines: vec![(sku.to_owned(), quantity)], ..Self::default() }
    }

    #[must_use]
    pub fn with(mut self, sku: &str, quantity: u32) -> Self {
        self.lines.push((sku.to_owned(), quantity));
        self
    }

    #[must_use]
    pub fn paid_by(mut self, payment: PaymentWish) -> Self {
        self.payment = Some(payment);
        self
    }

    #[must_use]
    pub fn from(mut self, buyer: BuyerWish) -> Self {
        self.buyer = Some(buyer);
        self
    }

    #[must_use]
    pub fn discounted_by(mut self, discounts: impl IntoIterator<Item = DiscountWish>) -> Self {
        self.discounts = Some(discounts.into_iter().collect());
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentWish {
    Paid,
    /// By gift card and card.
    PaidInTwo,
    Authorized,
    /// By bank transfer: nothing has moved yet.
    Pending,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BuyerWish {
    Guest,
    /// A new customer record.
    Customer,
    /// A customer whom the shop has, by id.
    Known(u64),
    /// A company, on account.
    Company,
    /// Nobody left any contact, as at a till.
    Nobody,
}

/// Applied in this order, but listed in the payload in another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiscountWish {
    /// A code with a percentage, 100 for all.
    Code { code: String, percent: Decimal },
    /// A code with an amount of the shop's currency.
    FixedCode { code: String, amount: Decimal },
    /// Without a code.
    Automatic { percent: Decimal },
    /// Given by the staff.
    Manual { amount: Decimal },
    /// A code that makes the delivery free.
    FreeShipping { code: String },
}

/// A refund to make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RefundWish {
    /// Line id and quantity.
    pub lines: Vec<(u64, u32)>,
    /// What is left of the delivery goes back, too.
    pub shipping: bool,
    /// Money for nothing, in shop currency.
    pub goodwill: Option<Decimal>,
    pub restock: bool,
    /// The goods had left.
    pub shipped: bool,
    /// The money has not moved yet.
    pub pending: bool,
    pub note: Option<String>,
}

impl RefundWish {
    pub fn line(id: u64, quantity: u32) -> Self {
        Self { lines: vec![(id, quantity)], restock: true, ..Self::default() }
    }

    pub fn goodwill(amount: Decimal) -> Self {
        Self { goodwill: Some(amount), ..Self::default() }
    }
}

/// A change to the lines of an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EditWish {
    /// SKU and quantity.
    pub add: Vec<(String, u32)>,
    /// Line id and quantity.
    pub remove: Vec<(u64, u32)>,
}
