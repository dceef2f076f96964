//! Money, decimals, times, addresses.

use chrono::{DateTime, Utc};
use domain::{Address, Attribute, Decimal, DiscountAllocation, DiscountKind, Money, MoneyPair, TaxLine};
use prost_types::Timestamp;

use super::{WireError, bad, required, text_table};
use crate::proto::common::v1 as wire;

const BILLION: i128 = 1_000_000_000;

/// Billionths; whatever is finer than that is no amount of any currency and no quantity.
fn split(value: Decimal) -> (i64, i32) {
    let scaled = value.round_dp(9);
    let units = scaled.trunc();
    let nanos = (scaled - units) * Decimal::from(1_000_000_000);
    let as_i64 = |it: Decimal| i64::try_from(it.normalize().mantissa()).ok().filter(|_| it.normalize().scale() == 0);
    let units = as_i64(units).expect("amounts are below 2^63 units: parsing bounds them");
    let nanos = as_i64(nanos).and_then(|it| i32::try_from(it).ok()).expect("a fraction has at most nine digits");
    (units, nanos)
}

fn join(units: i64, nanos: i32) -> Option<Decimal> {
    let is_valid = nanos.unsigned_abs() < 1_000_000_000 && (units == 0 || nanos == 0 || (units > 0) == (nanos > 0));
    let mantissa = i128::from(units) * BILLION + i128::from(nanos);
    if is_valid { Decimal::try_from_i128_with_scale(mantissa, 9).ok().map(|it| it.normalize()) } else { None }
}

pub(super) fn decimal(value: Decimal) -> wire::Decimal {
    let (units, nanos) = split(value);
    wire::Decimal { units, nanos }
}

pub(super) fn to_decimal(value: Option<wire::Decimal>, message: &'static str, field: &'static str) -> Result<Decimal, WireError> {
    let value = required(value, message, field)?;
    join(value.units, value.nanos).ok_or_else(|| bad(message, field, "units and nanos are no decimal"))
}

pub(super) fn money(value: Money) -> wire::Money {
    let (units, nanos) = split(value.amount);
    wire::Money { currency_code: value.currency.code().to_owned(), units, nanos }
}

pub(super) fn to_money(value: Option<wire::Money>, message: &'static str, field: &'static str) -> Result<Money, WireError> {
    let value = required(value, message, field)?;
    let amount = join(value.units, value.nanos).ok_or_else(|| bad(message, field, "units and nanos are no amount"))?;
    let currency = domain::money::currency(&value.currency_code).map_err(|error| bad(message, field, error))?;
    Ok(Money { amount, currency })
}

pub(super) fn pair(value: MoneyPair) -> wire::MoneyPair {
    wire::MoneyPair { shop: Some(money(value.shop)), presentment: Some(money(value.presentment)) }
}

pub(super) fn to_pair(value: Option<wire::MoneyPair>, message: &'static str, field: &'static str) -> Result<MoneyPair, WireError> {
    let value = required(value, message, field)?;
    Ok(MoneyPair { shop: to_money(value.shop, message, field)?, presentment: to_money(value.presentment, message, field)? })
}

pub(super) fn time(value: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: value.timestamp(), nanos: i32::try_from(value.timestamp_subsec_nanos()).unwrap_or(999_999_999) }
}

pub(super) fn to_time(value: Timestamp, message: &'static str, field: &'static str) -> Result<DateTime<Utc>, WireError> {
    let nanos = u32::try_from(value.nanos).map_err(|_| bad(message, field, "negative nanos"))?;
    DateTime::from_timestamp(value.seconds, nanos).ok_or_else(|| bad(message, field, "out of range"))
}

pub(super) fn to_time_opt(
    value: Option<Timestamp>,
    message: &'static str,
    field: &'static str,
) -> Result<Option<DateTime<Utc>>, WireError> {
    value.map(|it| to_time(it, message, field)).transpose()
}

pub(super) fn address(value: &Address) -> wire::Address {
    let value = value.clone();
    wire::Address {
        first_name: value.first_name,
        last_name: value.last_name,
        company: value.company,
        line1: value.line1,
        line2: value.line2,
        city: value.city,
        postal_code: value.postal_code,
        region_code: value.region_code,
        region: value.region,
        country_code: value.country_code,
        phone: value.phone,
    }
}

pub(super) fn to_address(value: wire::Address) -> Address {
    Address {
        first_name: value.first_name,
        last_name: value.last_name,
        company: value.company,
        line1: value.line1,
        line2: value.line2,
        city: value.city,
        postal_code: value.postal_code,
        region_code: value.region_code,
        region: value.region,
        country_code: value.country_code,
        phone: value.phone,
    }
}

pub(super) fn attribute(value: &Attribute) -> wire::Attribute {
    wire::Attribute { name: value.name.clone(), value: value.value.clone() }
}

pub(super) fn to_attribute(value: wire::Attribute) -> Attribute {
    Attribute { name: value.name, value: value.value }
}

pub(super) fn tax_line(value: &TaxLine) -> wire::TaxLine {
    wire::TaxLine { title: value.title.clone(), rate: Some(decimal(value.rate)), amount: Some(pair(value.amount)) }
}

pub(super) fn to_tax_line(value: wire::TaxLine) -> Result<TaxLine, WireError> {
    Ok(TaxLine {
        title: value.title,
        rate: to_decimal(value.rate, "TaxLine", "rate")?,
        amount: to_pair(value.amount, "TaxLine", "amount")?,
    })
}

text_table!(discount_kind, to_discount_kind, DiscountKind, "DiscountAllocation", "kind", {
    Code <=> "code", Automatic <=> "automatic", Manual <=> "manual", Script <=> "script",
});

pub(super) fn discount(value: &DiscountAllocation) -> wire::DiscountAllocation {
    wire::DiscountAllocation {
        code: value.code.clone(),
        title: value.title.clone(),
        kind: discount_kind(value.kind),
        amount: Some(pair(value.amount)),
    }
}

pub(super) fn to_discount(value: wire::DiscountAllocation) -> Result<DiscountAllocation, WireError> {
    Ok(DiscountAllocation {
        code: value.code,
        title: value.title,
        kind: to_discount_kind(&value.kind)?,
        amount: to_pair(value.amount, "DiscountAllocation", "amount")?,
    })
}

/// Each element, or the first that can't be converted.
pub(super) fn all<A, B>(values: Vec<A>, convert: impl Fn(A) -> Result<B, WireError>) -> Result<Vec<B>, WireError> {
    values.into_iter().map(convert).collect()
}
