//! Amounts in the shop's currency and the buyer's, kept side by side and rounded each on its own.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub};

use domain::Currency;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};

/// One amount in both currencies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pair {
    pub shop: Decimal,
    pub presentment: Decimal,
}

impl Pair {
    pub const ZERO: Self = Self { shop: Decimal::ZERO, presentment: Decimal::ZERO };

    pub fn is_zero(self) -> bool {
        self.shop.is_zero() && self.presentment.is_zero()
    }

    pub fn times(self, factor: u32) -> Self {
        self.map(|amount| amount * Decimal::from(factor))
    }

    pub(super) fn map(self, of: impl Fn(Decimal) -> Decimal) -> Self {
        Self { shop: of(self.shop), presentment: of(self.presentment) }
    }
}

impl Add for Pair {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { shop: self.shop + other.shop, presentment: self.presentment + other.presentment }
    }
}

impl AddAssign for Pair {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Neg for Pair {
    type Output = Self;
    fn neg(self) -> Self {
        self.map(|amount| -amount)
    }
}

impl Sub for Pair {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Sum for Pair {
    fn sum<I: Iterator<Item = Self>>(pairs: I) -> Self {
        pairs.fold(Self::ZERO, Add::add)
    }
}

/// The two currencies of an order and the rate between them at the time of sale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Currencies {
    pub shop: Currency,
    pub presentment: Currency,
    /// Units of the presentment currency for one of the shop's.
    pub rate: Decimal,
}

impl Currencies {
    pub fn one(currency: Currency) -> Self {
        Self { shop: currency, presentment: currency, rate: Decimal::ONE }
    }

    /// What the buyer sees for an amount of the shop's.
    pub fn pair(&self, shop: Decimal) -> Pair {
        self.round(Pair { shop, presentment: shop * self.rate })
    }

    pub fn round(&self, pair: Pair) -> Pair {
        Pair { shop: round(pair.shop, self.shop), presentment: round(pair.presentment, self.presentment) }
    }

    /// `amount` × `part` / `whole`, such that the shares of a growing `part` differ by what was added: nothing is lost between them.
    pub fn share(&self, amount: Pair, part: u32, whole: u32) -> Pair {
        if whole == 0 || part == 0 {
            return Pair::ZERO;
        }
        self.round(amount.map(|it| it * Decimal::from(part) / Decimal::from(whole)))
    }

    /// Spreads an amount over lines by their weights; the parts add up to it, and none is more than its line.
    pub fn spread(&self, amount: Pair, over: &[Pair]) -> Vec<Pair> {
        let shop = spread(amount.shop, over.iter().map(|it| it.shop), self.shop);
        let presentment = spread(amount.presentment, over.iter().map(|it| it.presentment), self.presentment);
        shop.into_iter().zip(presentment).map(|(shop, presentment)| Pair { shop, presentment }).collect()
    }

    /// As in webhooks: the plain field, in shop currency.
    pub(super) fn plain(&self, pair: Pair) -> Value {
        Value::String(fixed(pair.shop, self.shop))
    }

    /// As in webhooks: a `*_set` field.
    pub(super) fn set(&self, pair: Pair) -> Value {
        self.set_named(pair, "currency_code")
    }

    /// The platform itself names the currency differently in one place.
    pub(super) fn set_named(&self, pair: Pair, currency: &str) -> Value {
        json!({
            "shop_money": { "amount": fixed(pair.shop, self.shop), currency: self.shop.code() },
            "presentment_money": { "amount": fixed(pair.presentment, self.presentment), currency: self.presentment.code() },
        })
    }

    /// As in webhooks' refund lines: a JSON number.
    pub(super) fn number(pair: Pair) -> Value {
        serde_json::from_str(&pair.shop.normalize().to_string()).expect("a decimal is a JSON number")
    }

    /// As in GraphQL: a `MoneyBag`.
    pub(super) fn bag(&self, pair: Pair) -> Value {
        json!({
            "__typename": "MoneyBag",
            "shopMoney": { "__typename": "MoneyV2", "amount": short(pair.shop), "currencyCode": self.shop.code() },
            "presentmentMoney": { "__typename": "MoneyV2", "amount": short(pair.presentment), "currencyCode": self.presentment.code() },
        })
    }

    pub(super) fn presentment_text(&self, pair: Pair) -> String {
        fixed(pair.presentment, self.presentment)
    }
}

/// To the currency's smallest unit, half away from zero.
pub(super) fn round(amount: Decimal, currency: Currency) -> Decimal {
    amount.round_dp_with_strategy(digits(currency), RoundingStrategy::MidpointAwayFromZero)
}

fn digits(currency: Currency) -> u32 {
    currency.exponent().map_or(2, u32::from)
}

/// With the currency's digits, as webhooks write it: `12.30`, `-1.00`.
fn fixed(amount: Decimal, currency: Currency) -> String {
    // Negated zeros would print their sign.
    let amount = if amount.is_zero() { Decimal::ZERO } else { amount };
    format!("{amount:.*}", digits(currency) as usize)
}

/// As GraphQL writes it: `12.3`, `0.0`.
pub(super) fn short(amount: Decimal) -> String {
    let text = if amount.is_zero() { "0".to_owned() } else { amount.normalize().to_string() };
    if text.contains('.') { text } else { text + ".0" }
}

fn spread(amount: Decimal, over: impl Iterator<Item = Decimal>, currency: Currency) -> Vec<Decimal> {
    let weights: Vec<Decimal> = over.collect();
    let total: Decimal = weights.iter().sum();
    let (mut weighed, mut given) = (Decimal::ZERO, Decimal::ZERO);
    let mut parts = Vec::with_capacity(weights.len());
    for weight in weights {
        weighed += weight;
        let until_here = if total.is_zero() { Decimal::ZERO } else { round(amount * weighed / total, currency) };
        parts.push(until_here - given);
        given = until_here;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(of: &[&str]) -> Vec<Pair> {
        of.iter().map(|it| Currencies::one(Currency::EUR).pair(it.parse().unwrap())).collect()
    }

    #[test]
    fn a_spread_amount_loses_no_cent_and_exceeds_no_line() {
        let euros = Currencies::one(Currency::EUR);
        for (amount, lines) in
            [("10.00", ["3.33", "3.33", "3.34"]), ("0.05", ["0.01", "99.00", "0.02"]), ("102.33", ["0.01", "99.00", "3.32"])]
        {
            let (amount, lines) = (euros.pair(amount.parse().unwrap()), amounts(&lines));
            let parts = euros.spread(amount, &lines);
            assert_eq!(parts.iter().copied().sum::<Pair>(), amount);
            assert!(parts.iter().zip(&lines).all(|(part, line)| part.shop <= line.shop));
        }
    }

    #[test]
    fn a_currency_without_cents_is_written_without_them() {
        let both = Currencies { shop: Currency::EUR, presentment: Currency::JPY, rate: "161.27".parse().unwrap() };
        let pair = both.pair("9.99".parse().unwrap());
        assert_eq!(both.set(pair)["presentment_money"]["amount"], "1611");
        assert_eq!(both.plain(pair), "9.99");
        assert_eq!(short("12.30".parse().unwrap()), "12.3");
        assert_eq!(short(Decimal::ZERO), "0.0");
    }
}
