//! Inventories, shipments, moves, invoices: what a user may write by hand.

use serde_json::Value;

use super::field;
use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::rows::{Inventory, InventoryLine};
use crate::erp::values::{Command, Values, commands};
use crate::erp::world::World;

impl World {
    pub(super) fn create_inventory(&mut self, values: &Values) -> Result<i64, Fail> {
        let mut inventory = Inventory { location: self.places.storage, date: self.today(), state: "draft", empty_quantity: None };
        for it in values {
            let it = field(Model::Inventory, it);
            match it.name {
                "location" => inventory.location = it.required_link(self, Model::Location)?,
                "date" => inventory.date = it.date()?.unwrap_or(inventory.date),
                "empty_quantity" => inventory.empty_quantity = it.text()?,
                "company" => {
                    it.required_link(self, Model::Company)?;
                }
                "lines" => {}
                name => return Err(Fail::key(name)),
            }
        }
        let id = self.inventories.insert(inventory);
        if let Some(lines) = values.get("lines") {
            self.create_inventory_lines(id, lines)?;
        }
        Ok(id)
    }

    fn create_inventory_lines(&mut self, inventory: i64, lines: &Value) -> Result<(), Fail> {
        for command in commands(lines)? {
            let Command::Create(records) = command else { return Err(Fail::Forbidden) };
            for values in records {
                let (mut product, mut quantity) = (None, None);
                for it in &values {
                    let it = field(Model::InventoryLine, it);
                    match it.name {
                        "product" => product = it.link(self, Model::Product)?,
                        "quantity" => quantity = it.quantity()?,
                        name => return Err(Fail::key(name)),
                    }
                }
                let product = product.ok_or_else(|| Fail::required("Product", Model::InventoryLine.label()))?;
                self.inventory_lines.insert(InventoryLine { inventory, product, quantity });
            }
        }
        Ok(())
    }

    pub(super) fn write_shipment(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        let mut shipment = self.shipments.row(id).clone();
        for it in values {
            let it = field(Model::Shipment, it);
            match it.name {
                // Also of a shipment that has left: that is where its tracking number goes.
                "reference" => shipment.reference = it.text()?,
                "planned_date" if shipment.state == "draft" => shipment.planned_date = it.date()?,
                "outgoing_moves" if shipment.state == "draft" => self.change_outgoing(id, it.value)?,
                "planned_date" | "outgoing_moves" => {
                    return Err(Fail::locked(&it.label(), &shipment.number, Model::Shipment.label()));
                }
                name => return Err(Fail::key(name)),
            }
        }
        self.shipments.update(id, |it| *it = shipment);
        Ok(())
    }

    /// Shortens what will be sent, or takes it out; the sale makes another shipment of the rest when it is processed. What is
    /// taken out makes it be processed.
    fn change_outgoing(&mut self, shipment: i64, value: &Value) -> Result<(), Fail> {
        let (own, _) = self.shipment_moves(Model::Shipment, shipment);
        for command in commands(value)? {
            match command {
                Command::Write(pairs) => {
                    for (ids, values) in pairs {
                        self.write(Model::Move, &ids, &values)?;
                    }
                }
                Command::Delete(ids) => {
                    let gone: Vec<_> = ids.into_iter().filter(|it| own.contains(it)).collect();
                    self.enqueue_sales_of(&gone);
                    for id in gone {
                        if self.moves.row(id).state != "draft" {
                            return Err(Fail::User("A move that is not a draft cannot be deleted.".to_owned()));
                        }
                        self.moves.remove(id);
                    }
                }
                _ => return Err(Fail::Forbidden),
            }
        }
        Ok(())
    }

    pub(super) fn write_move(&mut self, id: i64, values: &Values) -> Result<(), Fail> {
        let mut row = self.moves.row(id).clone();
        for it in values {
            let it = field(Model::Move, it);
            match it.name {
                "quantity" if row.state == "draft" => row.quantity = it.quantity()?.unwrap_or_default(),
                "quantity" => return Err(Fail::locked(&it.label(), &id.to_string(), Model::Move.label())),
                name => return Err(Fail::key(name)),
            }
        }
        self.moves.update(id, |it| *it = row);
        Ok(())
    }

    pub(super) fn delete_invoice(&mut self, id: i64) -> Result<(), Fail> {
        let Some(invoice) = self.invoices.get(id) else { return Ok(()) };
        if !matches!(invoice.state, "draft" | "cancelled") || invoice.number.is_some() {
            return Err(Fail::User(format!("To delete invoice \"{}\" you must cancel it.", self.rec_name(Model::Invoice, id))));
        }
        let sales = self.sales_of_invoice(id);
        for line in self.invoice_lines.index.by_invoice.get(&id) {
            self.invoice_lines.remove(line);
        }
        self.invoices.remove(id);
        for sale in &sales {
            if self.sales.row(*sale).invoices_ignored.contains(&id) {
                self.sales.update(*sale, |it| it.invoices_ignored.retain(|it| *it != id));
            }
        }
        // The sale notices that something is not invoiced, and makes another invoice.
        sales.into_iter().for_each(|sale| self.enqueue(sale));
        Ok(())
    }
}
