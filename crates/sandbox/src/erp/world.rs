//! The ERP's whole state, and transactions on it: one lock, one transaction.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, SubsecRound, Utc};
use rust_decimal::Decimal;

use super::effects_of;
use super::fail::Fail;
use super::model::Model;
use super::rows::{
    Address, Contact, Country, Currency, Identifier, Inventory, InventoryLine, Invoice, InvoiceLine, Location, Move, Named, Party, Product,
    Sale, SaleLine, Shipment, Subdivision, Tax, Template, Unit,
};
use super::seed::Places;
use super::settings::{Dedupe, Processing, TaxRounding};
use super::table::{Stamps, Table};
use crate::effects::Draft;

/// Calls `$f!(name)` for every table.
macro_rules! each_table {
    ($world:expr, $table:ident => $body:expr) => {{
        {
            let $table = &mut $world.addresses;
            $body;
        }
        {
            let $table = &mut $world.contacts;
            $body;
        }
        {
            let $table = &mut $world.identifiers;
            $body;
        }
        {
            let $table = &mut $world.parties;
            $body;
        }
        {
            let $table = &mut $world.templates;
            $body;
        }
        {
            let $table = &mut $world.products;
            $body;
        }
        {
            let $table = &mut $world.sales;
            $body;
        }
        {
            let $table = &mut $world.sale_lines;
            $body;
        }
        {
            let $table = &mut $world.moves;
            $body;
        }
        {
            let $table = &mut $world.shipments;
            $body;
        }
        {
            let $table = &mut $world.returns;
            $body;
        }
        {
            let $table = &mut $world.invoices;
            $body;
        }
        {
            let $table = &mut $world.invoice_lines;
            $body;
        }
        {
            let $table = &mut $world.inventories;
            $body;
        }
        {
            let $table = &mut $world.inventory_lines;
            $body;
        }
        {
            let $table = &mut $world.companies;
            $body;
        }
        {
            let $table = &mut $world.carriers;
            $body;
        }
        {
            let $table = &mut $world.web_shops;
            $body;
        }
        {
            let $table = &mut $world.payment_terms;
            $body;
        }
        {
            let $table = &mut $world.currencies;
            $body;
        }
        {
            let $table = &mut $world.countries;
            $body;
        }
        {
            let $table = &mut $world.subdivisions;
            $body;
        }
        {
            let $table = &mut $world.units;
            $body;
        }
        {
            let $table = &mut $world.taxes;
            $body;
        }
        {
            let $table = &mut $world.locations;
            $body;
        }
    }};
}

/// How the ERP behaves, where that is a choice.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conduct {
    pub(super) tax_rounding: TaxRounding,
    pub(super) dedupe: Dedupe,
    pub(super) processing: Processing,
    /// Its user may cancel shipments that are done.
    pub(super) stock_cancellation: bool,
    /// Look-ups by external id don't see sales younger than this.
    pub(super) lookup_lag: chrono::Duration,
}

pub(super) struct World {
    pub(super) conduct: Conduct,
    pub(super) places: Places,
    pub(super) companies: Table<Named>,
    pub(super) carriers: Table<Named>,
    pub(super) web_shops: Table<Named>,
    pub(super) payment_terms: Table<Named>,
    pub(super) currencies: Table<Currency>,
    pub(super) countries: Table<Country>,
    pub(super) subdivisions: Table<Subdivision>,
    pub(super) units: Table<Unit>,
    pub(super) taxes: Table<Tax>,
    pub(super) locations: Table<Location>,
    pub(super) templates: Table<Template>,
    pub(super) products: Table<Product>,
    pub(super) parties: Table<Party>,
    pub(super) addresses: Table<Address>,
    pub(super) contacts: Table<Contact>,
    pub(super) identifiers: Table<Identifier>,
    pub(super) sales: Table<Sale>,
    pub(super) sale_lines: Table<SaleLine>,
    pub(super) moves: Table<Move>,
    pub(super) shipments: Table<Shipment>,
    pub(super) returns: Table<Shipment>,
    pub(super) invoices: Table<Invoice>,
    pub(super) invoice_lines: Table<InvoiceLine>,
    pub(super) inventories: Table<Inventory>,
    pub(super) inventory_lines: Table<InventoryLine>,
    /// Next numbers of the sequences. Only invoices are numbered without gaps.
    pub(super) numbers: Numbers,
    /// Warnings that will be raised, by the method that raises them.
    pub(super) warnings: BTreeMap<String, String>,
    /// Warnings that the user has answered with "go on".
    pub(super) skipped: BTreeSet<String>,
    /// Sales to process after the present transaction.
    queue: Vec<i64>,
    /// The present transaction's time.
    pub(super) now: DateTime<Utc>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Numbers {
    pub(super) sale: u64,
    pub(super) party: u64,
    pub(super) shipment: u64,
    pub(super) shipment_return: u64,
    pub(super) invoice: u64,
}

impl Numbers {
    pub(super) fn take(number: &mut u64) -> String {
        *number += 1;
        (*number - 1).to_string()
    }
}

/// What a committed transaction leaves to do and to tell.
#[derive(Debug, Default)]
pub(super) struct Committed {
    pub(super) effects: Vec<Draft>,
    pub(super) to_process: Vec<i64>,
}

impl World {
    pub(super) fn empty(conduct: Conduct) -> Self {
        Self {
            conduct,
            places: Places::default(),
            companies: Table::default(),
            carriers: Table::default(),
            web_shops: Table::default(),
            payment_terms: Table::default(),
            currencies: Table::default(),
            countries: Table::default(),
            subdivisions: Table::default(),
            units: Table::default(),
            taxes: Table::default(),
            locations: Table::default(),
            templates: Table::default(),
            products: Table::default(),
            parties: Table::default(),
            addresses: Table::default(),
            contacts: Table::default(),
            identifiers: Table::default(),
            sales: Table::default(),
            sale_lines: Table::default(),
            moves: Table::default(),
            shipments: Table::default(),
            returns: Table::default(),
            invoices: Table::default(),
            invoice_lines: Table::default(),
            inventories: Table::default(),
            inventory_lines: Table::default(),
            numbers: Numbers { sale: 1, party: 1, shipment: 1, shipment_return: 1, invoice: 1 },
            warnings: BTreeMap::new(),
            skipped: BTreeSet::new(),
            queue: Vec::new(),
            now: DateTime::UNIX_EPOCH,
        }
    }

    /// Runs `work` as one transaction: all of it, or nothing. `method` names it in the effects.
    pub(super) fn transact<T>(
        &mut self,
        method: &str,
        now: DateTime<Utc>,
        work: impl FnOnce(&mut Self) -> Result<T, Fail>,
    ) -> Result<(T, Committed), Fail> {
        // Stamps have microseconds on the wire: what is read must be what is kept.
        let now = now.trunc_subsecs(6);
        self.now = now;
        self.queue.clear();
        let invoice_number = self.numbers.invoice;
        each_table!(self, table => table.begin(now));
        match work(self) {
            Ok(value) => {
                let effects = effects_of::transaction(self, method);
                each_table!(self, table => table.commit());
                let mut to_process = std::mem::take(&mut self.queue);
                to_process.sort_unstable();
                to_process.dedup();
                Ok((value, Committed { effects, to_process }))
            }
            Err(fail) => {
                each_table!(self, table => table.rollback());
                self.numbers.invoice = invoice_number;
                self.queue.clear();
                Err(fail)
            }
        }
    }

    /// Has the sale processed after this transaction, as the ERP's queue does.
    pub(super) fn enqueue(&mut self, sale: i64) {
        self.queue.push(sale);
    }

    pub(super) fn today(&self) -> NaiveDate {
        self.now.date_naive()
    }

    pub(super) fn stamps(&self, model: Model, id: i64) -> Option<Stamps> {
        match model {
            Model::Address => self.addresses.stamps(id),
            Model::Carrier => self.carriers.stamps(id),
            Model::Company => self.companies.stamps(id),
            Model::Contact => self.contacts.stamps(id),
            Model::Country => self.countries.stamps(id),
            Model::Currency => self.currencies.stamps(id),
            Model::Identifier => self.identifiers.stamps(id),
            Model::Inventory => self.inventories.stamps(id),
            Model::InventoryLine => self.inventory_lines.stamps(id),
            Model::Invoice => self.invoices.stamps(id),
            Model::InvoiceLine => self.invoice_lines.stamps(id),
            Model::Location => self.locations.stamps(id),
            Model::Move => self.moves.stamps(id),
            Model::Party => self.parties.stamps(id),
            // Nobody pays through the double; sales show an empty list.
            Model::Payment => None,
            Model::PaymentTerm => self.payment_terms.stamps(id),
            Model::Product => self.products.stamps(id),
            Model::Return => self.returns.stamps(id),
            Model::Sale => self.sales.stamps(id),
            Model::SaleLine => self.sale_lines.stamps(id),
            Model::Shipment => self.shipments.stamps(id),
            Model::Subdivision => self.subdivisions.stamps(id),
            Model::Tax => self.taxes.stamps(id),
            Model::Template => self.templates.stamps(id),
            Model::Unit => self.units.stamps(id),
            Model::WebShop => self.web_shops.stamps(id),
        }
    }

    pub(super) fn has(&self, model: Model, id: i64) -> bool {
        self.stamps(model, id).is_some()
    }

    pub(super) fn ids(&self, model: Model) -> Vec<i64> {
        match model {
            Model::Address => self.addresses.ids().collect(),
            Model::Carrier => self.carriers.ids().collect(),
            Model::Company => self.companies.ids().collect(),
            Model::Contact => self.contacts.ids().collect(),
            Model::Country => self.countries.ids().collect(),
            Model::Currency => self.currencies.ids().collect(),
            Model::Identifier => self.identifiers.ids().collect(),
            Model::Inventory => self.inventories.ids().collect(),
            Model::InventoryLine => self.inventory_lines.ids().collect(),
            Model::Invoice => self.invoices.ids().collect(),
            Model::InvoiceLine => self.invoice_lines.ids().collect(),
            Model::Location => self.locations.ids().collect(),
            Model::Move => self.moves.ids().collect(),
            Model::Party => self.parties.ids().collect(),
            Model::Payment => Vec::new(),
            Model::PaymentTerm => self.payment_terms.ids().collect(),
            Model::Product => self.products.ids().collect(),
            Model::Return => self.returns.ids().collect(),
            Model::Sale => self.sales.ids().collect(),
            Model::SaleLine => self.sale_lines.ids().collect(),
            Model::Shipment => self.shipments.ids().collect(),
            Model::Subdivision => self.subdivisions.ids().collect(),
            Model::Tax => self.taxes.ids().collect(),
            Model::Template => self.templates.ids().collect(),
            Model::Unit => self.units.ids().collect(),
            Model::WebShop => self.web_shops.ids().collect(),
        }
    }

    /// Ids of rows changed at `since` or later, for the models that grow.
    pub(super) fn modified_since(&self, model: Model, since: DateTime<Utc>) -> Option<Vec<i64>> {
        match model {
            Model::Sale => Some(self.sales.modified_since(since)),
            Model::SaleLine => Some(self.sale_lines.modified_since(since)),
            Model::Move => Some(self.moves.modified_since(since)),
            Model::Shipment => Some(self.shipments.modified_since(since)),
            Model::Return => Some(self.returns.modified_since(since)),
            Model::Invoice => Some(self.invoices.modified_since(since)),
            Model::Party => Some(self.parties.modified_since(since)),
            Model::Address => Some(self.addresses.modified_since(since)),
            _ => None,
        }
    }

    /// What lies in these places, places within them included.
    pub(super) fn on_hand(&self, product: i64, locations: &[i64]) -> Decimal {
        self.sum(&self.moves.index.done, product, locations)
    }

    pub(super) fn sum(&self, sums: &BTreeMap<(i64, i64), Decimal>, product: i64, locations: &[i64]) -> Decimal {
        let of_product = sums.range((product, i64::MIN)..=(product, i64::MAX));
        of_product.filter(|((_, location), _)| self.is_within(*location, locations)).map(|(_, quantity)| *quantity).sum()
    }

    pub(super) fn is_within(&self, location: i64, of: &[i64]) -> bool {
        let mut next = Some(location);
        while let Some(id) = next {
            if of.contains(&id) {
                return true;
            }
            next = self.locations.get(id).and_then(|it| it.parent);
        }
        false
    }

    /// In open moves to customers.
    pub(super) fn reserved(&self, product: i64) -> Decimal {
        let open = self.moves.index.open.get(&product);
        let moves = open.into_iter().map(|id| self.moves.row(id));
        moves.filter(|it| it.to == self.places.customer).map(|it| it.quantity).sum()
    }

    pub(super) fn product_of_code(&self, code: &str) -> Option<i64> {
        self.products.index.get(code).into_iter().find(|id| self.products.row(*id).active)
    }
}
