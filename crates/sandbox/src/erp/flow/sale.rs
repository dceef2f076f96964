//! A sale from draft to confirmed, and back.

use rust_decimal::Decimal;

use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::totals;
use crate::erp::world::{Numbers, World};

impl World {
    pub(super) fn sale_to_draft(&mut self, id: i64) -> Result<(), Fail> {
        if !matches!(self.sales.row(id).state, "cancelled" | "quotation" | "confirmed") {
            return Err(self.cannot_call(Model::Sale, "draft", id));
        }
        self.sales.update(id, |it| (it.state, it.cached) = ("draft", None));
        Ok(())
    }

    pub(super) fn quote(&mut self, id: i64) -> Result<(), Fail> {
        let sale = self.sales.row(id);
        let has_content = !self.lines_of(id).is_empty();
        if sale.state != "draft" || !has_content {
            return Err(self.cannot_call(Model::Sale, "quote", id));
        }
        let name = self.rec_name(Model::Sale, id);
        let missing = |what: &str| Err(Fail::User(format!("To get a quote for sale \"{name}\" you must enter {what}.")));
        if sale.invoice_address.is_none() {
            return missing("an invoice address");
        }
        let goods = |it: &i64| {
            let line = self.sale_lines.row(*it);
            line.quantity >= Decimal::ZERO && line.product.is_some_and(|it| self.is_goods(it))
        };
        if sale.shipment_address.is_none() && self.lines_of(id).iter().any(goods) {
            return missing("a shipping address");
        }
        if sale.shipment_cost_method.is_some() && sale.carrier.is_none() {
            return missing("a carrier");
        }
        let number = sale.number.clone().unwrap_or_else(|| Numbers::take(&mut self.numbers.sale));
        self.sales.update(id, |it| {
            it.number = Some(number);
            it.state = "quotation";
        });
        Ok(())
    }

    pub(super) fn confirm(&mut self, id: i64) -> Result<(), Fail> {
        if self.sales.row(id).state != "quotation" {
            return Err(self.cannot_call(Model::Sale, "confirm", id));
        }
        let (totals, today) = (totals::of_sale(self, id), self.today());
        self.sales.update(id, |it| {
            it.state = "confirmed";
            it.cached = Some(totals);
            it.sale_date.get_or_insert(today);
        });
        self.enqueue(id);
        Ok(())
    }

    pub(super) fn cancel_sale(&mut self, id: i64) -> Result<(), Fail> {
        if !matches!(self.sales.row(id).state, "draft" | "quotation") {
            return Err(self.cannot_call(Model::Sale, "cancel", id));
        }
        let totals = totals::of_sale(self, id);
        self.sales.update(id, |it| (it.state, it.cached) = ("cancelled", Some(totals)));
        Ok(())
    }
}
