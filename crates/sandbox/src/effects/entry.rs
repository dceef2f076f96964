use std::collections::BTreeMap;
use std::ops::Deref;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// Which double wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    Erp,
    Shop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A request arrived whole.
    Received,
    /// A record was changed, for good.
    Applied,
    /// Stock changed, by whatever cause.
    Moved,
    /// A delivery of the double's own is about to leave.
    Sending,
    /// What was answered, or what was done instead.
    Answered,
}

/// The operation of the entry with which a system begins anew: what was logged before counts no more.
pub const RESET: &str = "sandbox.reset";

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// From 1 upwards, without gaps.
    pub seq: u64,
    pub at: DateTime<Utc>,
    pub source: Source,
    #[serde(flatten)]
    pub draft: Draft,
}

impl Deref for Entry {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.draft
    }
}

/// An entry before it has its number. No personal data: ids, states and amounts only.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    pub kind: Kind,
    /// Model and method, such as `sale.sale.create`; a stock entry has its model only.
    pub operation: String,
    /// Ties the entries of one request together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
    /// The platform's own id of the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What the record was given by its creator: `web_id`, a party's code, an idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Amounts by name, exact, as text: `total` -> `28.80`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub amounts: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stock: Option<Stock>,
    /// A state, a status, the name of a fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Draft {
    pub fn new(kind: Kind, operation: impl Into<String>) -> Self {
        Self {
            kind,
            operation: operation.into(),
            request: None,
            id: None,
            external_id: None,
            amounts: BTreeMap::new(),
            stock: None,
            detail: None,
        }
    }

    /// The mark of a new beginning.
    pub fn reset() -> Self {
        Self::new(Kind::Applied, RESET)
    }

    pub fn request(mut self, request: u64) -> Self {
        self.request = Some(request);
        self
    }

    pub fn id(mut self, id: impl ToString) -> Self {
        self.id = Some(id.to_string());
        self
    }

    pub fn external(mut self, external_id: impl Into<String>) -> Self {
        self.external_id = Some(external_id.into());
        self
    }

    pub fn amount(mut self, name: &str, amount: Decimal) -> Self {
        self.amounts.insert(name.to_owned(), amount.to_string());
        self
    }

    pub fn stock(mut self, stock: Stock) -> Self {
        self.stock = Some(stock);
        self
    }

    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// What an entry says about stock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stock {
    /// The present state of one movement; a later entry of the same id replaces it.
    Movement(Movement),
    /// A level that was set, as shops do.
    Level(Level),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Movement {
    pub id: i64,
    pub sku: String,
    pub quantity: Decimal,
    pub from: Place,
    pub to: Place,
    /// `draft`, `assigned`, `done`, `cancelled` or `deleted`.
    pub state: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Level {
    pub sku: String,
    pub location: String,
    pub available: i64,
}

/// Where goods are, as far as stock is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    Warehouse,
    Customer,
    Supplier,
    /// Where an inventory's differences come from and go to.
    LostAndFound,
}
