//! Values that callers write, taken apart with the checks that Tryton makes.

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::cell::Cell;
use super::fail::Fail;
use super::model::Model;
use super::search::reference;
use super::world::World;

pub(super) type Values = Map<String, Value>;

/// What is done to a list of related records: `[["create", [{..}]], ["add", [1]]]`.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    Create(Vec<Values>),
    Write(Vec<(Vec<i64>, Values)>),
    Delete(Vec<i64>),
    Add(Vec<i64>),
    Remove(Vec<i64>),
}

pub(super) fn commands(value: &Value) -> Result<Vec<Command>, Fail> {
    value.as_array().ok_or_else(|| malformed(value))?.iter().map(command).collect()
}

fn command(value: &Value) -> Result<Command, Fail> {
    let parts = value.as_array().ok_or_else(|| malformed(value))?;
    let [verb, rest @ ..] = parts.as_slice() else { return Err(malformed(value)) };
    match (verb.as_str(), rest) {
        (Some("create"), [records]) => records_of(records).map(Command::Create),
        (Some("write"), pairs) => written(pairs).map(Command::Write),
        (Some("delete"), [ids]) => ids_of(ids).map(Command::Delete),
        (Some("add"), [ids]) => ids_of(ids).map(Command::Add),
        (Some("remove"), [ids]) => ids_of(ids).map(Command::Remove),
        _ => Err(malformed(value)),
    }
}

/// `[ids, values, ids, values, ...]`.
pub(super) fn written(pairs: &[Value]) -> Result<Vec<(Vec<i64>, Values)>, Fail> {
    if pairs.is_empty() || !pairs.len().is_multiple_of(2) {
        return Err(Fail::Exception("ids and values come in pairs".to_owned()));
    }
    let pairs = pairs.chunks_exact(2).map(|it| Ok((ids_of(&it[0])?, it[1].as_object().ok_or_else(|| malformed(&it[1]))?.clone())));
    pairs.collect()
}

pub(super) fn records_of(value: &Value) -> Result<Vec<Values>, Fail> {
    let records = value.as_array().ok_or_else(|| malformed(value))?;
    records.iter().map(|it| it.as_object().cloned().ok_or_else(|| malformed(it))).collect()
}

pub(super) fn ids_of(value: &Value) -> Result<Vec<i64>, Fail> {
    let ids = value.as_array().ok_or_else(|| malformed(value))?;
    ids.iter().map(|it| it.as_i64().ok_or_else(|| malformed(it))).collect()
}

fn malformed(value: &Value) -> Fail {
    // The kind only: values may be personal data.
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Fail::Exception(format!("{kind} cannot be used here"))
}

/// A field of a model that is being written: knows its names for error messages.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) model: Model,
    pub(super) name: &'a str,
    pub(super) value: &'a Value,
}

impl Field<'_> {
    pub(super) fn text(self) -> Result<Option<String>, Fail> {
        match self.value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            other => Err(malformed(other)),
        }
    }

    pub(super) fn flag(self) -> Result<bool, Fail> {
        match self.value {
            Value::Null => Ok(false),
            Value::Bool(flag) => Ok(*flag),
            other => Err(malformed(other)),
        }
    }

    pub(super) fn date(self) -> Result<Option<NaiveDate>, Fail> {
        match Cell::of_wire(self.value) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Date(date)) => Ok(Some(date)),
            _ => Err(malformed(self.value)),
        }
    }

    /// The id of a record that exists, as PostgreSQL insists.
    pub(super) fn link(self, world: &World, to: Model) -> Result<Option<i64>, Fail> {
        match self.value {
            Value::Null => Ok(None),
            value => {
                let id = value.as_i64().ok_or_else(|| malformed(value))?;
                if world.has(to, id) { Ok(Some(id)) } else { Err(Fail::not_there(id, &self.label(), self.model.label())) }
            }
        }
    }

    pub(super) fn required_link(self, world: &World, to: Model) -> Result<i64, Fail> {
        self.link(world, to)?.ok_or_else(|| Fail::required(&self.label(), self.model.label()))
    }

    /// `sale.sale,42`.
    pub(super) fn reference(self, world: &World) -> Result<Option<(Model, i64)>, Fail> {
        match self.text()? {
            None => Ok(None),
            Some(text) => match reference(&text) {
                Some((model, id)) if world.has(model, id) => Ok(Some((model, id))),
                _ => Err(Fail::outside(&self.label(), self.model.label())),
            },
        }
    }

    pub(super) fn choice(self, choices: &[&'static str]) -> Result<&'static str, Fail> {
        let text = self.text()?;
        let found = choices.iter().copied().find(|it| text.as_deref() == Some(*it));
        found.ok_or_else(|| Fail::outside(&self.label(), self.model.label()))
    }

    /// A price: a Decimal with so many digits. A JSON float is refused like one with too many.
    pub(super) fn decimal(self, digits: u32) -> Result<Decimal, Fail> {
        match Cell::of_wire(self.value) {
            Some(Cell::Decimal(value)) if value.normalize().scale() <= digits => Ok(value),
            Some(Cell::Int(value)) => Ok(Decimal::from(value)),
            Some(Cell::Null) => Err(Fail::required(&self.label(), self.model.label())),
            Some(Cell::Decimal(value) | Cell::Quantity(value)) => {
                Err(Fail::digits(&value.to_string(), &self.label(), self.model.label(), digits))
            }
            _ => Err(malformed(self.value)),
        }
    }

    /// A JSON number.
    pub(super) fn quantity(self) -> Result<Option<Decimal>, Fail> {
        match Cell::of_wire(self.value) {
            Some(Cell::Null) => Ok(None),
            Some(Cell::Int(value)) => Ok(Some(Decimal::from(value))),
            Some(Cell::Quantity(value)) => Ok(Some(value)),
            _ => Err(malformed(self.value)),
        }
    }

    /// `unit_price` is called "Unit Price".
    pub(super) fn label(self) -> String {
        let words = self.name.split('_').map(|word| match word {
            "id" => "ID".to_owned(),
            _ => word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect(),
        });
        words.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field<'a>(name: &'a str, value: &'a Value) -> Field<'a> {
        Field { model: Model::SaleLine, name, value }
    }

    #[test]
    fn a_price_is_a_decimal_of_four_digits_at_most() {
        let price = |value: &Value| field("unit_price", value).decimal(4).map(|it| it.to_string());
        let decimal = |text: &str| json!({"__class__": "Decimal", "decimal": text});
        assert_eq!(price(&decimal("9.5")).as_deref(), Ok("9.5"));
        assert_eq!(price(&decimal("7.98320000")).as_deref(), Ok("7.98320000"));
        let Err(Fail::User(message)) = price(&decimal("7.983193")) else { panic!("six digits pass") };
        assert!(message.contains("exceeds the limit of \"(None, 4)\"") && message.contains("Unit Price"), "{message}");
        assert!(matches!(price(&json!(7.5)), Err(Fail::User(_))));
        assert!(matches!(price(&Value::Null), Err(Fail::User(_))));
    }

    #[test]
    fn commands_on_lists_are_understood() {
        let wire = json!([["create", [{"quantity": 1}]], ["write", [1, 2], {}], ["delete", [3]], ["add", [4]], ["remove", [5]]]);
        let [Command::Create(new), Command::Write(changed), Command::Delete(gone), Command::Add(more), Command::Remove(less)] =
            &commands(&wire).unwrap()[..]
        else {
            panic!("{wire}")
        };
        assert_eq!((new.len(), &changed[0].0, gone, more, less), (1, &vec![1, 2], &vec![3], &vec![4], &vec![5]));
        assert!(commands(&json!([["forget", [1]]])).is_err());
        assert!(commands(&json!([["write", [1]]])).is_err());
    }
}
