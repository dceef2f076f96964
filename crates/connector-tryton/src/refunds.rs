//! Refunds: a sale of its own with negative lines, whose origin is the order's sale. Tryton makes the credit note and, for
//! goods that come back, the return shipment.
//!
//! Tryton does not compare a refund with what was sold, so we do: never more pieces of an item and never more money than the
//! order has left. Whether goods come back is a property of a whole sale (`shipment_method`); a refund of which only some
//! goods come back becomes two sales, `refund:<id>` and `refund:<id>:kept`.
//!
//! A refund of an order that was cancelled before anything was invoiced has nothing to book: the cancelled invoice was the
//! money. A refund's pending discrepancies are not booked either: they say how far the money has moved.

use std::collections::BTreeMap;

use connector::erp::{Findings, Probe, StepCall, StepError};
use domain::refund::{RefundAdjustment, RefundAdjustmentKind, RefundLine, Restock};
use domain::{Money, Order, Refund, TaxLine};
use fault::Fault;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;

use crate::Target;
use crate::cart::{self, Cart, Charge, Item, Line};
use crate::config::Settings;
use crate::error::Refusal;
use crate::orders::Parties;
use crate::rpc::Search;
use crate::taxes;
use crate::wire::{SALE, Sale, SaleLine, SaleState};

/// Which of a refund's sales.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// The only one, or the one whose goods come back.
    Main,
    /// Of two: the goods that do not.
    Kept,
}

impl Part {
    /// A step's name without its part.
    pub(crate) fn of(step: &str) -> (&str, Self) {
        match step.strip_suffix("_kept") {
            Some(step) => (step, Self::Kept),
            None => (step, Self::Main),
        }
    }

    pub(crate) fn web_id(self, refund: &str) -> String {
        match self {
            Self::Main => format!("refund:{refund}"),
            Self::Kept => format!("refund:{refund}:kept"),
        }
    }

    /// What a finding of this part is called among those of the whole operation.
    pub(crate) fn finding(self, name: &str) -> String {
        match self {
            Self::Main => name.to_owned(),
            Self::Kept => format!("kept_{name}"),
        }
    }

    pub(crate) fn named(self, findings: Findings) -> Findings {
        findings.into_iter().map(|(name, value)| (self.finding(&name), value)).collect()
    }
}

/// Whether some goods come back and others do not.
pub(crate) fn is_mixed(refund: &Refund) -> bool {
    let comes_back = |line: &RefundLine| line.restock == Restock::Return;
    refund.lines.iter().any(comes_back) && !refund.lines.iter().all(comes_back)
}

fn lines_of(refund: &Refund, part: Part) -> impl Iterator<Item = &RefundLine> {
    let mixed = is_mixed(refund);
    refund.lines.iter().filter(move |line| match part {
        Part::Main => !mixed || line.restock == Restock::Return,
        Part::Kept => mixed && line.restock != Restock::Return,
    })
}

pub(crate) fn cart(refund: &Refund, order: &Order, part: Part, settings: &Settings) -> Result<Cart, Refusal> {
    let currency = order.shop_currency;
    let (mut lines, mut total) = (Vec::new(), Money::zero(currency));
    for line in lines_of(refund, part) {
        let charged = of_line(line, order, settings, &mut lines)?;
        total = total.checked_sub(Money::new(charged, line.subtotal.shop.currency))?;
    }
    let is_booked = |it: &&RefundAdjustment| part == Part::Main && it.kind != RefundAdjustmentKind::PendingDiscrepancy;
    for adjustment in refund.adjustments.iter().filter(is_booked) {
        let charged = of_adjustment(adjustment, order, settings, &mut lines)?;
        total = total.checked_sub(Money::new(charged, adjustment.amount.shop.currency))?;
    }
    Ok(Cart { lines, total, carrier: None })
}

fn of_line(line: &RefundLine, order: &Order, settings: &Settings, out: &mut Vec<Line>) -> Result<Decimal, Refusal> {
    let position = order.lines.iter().position(|it| it.id == line.order_line_id);
    let position = position.ok_or_else(|| Refusal::UnknownRefundLine(line.id.clone()))?;
    let sold = &order.lines[position];
    let (ids, rate) = taxes::of_line(&sold.taxes, taxes::country(order), settings)?;
    let (amount, tax) = (line.subtotal.shop.amount, line.tax.shop.amount);
    // Money back for a line, without a piece of it.
    let is_amount = line.quantity.is_zero();
    if is_amount && amount.is_zero() {
        return Ok(Decimal::ZERO);
    }
    let charge = Charge {
        item: if is_amount { Item::Nothing } else { cart::item(&sold.sku, position + 1, settings)? },
        quantity: if is_amount { Decimal::NEGATIVE_ONE } else { -line.quantity },
        amount: -amount,
        tax: -tax,
        included: order.taxes_included,
        taxes: &ids,
        rate,
        description: sold.title.clone(),
    };
    cart::push(charge, order.shop_currency, out);
    Ok(if order.taxes_included { amount } else { amount + tax })
}

fn of_adjustment(adjustment: &RefundAdjustment, order: &Order, settings: &Settings, out: &mut Vec<Line>) -> Result<Decimal, Refusal> {
    let (amount, tax) = (adjustment.amount.shop.amount, adjustment.tax.shop.amount);
    if amount.is_zero() && tax.is_zero() {
        return Ok(Decimal::ZERO);
    }
    let shipping = order.shipping_lines.first();
    let (item, name) = match (adjustment.kind, shipping) {
        (RefundAdjustmentKind::Shipping, Some(line)) => (Item::Product(taxes::of_shipping(line, settings)?.0), "Shipping"),
        (RefundAdjustmentKind::Shipping, None) => (Item::Product(settings.shipping_product), "Shipping"),
        _ => (settings.goodwill_product.map_or(Item::Nothing, Item::Product), "Goodwill"),
    };
    let charged_taxes = adjustment_taxes(amount, tax, order)?;
    let (ids, rate) = taxes::of_line(charged_taxes, taxes::country(order), settings)?;
    let reason = adjustment.reason.trim();
    let charge = Charge {
        item,
        quantity: Decimal::NEGATIVE_ONE,
        amount: -amount,
        tax: -tax,
        included: false,
        taxes: &ids,
        rate,
        description: if reason.is_empty() { name.to_owned() } else { format!("{name}: {reason}") },
    };
    cart::push(charge, order.shop_currency, out);
    Ok(amount + tax)
}

/// The order's taxes that turn `net` into `tax`, to the smallest unit: delivery's first.
fn adjustment_taxes(net: Decimal, tax: Decimal, order: &Order) -> Result<&[TaxLine], Refusal> {
    if tax.is_zero() {
        return Ok(&[]);
    }
    let unit = Decimal::new(1, cart::digits(order.shop_currency));
    let fits = |taxes: &&[TaxLine]| (net * taxes.iter().map(|it| it.rate).sum::<Decimal>() - tax).abs() <= unit;
    let of_shipping = order.shipping_lines.iter().map(|it| it.taxes.as_slice());
    let of_lines = order.lines.iter().map(|it| it.taxes.as_slice());
    let found = of_shipping.chain(of_lines).find(fits);
    found.ok_or_else(|| Refusal::UnmappedTax {
        rate: if net.is_zero() { "?".to_owned() } else { (tax / net).round_dp(4).normalize().to_string() },
        country: taxes::country(order).to_owned(),
    })
}

/// True from the step on that found nothing to book.
pub(crate) fn is_nothing_due(call: &StepCall<'_>) -> bool {
    let (_, part) = Part::of(call.step);
    call.findings.contains_key(&part.finding(NOTHING_DUE))
}

const NOTHING_DUE: &str = "nothing_due";

pub(crate) fn nothing_due(why: &str) -> Findings {
    Findings::from([(NOTHING_DUE.to_owned(), why.to_owned())])
}

#[derive(Debug, Deserialize)]
struct Booked {
    web_id: Option<String>,
    shipment_method: String,
    #[serde(flatten)]
    sale: Sale,
}

impl Target {
    pub(crate) async fn probe_refund(&self, call: &StepCall<'_>, part: Part) -> Result<Probe, Fault> {
        let deal = self.deal(call, part)?;
        match self.find(&deal).await? {
            Some(sale) => self.verified(call, &deal, &sale, part).await,
            None => Ok(Probe::Missing),
        }
    }

    pub(crate) async fn create_refund(
        &self,
        call: &StepCall<'_>,
        refund: &Refund,
        order: &Order,
        part: Part,
    ) -> Result<Findings, StepError> {
        let cart = cart(refund, order, part, &self.settings)?;
        if cart.lines.is_empty() {
            return Ok(nothing_due("the refund moves no money and no goods"));
        }
        let sold = self.find_sale(self.web_shop(&call.command.connection)?, &order.id).await?;
        let sold = sold.ok_or_else(|| Refusal::UnknownOrder(order.id.clone()))?;
        match sold.state {
            // What was taken out before anybody paid is not given back: the quotation is revised or withdrawn instead.
            SaleState::Draft | SaleState::Quotation if !refund.moves_money() => {
                return Ok(nothing_due("the order was never paid"));
            }
            SaleState::Draft | SaleState::Quotation => return Err(Refusal::NotYetSold(sold.id).into()),
            SaleState::Cancelled => return Ok(nothing_due("the order was cancelled")),
            SaleState::Confirmed | SaleState::Processing | SaleState::Done => {}
        }
        if sold.is_withdrawn() {
            return Ok(nothing_due("the order was cancelled before it was invoiced"));
        }
        let own = part.web_id(&refund.id);
        let others: Vec<Sale> =
            self.refunds(sold.id).await?.into_iter().filter(|it| it.web_id.as_deref() != Some(&own)).map(|it| it.sale).collect();
        capped(&cart, &sold, &others)?;
        let goods_return = lines_of(refund, part).any(|it| it.restock == Restock::Return);
        let values = json!({
            "reference": format!("{} {own}", order.display_number), "description": refund.note, "origin": format!("sale.sale,{}", sold.id),
            "shipment_method": if goods_return { "order" } else { "manual" },
        });
        let party = sold.party.ok_or(Refusal::NoParty(0))?;
        let parties = Parties { party, invoice_address: sold.invoice_address, shipment_address: sold.shipment_address };
        self.create(call, part, &parties, values).await
    }

    /// The refunds of a sale, those apart that were cancelled.
    async fn refunds(&self, sold: i64) -> Result<Vec<Booked>, Fault> {
        let fields: Vec<&str> = SALE.iter().copied().chain(["web_id"]).collect();
        let domain = json!([["origin", "=", format!("sale.sale,{sold}")]]);
        let rows: Vec<Booked> = self.rpc.search(Search::of("sale.sale", domain, &fields)).await?;
        Ok(rows.into_iter().filter(|it| it.sale.state != SaleState::Cancelled).collect())
    }

    /// What was given back of a sale.
    pub(crate) async fn given_back(&self, sold: &Sale) -> Result<GivenBack, Fault> {
        let refunds = self.refunds(sold.id).await?;
        let money: Decimal = refunds.iter().map(|it| it.sale.total_amount).sum();
        if money.is_zero() {
            return Ok(GivenBack::Nothing);
        }
        let mut left = pieces(sold);
        for (sku, quantity) in refunds.iter().flat_map(|it| pieces(&it.sale)) {
            // Their quantities are negative.
            *left.entry(sku).or_default() += quantity;
        }
        // A tip or the delivery may stay with the seller; without goods nothing is left to call off. Only goods have moves.
        let goods: Vec<_> = sold.lines.iter().filter(|it| !it.moves.is_empty()).filter_map(SaleLine::sku).collect();
        let is_back = |sku: &&str| left.get(*sku).is_none_or(|it| *it <= Decimal::ZERO);
        let is_all = sold.total_amount + money == Decimal::ZERO || (!goods.is_empty() && goods.iter().all(is_back));
        Ok(if is_all { GivenBack::Everything } else { GivenBack::Part })
    }

    /// Pieces of each item that were refunded and do not come back.
    pub(crate) async fn kept_back(&self, sold: i64) -> Result<BTreeMap<String, Decimal>, Fault> {
        let mut kept_back = BTreeMap::new();
        for refund in self.refunds(sold).await?.iter().filter(|it| it.shipment_method == "manual") {
            for (sku, quantity) in pieces(&refund.sale) {
                *kept_back.entry(sku).or_default() -= quantity;
            }
        }
        Ok(kept_back)
    }
}

/// How much of a sale was given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GivenBack {
    Nothing,
    Part,
    /// All its money, or all its goods.
    Everything,
}

/// Refuses more pieces or more money than are left.
fn capped(cart: &Cart, sold: &Sale, others: &[Sale]) -> Result<(), Refusal> {
    let mut left = pieces(sold);
    for (sku, quantity) in others.iter().flat_map(pieces) {
        // Their quantities are negative.
        *left.entry(sku).or_default() += quantity;
    }
    let mut asked: BTreeMap<&str, Decimal> = BTreeMap::new();
    for line in &cart.lines {
        if let Item::Sku(sku) = &line.item {
            *asked.entry(sku).or_default() -= line.quantity;
        }
    }
    for (sku, asked) in asked {
        let left = left.get(sku).copied().unwrap_or_default();
        if asked > left {
            return Err(over(sku, asked, left));
        }
    }
    let left = sold.total_amount + others.iter().map(|it| it.total_amount).sum::<Decimal>();
    if -cart.total.amount > left { Err(over("money", -cart.total.amount, left)) } else { Ok(()) }
}

/// Pieces of each item.
fn pieces(sale: &Sale) -> BTreeMap<String, Decimal> {
    let mut pieces = BTreeMap::new();
    for line in sale.lines.iter().filter(|it| it.kind == "line") {
        if let Some(sku) = line.sku() {
            *pieces.entry(sku.to_owned()).or_default() += line.quantity.unwrap_or_default();
        }
    }
    pieces
}

fn over(what: &str, asked: Decimal, left: Decimal) -> Refusal {
    Refusal::OverRefund { what: what.to_owned(), asked: asked.normalize().to_string(), left: left.normalize().to_string() }
}

#[cfg(test)]
mod tests;
