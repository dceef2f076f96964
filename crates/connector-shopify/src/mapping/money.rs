//! Amounts in their two currencies.

use domain::money::Currency;
use domain::{Decimal, Money, MoneyError, MoneyPair};

use crate::error::MappingError;
use crate::wire::{Amount, MoneySet, exact};

/// The value of a field that must be there.
pub(super) fn need<T>(value: Option<T>, path: &str, expected: &str) -> Result<T, MappingError> {
    value.ok_or_else(|| MappingError::shape(path, expected))
}

/// The shop's own currency and the buyer's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Currencies {
    pub(super) shop: Currency,
    pub(super) presentment: Currency,
}

impl Currencies {
    pub(super) fn of(set: &MoneySet) -> Self {
        let pair = pair_of(set);
        Self { shop: pair.shop.currency, presentment: pair.presentment.currency }
    }

    pub(super) fn zero(self) -> MoneyPair {
        MoneyPair { shop: exact(Decimal::ZERO, self.shop), presentment: exact(Decimal::ZERO, self.presentment) }
    }

    /// The set where there is one: a plain amount is shop currency only and says what the buyer saw only where both are the same.
    /// `None`: the field is absent.
    pub(super) fn pair(self, set: Option<MoneySet>, plain: Option<Amount>, path: &str) -> Result<Option<MoneyPair>, MappingError> {
        if let Some(set) = set {
            let pair = pair_of(&set);
            let fits = pair.shop.currency == self.shop && pair.presentment.currency == self.presentment;
            return if fits { Ok(Some(pair)) } else { Err(MappingError::invalid(path, "it is in other currencies than the order")) };
        }
        match plain {
            Some(amount) if self.shop == self.presentment || amount.0.is_zero() => {
                Ok(Some(MoneyPair { shop: exact(amount.0, self.shop), presentment: exact(amount.0, self.presentment) }))
            }
            Some(_) => Err(MappingError::shape(format!("{path}_set"), "the amount in both currencies")),
            None => Ok(None),
        }
    }

    pub(super) fn needed(self, set: Option<MoneySet>, plain: Option<Amount>, path: &str) -> Result<MoneyPair, MappingError> {
        need(self.pair(set, plain, path)?, path, "an amount")
    }

    pub(super) fn or_zero(self, set: Option<MoneySet>, plain: Option<Amount>, path: &str) -> Result<MoneyPair, MappingError> {
        Ok(self.pair(set, plain, path)?.unwrap_or_else(|| self.zero()))
    }
}

pub(super) fn pair_of(set: &MoneySet) -> MoneyPair {
    MoneyPair { shop: set.shop_money.money(), presentment: set.presentment_money.money() }
}

pub(super) fn negated(pair: MoneyPair) -> MoneyPair {
    let negated = |it: Money| exact(-it.amount, it.currency);
    MoneyPair { shop: negated(pair.shop), presentment: negated(pair.presentment) }
}

pub(super) fn minus(left: MoneyPair, right: MoneyPair) -> Result<MoneyPair, MoneyError> {
    left.checked_add(negated(right))
}

pub(super) fn sum(zero: MoneyPair, mut pairs: impl Iterator<Item = MoneyPair>) -> Result<MoneyPair, MoneyError> {
    pairs.try_fold(zero, MoneyPair::checked_add)
}
