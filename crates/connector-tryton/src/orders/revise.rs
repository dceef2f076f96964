//! A quotation that the buyer changed: back to draft, everything written anew, judged and quoted again.

use connector::erp::{Findings, Probe, StepCall, StepError};
use domain::Order;
use fault::Fault;
use serde_json::json;

use super::adjust::settled;
use super::create::header;
use super::{findings, is_content, lines};
use crate::Target;
use crate::directory::Booked;
use crate::error::Refusal;
use crate::refunds::Part;
use crate::wire::{Sale, SaleState};

impl Target {
    pub(crate) async fn probe_draft(&self, call: &StepCall<'_>) -> Result<Probe, Fault> {
        let (_, sale) = self.existing(call, Part::Main).await?;
        match sale.state {
            SaleState::Draft => Ok(Probe::Done(Findings::new())),
            SaleState::Quotation => Ok(Probe::Missing),
            SaleState::Cancelled => Err(Refusal::SaleCancelled(sale.id).into()),
            state => Err(Refusal::Confirmed { sale: sale.id, state: state.as_str() }.into()),
        }
    }

    pub(crate) async fn draft(&self, call: &StepCall<'_>) -> Result<Findings, StepError> {
        self.press(call, Part::Main, "draft", false, |state| state == SaleState::Draft).await?;
        // Whose sale it was says nothing of who buys now.
        Ok(Findings::new())
    }

    pub(crate) async fn probe_rewrite(&self, call: &StepCall<'_>) -> Result<Probe, Fault> {
        let (_, sale) = self.existing(call, Part::Main).await?;
        let (_, booked) = self.booked(call, Part::Main).await?;
        match (self.is_rewritten(call, &sale, &booked)?, sale.state) {
            (true, SaleState::Draft | SaleState::Quotation) => Ok(Probe::Done(findings(&sale))),
            (false, SaleState::Draft) => Ok(Probe::Missing),
            (_, SaleState::Cancelled) => Err(Refusal::SaleCancelled(sale.id).into()),
            (_, state) if state.is_confirmed() => Err(Refusal::Confirmed { sale: sale.id, state: state.as_str() }.into()),
            (_, state) => Err(Refusal::WrongState { sale: sale.id, state: state.as_str() }.into()),
        }
    }

    pub(crate) async fn rewrite(&self, call: &StepCall<'_>, order: &Order) -> Result<Findings, StepError> {
        let (deal, sale) = self.existing(call, Part::Main).await?;
        let (cart, booked) = self.booked(call, Part::Main).await?;
        let parties = self.parties(call)?;
        let old: Vec<i64> = sale.lines.iter().map(|it| it.id).collect();
        let mut changed = vec![json!(["create", lines(&booked)])];
        if !old.is_empty() {
            changed.insert(0, json!(["delete", old]));
        }
        let mut values = header(order, &call.command.connection);
        (values["lines"], values["party"], values["carrier"]) = (json!(changed), json!(parties.party), json!(cart.carrier));
        (values["invoice_address"], values["shipment_address"]) = (json!(parties.invoice_address), json!(parties.shipment_address));
        self.rpc.write("sale.sale", sale.id, values).await?;
        settled(self.find(&deal).await, &deal).map(|it| findings(&it))
    }

    fn is_rewritten(&self, call: &StepCall<'_>, sale: &Sale, booked: &[Booked]) -> Result<bool, Fault> {
        let order = call.command.operation.order().ok_or_else(|| Refusal::UnknownStep(call.step.to_owned()))?;
        let (parties, header) = (self.parties(call)?, header(order, &call.command.connection));
        let same = |found: &Option<String>, name: &str| found.as_deref().unwrap_or_default() == header[name].as_str().unwrap_or_default();
        Ok(is_content(sale, booked, self.settings.rounding_product)
            && sale.party == Some(parties.party)
            && sale.invoice_address == parties.invoice_address
            && sale.shipment_address == parties.shipment_address
            && same(&sale.reference, "reference")
            && same(&sale.description, "description")
            && same(&sale.comment, "comment"))
    }
}
