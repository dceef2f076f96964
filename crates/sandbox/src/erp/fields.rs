//! Every field that can be read, by model and name.

use chrono::{DateTime, Timelike, Utc};
use rust_decimal::Decimal;

use super::cell::Cell;
use super::fail::Fail;
use super::model::Model;
use super::rows::Shipment;
use super::totals;
use super::world::World;

/// The part of a call's context that fields depend on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) locations: Vec<i64>,
    /// Assigned moves count as gone.
    pub(super) stock_assign: bool,
}

impl World {
    /// The row must exist.
    pub(super) fn get(&self, model: Model, id: i64, field: &str, scope: &Scope) -> Result<Cell, Fail> {
        match field {
            "id" => return Ok(Cell::Int(id)),
            "create_uid" | "write_uid" => return Ok(Cell::Int(self.places.user)),
            "rec_name" => return Ok(Cell::Text(self.rec_name(model, id))),
            "create_date" | "write_date" | "last_modified_at" | "_timestamp" => return Ok(self.stamp(model, id, field)),
            _ => {}
        }
        let cell = match model {
            Model::Address => self.address(id, field),
            Model::Carrier | Model::Company | Model::PaymentTerm | Model::WebShop => self.named(model, id, field),
            Model::Contact => self.contact(id, field),
            Model::Country => (field == "code").then(|| Cell::Text(self.countries.row(id).code.clone())),
            Model::Currency => self.currency(id, field),
            Model::Identifier => self.identifier(id, field),
            Model::Inventory => self.inventory(id, field),
            Model::InventoryLine => self.inventory_line(id, field),
            Model::Invoice => self.invoice(id, field),
            Model::InvoiceLine => self.invoice_line(id, field),
            Model::Location => self.location(id, field),
            Model::Move => self.stock_move(id, field),
            Model::Party => self.party(id, field),
            Model::Payment => None,
            Model::Product => self.product(id, field, scope),
            Model::Return => self.shipment(model, self.returns.row(id), id, field),
            Model::Sale => self.sale(id, field),
            Model::SaleLine => self.sale_line(id, field),
            Model::Shipment => self.shipment(model, self.shipments.row(id), id, field),
            Model::Subdivision => self.subdivision(id, field),
            Model::Tax => self.tax(id, field),
            Model::Template => self.template(id, field),
            Model::Unit => self.unit(id, field),
        };
        cell.ok_or_else(|| Fail::key(field))
    }

    fn stamp(&self, model: Model, id: i64, field: &str) -> Cell {
        let Some(stamps) = self.stamps(model, id) else { return Cell::Null };
        match field {
            "create_date" => Cell::Time(stamps.created),
            "write_date" => stamps.written.map_or(Cell::Null, Cell::Time),
            "_timestamp" => Cell::Text(timestamp(stamps.modified())),
            _ => Cell::Time(stamps.modified()),
        }
    }

    /// How messages name a record.
    pub(super) fn rec_name(&self, model: Model, id: i64) -> String {
        match model {
            Model::Sale => {
                let sale = self.sales.row(id);
                let parts = [sale.number.clone(), sale.reference.as_ref().map(|it| format!("[{it}]"))];
                let name = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
                if name.is_empty() { format!("({id})") } else { name }
            }
            Model::Product => {
                let product = self.products.row(id);
                let name = &self.templates.row(product.template).name;
                product.code.as_ref().map_or_else(|| name.clone(), |code| format!("[{code}] {name}"))
            }
            Model::Party => self.parties.row(id).name.clone().unwrap_or_else(|| format!("[{}]", self.parties.row(id).code)),
            Model::Shipment => self.shipments.row(id).number.clone(),
            Model::Return => self.returns.row(id).number.clone(),
            Model::Invoice => self.invoices.row(id).number.clone().unwrap_or_else(|| format!("({id})")),
            Model::Inventory => format!("[{id}]"),
            _ => id.to_string(),
        }
    }

    fn named(&self, model: Model, id: i64, field: &str) -> Option<Cell> {
        let table = match model {
            Model::Carrier => &self.carriers,
            Model::Company => &self.companies,
            Model::PaymentTerm => &self.payment_terms,
            _ => &self.web_shops,
        };
        (field == "name").then(|| Cell::Text(table.row(id).name.clone()))
    }

    fn currency(&self, id: i64, field: &str) -> Option<Cell> {
        let currency = self.currencies.row(id);
        Some(match field {
            "code" => Cell::Text(currency.code.clone()),
            "digits" => Cell::Int(currency.digits.into()),
            "rounding" => Cell::Decimal(Decimal::new(1, currency.digits)),
            _ => return None,
        })
    }

    fn subdivision(&self, id: i64, field: &str) -> Option<Cell> {
        let subdivision = self.subdivisions.row(id);
        Some(match field {
            "code" => Cell::Text(subdivision.code.clone()),
            "country" => Cell::One(Model::Country, subdivision.country),
            _ => return None,
        })
    }

    fn unit(&self, id: i64, field: &str) -> Option<Cell> {
        let unit = self.units.row(id);
        Some(match field {
            "symbol" => Cell::Text(unit.symbol.clone()),
            "digits" => Cell::Int(unit.digits.into()),
            _ => return None,
        })
    }

    fn tax(&self, id: i64, field: &str) -> Option<Cell> {
        let tax = self.taxes.row(id);
        Some(match field {
            "name" | "description" => Cell::Text(tax.name.clone()),
            "rate" => Cell::Decimal(tax.rate),
            "type" => Cell::Text("percentage".to_owned()),
            _ => return None,
        })
    }

    fn location(&self, id: i64, field: &str) -> Option<Cell> {
        let location = self.locations.row(id);
        Some(match field {
            "code" => Cell::text(&location.code),
            "name" => Cell::Text(location.name.clone()),
            "type" => Cell::Text(location.kind.to_owned()),
            "parent" => Cell::one(Model::Location, location.parent),
            _ => return None,
        })
    }

    fn template(&self, id: i64, field: &str) -> Option<Cell> {
        let template = self.templates.row(id);
        Some(match field {
            "name" => Cell::Text(template.name.clone()),
            "type" => Cell::Text(template.kind.to_owned()),
            "list_price" => Cell::Decimal(template.list_price),
            "default_uom" | "sale_uom" => Cell::One(Model::Unit, template.unit),
            "salable" => Cell::Bool(template.salable),
            "customer_taxes_used" => Cell::Many(Model::Tax, template.taxes.clone()),
            "products" => Cell::Many(Model::Product, self.products.iter().filter(|(_, it)| it.template == id).map(|(id, _)| id).collect()),
            _ => return None,
        })
    }

    fn product(&self, id: i64, field: &str, scope: &Scope) -> Option<Cell> {
        let product = self.products.row(id);
        Some(match field {
            "code" => Cell::text(&product.code),
            "active" => Cell::Bool(product.active),
            "template" => Cell::One(Model::Template, product.template),
            "quantity" => {
                let gone = if scope.stock_assign { self.sum(&self.moves.index.assigned, id, &scope.locations) } else { Decimal::ZERO };
                Cell::Quantity(self.on_hand(id, &scope.locations) - gone)
            }
            "forecast_quantity" => {
                Cell::Quantity(self.on_hand(id, &scope.locations) + self.sum(&self.moves.index.expected, id, &scope.locations))
            }
            // The rest is the template's.
            _ => return self.template(product.template, field).filter(|_| field != "products"),
        })
    }

    fn party(&self, id: i64, field: &str) -> Option<Cell> {
        let party = self.parties.row(id);
        Some(match field {
            "name" => Cell::text(&party.name),
            "code" => Cell::Text(party.code.clone()),
            "active" => Cell::Bool(true),
            "addresses" => Cell::Many(Model::Address, self.addresses.index.get(&id)),
            "contact_mechanisms" => Cell::Many(Model::Contact, self.contacts.index.by_party.get(&id)),
            "identifiers" => Cell::Many(Model::Identifier, self.identifiers.index.by_party.get(&id)),
            "email" | "phone" => {
                let contacts = self.contacts.index.by_party.get(&id);
                let first = contacts.into_iter().map(|it| self.contacts.row(it)).find(|it| it.kind == field);
                first.map_or(Cell::Null, |it| Cell::Text(it.value.clone()))
            }
            _ => return None,
        })
    }

    fn address(&self, id: i64, field: &str) -> Option<Cell> {
        let address = self.addresses.row(id);
        Some(match field {
            "party" => Cell::One(Model::Party, address.party),
            "party_name" => Cell::text(&address.party_name),
            "attn" => Cell::text(&address.attn),
            "street" | "street_unstructured" => Cell::text(&address.street),
            "postal_code" => Cell::text(&address.postal_code),
            "city" => Cell::text(&address.city),
            "country" => Cell::one(Model::Country, address.country),
            "subdivision" => Cell::one(Model::Subdivision, address.subdivision),
            "invoice" => Cell::Bool(address.invoice),
            "delivery" => Cell::Bool(address.delivery),
            "active" => Cell::Bool(true),
            _ => return None,
        })
    }

    fn contact(&self, id: i64, field: &str) -> Option<Cell> {
        let contact = self.contacts.row(id);
        Some(match field {
            "party" => Cell::One(Model::Party, contact.party),
            "type" => Cell::Text(contact.kind.clone()),
            "value" => Cell::Text(contact.value.clone()),
            _ => return None,
        })
    }

    fn identifier(&self, id: i64, field: &str) -> Option<Cell> {
        let identifier = self.identifiers.row(id);
        Some(match field {
            "party" => Cell::One(Model::Party, identifier.party),
            "type" => Cell::text(&identifier.kind),
            "code" => Cell::Text(identifier.code.clone()),
            _ => return None,
        })
    }

    fn sale(&self, id: i64, field: &str) -> Option<Cell> {
        let sale = self.sales.row(id);
        let totals = || sale.cached.unwrap_or_else(|| totals::of_sale(self, id));
        Some(match field {
            "number" => Cell::text(&sale.number),
            "state" => Cell::Text(sale.state.to_owned()),
            "company" => Cell::One(Model::Company, self.places.company),
            "party" => Cell::One(Model::Party, sale.party),
            "invoice_party" | "shipment_party" => Cell::Null,
            "invoice_address" => Cell::one(Model::Address, sale.invoice_address),
            "shipment_address" => Cell::one(Model::Address, sale.shipment_address),
            "currency" => Cell::One(Model::Currency, sale.currency),
            "payment_term" => Cell::one(Model::PaymentTerm, sale.payment_term),
            "warehouse" => Cell::one(Model::Location, sale.warehouse),
            "web_shop" => Cell::one(Model::WebShop, sale.web_shop),
            "web_id" => Cell::text(&sale.web_id),
            "reference" => Cell::text(&sale.reference),
            "description" => Cell::text(&sale.description),
            "comment" => Cell::text(&sale.comment),
            "sale_date" => Cell::date(sale.sale_date),
            "shipping_date" => Cell::date(sale.shipping_date),
            "carrier" => Cell::one(Model::Carrier, sale.carrier),
            "shipment_cost_method" => Cell::text(&sale.shipment_cost_method),
            "invoice_method" => Cell::Text(sale.invoice_method.to_owned()),
            "shipment_method" => Cell::Text(sale.shipment_method.to_owned()),
            "origin" => Cell::reference(sale.origin),
            "invoice_state" => Cell::Text(sale.invoice_state.to_owned()),
            "shipment_state" => Cell::Text(sale.shipment_state.to_owned()),
            "untaxed_amount" => Cell::Decimal(totals().untaxed),
            "tax_amount" => Cell::Decimal(totals().tax),
            "total_amount" => Cell::Decimal(totals().total()),
            "payments" => Cell::Many(Model::Payment, Vec::new()),
            "lines" | "line_lines" => Cell::Many(Model::SaleLine, self.sale_lines.index.get(&id)),
            "invoices" => Cell::Many(Model::Invoice, self.invoices_of(id)),
            "invoices_ignored" => Cell::Many(Model::Invoice, sale.invoices_ignored.iter().copied().collect()),
            "shipments" => Cell::Many(Model::Shipment, self.shipments_of(id, Model::Shipment)),
            "shipment_returns" => Cell::Many(Model::Return, self.shipments_of(id, Model::Return)),
            "moves" => Cell::Many(Model::Move, self.moves_of(id)),
            _ => return None,
        })
    }

    fn sale_line(&self, id: i64, field: &str) -> Option<Cell> {
        let line = self.sale_lines.row(id);
        let is_line = line.kind == "line";
        Some(match field {
            "sale" => Cell::One(Model::Sale, line.sale),
            "type" => Cell::Text(line.kind.clone()),
            "product" => Cell::one(Model::Product, line.product),
            "unit" => Cell::one(Model::Unit, line.unit),
            "quantity" if is_line => Cell::Quantity(line.quantity),
            "actual_quantity" if is_line => line.actual_quantity.map_or(Cell::Null, Cell::Quantity),
            "unit_price" if is_line => Cell::Decimal(line.unit_price),
            "quantity" | "actual_quantity" | "unit_price" => Cell::Null,
            "amount" => Cell::Decimal(totals::line_amount(line.quantity, line.unit_price, self.digits_of_sale(line.sale))),
            "taxes" => Cell::Many(Model::Tax, line.taxes.iter().copied().collect()),
            "description" => Cell::text(&line.description),
            "moves" => Cell::Many(Model::Move, self.moves.index.by_origin.get(&(Model::SaleLine, id))),
            "moves_ignored" => Cell::Many(Model::Move, line.moves_ignored.iter().copied().collect()),
            // Nobody makes one again here.
            "moves_recreated" => Cell::Many(Model::Move, Vec::new()),
            "invoice_lines" => Cell::Many(Model::InvoiceLine, self.invoice_lines.index.by_sale_line.get(&id)),
            "sale_state" => Cell::Text(self.sales.row(line.sale).state.to_owned()),
            _ => return None,
        })
    }

    fn stock_move(&self, id: i64, field: &str) -> Option<Cell> {
        let row = self.moves.row(id);
        Some(match field {
            "product" => Cell::One(Model::Product, row.product),
            "quantity" | "internal_quantity" => Cell::Quantity(row.quantity),
            "unit" => Cell::One(Model::Unit, row.unit),
            "from_location" => Cell::One(Model::Location, row.from),
            "to_location" => Cell::One(Model::Location, row.to),
            "state" => Cell::Text(row.state.to_owned()),
            "company" => Cell::One(Model::Company, self.places.company),
            "origin" => Cell::reference(row.origin),
            "shipment" => Cell::reference(row.shipment),
            "sale" => Cell::one(Model::Sale, self.sale_of_move(id)),
            "planned_date" => Cell::date(row.planned_date),
            "effective_date" => Cell::date(row.effective_date),
            _ => return None,
        })
    }

    fn shipment(&self, model: Model, shipment: &Shipment, id: i64, field: &str) -> Option<Cell> {
        let (to_partner, inside) = self.shipment_moves(model, id);
        Some(match field {
            "number" => Cell::Text(shipment.number.clone()),
            "state" => Cell::Text(shipment.state.to_owned()),
            "reference" => Cell::text(&shipment.reference),
            "company" => Cell::One(Model::Company, self.places.company),
            "customer" => Cell::One(Model::Party, shipment.customer),
            "delivery_address" | "contact_address" => Cell::one(Model::Address, shipment.address),
            "warehouse" => Cell::One(Model::Location, shipment.warehouse),
            "planned_date" => Cell::date(shipment.planned_date),
            "effective_date" => Cell::date(shipment.effective_date),
            "moves" => Cell::Many(Model::Move, self.moves.index.by_shipment.get(&(model, id))),
            "outgoing_moves" if model == Model::Shipment => Cell::Many(Model::Move, to_partner),
            "incoming_moves" if model == Model::Return => Cell::Many(Model::Move, to_partner),
            "inventory_moves" => Cell::Many(Model::Move, inside),
            "partially_assigned" => {
                let states: Vec<_> = inside.iter().map(|it| self.moves.row(*it).state).collect();
                Cell::Bool(states.contains(&"assigned") && states.contains(&"draft"))
            }
            "origins" => {
                let mut sales: Vec<_> = to_partner.iter().filter_map(|it| self.sale_of_move(*it)).collect();
                sales.dedup();
                Cell::Text(sales.into_iter().map(|it| self.rec_name(Model::Sale, it)).collect::<Vec<_>>().join(", "))
            }
            _ => return None,
        })
    }

    fn invoice(&self, id: i64, field: &str) -> Option<Cell> {
        let invoice = self.invoices.row(id);
        let totals = || totals::of_invoice(self, id);
        Some(match field {
            "number" => Cell::text(&invoice.number),
            "state" => Cell::Text(invoice.state.to_owned()),
            "type" => Cell::Text("out".to_owned()),
            "company" => Cell::One(Model::Company, self.places.company),
            "party" => Cell::One(Model::Party, invoice.party),
            "currency" => Cell::One(Model::Currency, invoice.currency),
            "reference" => Cell::text(&invoice.reference),
            "invoice_date" => Cell::date(invoice.invoice_date),
            "lines" => Cell::Many(Model::InvoiceLine, self.invoice_lines.index.by_invoice.get(&id)),
            "sales" => Cell::Many(Model::Sale, self.sales_of_invoice(id)),
            "untaxed_amount" => Cell::Decimal(totals().untaxed),
            "tax_amount" => Cell::Decimal(totals().tax),
            "total_amount" => Cell::Decimal(totals().total()),
            "amount_to_pay" => Cell::Decimal(match invoice.state {
                "posted" => totals().total() - invoice.paid,
                _ => Decimal::ZERO,
            }),
            _ => return None,
        })
    }

    fn invoice_line(&self, id: i64, field: &str) -> Option<Cell> {
        let line = self.invoice_lines.row(id);
        Some(match field {
            "invoice" => Cell::One(Model::Invoice, line.invoice),
            "type" => Cell::Text("line".to_owned()),
            "origin" => Cell::Reference(Model::SaleLine, line.origin),
            "product" => Cell::one(Model::Product, line.product),
            "unit" => Cell::one(Model::Unit, line.unit),
            "quantity" => Cell::Quantity(line.quantity),
            "unit_price" => Cell::Decimal(line.unit_price),
            "amount" => {
                let digits = self.currencies.row(self.invoices.row(line.invoice).currency).digits;
                Cell::Decimal(totals::line_amount(line.quantity, line.unit_price, digits))
            }
            "taxes" => Cell::Many(Model::Tax, line.taxes.iter().copied().collect()),
            "description" => Cell::text(&line.description),
            _ => return None,
        })
    }

    fn inventory(&self, id: i64, field: &str) -> Option<Cell> {
        let inventory = self.inventories.row(id);
        Some(match field {
            "location" => Cell::One(Model::Location, inventory.location),
            "date" => Cell::Date(inventory.date),
            "state" => Cell::Text(inventory.state.to_owned()),
            "empty_quantity" => Cell::text(&inventory.empty_quantity),
            "lines" => Cell::Many(Model::InventoryLine, self.inventory_lines.index.get(&id)),
            _ => return None,
        })
    }

    fn inventory_line(&self, id: i64, field: &str) -> Option<Cell> {
        let line = self.inventory_lines.row(id);
        Some(match field {
            "inventory" => Cell::One(Model::Inventory, line.inventory),
            "product" => Cell::One(Model::Product, line.product),
            "quantity" => line.quantity.map_or(Cell::Null, Cell::Quantity),
            _ => return None,
        })
    }
}

/// Seconds since 1970 with their fraction, which a later call may ask to be unchanged.
pub(super) fn timestamp(time: DateTime<Utc>) -> String {
    format!("{}.{:06}", time.timestamp(), time.nanosecond() / 1000)
}
