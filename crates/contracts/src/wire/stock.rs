use domain::{Availability, OpenSale, Sku, StockLevel};

use super::common::{all, decimal, time, to_decimal, to_time};
use super::{Wire, WireError, bad, required};
use crate::proto::{availability, inventory};

impl Wire for StockLevel {
    type Message = inventory::v1::StockLevel;
    const NAME: &'static str = "tradewind.inventory.v1.StockLevel";

    fn to_wire(&self) -> Self::Message {
        let sale = |it: &OpenSale| inventory::v1::OpenSale { order: it.order.to_string(), quantity: Some(decimal(it.quantity)) };
        Self::Message {
            sku: self.sku.to_string(),
            location: self.location.clone(),
            on_hand: Some(decimal(self.on_hand)),
            reserved: Some(decimal(self.reserved)),
            observed_at: Some(time(self.observed_at)),
            open_sales: self.open_sales.iter().map(sale).collect(),
        }
    }

    fn from_wire(message: Self::Message) -> Result<Self, WireError> {
        const NAME: &str = "StockLevel";
        let sale = |it: inventory::v1::OpenSale| {
            let order = it.order.parse().map_err(|error| bad("OpenSale", "order", error))?;
            Ok(OpenSale { order, quantity: to_decimal(it.quantity, "OpenSale", "quantity")? })
        };
        Ok(Self {
            sku: Sku::new(message.sku).map_err(|error| bad(NAME, "sku", error))?,
            location: message.location,
            on_hand: to_decimal(message.on_hand, NAME, "on_hand")?,
            reserved: to_decimal(message.reserved, NAME, "reserved")?,
            observed_at: to_time(required(message.observed_at, NAME, "observed_at")?, NAME, "observed_at")?,
            open_sales: all(message.open_sales, sale)?,
        })
    }
}

impl Wire for Availability {
    type Message = availability::v1::Availability;
    const NAME: &'static str = "tradewind.availability.v1.Availability";

    fn to_wire(&self) -> Self::Message {
        Self::Message {
            connection: self.connection.to_string(),
            sku: self.sku.to_string(),
            location: self.location.clone(),
            available: Some(decimal(self.available())),
            on_hand: Some(decimal(self.on_hand)),
            reserved: Some(decimal(self.reserved)),
            pending: Some(decimal(self.pending)),
            buffer: Some(decimal(self.buffer)),
        }
    }

    fn from_wire(message: Self::Message) -> Result<Self, WireError> {
        const NAME: &str = "Availability";
        Ok(Self {
            connection: message.connection.parse().map_err(|error| bad(NAME, "connection", error))?,
            sku: Sku::new(message.sku).map_err(|error| bad(NAME, "sku", error))?,
            location: message.location,
            on_hand: to_decimal(message.on_hand, NAME, "on_hand")?,
            reserved: to_decimal(message.reserved, NAME, "reserved")?,
            pending: to_decimal(message.pending, NAME, "pending")?,
            buffer: to_decimal(message.buffer, NAME, "buffer")?,
        })
    }
}
