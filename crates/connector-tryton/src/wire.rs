//! Tryton's JSON: how it writes decimals, dates and nested records.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};
use domain::money::is_countable;
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value, json};

/// A sale and everything about it that steps decide by.
pub(crate) const SALE: &[&str] = &[
    "number",
    "state",
    "party",
    "currency",
    "invoice_address",
    "shipment_address",
    "reference",
    "description",
    "comment",
    "shipment_method",
    "shipment_state",
    "untaxed_amount",
    "tax_amount",
    "total_amount",
    "payments",
    "invoices_ignored",
    "invoices.state",
    "shipments.state",
    "shipment_returns.state",
    "lines.type",
    "lines.product",
    "lines.product.code",
    "lines.quantity",
    "lines.unit_price",
    "lines.amount",
    "lines.taxes",
    "lines.moves.state",
    "lines.moves_ignored",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SaleState {
    Draft,
    Quotation,
    Confirmed,
    Processing,
    Done,
    Cancelled,
}

impl SaleState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Quotation => "quotation",
            Self::Confirmed => "confirmed",
            Self::Processing => "processing",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    /// The buyer's word is binding: nothing about the lines may change any more.
    pub(crate) fn is_confirmed(self) -> bool {
        matches!(self, Self::Confirmed | Self::Processing | Self::Done)
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Sale {
    pub(crate) id: i64,
    pub(crate) number: Option<String>,
    pub(crate) state: SaleState,
    pub(crate) party: Option<i64>,
    pub(crate) currency: i64,
    pub(crate) invoice_address: Option<i64>,
    pub(crate) shipment_address: Option<i64>,
    pub(crate) reference: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) comment: Option<String>,
    #[serde(deserialize_with = "decimal_from")]
    pub(crate) total_amount: Decimal,
    #[serde(default)]
    pub(crate) shipment_state: Option<String>,
    pub(crate) invoices_ignored: Vec<i64>,
    #[serde(rename = "invoices.", default)]
    pub(crate) invoices: Vec<Document>,
    #[serde(rename = "shipments.", default)]
    pub(crate) shipments: Vec<Document>,
    #[serde(rename = "shipment_returns.", default)]
    pub(crate) returns: Vec<Document>,
    #[serde(rename = "lines.", default)]
    pub(crate) lines: Vec<SaleLine>,
}

/// An invoice or a shipment.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Document {
    pub(crate) id: i64,
    pub(crate) state: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SaleLine {
    pub(crate) id: i64,
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) product: Option<i64>,
    #[serde(rename = "product.", default)]
    pub(crate) product_code: Option<Coded>,
    #[serde(deserialize_with = "optional_quantity")]
    pub(crate) quantity: Option<Decimal>,
    #[serde(deserialize_with = "optional_decimal")]
    pub(crate) unit_price: Option<Decimal>,
    #[serde(deserialize_with = "optional_decimal")]
    pub(crate) amount: Option<Decimal>,
    pub(crate) taxes: Vec<i64>,
    #[serde(rename = "moves.", default)]
    pub(crate) moves: Vec<Move>,
    pub(crate) moves_ignored: Vec<i64>,
}

impl SaleLine {
    pub(crate) fn sku(&self) -> Option<&str> {
        self.product_code.as_ref()?.code.as_deref()
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Move {
    pub(crate) id: i64,
    pub(crate) state: String,
}

/// A record that is known by its code.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Coded {
    pub(crate) id: i64,
    pub(crate) code: Option<String>,
}

pub(crate) fn decimal(value: Decimal) -> Value {
    json!({"__class__": "Decimal", "decimal": value.normalize().to_string()})
}

/// Quantities are floats in Tryton. Ours are whole or have few decimals, which a float keeps.
pub(crate) fn quantity(value: Decimal) -> Value {
    let text = value.normalize().to_string();
    let number = text.parse::<i64>().map(serde_json::Number::from).ok();
    let number = number.or_else(|| text.parse::<f64>().ok().and_then(serde_json::Number::from_f64));
    number.map_or(Value::Null, Value::Number)
}

pub(crate) fn date(date: NaiveDate) -> Value {
    json!({"__class__": "date", "year": date.year(), "month": date.month(), "day": date.day()})
}

pub(crate) fn datetime(at: DateTime<Utc>) -> Value {
    json!({
        "__class__": "datetime", "year": at.year(), "month": at.month(), "day": at.day(),
        "hour": at.hour(), "minute": at.minute(), "second": at.second(), "microsecond": at.timestamp_subsec_micros(),
    })
}

#[derive(Deserialize)]
struct WireDecimal {
    decimal: String,
}

/// The decimal as text, never through a float.
pub(crate) fn decimal_from<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
    let wire = WireDecimal::deserialize(from)?;
    wire.decimal.parse().or_else(|_| Decimal::from_scientific(&wire.decimal)).map_err(de::Error::custom)
}

fn optional_decimal<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
    let wire = Option::<WireDecimal>::deserialize(from)?;
    wire.map(|it| it.decimal.parse().or_else(|_| Decimal::from_scientific(&it.decimal)).map_err(de::Error::custom)).transpose()
}

/// A float that stands for a quantity: what a float cannot hold exactly is noise.
pub(crate) fn quantity_from<'de, D: Deserializer<'de>>(from: D) -> Result<Decimal, D::Error> {
    let number = serde_json::Number::deserialize(from)?.to_string();
    let value: Decimal = number.parse().or_else(|_| Decimal::from_scientific(&number)).map_err(de::Error::custom)?;
    if !is_countable(value) {
        return Err(de::Error::custom("a quantity beyond what can be counted"));
    }
    Ok(value.round_dp(6).normalize())
}

pub(crate) fn optional_quantity<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
    #[derive(Deserialize)]
    struct Quantity(#[serde(deserialize_with = "quantity_from")] Decimal);
    Ok(Option::<Quantity>::deserialize(from)?.map(|it| it.0))
}

#[derive(Deserialize)]
struct WireStamp {
    year: i32,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    #[serde(default)]
    microsecond: u32,
}

/// Tryton's datetimes are UTC.
pub(crate) fn stamp_from<'de, D: Deserializer<'de>>(from: D) -> Result<DateTime<Utc>, D::Error> {
    let wire = WireStamp::deserialize(from)?;
    NaiveDate::from_ymd_opt(wire.year, wire.month, wire.day)
        .and_then(|it| it.and_hms_micro_opt(wire.hour, wire.minute, wire.second, wire.microsecond))
        .map(|it| it.and_utc())
        .ok_or_else(|| de::Error::custom("no date and time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Price(#[serde(deserialize_with = "decimal_from")] Decimal);

    #[derive(Deserialize)]
    struct Quantity(#[serde(deserialize_with = "quantity_from")] Decimal);

    #[derive(Deserialize)]
    struct Stamp(#[serde(deserialize_with = "stamp_from")] DateTime<Utc>);

    #[test]
    fn a_decimal_survives_the_way_there_and_back() {
        for text in ["0", "-0.01", "7.9832", "1000000.0001"] {
            let value: Decimal = text.parse().unwrap();
            assert_eq!(serde_json::from_value::<Price>(decimal(value)).unwrap().0, value, "{text}");
        }
        assert_eq!(serde_json::from_value::<Price>(json!({"__class__": "Decimal", "decimal": "0E-8"})).unwrap().0, Decimal::ZERO);
    }

    #[test]
    fn a_quantity_is_a_number_without_noise() {
        assert_eq!(quantity(Decimal::new(20, 1)).to_string(), "2");
        assert_eq!(quantity(Decimal::new(15, 1)).to_string(), "1.5");
        assert_eq!(serde_json::from_str::<Quantity>("0.30000000000000004").unwrap().0, Decimal::new(3, 1));
        assert_eq!(serde_json::from_str::<Quantity>("102.0").unwrap().0, Decimal::from(102));
    }

    #[test]
    fn a_stamp_keeps_its_microseconds() {
        let at: DateTime<Utc> = "2026-11-25T08:07:53.227166Z".parse().unwrap();
        assert_eq!(serde_json::from_value::<Stamp>(datetime(at)).unwrap().0, at);
    }
}
