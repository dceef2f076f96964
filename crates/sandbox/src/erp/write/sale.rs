//! Sales and their lines: what may be written in which state.

use rust_decimal::Decimal;
use serde_json::Value;

use super::field;
use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::rows::{Sale, SaleLine};
use crate::erp::settings::Dedupe;
use crate::erp::values::{Command, Field, Values, commands};
use crate::erp::world::World;

/// Decimals of a unit price.
const PRICE_DIGITS: u32 = 4;

impl World {
    pub(super) fn create_sale(&mut self, values: &Values) -> Result<i64, Fail> {
        let mut sale = Sale {
            state: "draft",
            warehouse: Some(self.places.warehouse),
            invoice_method: "order",
            shipment_method: "order",
            invoice_state: "none",
            shipment_state: "none",
            ..Sale::default()
        };
        for it in values {
            self.set_sale(&mut sale, field(Model::Sale, it))?;
        }
        for (name, missing) in [("Party", sale.party == 0), ("Currency", sale.currency == 0)] {
            if missing {
                return Err(Fail::required(name, Model::Sale.label()));
            }
        }
        self.check_sale(&sale, None)?;
        let id = self.sales.insert(sale);
        if let Some(lines) = values.get("lines") {
            self.change_lines(id, lines)?;
        }
        Ok(id)
    }

    pub(super) fn write_sale(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        let mut sale = self.sales.row(id).clone();
        for it in values {
            let it = field(Model::Sale, it);
            if !is_open_to_writing(&sale, it.name) {
                return Err(Fail::locked(&it.label(), &self.rec_name(Model::Sale, id), Model::Sale.label()));
            }
            if it.name == "invoices_ignored" {
                self.ignore_invoices(id, &mut sale, it.value)?;
            } else {
                self.set_sale(&mut sale, it)?;
            }
        }
        self.check_sale(&sale, Some(id))?;
        self.sales.update(id, |it| *it = sale);
        match values.get("lines") {
            Some(lines) => self.change_lines(id, lines),
            None => Ok(()),
        }
    }

    pub(super) fn delete_sale(&mut self, id: i64) -> Result<(), Fail> {
        let Some(sale) = self.sales.get(id) else { return Ok(()) };
        if !matches!(sale.state, "draft" | "cancelled") {
            return Err(Fail::User(format!("To delete sale \"{}\" you must cancel it.", self.rec_name(Model::Sale, id))));
        }
        for line in self.lines_of(id) {
            self.sale_lines.remove(line);
        }
        self.sales.remove(id);
        Ok(())
    }

    fn set_sale(&self, sale: &mut Sale, it: Field<'_>) -> Result<(), Fail> {
        match it.name {
            "company" => {
                it.required_link(self, Model::Company)?;
            }
            "party" => sale.party = it.required_link(self, Model::Party)?,
            "invoice_address" => sale.invoice_address = it.link(self, Model::Address)?,
            "shipment_address" => sale.shipment_address = it.link(self, Model::Address)?,
            "currency" => sale.currency = it.required_link(self, Model::Currency)?,
            "payment_term" => sale.payment_term = it.link(self, Model::PaymentTerm)?,
            "warehouse" => sale.warehouse = it.link(self, Model::Location)?,
            "web_shop" => sale.web_shop = it.link(self, Model::WebShop)?,
            "web_id" => sale.web_id = it.text()?.filter(|it| !it.is_empty()),
            "reference" => sale.reference = it.text()?,
            "description" => sale.description = it.text()?,
            "comment" => sale.comment = it.text()?,
            "sale_date" => sale.sale_date = it.date()?,
            "shipping_date" => sale.shipping_date = it.date()?,
            "carrier" => sale.carrier = it.link(self, Model::Carrier)?,
            "shipment_cost_method" => sale.shipment_cost_method = it.text()?,
            "invoice_method" => sale.invoice_method = it.choice(&["manual", "order", "fulfillment"])?,
            "shipment_method" => sale.shipment_method = it.choice(&["manual", "order", "invoice"])?,
            "origin" => sale.origin = it.reference(self)?,
            // After the sale has its id.
            "lines" => {}
            name => return Err(Fail::key(name)),
        }
        Ok(())
    }

    fn check_sale(&self, sale: &Sale, own: Option<i64>) -> Result<(), Fail> {
        if sale.invoice_method == "fulfillment" && sale.shipment_method == "invoice" {
            return Err(Fail::User("A sale cannot be shipped when it is paid and invoiced when it is shipped.".to_owned()));
        }
        for (name, address) in [("Invoice Address", sale.invoice_address), ("Shipment Address", sale.shipment_address)] {
            if address.is_some_and(|it| self.addresses.row(it).party != sale.party) {
                return Err(Fail::outside(name, Model::Sale.label()));
            }
        }
        match (&sale.web_shop, &sale.web_id) {
            (Some(_), None) => Err(Fail::required("Web ID", Model::Sale.label())),
            (Some(shop), Some(web_id)) if self.conduct.dedupe == Dedupe::On => {
                let twins = self.sales.index.by_web_id.get(web_id.as_str());
                let is_twin = |it: &i64| Some(*it) != own && self.sales.row(*it).web_shop == Some(*shop);
                match twins.iter().any(is_twin) {
                    true => Err(Fail::User("The web ID on the sale must be unique per shop.".to_owned())),
                    false => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    fn ignore_invoices(&self, id: i64, sale: &mut Sale, value: &Value) -> Result<(), Fail> {
        let own = self.invoices_of(id);
        for command in commands(value)? {
            match command {
                Command::Add(ids) => {
                    if !ids.iter().all(|it| own.contains(it) && self.invoices.row(*it).state == "cancelled") {
                        return Err(Fail::outside("Ignored Invoices", Model::Sale.label()));
                    }
                    sale.invoices_ignored.extend(ids);
                }
                Command::Remove(ids) => sale.invoices_ignored.retain(|it| !ids.contains(it)),
                _ => return Err(Fail::Forbidden),
            }
        }
        Ok(())
    }

    fn change_lines(&mut self, sale: i64, value: &Value) -> Result<(), Fail> {
        for command in commands(value)? {
            match command {
                Command::Create(records) => {
                    for values in records {
                        self.create_line(sale, &values)?;
                    }
                }
                Command::Write(pairs) => {
                    for (ids, values) in pairs {
                        self.check_there(Model::SaleLine, &ids, "write to")?;
                        for id in ids {
                            self.write_sale_line(id, &values)?;
                        }
                    }
                }
                Command::Delete(ids) | Command::Remove(ids) => ids.into_iter().for_each(|id| self.sale_lines.remove(id)),
                Command::Add(_) => return Err(Fail::outside("Lines", Model::Sale.label())),
            }
        }
        Ok(())
    }

    fn create_line(&mut self, sale: i64, values: &Values) -> Result<i64, Fail> {
        let mut line = SaleLine { sale, kind: "line".to_owned(), ..SaleLine::default() };
        for it in values {
            self.set_line(&mut line, field(Model::SaleLine, it))?;
        }
        if line.kind == "line" {
            for (name, label) in [("quantity", "Quantity"), ("unit_price", "Unit Price")] {
                if values.get(name).is_none_or(Value::is_null) {
                    return Err(Fail::required(label, Model::SaleLine.label()));
                }
            }
        }
        self.check_line(&line)?;
        Ok(self.sale_lines.insert(line))
    }

    pub(super) fn write_sale_line(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        let mut line = self.sale_lines.row(id).clone();
        let is_draft = self.sales.row(line.sale).state == "draft";
        for it in values {
            let it = field(Model::SaleLine, it);
            if it.name == "moves_ignored" {
                self.ignore_moves(id, &mut line, it.value)?;
            } else if is_draft || it.name == "note" {
                self.set_line(&mut line, it)?;
            } else {
                return Err(Fail::locked(&it.label(), &id.to_string(), Model::SaleLine.label()));
            }
        }
        self.check_line(&line)?;
        self.sale_lines.update(id, |it| *it = line);
        Ok(())
    }

    fn set_line(&self, line: &mut SaleLine, it: Field<'_>) -> Result<(), Fail> {
        match it.name {
            "type" => line.kind = it.choice(&["line", "subtotal", "title", "comment"])?.to_owned(),
            "product" => line.product = it.link(self, Model::Product)?,
            "unit" => line.unit = it.link(self, Model::Unit)?,
            "quantity" => line.quantity = it.quantity()?.unwrap_or_default(),
            "unit_price" => line.unit_price = it.decimal(PRICE_DIGITS)?,
            "description" => line.description = it.text()?,
            "note" => {
                it.text()?;
            }
            "sequence" => {
                it.quantity()?;
            }
            "taxes" => {
                for command in commands(it.value)? {
                    match command {
                        Command::Add(ids) => match ids.iter().find(|id| !self.taxes.has(**id)) {
                            Some(unknown) => return Err(Fail::not_there(*unknown, "Taxes", Model::SaleLine.label())),
                            None => line.taxes.extend(ids),
                        },
                        Command::Remove(ids) => line.taxes.retain(|it| !ids.contains(it)),
                        _ => return Err(Fail::Forbidden),
                    }
                }
            }
            name => return Err(Fail::key(name)),
        }
        Ok(())
    }

    fn check_line(&self, line: &SaleLine) -> Result<(), Fail> {
        let label = Model::SaleLine.label();
        if let Some(product) = line.product {
            if line.unit.is_none() {
                return Err(Fail::required("Unit", label));
            }
            if line.quantity >= Decimal::ZERO && !self.templates.row(self.products.row(product).template).salable {
                return Err(Fail::outside("Product", label));
            }
        }
        let digits = line.unit.map_or(PRICE_DIGITS, |it| self.units.row(it).digits);
        if line.quantity.normalize().scale() > digits {
            return Err(Fail::digits(&line.quantity.to_string(), "Quantity", label, digits));
        }
        Ok(())
    }

    fn ignore_moves(&self, id: i64, line: &mut SaleLine, value: &Value) -> Result<(), Fail> {
        let own = self.moves_of_line(id);
        for command in commands(value)? {
            match command {
                Command::Add(ids) => {
                    if !ids.iter().all(|it| own.contains(it) && self.moves.row(*it).state == "cancelled") {
                        return Err(Fail::outside("Ignored Stock Moves", Model::SaleLine.label()));
                    }
                    line.moves_ignored.extend(ids);
                }
                Command::Remove(ids) => line.moves_ignored.retain(|it| !ids.contains(it)),
                _ => return Err(Fail::Forbidden),
            }
        }
        Ok(())
    }
}

fn is_open_to_writing(sale: &Sale, field: &str) -> bool {
    match field {
        "comment" | "reference" | "web_id" | "invoices_ignored" => true,
        "sale_date" | "shipping_date" => matches!(sale.state, "draft" | "quotation"),
        _ => sale.state == "draft",
    }
}
