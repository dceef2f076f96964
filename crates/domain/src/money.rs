//! Exact amounts. They never mix currencies and never pass through a float.

use std::fmt;

pub use iso_currency::Currency;
use rust_decimal::Decimal;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("{left} and {right} are different currencies")]
    CurrencyMismatch { left: Currency, right: Currency },
    #[error("`{0}` is no ISO 4217 currency code")]
    UnknownCurrency(String),
    #[error("`{0}` is no decimal amount")]
    Amount(String),
    #[error("an amount is beyond what can be counted exactly")]
    Overflow,
}

/// An amount in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    pub amount: Decimal,
    pub currency: Currency,
}

impl Money {
    pub fn new(amount: Decimal, currency: Currency) -> Self {
        Self { amount, currency }
    }

    pub fn zero(currency: Currency) -> Self {
        Self { amount: Decimal::ZERO, currency }
    }

    /// `amount` as sources write it: `12.30`, `-1`, `0.0`.
    pub fn parse(amount: &str, currency_code: &str) -> Result<Self, MoneyError> {
        let amount = amount.trim().parse().map_err(|_| MoneyError::Amount(amount.to_owned()))?;
        Ok(Self { amount, currency: currency(currency_code)? })
    }

    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.same_currency(other)?;
        let amount = self.amount.checked_add(other.amount).filter(|it| is_countable(*it)).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.checked_add(other.negated())
    }

    /// Times a quantity or a rate; not rounded.
    pub fn times(self, factor: Decimal) -> Result<Self, MoneyError> {
        let amount = self.amount.checked_mul(factor).filter(|it| is_countable(*it)).ok_or(MoneyError::Overflow)?;
        Ok(Self { amount, ..self })
    }

    pub fn negated(self) -> Self {
        Self { amount: -self.amount, ..self }
    }

    pub fn is_zero(self) -> bool {
        self.amount.is_zero()
    }

    /// Adds what is there; an empty sum is zero of `currency`.
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Self>) -> Result<Self, MoneyError> {
        amounts.into_iter().try_fold(Self::zero(currency), Self::checked_add)
    }

    fn same_currency(self, other: Self) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency })
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency.code())
    }
}

/// One amount in the shop's own currency and in the one that the buyer saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MoneyPair {
    pub shop: Money,
    pub presentment: Money,
}

impl MoneyPair {
    pub fn same(money: Money) -> Self {
        Self { shop: money, presentment: money }
    }

    pub fn zero(shop: Currency, presentment: Currency) -> Self {
        Self { shop: Money::zero(shop), presentment: Money::zero(presentment) }
    }

    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        Ok(Self { shop: self.shop.checked_add(other.shop)?, presentment: self.presentment.checked_add(other.presentment)? })
    }
}

/// Whether an amount or a quantity can be told: messages have 64 bits for its whole part, and sums have to fit, too.
pub fn is_countable(value: Decimal) -> bool {
    value.abs() < Decimal::from(10_i64.pow(18))
}

pub fn currency(code: &str) -> Result<Currency, MoneyError> {
    Currency::from_code(code).ok_or_else(|| MoneyError::UnknownCurrency(code.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn currencies_never_mix() {
        let euro = Money::parse("1.00", "EUR").unwrap();
        let dollar = Money::parse("1.00", "USD").unwrap();
        assert_eq!(euro.checked_add(dollar), Err(MoneyError::CurrencyMismatch { left: Currency::EUR, right: Currency::USD }));
        assert_eq!(Money::sum(Currency::EUR, [euro, euro]).unwrap().amount, Decimal::TWO);
    }

    #[test]
    fn ten_cents_thrice_are_thirty_cents() {
        let dime = Money::parse("0.10", "EUR").unwrap();
        assert_eq!(Money::sum(Currency::EUR, [dime, dime, dime]).unwrap(), Money::parse("0.30", "EUR").unwrap());
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        assert_eq!(Money::parse("1,00", "EUR"), Err(MoneyError::Amount("1,00".to_owned())));
        assert_eq!(Money::parse("1.00", "EURO"), Err(MoneyError::UnknownCurrency("EURO".to_owned())));
    }
}
