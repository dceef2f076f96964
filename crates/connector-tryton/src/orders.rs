//! Sales: found by the order's id, compared with what they must be, moved through their states.

mod adjust;
mod create;
mod revise;
mod states;

use connector::erp::{Findings, StepCall};
use domain::{ConnectionId, Money, Operation};
use fault::Fault;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::Target;
use crate::directory::Booked;
use crate::error::{Refusal, RpcError};
use crate::refunds::Part;
use crate::rpc::Search;
use crate::wire::{SALE, Sale};

pub(crate) use create::Parties;

/// Which sale a step is about, and what it must come to.
pub(crate) struct Deal {
    shop: i64,
    pub(crate) web_id: String,
    order: String,
    /// Totals that are right; the first is the one to reach.
    expected: Vec<Money>,
    /// How many lines may be off by a cent.
    lines: usize,
}

impl Target {
    pub(crate) fn web_shop(&self, connection: &ConnectionId) -> Result<i64, Refusal> {
        let shop = self.settings.web_shops.get(connection.as_str()).copied();
        shop.ok_or_else(|| Refusal::UnknownConnection(connection.to_string()))
    }

    pub(crate) fn deal(&self, call: &StepCall<'_>, part: Part) -> Result<Deal, Refusal> {
        let order = call.command.operation.order().ok_or_else(|| Refusal::UnknownStep(call.step.to_owned()))?;
        let cart = self.cart(call.command, part)?;
        let web_id = match &call.command.operation {
            Operation::BookRefund { refund, .. } => part.web_id(&refund.id),
            _ => order.id.clone(),
        };
        let expected = match &cart {
            Some(cart) => vec![cart.total],
            None => vec![order.totals.total.shop, order.totals.current_total.shop],
        };
        let shop = self.web_shop(&call.command.connection)?;
        Ok(Deal { shop, web_id, order: order.id.clone(), expected, lines: cart.map_or(0, |it| it.lines.len()) })
    }

    pub(crate) async fn find(&self, deal: &Deal) -> Result<Option<Sale>, RpcError> {
        self.find_sale(deal.shop, &deal.web_id).await
    }

    pub(crate) async fn find_sale(&self, shop: i64, web_id: &str) -> Result<Option<Sale>, RpcError> {
        let domain = json!([["web_shop", "=", shop], ["web_id", "=", web_id]]);
        let mut found: Vec<Sale> = self.rpc.search(Search::of("sale.sale", domain, SALE).limit(2)).await?;
        Ok(found.pop())
    }

    /// The sale that an earlier step made, or that an earlier command must have made.
    pub(crate) async fn existing(&self, call: &StepCall<'_>, part: Part) -> Result<(Deal, Sale), Fault> {
        let deal = self.deal(call, part)?;
        let sale = self.existing_of(call, &deal).await?;
        Ok((deal, sale))
    }

    async fn existing_of(&self, call: &StepCall<'_>, deal: &Deal) -> Result<Sale, Fault> {
        match (self.find(deal).await?, call.findings.get("sale")) {
            (Some(sale), _) => Ok(sale),
            (None, Some(sale)) => Err(Refusal::SaleGone(sale.clone()).into()),
            (None, None) => Err(Refusal::UnknownOrder(deal.order.clone()).into()),
        }
    }
}

/// What every step tells of its sale.
pub(crate) fn findings(sale: &Sale) -> Findings {
    let ids = |documents: &[crate::wire::Document]| documents.iter().map(|it| it.id.to_string()).collect::<Vec<_>>().join(",");
    let mut findings = Findings::from([
        ("sale".to_owned(), sale.id.to_string()),
        ("state".to_owned(), sale.state.as_str().to_owned()),
        ("total".to_owned(), sale.total_amount.to_string()),
    ]);
    let optional = [
        ("number", sale.number.clone()),
        ("party", sale.party.map(|it| it.to_string())),
        ("invoices", Some(ids(&sale.invoices))),
        ("shipments", Some(ids(&sale.shipments))),
        ("returns", Some(ids(&sale.returns))),
    ];
    let present = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.filter(|it| !it.is_empty())?)));
    findings.extend(present);
    findings
}

/// A line as far as it is compared: product, quantity, price, taxes.
type Content = (Option<i64>, Decimal, Decimal, Vec<i64>);

/// Whether a sale has these lines and no others, the rounding line apart.
fn is_content(sale: &Sale, booked: &[Booked], rounding_product: i64) -> bool {
    let own = sale.lines.iter().filter(|it| it.kind == "line" && it.product != Some(rounding_product));
    let found = own.map(|it| (it.product, it.quantity.unwrap_or_default(), it.unit_price.unwrap_or_default(), it.taxes.clone()));
    let wanted = booked.iter().map(|it| (it.product, it.line.quantity, it.line.unit_price, it.line.taxes.clone()));
    comparable(found) == comparable(wanted)
}

fn comparable(lines: impl Iterator<Item = Content>) -> Vec<Content> {
    let mut lines: Vec<Content> = lines
        .map(|(product, quantity, price, mut taxes)| {
            taxes.sort_unstable();
            (product, quantity.normalize(), price.normalize(), taxes)
        })
        .collect();
    lines.sort_unstable();
    lines
}

fn lines(booked: &[Booked]) -> Value {
    booked.iter().map(Booked::values).collect()
}
