//! The buttons: from which state they may be pressed, and what follows.

mod inventory;
mod invoice;
mod process;
mod returns;
mod sale;
mod shipment;

use super::fail::Fail;
use super::model::Model;
use super::world::World;

impl World {
    /// Presses a button on records. One that refuses makes it refuse for all.
    pub(super) fn press(&mut self, model: Model, button: &str, ids: &[i64]) -> Result<(), Fail> {
        self.check_there(model, ids, "read")?;
        for id in ids {
            match (model, button) {
                (Model::Sale, "draft") => self.sale_to_draft(*id)?,
                (Model::Sale, "quote") => self.quote(*id)?,
                (Model::Sale, "confirm") => self.confirm(*id)?,
                (Model::Sale, "cancel") => self.cancel_sale(*id)?,
                (Model::Sale, "process") => self.process(*id, Manual::default())?,
                (Model::Sale, "manual_invoice") => self.process(*id, Manual { invoice: true, shipment: false })?,
                (Model::Sale, "manual_shipment") => self.process(*id, Manual { invoice: false, shipment: true })?,
                (Model::Shipment, "draft") => self.shipment_to_draft(*id)?,
                (Model::Shipment, "wait") => self.wait_shipment(*id)?,
                (Model::Shipment, "assign_try") => self.assign_try(*id),
                (Model::Shipment, "assign_force") => self.assign_force(*id)?,
                (Model::Shipment, "pick") => self.pick(*id)?,
                (Model::Shipment, "pack") => self.pack(*id)?,
                (Model::Shipment, "ship") => self.ship(*id)?,
                (Model::Shipment, "do") => self.do_shipment(*id)?,
                (Model::Shipment, "cancel") => self.cancel_shipment(*id)?,
                (Model::Return, "receive") => self.receive_return(*id)?,
                (Model::Return, "do") => self.do_return(*id)?,
                (Model::Return, "cancel") => self.cancel_return(*id)?,
                (Model::Invoice, "validate_invoice") => self.validate_invoice(*id)?,
                (Model::Invoice, "post") => self.post(*id)?,
                (Model::Invoice, "cancel") => self.cancel_invoice(*id)?,
                (Model::Invoice, "draft") => self.invoice_to_draft(*id)?,
                (Model::Inventory, "confirm") => self.confirm_inventory(*id)?,
                (Model::Inventory, "cancel") => self.cancel_inventory(*id)?,
                _ => return Err(Fail::Forbidden),
            }
        }
        Ok(())
    }

    fn cannot_call(&self, model: Model, button: &str, id: i64) -> Fail {
        Fail::button(button, &self.rec_name(model, id), model.label())
    }
}

/// What is only done because somebody asked for it by its own button.
#[derive(Debug, Clone, Copy, Default)]
struct Manual {
    invoice: bool,
    shipment: bool,
}
