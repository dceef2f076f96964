//! An invoice: draft, validated, posted, paid; or cancelled.

use chrono::Datelike;
use rust_decimal::Decimal;

use crate::erp::fail::Fail;
use crate::erp::model::Model;
use crate::erp::totals;
use crate::erp::world::{Numbers, World};

impl World {
    pub(super) fn validate_invoice(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_invoice(id, "validate_invoice", &["draft"])?;
        self.invoices.update(id, |it| it.state = "validated");
        Ok(())
    }

    pub(super) fn post(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_invoice(id, "post", &["draft", "validated"])?;
        let today = self.today();
        let number = format!("INV-{}-{}", today.year(), Numbers::take(&mut self.numbers.invoice));
        // Nothing to pay is paid.
        let state = if totals::of_invoice(self, id).total().is_zero() { "paid" } else { "posted" };
        self.invoices.update(id, |it| {
            it.number = Some(number);
            it.invoice_date.get_or_insert(today);
            it.state = state;
        });
        self.enqueue_sales_of_invoice(id);
        Ok(())
    }

    pub(super) fn cancel_invoice(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_invoice(id, "cancel", &["draft", "validated"])?;
        self.invoices.update(id, |it| it.state = "cancelled");
        self.enqueue_sales_of_invoice(id);
        Ok(())
    }

    pub(super) fn invoice_to_draft(&mut self, id: i64) -> Result<(), Fail> {
        self.expect_invoice(id, "draft", &["validated", "cancelled"])?;
        self.invoices.update(id, |it| it.state = "draft");
        self.enqueue_sales_of_invoice(id);
        Ok(())
    }

    /// A payment of an invoice that is posted. Only the whole amount makes it paid.
    pub(in crate::erp) fn pay(&mut self, id: i64, amount: Decimal) -> Result<(), Fail> {
        self.expect_invoice(id, "pay", &["posted"])?;
        let total = totals::of_invoice(self, id).total();
        self.invoices.update(id, |it| {
            it.paid += amount;
            if it.paid == total {
                it.state = "paid";
            }
        });
        self.enqueue_sales_of_invoice(id);
        Ok(())
    }

    fn expect_invoice(&self, id: i64, button: &str, states: &[&str]) -> Result<(), Fail> {
        if states.contains(&self.invoices.row(id).state) {
            return Ok(());
        }
        Err(self.cannot_call(Model::Invoice, button, id))
    }

    fn enqueue_sales_of_invoice(&mut self, id: i64) {
        self.sales_of_invoice(id).into_iter().for_each(|sale| self.enqueue(sale));
    }
}
