//! Inventories: what was counted replaces what was thought to be there.

use rust_decimal::Decimal;

use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::rows::Move;
use crate::erp::world::World;

impl World {
    pub(super) fn confirm_inventory(&mut self, id: i64) -> Result<(), Fail> {
        let inventory = self.inventories.row(id).clone();
        if inventory.state != "draft" {
            return Err(self.cannot_call(Model::Inventory, "confirm", id));
        }
        if inventory.empty_quantity.is_none() {
            let name = self.rec_name(Model::Inventory, id);
            return Err(Fail::User(format!("To confirm the inventory \"{name}\" you must select an option for empty quantity.")));
        }
        for line_id in self.inventory_lines.index.get(&id) {
            let line = self.inventory_lines.row(line_id).clone();
            let counted = match (line.quantity, inventory.empty_quantity.as_deref()) {
                (Some(counted), _) => counted,
                (None, Some("empty")) => Decimal::ZERO,
                (None, _) => continue,
            };
            let difference = counted - self.on_hand(line.product, &[inventory.location]);
            if difference.is_zero() {
                continue;
            }
            let (lost, here) = (self.places.lost_found, inventory.location);
            let (from, to) = if difference > Decimal::ZERO { (lost, here) } else { (here, lost) };
            self.moves.insert(Move {
                product: line.product,
                quantity: difference.abs(),
                unit: self.places.unit,
                from,
                to,
                state: "done",
                origin: Some((Model::InventoryLine, line_id)),
                shipment: None,
                planned_date: Some(inventory.date),
                effective_date: Some(inventory.date),
            });
        }
        self.inventories.update(id, |it| it.state = "done");
        Ok(())
    }

    pub(super) fn cancel_inventory(&mut self, id: i64) -> Result<(), Fail> {
        if self.inventories.row(id).state != "draft" {
            return Err(self.cannot_call(Model::Inventory, "cancel", id));
        }
        self.inventories.update(id, |it| it.state = "cancelled");
        Ok(())
    }
}
