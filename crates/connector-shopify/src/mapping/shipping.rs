//! Delivery, and what else is charged beside the goods.

use domain::{Money, MoneyPair, ShippingLine};

use super::discount::allocations;
use super::money::{Currencies, minus, sum};
use super::order::taxes;
use crate::error::MappingError;
use crate::wire::{self, Application, List, Order};

/// The delivery lines and what they cost after discounts.
pub(super) struct Delivery {
    pub(super) lines: Vec<ShippingLine>,
    pub(super) price: MoneyPair,
}

/// A line with the two prices that it may be taken to cost.
struct Candidate {
    line: ShippingLine,
    stated: MoneyPair,
    allocated: MoneyPair,
    is_removed: bool,
}

/// Shopify leaves two things open: whether `discounted_price` knows discounts of the whole order, and whether the order's total
/// still counts lines that an edit removed. `wanted`, what the order's total leaves for delivery, tells.
pub(super) fn delivery(
    order: &Order<'_>,
    applications: &[Application<'_>],
    currencies: Currencies,
    wanted: Money,
) -> Result<Delivery, MappingError> {
    let extra = charges(order, currencies)?;
    let mut candidates = Vec::with_capacity(order.shipping_lines.len());
    for (index, it) in order.shipping_lines.iter().enumerate() {
        candidates.push(candidate(it, applications, currencies).map_err(|error| error.within("shipping_lines", index))?);
    }

    let zero = currencies.zero();
    let total = |prices: &mut dyn Iterator<Item = MoneyPair>| {
        sum(zero, prices.chain(extra.iter().map(|it| it.price))).map_err(|error| MappingError::money("shipping_lines", error))
    };
    let kept = || candidates.iter().filter(|it| !it.is_removed);
    let readings = [
        (total(&mut kept().map(|it| it.stated))?, false),
        (total(&mut kept().map(|it| it.allocated))?, false),
        (total(&mut candidates.iter().map(|it| it.stated))?, true),
    ];
    let (price, with_removed) = *readings.iter().find(|(price, _)| price.shop == wanted).unwrap_or(&readings[0]);
    let lines = candidates.into_iter().filter(|it| with_removed || !it.is_removed).map(|it| it.line);
    Ok(Delivery { lines: lines.chain(extra).collect(), price })
}

fn candidate(from: &wire::ShippingLine<'_>, applications: &[Application<'_>], currencies: Currencies) -> Result<Candidate, MappingError> {
    let price = currencies.needed(from.price_set, from.price, "price")?;
    let discounts = allocations(&from.discount_allocations, applications, currencies)?;
    let off =
        sum(currencies.zero(), discounts.iter().map(|it| it.amount)).map_err(|error| MappingError::money("discount_allocations", error))?;
    let allocated = minus(price, off).map_err(|error| MappingError::money("price", error))?;
    let stated = currencies.pair(from.discounted_price_set, from.discounted_price, "discounted_price")?.unwrap_or(allocated);
    let line = ShippingLine {
        id: from.id.map(|it| it.to_string()).unwrap_or_default(),
        code: from.code.to_string(),
        title: from.title.to_string(),
        price,
        discounts,
        taxes: taxes(&from.tax_lines, currencies)?,
    };
    Ok(Candidate { line, stated, allocated, is_removed: from.is_removed.unwrap_or_default() })
}

/// Duties and fees are part of the order's total and have no field of their own in the canonical order: each becomes a delivery
/// line with a code of its own, behind the real ones, so that a table can send it to an account of its own.
fn charges(order: &Order<'_>, currencies: Currencies) -> Result<Vec<ShippingLine>, MappingError> {
    let duties = currencies.or_zero(order.original_total_duties_set, None, "original_total_duties")?;
    let fees = currencies.or_zero(order.original_total_additional_fees_set, None, "original_total_additional_fees")?;
    let mut lines = Vec::new();
    // They are in the prices of the goods already where the shop sells that way.
    if !duties.shop.is_zero() && !order.duties_included.unwrap_or_default() {
        lines.push(charge(
            "duties",
            "Duties",
            duties,
            order.line_items.iter().flat_map(|it| it.duties.iter().map(|it| &it.tax_lines)),
            currencies,
        )?);
    }
    if !fees.shop.is_zero() {
        lines.push(charge("fees", "Fees", fees, order.additional_fees.iter().map(|it| &it.tax_lines), currencies)?);
    }
    Ok(lines)
}

fn charge<'a, 'b: 'a>(
    code: &str,
    title: &str,
    price: MoneyPair,
    tax_lines: impl Iterator<Item = &'a List<wire::TaxLine<'b>>>,
    currencies: Currencies,
) -> Result<ShippingLine, MappingError> {
    let mut line = ShippingLine {
        id: code.to_owned(),
        code: code.to_owned(),
        title: title.to_owned(),
        price,
        discounts: Vec::new(),
        taxes: Vec::new(),
    };
    for lines in tax_lines {
        line.taxes.extend(taxes(lines, currencies)?);
    }
    Ok(line)
}
