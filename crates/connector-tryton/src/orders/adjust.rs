use connector::erp::{Findings, Probe, StepCall, StepError};
use domain::Operation;
use fault::Fault;
use rust_decimal::Decimal;
use serde_json::json;

use super::{Deal, create::mismatch, findings};
use crate::Target;
use crate::cart::{Gate, gate};
use crate::error::{Refusal, RpcError, after_write};
use crate::refunds::Part;
use crate::wire::{self, Sale, SaleLine, SaleState};

impl Target {
    pub(crate) async fn probe_adjust(&self, call: &StepCall<'_>, part: Part) -> Result<Probe, Fault> {
        let (deal, sale) = self.existing(call, part).await?;
        match (self.judged(&deal, &sale), sale.state) {
            (Gate::Exact, _) => Ok(Probe::Done(findings(&sale))),
            (_, SaleState::Draft) => Ok(Probe::Missing),
            _ => Err(mismatch(&sale, deal.expected[0])),
        }
    }

    /// Makes the total exact with one line on the rounding product.
    pub(crate) async fn adjust(&self, call: &StepCall<'_>, part: Part) -> Result<Findings, StepError> {
        let (deal, sale) = self.existing(call, part).await?;
        match (self.judged(&deal, &sale), sale.state) {
            (Gate::Exact, _) => Ok(findings(&sale)),
            (Gate::Adjust(difference), SaleState::Draft) => {
                self.round_off(&sale, difference).await?;
                let sale = self.find(&deal).await.map_err(after_write)?;
                let sale = sale.ok_or_else(|| after_write(Refusal::SaleGone(deal.web_id.clone())))?;
                if self.judged(&deal, &sale) == Gate::Exact { Ok(findings(&sale)) } else { self.give_up(call, &deal, &sale).await }
            }
            (Gate::Mismatch, SaleState::Draft) => self.give_up(call, &deal, &sale).await,
            _ => Err(mismatch(&sale, deal.expected[0]).into()),
        }
    }

    /// The rounding line counts against the tolerance, however often it was written.
    fn judged(&self, deal: &Deal, sale: &Sale) -> Gate {
        let expected = deal.expected[0];
        let rounded: Decimal = self.rounding(sale).filter_map(|it| it.amount).sum();
        match gate(expected, sale.total_amount, deal.lines, &self.settings) {
            Gate::Exact => Gate::Exact,
            _ => match gate(expected, sale.total_amount - rounded, deal.lines, &self.settings) {
                // The lines are exact without it.
                Gate::Exact => Gate::Adjust(Decimal::ZERO),
                judged => judged,
            },
        }
    }

    fn rounding<'a>(&'a self, sale: &'a Sale) -> impl Iterator<Item = &'a SaleLine> {
        sale.lines.iter().filter(|it| it.product == Some(self.settings.rounding_product))
    }

    async fn round_off(&self, sale: &Sale, difference: Decimal) -> Result<(), StepError> {
        let product = self.settings.rounding_product;
        let unit = self.directory.unit(&self.rpc, product).await?;
        let old: Vec<i64> = self.rounding(sale).map(|it| it.id).collect();
        let mut lines = Vec::new();
        if !old.is_empty() {
            lines.push(json!(["delete", old]));
        }
        if !difference.is_zero() {
            let line = json!({
                "type": "line", "product": product, "unit": unit, "quantity": 1, "unit_price": wire::decimal(difference),
                "description": "Rounding",
            });
            lines.push(json!(["create", [line]]));
        }
        Ok(self.rpc.write("sale.sale", sale.id, json!({"lines": lines})).await?)
    }

    /// A new draft goes; a revised one stays a draft, which nobody can confirm by accident.
    async fn give_up(&self, call: &StepCall<'_>, deal: &Deal, sale: &Sale) -> Result<Findings, StepError> {
        match &call.command.operation {
            Operation::ReviseOrder { .. } => Err(mismatch(sale, deal.expected[0]).into()),
            _ => self.delete(sale, deal.expected[0]).await,
        }
    }
}

impl Deal {
    pub(crate) fn is_total(&self, sale: &Sale) -> bool {
        self.expected.iter().any(|it| it.amount == sale.total_amount)
    }
}

/// For reads after the step's write.
pub(super) fn settled<T>(read: Result<Option<T>, RpcError>, deal: &Deal) -> Result<T, StepError> {
    read.map_err(after_write)?.ok_or_else(|| after_write(Refusal::SaleGone(deal.web_id.clone())))
}
