//! The roots of mutations.

mod quantities;
mod webhooks;

use serde_json::{Value, json};

use super::arguments::Request;
use super::error::GraphqlError;
use super::parse::Field;
use super::project::{Spent, project};
use super::{id_of, views};
use crate::shopify::idempotency::Known;
use crate::shopify::stock::Spot;
use crate::shopify::world::{Act, World};

/// From this version on stock is changed only under a key.
const KEYS_REQUIRED: &str = "2026-04";

/// What a mutation returns: its payload, with user errors where there are any.
type Payload = Result<Value, GraphqlError>;

pub(super) fn run(
    world: &mut World,
    field: &Field,
    request: &Request<'_>,
    version: &str,
    act: &mut Act,
    spent: &mut Spent,
) -> Result<Value, GraphqlError> {
    let arguments = Value::Object(request.arguments(&field.arguments)?);
    let payload = match (field.name.as_str(), world.refusal(&field.name)) {
        (name @ ("inventorySetQuantities" | "inventoryActivate"), Some(code)) => refused(typename(name), &code),
        (name @ ("inventorySetQuantities" | "inventoryActivate"), None) => keyed(world, name, field, &arguments, request, version, act)?,
        ("webhookSubscriptionCreate", _) => webhooks::create(world, &arguments, act)?,
        ("webhookSubscriptionUpdate", _) => webhooks::update(world, &arguments, act)?,
        ("webhookSubscriptionDelete", _) => webhooks::delete(world, &arguments, act)?,
        (other, _) => return Err(GraphqlError::undefined(other, "Mutation")),
    };
    project(&payload, &field.selections, request, spent)
}

fn typename(mutation: &str) -> &'static str {
    if mutation == "inventoryActivate" { "InventoryActivatePayload" } else { "InventorySetQuantitiesPayload" }
}

/// Runs a mutation once for its `@idempotent` key.
fn keyed(world: &mut World, name: &str, field: &Field, arguments: &Value, request: &Request<'_>, version: &str, act: &mut Act) -> Payload {
    let directive = field.directives.iter().find(|it| it.name == "idempotent");
    let key = match directive {
        Some(it) => request.arguments(&it.arguments)?.get("key").and_then(Value::as_str).map(str::to_owned),
        None => None,
    };
    let Some(key) = key.filter(|it| !it.is_empty()) else {
        if version >= KEYS_REQUIRED {
            let message = format!("`{name}` needs the directive @idempotent(key:) since API version {KEYS_REQUIRED}");
            return Err(GraphqlError::new("BAD_REQUEST", message));
        }
        return carry_out(world, name, arguments, version, None, act);
    };
    let whole = json!([name, arguments]);
    match world.idempotency.known(&key, &whole) {
        Known::Done(payload) => Ok(payload),
        Known::Refused(code) => Ok(refused(typename(name), code)),
        Known::New => {
            let payload = carry_out(world, name, arguments, version, Some(&key), act)?;
            let went_well = payload["userErrors"].as_array().is_none_or(Vec::is_empty);
            world.idempotency.note(&key, whole, went_well.then(|| payload.clone()));
            Ok(payload)
        }
    }
}

fn carry_out(world: &mut World, name: &str, arguments: &Value, version: &str, key: Option<&str>, act: &mut Act) -> Payload {
    match name {
        "inventoryActivate" => activate(world, arguments, act),
        _ => quantities::set(world, arguments, version >= KEYS_REQUIRED, key, act),
    }
}

/// Stocks an item at a location.
fn activate(world: &mut World, arguments: &Value, act: &mut Act) -> Payload {
    let spot =
        Spot { item: id_of(&arguments["inventoryItemId"], "InventoryItem")?, location: id_of(&arguments["locationId"], "Location")? };
    let Some(article) = world.generator.articles().iter().find(|it| it.inventory_item_id == spot.item).cloned() else {
        return Ok(refused("InventoryActivatePayload", "INVALID_INVENTORY_ITEM"));
    };
    if spot.location != world.generator.location_id() {
        return Ok(refused("InventoryActivatePayload", "INVALID_LOCATION"));
    }
    let available = arguments["available"].as_i64().unwrap_or(0);
    if world.shelves.stock(&article, spot.location, available, act.at) {
        let level = world.shelves.level(spot).cloned().expect("it was stocked a line above");
        act.moved(&level, world.generator.settings().offset);
    }
    let level = world.shelves.level(spot).map(views::level);
    Ok(json!({ "__typename": "InventoryActivatePayload", "inventoryLevel": level, "userErrors": [] }))
}

/// A payload without an effect.
fn refused(typename: &str, code: &str) -> Value {
    let error = user_error(&[], code);
    json!({ "__typename": typename, "inventoryAdjustmentGroup": null, "inventoryLevel": null, "userErrors": [error] })
}

fn user_error(field: &[&str], code: &str) -> Value {
    let field = if field.is_empty() { Value::Null } else { json!(field) };
    let message = format!("refused: {}", code.to_lowercase().replace('_', " "));
    json!({ "__typename": "MutationUserError", "field": field, "code": code, "message": message })
}
