//! Amounts, rounded as Tryton rounds them: half to even, taxes per line or per document.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::rows::Totals;
use super::settings::TaxRounding;
use super::world::World;

/// One line that bears taxes.
struct Taxable {
    taxes: BTreeSet<i64>,
    quantity: Decimal,
    unit_price: Decimal,
}

pub(super) fn of_sale(world: &World, sale: i64) -> Totals {
    let lines = world.lines_of(sale).into_iter().map(|it| world.sale_lines.row(it)).filter(|it| it.kind == "line");
    let lines = lines.map(|it| Taxable { taxes: it.taxes.clone(), quantity: it.quantity, unit_price: it.unit_price });
    totals(world, lines.collect(), world.digits_of_sale(sale))
}

pub(super) fn of_invoice(world: &World, invoice: i64) -> Totals {
    let lines = world.invoice_lines.index.by_invoice.get(&invoice).into_iter().map(|it| world.invoice_lines.row(it));
    let lines = lines.map(|it| Taxable { taxes: it.taxes.clone(), quantity: it.quantity, unit_price: it.unit_price });
    totals(world, lines.collect(), world.currencies.row(world.invoices.row(invoice).currency).digits)
}

pub(super) fn line_amount(quantity: Decimal, unit_price: Decimal, digits: u32) -> Decimal {
    round(quantity * unit_price, digits)
}

fn totals(world: &World, lines: Vec<Taxable>, digits: u32) -> Totals {
    let untaxed = lines.iter().map(|it| line_amount(it.quantity, it.unit_price, digits)).sum();
    let rates = world.taxes.iter().map(|(id, it)| (id, it.rate)).collect();
    Totals { untaxed, tax: taxes(&rates, lines, digits, world.conduct.tax_rounding) }
}

/// Lines are taken together that have the same taxes and the same sign.
fn taxes(rates: &BTreeMap<i64, Decimal>, lines: Vec<Taxable>, digits: u32, rounding: TaxRounding) -> Decimal {
    let mut groups: BTreeMap<(BTreeSet<i64>, bool), Vec<Taxable>> = BTreeMap::new();
    for line in lines {
        let is_sale = line.quantity * line.unit_price >= Decimal::ZERO;
        groups.entry((line.taxes.clone(), is_sale)).or_default().push(line);
    }
    let mut all = Decimal::ZERO;
    for ((taxes, _), lines) in groups {
        let mut sums: BTreeMap<i64, Decimal> = BTreeMap::new();
        for line in lines {
            let of_line = taxes.iter().filter_map(|tax| Some((*tax, line.quantity * line.unit_price * rates.get(tax)?)));
            let mut of_line: BTreeMap<_, _> = of_line.collect();
            if rounding == TaxRounding::Line {
                round_together(&mut of_line, digits);
            }
            for (tax, amount) in of_line {
                *sums.entry(tax).or_default() += amount;
            }
        }
        if rounding == TaxRounding::Document {
            round_together(&mut sums, digits);
        }
        all += sums.values().sum::<Decimal>();
    }
    // A total without taxes has its cents, too.
    at_least(all, digits)
}

/// Rounds each, then takes the cents by which all of them together went wrong from the first ones.
fn round_together(amounts: &mut BTreeMap<i64, Decimal>, digits: u32) {
    let cent = Decimal::new(1, digits);
    let mut off = Decimal::ZERO;
    for amount in amounts.values_mut() {
        let rounded = round(*amount, digits);
        off += rounded - *amount;
        *amount = rounded;
    }
    let mut off = round(off, digits);
    while off.abs() >= cent {
        let step = if off.is_sign_negative() { -cent } else { cent };
        let before = off;
        for amount in amounts.values_mut().filter(|it| !it.is_zero()) {
            *amount -= step;
            off -= step;
            if off.abs() < cent {
                break;
            }
        }
        if off == before {
            break;
        }
    }
}

fn round(amount: Decimal, digits: u32) -> Decimal {
    at_least(amount.round_dp(digits), digits)
}

/// `24` is written `24.00`.
fn at_least(mut amount: Decimal, digits: u32) -> Decimal {
    if amount.scale() < digits {
        amount.rescale(digits);
    }
    amount
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn total(lines: &[(&str, &str, &str)], rounding: TaxRounding) -> String {
        let rates: BTreeMap<i64, Decimal> = [(1, "0.20"), (2, "0.19"), (3, "0.07")].map(|(id, rate)| (id, decimal(rate))).into();
        let tax_of = |rate: &str| rates.iter().find(|(_, it)| **it == decimal(rate)).map(|(id, _)| *id);
        let taxable = |(quantity, price, rate): &(&str, &str, &str)| Taxable {
            taxes: tax_of(rate).into_iter().collect(),
            quantity: decimal(quantity),
            unit_price: decimal(price),
        };
        let untaxed: Decimal = lines.iter().map(|(quantity, price, _)| line_amount(decimal(quantity), decimal(price), 2)).sum();
        (untaxed + taxes(&rates, lines.iter().map(taxable).collect(), 2, rounding)).to_string()
    }

    fn check(lines: &[(&str, &str, &str)], per_line: &str, per_document: &str) {
        assert_eq!(total(lines, TaxRounding::Line), per_line, "{lines:?} per line");
        assert_eq!(total(lines, TaxRounding::Document), per_document, "{lines:?} per document");
    }

    #[test]
    fn the_recorded_sale_is_28_80() {
        check(&[("2", "9.50", "0.20"), ("1", "5.00", "0.20")], "28.80", "28.80");
    }

    #[test]
    fn halves_go_to_the_even_cent() {
        // At 20 % no price gives 0.03.
        check(&[("1", "0.0250", "0.20")], "0.02", "0.02");
        check(&[("1", "0.0251", "0.20")], "0.04", "0.04");
        check(&[("-1", "0.0250", "0.20")], "-0.02", "-0.02");
        check(&[("3", "0.0050", "0")], "0.02", "0.02");
    }

    #[test]
    fn where_taxes_are_rounded_makes_a_cent() {
        // 3 x 0.002 of tax: nothing per line, one cent together.
        check(&[("1", "0.01", "0.20"), ("1", "0.01", "0.20"), ("1", "0.01", "0.20")], "0.03", "0.04");
        // Lines of different taxes are not taken together.
        check(&[("1", "0.02", "0.20"), ("1", "0.02", "0.19")], "0.04", "0.04");
    }

    #[test]
    fn sales_and_returns_in_one_document_are_rounded_apart() {
        check(&[("1", "0.02", "0.20"), ("-1", "0.02", "0.20")], "0.00", "0.00");
        check(&[("-2", "9.50", "0.20")], "-22.80", "-22.80");
    }

    #[test]
    fn several_taxes_on_a_line_share_what_rounding_costs() {
        let rates: BTreeMap<i64, Decimal> = [(1, decimal("0.25")), (2, decimal("0.25")), (3, decimal("0.25"))].into();
        let line = Taxable { taxes: [1, 2, 3].into(), quantity: Decimal::ONE, unit_price: decimal("0.06") };
        // 0.015 each is rounded to 0.02, which is 0.015 too much in all; that is two cents, rounded to even: two of the three give one.
        assert_eq!(taxes(&rates, vec![line], 2, TaxRounding::Line).to_string(), "0.04");
    }
}
