//! One RPC: from its name and parameters to its result.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::domain::Domain;
use super::fail::Fail;
use super::fields::{Scope, timestamp};
use super::model::Model;
use super::search::{Page, reference};
use super::values::{ids_of, records_of, written};
use super::world::{Committed, World};

/// A request of the RPC protocol, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Call {
    pub(super) id: Value,
    pub(super) method: String,
    pub(super) params: Vec<Value>,
}

impl Call {
    /// Type, model and action of `model.sale.sale.create`.
    fn parts(&self) -> Option<(&str, &str, &str)> {
        let (kind, rest) = self.method.split_once('.')?;
        let (name, action) = rest.rsplit_once('.')?;
        Some((kind, name, action))
    }

    pub(super) fn is_read(&self) -> bool {
        let Some((_, _, action)) = self.parts() else { return false };
        matches!(action, "read" | "search" | "search_read" | "search_count" | "get_preferences" | "version" | "list")
    }

    /// The method without its type: how effects are named.
    pub(super) fn operation(&self) -> &str {
        self.method.strip_prefix("model.").unwrap_or(&self.method)
    }
}

/// Runs a call of a user who is known. Reads leave no trace; everything else is one transaction.
pub(super) fn run(world: &mut World, call: &Call, now: DateTime<Utc>) -> (Result<Value, Fail>, Committed) {
    world.now = now;
    match prepare(world, call) {
        Ok(prepared) => prepared.run(world, call, now),
        Err(fail) => (Err(fail), Committed::default()),
    }
}

enum Prepared<'a> {
    Preferences,
    SkipWarning,
    Method { model: Model, action: &'a str, params: &'a [Value], context: &'a serde_json::Map<String, Value> },
}

fn prepare<'a>(world: &World, call: &'a Call) -> Result<Prepared<'a>, Fail> {
    let Some(("model", name, action)) = call.parts() else { return Err(Fail::Forbidden) };
    if (name, action) == ("res.user", "get_preferences") {
        return Ok(Prepared::Preferences);
    }
    if (name, action) == ("res.user.warning", "skip") {
        return Ok(Prepared::SkipWarning);
    }
    let model = Model::of_name(name).ok_or_else(|| Fail::key(name))?;
    if !is_known(model, action) {
        return Err(Fail::Forbidden);
    }
    let Some((Value::Object(context), params)) = call.params.split_last() else {
        return Err(Fail::Unprocessable("Missing context argument"));
    };
    if !call.is_read() {
        check_timestamps(world, context)?;
    }
    Ok(Prepared::Method { model, action, params, context })
}

fn is_known(model: Model, action: &str) -> bool {
    match action {
        "read" | "search" | "search_read" | "search_count" | "create" | "write" | "delete" => true,
        "quote" | "process" | "manual_invoice" | "manual_shipment" => model == Model::Sale,
        "draft" => matches!(model, Model::Sale | Model::Shipment | Model::Invoice),
        "confirm" => matches!(model, Model::Sale | Model::Inventory),
        "cancel" => matches!(model, Model::Sale | Model::Shipment | Model::Return | Model::Invoice | Model::Inventory),
        "wait" | "assign_try" | "assign_force" | "pick" | "pack" | "ship" => model == Model::Shipment,
        "do" => matches!(model, Model::Shipment | Model::Return),
        "receive" => model == Model::Return,
        "validate_invoice" | "post" => model == Model::Invoice,
        _ => false,
    }
}

/// Records that the caller has read must not have changed since, if the caller says so.
fn check_timestamps(world: &World, context: &serde_json::Map<String, Value>) -> Result<(), Fail> {
    let Some(Value::Object(read)) = context.get("_timestamp") else { return Ok(()) };
    for (record, stamp) in read {
        let stamps = reference(record).and_then(|(model, id)| world.stamps(model, id));
        if stamps.is_some_and(|it| stamp.as_str() != Some(&timestamp(it.modified()))) {
            return Err(Fail::Concurrency);
        }
    }
    Ok(())
}

impl Prepared<'_> {
    fn run(self, world: &mut World, call: &Call, now: DateTime<Utc>) -> (Result<Value, Fail>, Committed) {
        match self {
            Self::Preferences => (Ok(json!({ "company": world.places.company, "language": "en", "locale": {} })), Committed::default()),
            Self::SkipWarning => {
                let name = call.params.first().and_then(Value::as_str).map(str::to_owned);
                world.skipped.extend(name);
                (Ok(Value::Null), Committed::default())
            }
            Self::Method { model, action, params, context } if call.is_read() => {
                (read(world, model, action, params, &scope(context)), Committed::default())
            }
            Self::Method { model, action, params, .. } => {
                match world.transact(call.operation(), now, |world| change(world, call, model, action, params)) {
                    Ok((value, committed)) => (Ok(value), committed),
                    Err(fail) => (Err(fail), Committed::default()),
                }
            }
        }
    }
}

fn scope(context: &serde_json::Map<String, Value>) -> Scope {
    Scope {
        locations: context.get("locations").and_then(|it| ids_of(it).ok()).unwrap_or_default(),
        stock_assign: context.get("stock_assign") == Some(&Value::Bool(true)),
    }
}

fn read(world: &World, model: Model, action: &str, params: &[Value], scope: &Scope) -> Result<Value, Fail> {
    let param = |at: usize| params.get(at).unwrap_or(&Value::Null);
    if action == "read" {
        let ids = ids_of(param(0))?;
        let distinct: std::collections::BTreeSet<_> = ids.iter().collect();
        if distinct.len() != ids.len() {
            return Err(Fail::Unprocessable("Duplicate records"));
        }
        return world.read(model, &ids, &names(param(1))?, scope);
    }
    let domain = Domain::parse(param(0))?;
    let page = match action {
        "search_count" => Page::parse(param(1), param(2), &Value::Null),
        _ => Page::parse(param(1), param(2), param(3)),
    };
    let found = world.search(model, &domain, &page?, scope)?;
    match action {
        "search_count" => Ok(json!(found.len())),
        "search" => Ok(json!(found)),
        _ => world.read(model, &found, &names(param(4))?, scope),
    }
}

fn names(fields: &Value) -> Result<Vec<String>, Fail> {
    let fields = fields.as_array().ok_or_else(|| Fail::Exception("field names are missing".to_owned()))?;
    Ok(fields.iter().filter_map(|it| it.as_str().map(str::to_owned)).collect())
}

fn change(world: &mut World, call: &Call, model: Model, action: &str, params: &[Value]) -> Result<Value, Fail> {
    let first = params.first().ok_or_else(|| Fail::Exception("an argument is missing".to_owned()))?;
    let value = match action {
        "create" => {
            let ids = records_of(first)?.iter().map(|it| world.create(model, it)).collect::<Result<Vec<_>, _>>()?;
            json!(ids)
        }
        "write" => {
            for (ids, values) in written(params)? {
                world.write(model, &ids, &values)?;
            }
            Value::Null
        }
        "delete" => {
            world.delete(model, &ids_of(first)?)?;
            Value::Null
        }
        button => {
            world.press(model, button, &ids_of(first)?)?;
            Value::Null
        }
    };
    // Last, so that what is wrong anyway is said first.
    warn(world, call)?;
    Ok(value)
}

/// Asks back, where the test's script says so and the user has not answered yet.
fn warn(world: &mut World, call: &Call) -> Result<(), Fail> {
    match world.warnings.get(call.operation()) {
        Some(name) if !world.skipped.remove(name) => {
            Err(Fail::Warning { name: name.clone(), text: "This is unusual; do you mean it?".to_owned() })
        }
        _ => Ok(()),
    }
}

/// What a call is about, by the shop's names: for faults that hit one order only.
pub(super) fn subjects(world: &World, call: &Call) -> Vec<String> {
    let Some(("model", name, _)) = call.parts() else { return Vec::new() };
    let Some(model) = Model::of_name(name) else { return Vec::new() };
    let mut subjects = Vec::new();
    for value in call.params.iter().take(call.params.len().saturating_sub(1)) {
        named_in(value, &mut subjects);
        for id in ids_of(value).unwrap_or_default() {
            subjects.extend(world.web_ids(model, id));
        }
    }
    subjects
}

/// External names in values to write and in domains.
fn named_in(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(values) => {
            for (name, value) in values {
                match value {
                    Value::String(text) if matches!(name.as_str(), "web_id" | "code") => names.push(text.clone()),
                    Value::String(_) => {}
                    // A linked record: `origin` of a refund is its order, which is another subject.
                    _ => named_in(value, names),
                }
            }
        }
        Value::Array(parts) => match parts.as_slice() {
            [Value::String(field), Value::String(_), value] if is_external(field) => match value {
                Value::Array(values) => names.extend(values.iter().filter_map(|it| it.as_str().map(str::to_owned))),
                value => names.extend(value.as_str().map(str::to_owned)),
            },
            parts => parts.iter().for_each(|it| named_in(it, names)),
        },
        _ => {}
    }
}

fn is_external(field: &str) -> bool {
    matches!(field.rsplit('.').next(), Some("web_id" | "code"))
}

/// The answer's body.
pub(super) fn envelope(id: &Value, result: &Result<Value, Fail>) -> Option<Value> {
    match result {
        Ok(value) => Some(json!({ "id": id, "result": value })),
        Err(fail) => fail.wire().map(|error| json!({ "id": id, "error": error })),
    }
}
