//! Field values, and how Tryton writes them in JSON.

use std::cmp::Ordering;

use chrono::{DateTime, Datelike, NaiveDate, TimeZone, Timelike, Utc};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Value, json};

use super::model::Model;

/// The value of one field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    /// A quantity: exact here, a float on the wire.
    Quantity(Decimal),
    Decimal(Decimal),
    Text(String),
    Date(NaiveDate),
    Time(DateTime<Utc>),
    One(Model, i64),
    Many(Model, Vec<i64>),
    /// A link to any model, written `model,id`.
    Reference(Model, i64),
}

impl Cell {
    pub(super) fn text(text: &Option<String>) -> Self {
        text.as_ref().map_or(Self::Null, |it| Self::Text(it.clone()))
    }

    pub(super) fn one(model: Model, id: Option<i64>) -> Self {
        id.map_or(Self::Null, |it| Self::One(model, it))
    }

    pub(super) fn reference(link: Option<(Model, i64)>) -> Self {
        link.map_or(Self::Null, |(model, id)| Self::Reference(model, id))
    }

    pub(super) fn date(date: Option<NaiveDate>) -> Self {
        date.map_or(Self::Null, Self::Date)
    }

    pub(super) fn wire(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => json!(value),
            Self::Int(value) | Self::One(_, value) => json!(value),
            Self::Quantity(value) => json!(value.to_f64().unwrap_or_default()),
            Self::Decimal(value) => json!({"__class__": "Decimal", "decimal": value.to_string()}),
            Self::Text(value) => json!(value),
            Self::Date(date) => date_wire(*date),
            Self::Time(time) => json!({
                "__class__": "datetime", "year": time.year(), "month": time.month(), "day": time.day(), "hour": time.hour(),
                "minute": time.minute(), "second": time.second(), "microsecond": time.nanosecond() / 1000,
            }),
            Self::Many(_, ids) => json!(ids),
            Self::Reference(model, id) => json!(format!("{},{id}", model.name())),
        }
    }

    /// A value of a domain or of a record to be written. Lists and plain objects are none.
    pub(super) fn of_wire(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(Self::Null),
            Value::Bool(value) => Some(Self::Bool(*value)),
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Number(number) => match number.as_i64() {
                Some(whole) => Some(Self::Int(whole)),
                None => number.to_string().parse().or_else(|_| Decimal::from_scientific(&number.to_string())).ok().map(Self::Quantity),
            },
            Value::Object(object) => {
                let part = |name: &str| object.get(name)?.as_u64()?.try_into().ok();
                match object.get("__class__")?.as_str()? {
                    "Decimal" => object.get("decimal")?.as_str()?.parse().ok().map(Self::Decimal),
                    "date" => date_of(object).map(Self::Date),
                    "datetime" => {
                        let date = date_of(object)?.and_hms_micro_opt(
                            part("hour")?,
                            part("minute")?,
                            part("second")?,
                            part("microsecond").unwrap_or(0),
                        )?;
                        Some(Self::Time(Utc.from_utc_datetime(&date)))
                    }
                    _ => None,
                }
            }
            Value::Array(_) => None,
        }
    }

    /// The number behind any numeric cell; links count by their id.
    fn number(&self) -> Option<Decimal> {
        match self {
            Self::Int(value) | Self::One(_, value) => Some(Decimal::from(*value)),
            Self::Quantity(value) | Self::Decimal(value) => Some(*value),
            _ => None,
        }
    }

    /// Order between values of one kind; `None` where there is none, as with NULL in SQL.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => Some(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Reference(model, id), Self::Text(text)) => Some(format!("{},{id}", model.name()).as_str().cmp(text)),
            (Self::Reference(_, a), Self::Reference(_, b)) => Some(a.cmp(b)),
            _ => Some(self.number()?.cmp(&other.number()?)),
        }
    }
}

pub(super) fn date_wire(date: NaiveDate) -> Value {
    json!({"__class__": "date", "year": date.year(), "month": date.month(), "day": date.day()})
}

fn date_of(object: &serde_json::Map<String, Value>) -> Option<NaiveDate> {
    let part = |name: &str| object.get(name)?.as_u64()?.try_into().ok();
    NaiveDate::from_ymd_opt(object.get("year")?.as_i64()?.try_into().ok()?, part("month")?, part("day")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_to_the_wire_and_back() {
        let date = NaiveDate::from_ymd_opt(2026, 11, 22).unwrap();
        for (cell, wire) in [
            (Cell::Decimal("28.80".parse().unwrap()), json!({"__class__": "Decimal", "decimal": "28.80"})),
            (Cell::Date(date), json!({"__class__": "date", "year": 2026, "month": 11, "day": 22})),
            (
                Cell::Time(date.and_hms_micro_opt(1, 50, 29, 954_123).unwrap().and_utc()),
                json!({"__class__": "datetime", "year": 2026, "month": 11, "day": 22,
                       "hour": 1, "minute": 50, "second": 29, "microsecond": 954_123}),
            ),
            (Cell::Text("Ada".into()), json!("Ada")),
            (Cell::Null, Value::Null),
        ] {
            assert_eq!(cell.wire(), wire);
            assert_eq!(Cell::of_wire(&wire), Some(cell));
        }
        assert_eq!(Cell::Quantity(2.into()).wire().to_string(), "2.0");
        assert_eq!(Cell::Reference(Model::SaleLine, 3).wire(), json!("sale.line,3"));
    }

    #[test]
    fn null_compares_to_nothing() {
        assert_eq!(Cell::Null.compare(&Cell::Int(1)), None);
        assert_eq!(Cell::Quantity(2.into()).compare(&Cell::Int(2)), Some(Ordering::Equal));
        assert_eq!(Cell::Reference(Model::Sale, 42).compare(&Cell::Text("sale.sale,42".into())), Some(Ordering::Equal));
    }
}
