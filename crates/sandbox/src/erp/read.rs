//! Reads records with nested fields: `lines.product.code` comes back under `lines.`.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::cell::Cell;
use super::fail::Fail;
use super::fields::Scope;
use super::model::Model;
use super::world::World;

/// What is asked of each record.
#[derive(Debug, Default)]
struct Wanted<'a> {
    fields: Vec<&'a str>,
    nested: BTreeMap<&'a str, Wanted<'a>>,
}

impl<'a> Wanted<'a> {
    fn of(fields: &'a [String]) -> Self {
        let mut wanted = Self::default();
        for field in fields {
            let mut level = &mut wanted;
            let mut parts = field.split('.').peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_some() {
                    level = level.nested.entry(part).or_default();
                } else if !level.fields.contains(&part) {
                    level.fields.push(part);
                }
            }
        }
        wanted
    }
}

impl World {
    /// Records in the order of `ids`; all of them, or an error.
    pub(super) fn read(&self, model: Model, ids: &[i64], fields: &[String], scope: &Scope) -> Result<Value, Fail> {
        self.check_there(model, ids, "read")?;
        let wanted = Wanted::of(fields);
        ids.iter().map(|id| self.read_one(model, *id, &wanted, scope)).collect::<Result<Vec<_>, _>>().map(Value::from)
    }

    pub(super) fn check_there(&self, model: Model, ids: &[i64], verb: &str) -> Result<(), Fail> {
        let missing: Vec<_> = ids.iter().filter(|id| !self.has(model, **id)).map(ToString::to_string).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let (missing, label) = (missing.join(", "), model.label());
        Err(Fail::User(format!("You are trying to {verb} records \"{missing}\" of \"{label}\" that don't exist.")))
    }

    fn read_one(&self, model: Model, id: i64, wanted: &Wanted<'_>, scope: &Scope) -> Result<Value, Fail> {
        let mut record = Map::new();
        for field in &wanted.fields {
            record.insert((*field).to_owned(), self.get(model, id, field, scope)?.wire());
        }
        for (field, wanted) in &wanted.nested {
            let value = match self.get(model, id, field, scope)? {
                Cell::One(model, id) | Cell::Reference(model, id) => self.read_one(model, id, wanted, scope)?,
                Cell::Many(model, ids) => {
                    ids.iter().map(|id| self.read_one(model, *id, wanted, scope)).collect::<Result<Vec<_>, _>>()?.into()
                }
                _ => Value::Null,
            };
            record.insert(format!("{field}."), value);
        }
        record.insert("id".to_owned(), json!(id));
        Ok(Value::Object(record))
    }
}
