//! Tables laid over each other, and where each value came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::error::{Error, Origin};
use super::redact;

pub(super) struct Layers {
    table: Table,
    /// By dotted key; a key that is not here is a default.
    origins: BTreeMap<String, Origin>,
    pub(super) warnings: Vec<String>,
}

impl Layers {
    pub(super) fn defaults(text: &str) -> Self {
        let table = text.parse().expect("the compiled-in defaults are TOML");
        Self { table, origins: BTreeMap::new(), warnings: Vec::new() }
    }

    pub(super) fn add_file(&mut self, file: &Path, text: &str) -> Result<(), Error> {
        // The library's own display quotes the line, which may hold a secret.
        let syntax = |error: toml::de::Error| Error::Syntax {
            file: file.to_owned(),
            line: line_of(text, error.span().unwrap_or_default()),
            message: error.message().to_owned(),
        };
        let spans = DeTable::parse(text).map_err(syntax)?;
        let origin = |span| Origin::File { file: file.to_owned(), line: line_of(text, span) };
        note_origins(spans.get_ref(), "", &origin, &mut self.origins);
        let table: Table = text.parse().map_err(syntax)?;
        merge(&mut self.table, table);
        Ok(())
    }

    pub(super) fn add_variables(&mut self, prefix: &str, variables: impl Iterator<Item = (OsString, OsString)>) -> Result<(), Error> {
        let prefix = format!("{prefix}__");
        let mut ours: Vec<_> = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
        ours.retain(|(name, _)| name.starts_with(&prefix));
        ours.sort();
        for (name, value) in ours {
            let keys: Vec<_> = name[prefix.len()..].split("__").map(str::to_lowercase).collect();
            let wrong =
                |message: &str| Error::Value { origin: Origin::Variable(name.clone()), key: keys.join("."), message: message.to_owned() };
            let value = value.into_string().map_err(|_| wrong("its value is not UTF-8"))?;
            if keys.iter().any(String::is_empty) {
                return Err(wrong("its name has an empty part"));
            }
            self.warnings.extend(redact::secret_in_environment(&name, &keys, &value));
            let (table, key) = slot(&mut self.table, &keys).ok_or_else(|| wrong("a part of its name is a value already, not a table"))?;
            let value = read(&value, table.get(key));
            table.insert(key.to_owned(), value);
            self.origins.insert(keys.join("."), Origin::Variable(name));
        }
        Ok(())
    }

    pub(super) fn deserialize<T: DeserializeOwned>(&mut self, prefix: &str) -> Result<T, Error> {
        loop {
            let error = match serde_path_to_error::deserialize(Value::Table(self.table.clone())) {
                Ok(settings) => return Ok(settings),
                Err(error) => error,
            };
            let (key, message) = (error.path().to_string(), error.inner().message().trim().to_owned());
            let origin = self.origin(&key);
            if matches!(origin, Origin::Variable(_)) && self.as_text(&key) {
                continue;
            }
            return Err(explain(key, message, origin, prefix));
        }
    }

    /// A key without an origin of its own has that of its table.
    fn origin(&self, key: &str) -> Origin {
        let mut key = key;
        loop {
            if let Some(origin) = self.origins.get(key) {
                return origin.clone();
            }
            match key.rfind(['.', '[']) {
                Some(end) => key = &key[..end],
                None => return Origin::Defaults,
            }
        }
    }

    /// What looked like a number may have been meant as text. False when it is text already.
    fn as_text(&mut self, key: &str) -> bool {
        let keys: Vec<_> = key.split('.').map(str::to_owned).collect();
        match slot(&mut self.table, &keys).and_then(|(table, key)| table.get_mut(key)) {
            Some(value @ (Value::Integer(_) | Value::Float(_) | Value::Boolean(_))) => {
                *value = Value::String(value.to_string());
                true
            }
            _ => false,
        }
    }
}

fn explain(key: String, message: String, origin: Origin, prefix: &str) -> Error {
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        let key = if key == "." { field.to_owned() } else { format!("{key}.{field}") };
        let variable = format!("{prefix}__{}", key.to_uppercase().replace('.', "__"));
        return Error::Missing { key, variable };
    }
    // Messages about values quote them.
    let message =
        if redact::is_secret(&key) { "its value does not fit, and may be a secret, so it is not shown".to_owned() } else { message };
    Error::Value { origin, key, message: redact::without_passwords(&message) }
}

fn merge(below: &mut Table, above: Table) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => merge(below, above),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}

/// The table that has the last key, or will have it; tables on the way are made.
fn slot<'a, 'k>(table: &'a mut Table, keys: &'k [String]) -> Option<(&'a mut Table, &'k str)> {
    let (last, tables) = keys.split_last()?;
    let mut table = table;
    for key in tables {
        table = table.entry(key.clone()).or_insert_with(|| Value::Table(Table::new())).as_table_mut()?;
    }
    Some((table, last))
}

/// Text stays text where the default is text; elsewhere a value that reads as TOML is what it reads as.
fn read(text: &str, default: Option<&Value>) -> Value {
    if matches!(default, Some(Value::String(_))) {
        return Value::String(text.to_owned());
    }
    let parsed = format!("value = {text}").parse::<Table>().ok().filter(|table| table.len() == 1);
    parsed.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

fn note_origins(table: &DeTable<'_>, above: &str, origin: &dyn Fn(Range<usize>) -> Origin, origins: &mut BTreeMap<String, Origin>) {
    for (key, value) in table {
        let dotted = if above.is_empty() { key.get_ref().to_string() } else { format!("{above}.{}", key.get_ref()) };
        origins.insert(dotted.clone(), origin(key.span()));
        note_inner(value, &dotted, origin, origins);
    }
}

fn note_inner(value: &Spanned<DeValue<'_>>, dotted: &str, origin: &dyn Fn(Range<usize>) -> Origin, origins: &mut BTreeMap<String, Origin>) {
    match value.get_ref() {
        DeValue::Table(inner) => note_origins(inner, dotted, origin, origins),
        DeValue::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let dotted = format!("{dotted}[{index}]");
                origins.insert(dotted.clone(), origin(item.span()));
                note_inner(item, &dotted, origin, origins);
            }
        }
        _ => {}
    }
}

fn line_of(text: &str, span: Range<usize>) -> usize {
    text[..span.start.min(text.len())].matches('\n').count() + 1
}
