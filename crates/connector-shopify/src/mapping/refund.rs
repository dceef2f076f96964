//! Refunds. A refund inside an order and the same one in `refunds/create` map to equal values: only what stands in the refund
//! itself is used, and of the order only what every refund also says.

use chrono::{DateTime, Utc};
use domain::money::Currency;
use domain::{MoneyPair, Refund, RefundAdjustment, RefundAdjustmentKind, RefundLine, Restock};

use super::discrepancy::{TIP, check_money, set_pending_apart};
use super::money::{Currencies, need, negated, sum};
use super::order::is_tip;
use super::payment::payments;
use super::tables::{self, lower};
use crate::error::MappingError;
use crate::wire::{self, Stamp};

/// The order that a refund stands in.
#[derive(Clone, Copy)]
pub(super) struct OfOrder<'a> {
    pub(super) id: &'a str,
    pub(super) shop: Currency,
    pub(super) presentment: Currency,
}

pub(super) fn refund(from: &wire::Refund<'_>, order: Option<OfOrder<'_>>) -> Result<Refund, MappingError> {
    let id = need(from.id, "id", "a whole 64-bit id")?;
    let order_id = from.order_id.or_else(|| from.order.and_then(|it| it.id)).map(|it| it.to_string());
    let order_id = need(order_id.or_else(|| order.map(|it| it.id.to_owned())), "order_id", "the order's id")?;
    let currencies = own_currencies(from).or_else(|| order.map(|it| Currencies { shop: it.shop, presentment: it.presentment }));

    let payments = payments(&from.transactions, &order_id, currencies.map(|it| it.presentment))?;
    let mut refund = Refund {
        id: id.to_string(),
        order_id,
        created_at: from.created_at.map(|it| it.0),
        note: from.note.to_string(),
        lines: Vec::with_capacity(from.refund_line_items.len()),
        adjustments: Vec::new(),
        payments,
    };
    for (index, it) in from.refund_line_items.iter().enumerate() {
        let within = |error: MappingError| error.within("refund_line_items", index);
        match is_tip_of(it, from) {
            true => refund.adjustments.push(tip(it, currencies).map_err(within)?),
            false => refund.lines.push(line(it, currencies).map_err(within)?),
        }
    }
    let mut adjustments = Vec::with_capacity(from.order_adjustments.len());
    for (index, it) in from.order_adjustments.iter().enumerate() {
        adjustments.push(adjustment(it, currencies).map_err(|error| error.within("order_adjustments", index))?);
    }
    set_pending_apart(&mut adjustments, &refund.payments);
    let taxes = delivery_taxes(from, &mut adjustments)?;
    for (index, it) in from.refund_shipping_lines.iter().enumerate() {
        let tax = taxes.get(index).copied();
        refund.adjustments.push(shipping(it, tax, currencies).map_err(|error| error.within("refund_shipping_lines", index))?);
    }
    for (index, it) in from.duties.iter().enumerate() {
        refund.adjustments.extend(duty(it, index, currencies).map_err(|error| error.within("duties", index))?);
    }
    refund.adjustments.extend(adjustments);
    check_money(&refund, from.of_return.is_some())?;
    Ok(refund)
}

/// Old bodies say refunded delivery as an adjustment, the API as a line, and webhooks since version 2024-10 as both: the line has the
/// amount, and the adjustment alone its tax. Takes such adjustments out and returns what they say of the lines.
fn delivery_taxes(from: &wire::Refund<'_>, adjustments: &mut Vec<RefundAdjustment>) -> Result<Vec<MoneyPair>, MappingError> {
    let lines = from.refund_shipping_lines.len();
    if lines == 0 {
        return Ok(Vec::new());
    }
    let told: Vec<_> = adjustments.extract_if(.., |it| it.kind == RefundAdjustmentKind::Shipping).map(|it| it.tax).collect();
    match told.split_first() {
        // Which line is whose, nobody says.
        Some((first, others)) if told.len() != lines => {
            let all = sum(*first, others.iter().copied()).map_err(|error| MappingError::money("order_adjustments", error))?;
            Ok(vec![all])
        }
        _ => Ok(told),
    }
}

/// Refunds have no time of change, but they do change: their transactions settle later. The latest time in a refund only grows,
/// and is the same wherever the refund stands.
pub(super) fn updated_at(from: &wire::Refund<'_>) -> Result<DateTime<Utc>, MappingError> {
    let settled = from.transactions.iter().flat_map(|it| [it.created_at, it.processed_at]);
    let latest: Option<Stamp> = settled.chain([from.created_at, from.processed_at]).flatten().max();
    Ok(need(latest, "created_at", "a time")?.0)
}

fn own_currencies(from: &wire::Refund<'_>) -> Option<Currencies> {
    let lines = from.refund_line_items.iter().filter_map(|it| it.subtotal_set);
    let adjustments = from.order_adjustments.iter().filter_map(|it| it.amount_set);
    let shipping = from.refund_shipping_lines.iter().filter_map(|it| it.subtotal_amount_set);
    lines.chain(adjustments).chain(shipping).chain(from.total_duties_set).next().map(|set| Currencies::of(&set))
}

fn line(from: &wire::RefundLine<'_>, currencies: Option<Currencies>) -> Result<RefundLine, MappingError> {
    let currencies = need(currencies, "subtotal_set", "the amount in both currencies")?;
    let of_line = from.line_item.as_ref();
    let line_id = from.line_item_id.or_else(|| of_line.and_then(|it| it.id));
    let restock = tables::restock(&from.restock_type)?;
    // Of goods that do not go back the webhook says no location and the API says one.
    let location = from.location_id.or_else(|| from.location.and_then(|it| it.id)).filter(|_| restock != Restock::NoRestock);
    let quantity = need(from.quantity, "quantity", "a quantity")?.0.normalize();
    if quantity.is_sign_negative() {
        return Err(MappingError::invalid("quantity", "it is negative"));
    }
    Ok(RefundLine {
        id: need(from.id, "id", "a whole 64-bit id")?.to_string(),
        order_line_id: need(line_id, "line_item_id", "the id of a line of the order")?.to_string(),
        sku: of_line.map(|it| it.sku.to_string()).unwrap_or_default(),
        quantity,
        restock,
        location_id: location.map(|it| it.to_string()).unwrap_or_default(),
        subtotal: currencies.needed(from.subtotal_set, from.subtotal, "subtotal")?,
        tax: currencies.or_zero(from.total_tax_set, from.total_tax, "total_tax")?,
    })
}

fn is_tip_of(line: &wire::RefundLine<'_>, refund: &wire::Refund<'_>) -> bool {
    let tips = refund.order.and_then(|it| it.total_tip_received_set);
    line.line_item.as_ref().is_some_and(|it| {
        let has_article = it.product_id.is_some() || it.product.is_some();
        is_tip(it.tip_payment_gateway, has_article, &it.title, tips)
    })
}

/// No line of the order: tips are not among its goods.
fn tip(from: &wire::RefundLine<'_>, currencies: Option<Currencies>) -> Result<RefundAdjustment, MappingError> {
    let currencies = need(currencies, "subtotal_set", "the amount in both currencies")?;
    Ok(RefundAdjustment {
        id: need(from.id, "id", "a whole 64-bit id")?.to_string(),
        kind: RefundAdjustmentKind::Goodwill,
        reason: TIP.to_owned(),
        amount: currencies.needed(from.subtotal_set, from.subtotal, "subtotal")?,
        tax: currencies.or_zero(from.total_tax_set, from.total_tax, "total_tax")?,
    })
}

fn shipping(
    from: &wire::RefundShipping,
    told_tax: Option<MoneyPair>,
    currencies: Option<Currencies>,
) -> Result<RefundAdjustment, MappingError> {
    let currencies = need(currencies, "subtotal_amount_set", "the amount in both currencies")?;
    Ok(RefundAdjustment {
        id: from.id.map(|it| it.to_string()).unwrap_or_default(),
        kind: RefundAdjustmentKind::Shipping,
        reason: "shipping_refund".to_owned(),
        amount: currencies.needed(from.subtotal_amount_set, None, "subtotal_amount_set")?,
        tax: currencies.pair(from.tax_amount_set, None, "tax_amount_set")?.or(told_tax).unwrap_or_else(|| currencies.zero()),
    })
}

/// As in orders, duties go with delivery.
fn duty(from: &wire::RefundDuty, index: usize, currencies: Option<Currencies>) -> Result<Option<RefundAdjustment>, MappingError> {
    let currencies = need(currencies, "amount_set", "the amount in both currencies")?;
    let amount = currencies.or_zero(from.amount_set, None, "amount_set")?;
    let adjustment = RefundAdjustment {
        id: format!("duties-{index}"),
        kind: RefundAdjustmentKind::Shipping,
        reason: "duties".to_owned(),
        amount,
        tax: currencies.zero(),
    };
    Ok((!amount.shop.is_zero()).then_some(adjustment))
}

/// Shopify counts from the shop's side: what is given back is negative there.
fn adjustment(from: &wire::Adjustment<'_>, currencies: Option<Currencies>) -> Result<RefundAdjustment, MappingError> {
    let currencies = need(currencies, "amount_set", "the amount in both currencies")?;
    let kind = match &*lower(&from.kind) {
        "shipping_refund" => RefundAdjustmentKind::Shipping,
        "refund_discrepancy" | "" => RefundAdjustmentKind::Goodwill,
        _ => return Err(MappingError::unknown_value("kind", &from.kind)),
    };
    Ok(RefundAdjustment {
        id: from.id.map(|it| it.to_string()).unwrap_or_default(),
        kind,
        reason: lower(&from.reason).replace(' ', "_"),
        amount: negated(currencies.needed(from.amount_set, from.amount, "amount")?),
        tax: negated(currencies.or_zero(from.tax_amount_set, from.tax_amount, "tax_amount")?),
    })
}
