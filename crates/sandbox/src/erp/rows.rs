//! What is kept of each model, and by what it is found.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;

use super::model::Model;
use super::table::{ByKey, Row};

macro_rules! plain {
    ($($row:ty),*) => { $(impl Row for $row { type Index = (); })* };
}

/// Rows that belong to one parent and are found by it.
macro_rules! owned {
    ($($row:ty, $parent:ident;)*) => {
        $(impl Row for $row {
            type Index = ByKey<i64>;

            fn enter(&self, id: i64, index: &mut Self::Index) {
                index.add(self.$parent, id);
            }

            fn leave(&self, id: i64, index: &mut Self::Index) {
                index.remove(&self.$parent, id);
            }
        })*
    };
}

#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) struct Currency {
    pub(super) code: String,
    pub(super) digits: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Country {
    pub(super) code: String,
}

#[derive(Debug, Clone)]
pub(super) struct Subdivision {
    pub(super) code: String,
    pub(super) country: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Unit {
    pub(super) symbol: String,
    /// Decimals that a quantity may have.
    pub(super) digits: u32,
}

#[derive(Debug, Clone)]
pub(super) struct Tax {
    pub(super) name: String,
    pub(super) rate: Decimal,
}

#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) name: String,
    /// `goods` or `service`.
    pub(super) kind: &'static str,
    pub(super) list_price: Decimal,
    pub(super) unit: i64,
    pub(super) salable: bool,
    pub(super) taxes: Vec<i64>,
    /// Without an accounting category a sale of it cannot be processed.
    pub(super) accounted: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Party {
    pub(super) name: Option<String>,
    pub(super) code: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Address {
    pub(super) party: i64,
    pub(super) party_name: Option<String>,
    pub(super) attn: Option<String>,
    pub(super) street: Option<String>,
    pub(super) postal_code: Option<String>,
    pub(super) city: Option<String>,
    pub(super) country: Option<i64>,
    pub(super) subdivision: Option<i64>,
    pub(super) invoice: bool,
    pub(super) delivery: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Contact {
    pub(super) party: i64,
    pub(super) kind: String,
    pub(super) value: String,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Identifier {
    pub(super) party: i64,
    pub(super) kind: Option<String>,
    pub(super) code: String,
}

#[derive(Debug, Clone)]
pub(super) struct Product {
    pub(super) template: i64,
    pub(super) code: Option<String>,
    pub(super) active: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Location {
    pub(super) code: Option<String>,
    pub(super) name: String,
    /// `warehouse`, `storage`, `customer`, `supplier` or `lost_found`.
    pub(super) kind: &'static str,
    pub(super) parent: Option<i64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) untaxed: Decimal,
    pub(super) tax: Decimal,
}

impl Totals {
    pub(super) fn total(self) -> Decimal {
        self.untaxed + self.tax
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Sale {
    pub(super) number: Option<String>,
    pub(super) state: &'static str,
    pub(super) party: i64,
    pub(super) invoice_address: Option<i64>,
    pub(super) shipment_address: Option<i64>,
    pub(super) currency: i64,
    pub(super) payment_term: Option<i64>,
    pub(super) warehouse: Option<i64>,
    pub(super) web_shop: Option<i64>,
    pub(super) web_id: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) description: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) sale_date: Option<NaiveDate>,
    pub(super) shipping_date: Option<NaiveDate>,
    pub(super) carrier: Option<i64>,
    pub(super) shipment_cost_method: Option<String>,
    pub(super) invoice_method: &'static str,
    pub(super) shipment_method: &'static str,
    pub(super) origin: Option<(Model, i64)>,
    pub(super) invoice_state: &'static str,
    pub(super) shipment_state: &'static str,
    pub(super) invoices_ignored: BTreeSet<i64>,
    /// Fixed at confirmation.
    pub(super) cached: Option<Totals>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct SaleLine {
    pub(super) sale: i64,
    /// `line`, `comment`, `title` or `subtotal`.
    pub(super) kind: String,
    pub(super) product: Option<i64>,
    pub(super) unit: Option<i64>,
    pub(super) quantity: Decimal,
    pub(super) unit_price: Decimal,
    pub(super) taxes: BTreeSet<i64>,
    pub(super) description: Option<String>,
    pub(super) moves_ignored: BTreeSet<i64>,
    pub(super) actual_quantity: Option<Decimal>,
}

#[derive(Debug, Clone)]
pub(super) struct Move {
    pub(super) product: i64,
    pub(super) quantity: Decimal,
    pub(super) unit: i64,
    pub(super) from: i64,
    pub(super) to: i64,
    /// `draft`, `assigned`, `done` or `cancelled`.
    pub(super) state: &'static str,
    pub(super) origin: Option<(Model, i64)>,
    pub(super) shipment: Option<(Model, i64)>,
    pub(super) planned_date: Option<NaiveDate>,
    pub(super) effective_date: Option<NaiveDate>,
}

/// A customer shipment, or the return of one.
#[derive(Debug, Clone)]
pub(super) struct Shipment {
    pub(super) number: String,
    pub(super) state: &'static str,
    pub(super) reference: Option<String>,
    pub(super) customer: i64,
    pub(super) address: Option<i64>,
    pub(super) warehouse: i64,
    pub(super) planned_date: Option<NaiveDate>,
    pub(super) effective_date: Option<NaiveDate>,
}

#[derive(Debug, Clone)]
pub(super) struct Invoice {
    pub(super) number: Option<String>,
    /// `draft`, `validated`, `posted`, `paid` or `cancelled`.
    pub(super) state: &'static str,
    pub(super) party: i64,
    pub(super) currency: i64,
    pub(super) reference: Option<String>,
    pub(super) invoice_date: Option<NaiveDate>,
    pub(super) paid: Decimal,
}

#[derive(Debug, Clone)]
pub(super) struct InvoiceLine {
    pub(super) invoice: i64,
    pub(super) origin: i64,
    pub(super) product: Option<i64>,
    pub(super) unit: Option<i64>,
    pub(super) quantity: Decimal,
    pub(super) unit_price: Decimal,
    pub(super) taxes: BTreeSet<i64>,
    pub(super) description: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Inventory {
    pub(super) location: i64,
    pub(super) date: NaiveDate,
    pub(super) state: &'static str,
    pub(super) empty_quantity: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct InventoryLine {
    pub(super) inventory: i64,
    pub(super) product: i64,
    pub(super) quantity: Option<Decimal>,
}

plain!(Named, Currency, Country, Subdivision, Unit, Tax, Shipment, Invoice, Inventory, Location, Template);
owned! {
    Address, party;
    SaleLine, sale;
    InventoryLine, inventory;
}

impl Row for Party {
    type Index = ByKey<String>;

    fn enter(&self, id: i64, index: &mut Self::Index) {
        index.add(self.code.clone(), id);
    }

    fn leave(&self, id: i64, index: &mut Self::Index) {
        index.remove(&self.code, id);
    }
}

#[derive(Debug, Default)]
pub(super) struct ContactIndex {
    pub(super) by_party: ByKey<i64>,
    /// In lower case.
    pub(super) by_value: ByKey<String>,
}

impl Row for Contact {
    type Index = ContactIndex;

    fn enter(&self, id: i64, index: &mut Self::Index) {
        index.by_party.add(self.party, id);
        index.by_value.add(self.value.to_lowercase(), id);
    }

    fn leave(&self, id: i64, index: &mut Self::Index) {
        index.by_party.remove(&self.party, id);
        index.by_value.remove(&self.value.to_lowercase(), id);
    }
}

#[derive(Debug, Default)]
pub(super) struct IdentifierIndex {
    pub(super) by_party: ByKey<i64>,
    pub(super) by_code: ByKey<String>,
}

impl Row for Identifier {
    type Index = IdentifierIndex;

    fn enter(&self, id: i64, index: &mut Self::Index) {
        index.by_party.add(self.party, id);
        index.by_code.add(self.code.clone(), id);
    }

    fn leave(&self, id: i64, index: &mut Self::Index) {
        index.by_party.remove(&self.party, id);
        index.by_code.remove(&self.code, id);
    }
}

impl Row for Product {
    type Index = ByKey<String>;

    fn enter(&self, id: i64, index: &mut Self::Index) {
        if let Some(code) = &self.code {
            index.add(code.clone(), id);
        }
    }

    fn leave(&self, id: i64, index: &mut Self::Index) {
        if let Some(code) = &self.code {
            index.remove(code, id);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct SaleIndex {
    pub(super) by_web_id: ByKey<String>,
    pub(super) by_origin: ByKey<(Model, i64)>,
    pub(super) by_number: ByKey<String>,
}

impl Row for Sale {
    type Index = SaleIndex;

    fn enter(&self, id: i64, index: &mut Self::Index) {
        if let Some(web_id) = &self.web_id {
            index.by_web_id.add(web_id.clone(), id);
        }
        if let Some(origin) = self.origin {
            index.by_origin.add(origin, id);
        }
        if let Some(number) = &self.number {
            index.by_number.add(number.clone(), id);
        }
    }

    fn leave(&self, id: i64, index: &mut Self::Index) {
        if let Some(web_id) = &self.web_id {
            index.by_web_id.remove(web_id, id);
        }
        if let Some(origin) = self.origin {
            index.by_origin.remove(&origin, id);
        }
        if let Some(number) = &self.number {
            index.by_number.remove(number, id);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct MoveIndex {
    /// What lies where, from done moves.
    pub(super) done: BTreeMap<(i64, i64), Decimal>,
    /// What assigned moves will take away.
    pub(super) assigned: BTreeMap<(i64, i64), Decimal>,
    /// What all open moves will change.
    pub(super) expected: BTreeMap<(i64, i64), Decimal>,
    /// Draft and assigned moves by product.
    pub(super) open: ByKey<i64>,
    pub(super) by_origin: ByKey<(Model, i64)>,
    pub(super) by_shipment: ByKey<(Model, i64)>,
}

impl Move {
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, "draft" | "assigned")
    }

    /// Adds the move to the sums, or with `sign` -1 takes it out.
    fn count(&self, index: &mut MoveIndex, sign: Decimal) {
        let quantity = self.quantity * sign;
        let mut add = |sums: fn(&mut MoveIndex) -> &mut BTreeMap<(i64, i64), Decimal>, location, quantity| {
            *sums(index).entry((self.product, location)).or_default() += quantity;
        };
        match self.state {
            "done" => {
                add(|it| &mut it.done, self.from, -quantity);
                add(|it| &mut it.done, self.to, quantity);
            }
            "draft" | "assigned" => {
                add(|it| &mut it.expected, self.from, -quantity);
                add(|it| &mut it.expected, self.to, quantity);
                if self.state == "assigned" {
                    add(|it| &mut it.assigned, self.from, quantity);
                }
            }
            _ => {}
        }
    }
}

impl Row for Move {
    type Index = MoveIndex;

    fn enter(&self, id: i64, index: &mut Self::Index) {
        self.count(index, Decimal::ONE);
        if self.is_open() {
            index.open.add(self.product, id);
        }
        if let Some(origin) = self.origin {
            index.by_origin.add(origin, id);
        }
        if let Some(shipment) = self.shipment {
            index.by_shipment.add(shipment, id);
        }
    }

    fn leave(&self, id: i64, index: &mut Self::Index) {
        self.count(index, Decimal::NEGATIVE_ONE);
        if self.is_open() {
            index.open.remove(&self.product, id);
        }
        if let Some(origin) = self.origin {
            index.by_origin.remove(&origin, id);
        }
        if let Some(shipment) = self.shipment {
            index.by_shipment.remove(&shipment, id);
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct InvoiceLineIndex {
    pub(super) by_invoice: ByKey<i64>,
    pub(super) by_sale_line: ByKey<i64>,
}

impl Row for InvoiceLine {
    type Index = InvoiceLineIndex;

    fn enter(&self, id: i64, index: &mut Self::Index) {
        index.by_invoice.add(self.invoice, id);
        index.by_sale_line.add(self.origin, id);
    }

    fn leave(&self, id: i64, index: &mut Self::Index) {
        index.by_invoice.remove(&self.invoice, id);
        index.by_sale_line.remove(&self.origin, id);
    }
}
