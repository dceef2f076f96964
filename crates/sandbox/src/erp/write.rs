//! Creates, changes and deletes records as RPC callers may.

mod party;
mod product;
mod sale;
mod stock;

use serde_json::Value;

use super::fail::Fail;
use super::model::Model;
use super::values::{Field, Values};
use super::world::World;

impl World {
    pub(super) fn create(&mut self, model: Model, values: &Values) -> Result<i64, Fail> {
        match model {
            Model::Party => self.create_party(values),
            Model::Address => self.create_address(values),
            Model::Sale => self.create_sale(values),
            Model::Template => self.create_template(values),
            Model::Inventory => self.create_inventory(values),
            _ => Err(Fail::Forbidden),
        }
    }

    pub(super) fn write(&mut self, model: Model, ids: &[i64], values: &Values) -> Result<(), Fail> {
        self.check_there(model, ids, "write to")?;
        for id in ids {
            match model {
                Model::Party => self.write_party(*id, values)?,
                Model::Address => self.write_address(*id, values)?,
                Model::Sale => self.write_sale(*id, values)?,
                Model::SaleLine => self.write_sale_line(*id, values)?,
                Model::Shipment => self.write_shipment(*id, values)?,
                Model::Move => self.write_move(*id, values)?,
                Model::Template => self.write_template(*id, values)?,
                Model::Product => self.write_product(*id, values)?,
                _ => return Err(Fail::Forbidden),
            }
        }
        Ok(())
    }

    pub(super) fn delete(&mut self, model: Model, ids: &[i64]) -> Result<(), Fail> {
        for id in ids {
            match model {
                Model::Sale => self.delete_sale(*id)?,
                Model::Party => self.delete_party(*id)?,
                Model::Address => self.delete_address(*id)?,
                Model::Invoice => self.delete_invoice(*id)?,
                _ => return Err(Fail::Forbidden),
            }
        }
        Ok(())
    }
}

fn field<'a>(model: Model, (name, value): (&'a String, &'a Value)) -> Field<'a> {
    Field { model, name, value }
}
