//! Buttons of a sale. Tryton refuses a button in any state but its own, so a refusal is answered by reading the state.

use connector::erp::{Findings, Probe, StepCall, StepError};
use domain::Operation;
use fault::Fault;

use super::adjust::settled;
use super::create::mismatch;
use super::findings;
use crate::Target;
use crate::error::{Refusal, RpcError, after_write};
use crate::refunds::Part;
use crate::wire::{Sale, SaleState};

impl Target {
    pub(crate) async fn probe_quote(&self, call: &StepCall<'_>, part: Part) -> Result<Probe, Fault> {
        let (deal, sale) = self.existing(call, part).await?;
        if !deal.is_total(&sale) {
            return Err(mismatch(&sale, deal.expected[0]));
        }
        match sale.state {
            SaleState::Draft => Ok(Probe::Missing),
            SaleState::Cancelled => Err(Refusal::SaleCancelled(sale.id).into()),
            _ => Ok(Probe::Done(findings(&sale))),
        }
    }

    pub(crate) async fn quote(&self, call: &StepCall<'_>, part: Part) -> Result<Findings, StepError> {
        let is_last = matches!(&call.command.operation, Operation::PlaceOrder { confirm: false, .. } | Operation::ReviseOrder { .. });
        self.press(call, part, "quote", is_last, |state| state == SaleState::Quotation || state.is_confirmed()).await
    }

    pub(crate) async fn probe_confirm(&self, call: &StepCall<'_>, part: Part) -> Result<Probe, Fault> {
        let (_, sale) = self.existing(call, part).await?;
        match sale.state {
            SaleState::Draft | SaleState::Quotation => Ok(Probe::Missing),
            SaleState::Cancelled => Err(Refusal::SaleCancelled(sale.id).into()),
            _ => Ok(Probe::Done(findings(&sale))),
        }
    }

    pub(crate) async fn confirm(&self, call: &StepCall<'_>, part: Part) -> Result<Findings, StepError> {
        self.press(call, part, "confirm", false, SaleState::is_confirmed).await
    }

    /// `confirm` answers before its own processing is known to have worked: this finds out.
    pub(crate) async fn probe_process(&self, call: &StepCall<'_>, part: Part) -> Result<Probe, Fault> {
        let (_, sale) = self.existing(call, part).await?;
        match sale.state {
            SaleState::Processing | SaleState::Done => Ok(Probe::Done(findings(&sale))),
            SaleState::Confirmed => Ok(Probe::Missing),
            SaleState::Cancelled => Err(Refusal::SaleCancelled(sale.id).into()),
            state => Err(Refusal::WrongState { sale: sale.id, state: state.as_str() }.into()),
        }
    }

    /// Does what is due, or tells the error that `confirm` kept to itself.
    pub(crate) async fn process(&self, call: &StepCall<'_>, part: Part) -> Result<Findings, StepError> {
        let (deal, sale) = self.existing(call, part).await?;
        self.rpc.press("sale.sale", "process", &[sale.id]).await?;
        let sale = settled(self.find(&deal).await, &deal)?;
        match sale.state {
            SaleState::Processing | SaleState::Done => Ok(findings(&sale)),
            _ => Err(after_write(Refusal::NotProcessed(sale.id))),
        }
    }

    /// Presses a button. The sale is read again when the step is the last that could tell its number.
    pub(super) async fn press(
        &self,
        call: &StepCall<'_>,
        part: Part,
        button: &str,
        read: bool,
        reached: impl Fn(SaleState) -> bool,
    ) -> Result<Findings, StepError> {
        let deal = self.deal(call, part)?;
        let id = match call.findings.get(&part.finding("sale")).and_then(|it| it.parse().ok()) {
            Some(id) => id,
            None => self.existing_of(call, &deal).await?.id,
        };
        match self.rpc.press("sale.sale", button, &[id]).await {
            Ok(()) if read => settled(self.find(&deal).await, &deal).map(|it| findings(&it)),
            Ok(()) => Ok(Findings::new()),
            Err(RpcError::User(text)) => {
                let sale = self.existing_of(call, &deal).await?;
                pressed(&sale, text, reached)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// After a refusal: somebody, or our own lost request, has pressed it already; else the refusal stands.
fn pressed(sale: &Sale, text: String, reached: impl Fn(SaleState) -> bool) -> Result<Findings, StepError> {
    match sale.state {
        state if reached(state) => Ok(findings(sale)),
        SaleState::Cancelled => Err(Refusal::SaleCancelled(sale.id).into()),
        _ => Err(RpcError::User(text).into()),
    }
}
