//! What a sale consists of: lines, prices without tax, and the exact total that they must come to. Pure.
//!
//! Tryton knows net unit prices of at most four decimals, rounds each line to the currency, adds the taxes of all lines and
//! rounds those (or rounds them per line, by its configuration). A shop's total is what the buyer paid, so it is the measure:
//! prices are chosen such that each line is the shop's line to the cent, and what the taxes' rounding leaves over becomes one
//! line on the rounding product ([`gate`]). A discount lowers its line's price; its code, kind and amount stand in the
//! line's text, so that no second line must share the line's taxes.

use domain::order::DiscountAllocation;
use domain::{Currency, Money, Order, OrderLine, ShippingLine};
use rust_decimal::{Decimal, RoundingStrategy};

use crate::config::Settings;
use crate::error::Refusal;
use crate::taxes;

/// What is sold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Sku(String),
    /// A product of the settings.
    Product(i64),
    /// An amount with a text.
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) item: Item,
    pub(crate) quantity: Decimal,
    /// Without tax, at most four decimals.
    pub(crate) unit_price: Decimal,
    pub(crate) taxes: Vec<i64>,
    pub(crate) description: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cart {
    pub(crate) lines: Vec<Line>,
    /// What they must come to, taxes included.
    pub(crate) total: Money,
    pub(crate) carrier: Option<i64>,
}

/// Which of an order's quantities count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// As the buyer ordered. Refunds are booked on their own.
    Placed,
    /// As it stands after edits.
    Current,
}

impl Extent {
    /// A quotation mirrors what is left. Money that went back is of a refund, which is booked on its own once the order is
    /// confirmed, and needs what it is about.
    pub(crate) fn of_quotation(order: &Order) -> Self {
        if order.shows_refund() { Self::Placed } else { Self::Current }
    }
}

/// A part of an order with one price and one set of taxes. Amounts are for all of `quantity`.
pub(crate) struct Charge<'a> {
    pub(crate) item: Item,
    pub(crate) quantity: Decimal,
    /// After discounts; with the tax in it when `included`.
    pub(crate) amount: Decimal,
    pub(crate) tax: Decimal,
    pub(crate) included: bool,
    pub(crate) taxes: &'a [i64],
    pub(crate) rate: Decimal,
    pub(crate) description: String,
}

pub(crate) fn of_order(order: &Order, extent: Extent, settings: &Settings) -> Result<Cart, Refusal> {
    let currency = order.shop_currency;
    let (mut lines, mut carrier) = (Vec::new(), settings.carrier);
    for (position, line) in order.lines.iter().enumerate() {
        of_line(order, line, position + 1, extent, settings, &mut lines)?;
    }
    for (position, line) in order.shipping_lines.iter().enumerate() {
        let (product, by) = taxes::of_shipping(line, settings)?;
        if position == 0 {
            carrier = by;
        }
        of_shipping(order, line, product, settings, &mut lines)?;
    }
    let tip = order.totals.tip.shop.amount;
    if !tip.is_zero() {
        let item = settings.tip_product.map_or(Item::Nothing, Item::Product);
        lines.push(Line { item, quantity: Decimal::ONE, unit_price: tip, taxes: vec![], description: "Tip".to_owned() });
    }
    let total = match extent {
        Extent::Placed => order.totals.total.shop,
        Extent::Current => order.totals.current_total.shop,
    };
    Ok(Cart { lines, total: Money::new(total.amount, currency), carrier })
}

fn of_line(
    order: &Order,
    line: &OrderLine,
    position: usize,
    extent: Extent,
    settings: &Settings,
    out: &mut Vec<Line>,
) -> Result<(), Refusal> {
    let quantity = match extent {
        Extent::Placed => line.quantity,
        Extent::Current => line.current_quantity,
    };
    if quantity.is_zero() || line.quantity.is_zero() {
        return Ok(());
    }
    let share = quantity / line.quantity;
    let full = line.unit_price.shop.times(line.quantity)?.amount - discounts(&line.discounts);
    let (ids, rate) = taxes::of_line(&line.taxes, taxes::country(order), settings)?;
    push(
        Charge {
            item: item(&line.sku, position, settings)?,
            quantity,
            amount: full * share,
            tax: line.taxes.iter().map(|it| it.amount.shop.amount).sum::<Decimal>() * share,
            included: order.taxes_included,
            taxes: &ids,
            rate,
            description: described(&line.title, &line.discounts),
        },
        order.shop_currency,
        out,
    );
    Ok(())
}

fn of_shipping(order: &Order, line: &ShippingLine, product: i64, settings: &Settings, out: &mut Vec<Line>) -> Result<(), Refusal> {
    let (ids, rate) = taxes::of_line(&line.taxes, taxes::country(order), settings)?;
    let name = if line.title.is_empty() { &line.code } else { &line.title };
    let method = if line.code.is_empty() || line.code == *name { name.clone() } else { format!("{name} ({})", line.code) };
    push(
        Charge {
            item: Item::Product(product),
            quantity: Decimal::ONE,
            amount: line.price.shop.amount - discounts(&line.discounts),
            tax: line.taxes.iter().map(|it| it.amount.shop.amount).sum(),
            included: order.taxes_included,
            taxes: &ids,
            rate,
            description: described(&method, &line.discounts),
        },
        order.shop_currency,
        out,
    );
    Ok(())
}

pub(crate) fn item(sku: &str, position: usize, settings: &Settings) -> Result<Item, Refusal> {
    match (sku, settings.unlisted_product) {
        ("", Some(product)) => Ok(Item::Product(product)),
        ("", None) => Err(Refusal::NoSku(position)),
        (sku, _) => Ok(Item::Sku(sku.to_owned())),
    }
}

fn discounts(allocations: &[DiscountAllocation]) -> Decimal {
    allocations.iter().map(|it| it.amount.shop.amount).sum()
}

/// The title, and under it each discount with code (or title), kind and amount.
fn described(title: &str, allocations: &[DiscountAllocation]) -> String {
    let mut text = title.to_owned();
    for it in allocations {
        let name = if it.code.is_empty() { &it.title } else { &it.code };
        text.push_str(&format!("\nDiscount {name} ({}): -{}", it.kind.as_str(), it.amount.shop));
    }
    text
}

/// Adds the line or lines that charge exactly this. Negative quantities give back.
pub(crate) fn push(charge: Charge<'_>, currency: Currency, out: &mut Vec<Line>) {
    let digits = digits(currency);
    let net = net(&charge, digits);
    for (quantity, unit_price) in prices(charge.quantity, net, digits) {
        let (item, description) = (charge.item.clone(), charge.description.clone());
        out.push(Line { item, quantity, unit_price, taxes: charge.taxes.to_vec(), description });
    }
}

/// The amount without tax. Where the shop's own tax is the amount's rounded share of tax, the unrounded share is taken out:
/// then the rounding of many lines does not add up. Else the shop has its reasons, and its tax is taken out as it is.
fn net(charge: &Charge<'_>, digits: u32) -> Decimal {
    if !charge.included {
        return charge.amount;
    }
    let stated = charge.amount - charge.tax;
    let exact = charge.amount / (Decimal::ONE + charge.rate);
    if round(exact, digits) == round(stated, digits) { exact } else { stated }
}

/// Quantities and unit prices that come to `net` to the cent. One price of four decimals cannot do that for many pieces, so
/// then some of them cost 0.0001 more.
fn prices(quantity: Decimal, net: Decimal, digits: u32) -> Vec<(Decimal, Decimal)> {
    let price = round(net / quantity, 4);
    if round(price * quantity, digits) == round(net, digits) {
        return vec![(quantity, price)];
    }
    let low = (net / quantity).round_dp_with_strategy(4, RoundingStrategy::ToNegativeInfinity);
    let step = Decimal::new(1, 4);
    // Of the quantity's sign, and never more than it: `low` is less than a step too low.
    let dearer = ((net - low * quantity) / step).round();
    let split = [(quantity - dearer, low), (dearer, low + step)];
    split.into_iter().filter(|(quantity, _)| !quantity.is_zero()).collect()
}

/// Half to even, as Tryton rounds.
pub(crate) fn round(amount: Decimal, digits: u32) -> Decimal {
    amount.round_dp_with_strategy(digits, RoundingStrategy::MidpointNearestEven)
}

pub(crate) fn digits(currency: Currency) -> u32 {
    currency.exponent().map_or(2, u32::from)
}

/// What to do about Tryton's total.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Exact,
    /// Add this on the rounding product.
    Adjust(Decimal),
    Mismatch,
}

/// Compares. A line may be off by `tolerance_line`, all together by at most `tolerance_total`.
pub(crate) fn gate(expected: Money, actual: Decimal, lines: usize, settings: &Settings) -> Gate {
    let difference = expected.amount - actual;
    if difference.is_zero() {
        return Gate::Exact;
    }
    // 0.05 means five of the smallest units, in yen as in euros.
    let units = Decimal::new(1, digits(expected.currency)) / Decimal::new(1, 2);
    let of_lines = settings.tolerance_line * Decimal::from(lines);
    let limit = of_lines.min(settings.tolerance_total) * units;
    if difference.abs() <= limit { Gate::Adjust(difference) } else { Gate::Mismatch }
}

#[cfg(test)]
pub(crate) mod tests;
