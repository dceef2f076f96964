use connector::erp::{Findings, Probe, StepCall, StepError};
use domain::{ConnectionId, Order};
use fault::Fault;
use serde_json::{Value, json};

use super::{Deal, findings, is_content, lines};
use crate::Target;
use crate::cart::{Cart, Gate, gate};
use crate::directory::Booked;
use crate::error::{Refusal, RpcError, after_write};
use crate::refunds::Part;
use crate::wire::{self, Sale, SaleState};
use domain::Money;

/// Whose sale, and where to.
pub(crate) struct Parties {
    pub(crate) party: i64,
    pub(crate) invoice_address: Option<i64>,
    pub(crate) shipment_address: Option<i64>,
}

impl Target {
    pub(crate) async fn probe_create(&self, call: &StepCall<'_>) -> Result<Probe, Fault> {
        let deal = self.deal(call, Part::Main)?;
        match self.find(&deal).await? {
            Some(sale) => self.verified(call, &deal, &sale, Part::Main).await,
            None => Ok(Probe::Missing),
        }
    }

    /// Creates the draft, and deletes it when Tryton's total is too far off: no wrong sale stays behind.
    pub(crate) async fn create_order(&self, call: &StepCall<'_>, order: &Order) -> Result<Findings, StepError> {
        let parties = self.parties(call)?;
        let mut values = header(order, &call.command.connection);
        // `description` is what the ERP lists and searches; a buyer's own number belongs there.
        values["sale_date"] = order.placed_at.map_or(Value::Null, |it| wire::date(it.date_naive()));
        self.create(call, Part::Main, &parties, values).await
    }

    pub(crate) async fn create(
        &self,
        call: &StepCall<'_>,
        part: Part,
        parties: &Parties,
        mut values: Value,
    ) -> Result<Findings, StepError> {
        let deal = self.deal(call, part)?;
        let (cart, booked) = self.booked(call, part).await?;
        let own = json!({
            "company": self.settings.company, "warehouse": self.settings.warehouse, "payment_term": self.settings.payment_term,
            "web_shop": deal.shop, "web_id": deal.web_id, "currency": self.directory.currency(&self.rpc, cart.total.currency).await?,
            "party": parties.party, "invoice_address": parties.invoice_address, "shipment_address": parties.shipment_address,
            "invoice_method": "order", "carrier": cart.carrier,
            // The buyer has paid for delivery already: Tryton must not compute it again.
            "shipment_cost_method": null,
            "lines": [["create", lines(&booked)]],
        });
        merge(&mut values, own);
        match self.rpc.create("sale.sale", values).await {
            Ok(_) => {}
            // The text is translated and may come from any module, so look instead of reading it.
            Err(RpcError::User(text)) => match self.find(&deal).await? {
                Some(sale) => match self.verified(call, &deal, &sale, part).await? {
                    Probe::Done(found) => return Ok(found),
                    Probe::Missing => {}
                },
                None => return Err(RpcError::User(text).into()),
            },
            Err(error) => return Err(error.into()),
        }
        self.keep_or_delete(&deal).await
    }

    /// The gate, on a draft that this step has made.
    async fn keep_or_delete(&self, deal: &Deal) -> Result<Findings, StepError> {
        let sale = self.find(deal).await.map_err(after_write)?;
        let sale = sale.ok_or_else(|| after_write(Refusal::SaleGone(deal.web_id.clone())))?;
        let expected = deal.expected[0];
        if self.passes(deal, &sale) {
            return Ok(findings(&sale));
        }
        self.delete(&sale, expected).await
    }

    /// Deletes a draft whose total is wrong. Both numbers are in the error that it always gives.
    pub(super) async fn delete(&self, sale: &Sale, expected: Money) -> Result<Findings, StepError> {
        self.rpc.press("sale.sale", "delete", &[sale.id]).await.map_err(after_write)?;
        Err(mismatch(sale, expected).into())
    }

    fn passes(&self, deal: &Deal, sale: &Sale) -> bool {
        gate(deal.expected[0], sale.total_amount, deal.lines, &self.settings) != Gate::Mismatch
    }

    /// A sale with our id is ours only when its content is. `Missing`: it is, but its total still has to be judged.
    pub(crate) async fn verified(&self, call: &StepCall<'_>, deal: &Deal, sale: &Sale, part: Part) -> Result<Probe, Fault> {
        let differs = |what| Fault::from(Refusal::SaleDiffers { sale: sale.id, what });
        if sale.state == SaleState::Cancelled {
            return Err(Refusal::SaleCancelled(sale.id).into());
        }
        let (cart, booked) = self.booked(call, part).await?;
        if sale.currency != self.directory.currency(&self.rpc, cart.total.currency).await? {
            return Err(differs("another currency"));
        }
        if call.findings.get("party").is_some_and(|it| sale.party.map(|it| it.to_string()).as_deref() != Some(it.as_str())) {
            return Err(differs("another party"));
        }
        if !is_content(sale, &booked, self.settings.rounding_product) {
            return Err(differs("other lines"));
        }
        match (self.passes(deal, sale), sale.state) {
            (true, _) => Ok(Probe::Done(findings(sale))),
            (false, SaleState::Draft) => Ok(Probe::Missing),
            (false, _) => Err(differs("another total")),
        }
    }

    pub(super) async fn booked(&self, call: &StepCall<'_>, part: Part) -> Result<(Cart, Vec<Booked>), Fault> {
        let cart = self.cart(call.command, part)?.ok_or_else(|| Refusal::UnknownStep(call.step.to_owned()))?;
        let booked = self.directory.book(&self.rpc, &cart.lines).await?;
        Ok((cart, booked))
    }

    pub(super) fn parties(&self, call: &StepCall<'_>) -> Result<Parties, Refusal> {
        let id = |name: &str| call.findings.get(name).and_then(|it| it.parse().ok());
        let party = self.buyer(call)?;
        Ok(Parties { party, invoice_address: id("invoice_address"), shipment_address: id("shipment_address") })
    }
}

pub(super) fn mismatch(sale: &Sale, expected: Money) -> Fault {
    Refusal::TotalMismatch { expected, actual: Money::new(sale.total_amount, expected.currency) }.into()
}

fn merge(values: &mut Value, own: Value) {
    if let (Value::Object(values), Value::Object(own)) = (values, own) {
        values.extend(own);
    }
}

/// The texts of an order's sale.
pub(super) fn header(order: &Order, connection: &ConnectionId) -> Value {
    let po = order.po_number.trim();
    let description = if po.is_empty() { String::new() } else { format!("PO {po}") };
    json!({
        "reference": order.display_number, "description": description, "comment": comment(order, connection), "shipment_method": "order",
    })
}

/// What Tryton has no field for, in words: coupons, payments, the buyer's note.
fn comment(order: &Order, connection: &ConnectionId) -> String {
    let channel = if order.channel.is_empty() { String::new() } else { format!(", {}", order.channel) };
    let mut lines = vec![format!("{connection} {}{channel}", order.display_number)];
    let note = Some(order.note.trim()).filter(|it| !it.is_empty());
    lines.extend(note.map(str::to_owned));
    lines.extend(order.coupons.iter().map(|it| format!("Coupon {} ({}): -{}", it.code, it.kind, it.amount.shop)));
    for payment in &order.payments {
        let brand = if payment.brand.is_empty() { String::new() } else { format!(" {}", payment.brand) };
        let reference = if payment.reference.is_empty() { String::new() } else { format!(", {}", payment.reference) };
        lines.push(format!("{:?} {}{brand}: {}{reference}", payment.kind, payment.gateway, payment.amount));
    }
    lines.extend(order.attributes.iter().map(|it| format!("{}: {}", it.name, it.value)));
    lines.join("\n")
}
