//! `inventorySetQuantities`: absolute levels, each only if the shop still shows what the caller thinks. All rows or none.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::error::GraphqlError;
use super::super::project::PAGE_MAX;
use super::super::{id_of, queries, views};
use super::{Payload, user_error};
use crate::shopify::stock::Spot;
use crate::shopify::world::{Act, World};

const QUANTITY_MAX: i64 = 1_000_000_000;

const REASONS: [&str; 12] = [
    "correction",
    "cycle_count_available",
    "damaged",
    "movement_canceled",
    "movement_created",
    "movement_received",
    "movement_updated",
    "other",
    "promotion",
    "quality_control",
    "received",
    "restock",
];

struct Row {
    spot: Spot,
    quantity: i64,
    /// `None`: whatever it is now.
    expected: Option<i64>,
}

pub(super) fn set(world: &mut World, arguments: &Value, compare_required: bool, key: Option<&str>, act: &mut Act) -> Payload {
    let input = &arguments["input"];
    let rows = rows(input, compare_required)?;
    let name = input["name"].as_str().unwrap_or_default();
    let mut errors = Vec::new();
    if !matches!(name, "available" | "on_hand") {
        errors.push(user_error(&["input", "name"], "INVALID_NAME"));
    }
    if !input["reason"].as_str().is_some_and(|it| REASONS.contains(&it)) {
        errors.push(user_error(&["input", "reason"], "INVALID_REASON"));
    }
    let mut seen = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        let refused =
            if seen.insert(row.spot) { refusal(world, row, name) } else { Some(("", "NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR")) };
        if let Some((field, code)) = refused {
            let index = index.to_string();
            let path = ["input", "quantities", &index, field];
            errors.push(user_error(if field.is_empty() { &path[..3] } else { &path }, code));
        }
    }
    let group = if errors.is_empty() { apply(world, &rows, name, input, key, act) } else { Value::Null };
    Ok(json!({ "__typename": "InventorySetQuantitiesPayload", "inventoryAdjustmentGroup": group, "userErrors": errors }))
}

fn rows(input: &Value, compare_required: bool) -> Result<Vec<Row>, GraphqlError> {
    let invalid = |message: String| GraphqlError::new("INVALID_VARIABLE", message);
    let rows = input["quantities"].as_array().ok_or_else(|| invalid("`input.quantities` is missing".to_owned()))?;
    if rows.len() > PAGE_MAX {
        return Err(queries::too_many(rows.len()));
    }
    let mut read = Vec::with_capacity(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let expected = match (row.get("changeFromQuantity"), row.get("compareQuantity")) {
            (Some(expected), _) => expected,
            (None, Some(expected)) if !compare_required => expected,
            (None, None) if input["ignoreCompareQuantity"] == true && !compare_required => &Value::Null,
            _ => return Err(invalid(format!("`changeFromQuantity` of row {index} is missing: say null to set whatever is there"))),
        };
        let quantity = row["quantity"].as_i64().ok_or_else(|| invalid(format!("`quantity` of row {index} is no whole number")))?;
        let spot = Spot { item: id_of(&row["inventoryItemId"], "InventoryItem")?, location: id_of(&row["locationId"], "Location")? };
        read.push(Row { spot, quantity, expected: expected.as_i64() });
    }
    Ok(read)
}

/// Why a row can't be set: the field and the code.
fn refusal(world: &World, row: &Row, name: &str) -> Option<(&'static str, &'static str)> {
    if row.quantity < 0 {
        return Some(("quantity", "INVALID_QUANTITY_NEGATIVE"));
    }
    if row.quantity > QUANTITY_MAX {
        return Some(("quantity", "INVALID_QUANTITY_TOO_HIGH"));
    }
    if !world.generator.articles().iter().any(|it| it.inventory_item_id == row.spot.item) {
        return Some(("inventoryItemId", "INVALID_INVENTORY_ITEM"));
    }
    if row.spot.location != world.generator.location_id() {
        return Some(("locationId", "INVALID_LOCATION"));
    }
    let Some(level) = world.shelves.level(row.spot) else { return Some(("locationId", "ITEM_NOT_STOCKED_AT_LOCATION")) };
    let shown = if name == "on_hand" { level.on_hand() } else { level.available };
    row.expected.is_some_and(|it| it != shown).then_some(("changeFromQuantity", "CHANGE_FROM_QUANTITY_STALE"))
}

/// Sets what was checked, and returns the group of changes; null where nothing changed.
fn apply(world: &mut World, rows: &[Row], name: &str, input: &Value, key: Option<&str>, act: &mut Act) -> Value {
    let offset = world.generator.settings().offset;
    let mut changes = Vec::new();
    for row in rows {
        let level = world.shelves.level(row.spot).expect("the row was checked");
        let (before, committed) = (level.available, level.committed);
        let available = if name == "on_hand" { row.quantity - committed } else { row.quantity };
        let draft = act.applied("inventorySetQuantities", row.spot.item);
        draft.external_id = key.map(str::to_owned);
        draft.detail = Some(format!("{before} -> {available}"));
        let Some(level) = world.shelves.set(row.spot, available, act.at) else { continue };
        act.moved(&level, offset);
        for (name, after) in [("available", level.available), ("on_hand", level.on_hand())] {
            changes.push(json!({
                "__typename": "InventoryChange",
                "name": name,
                "delta": available - before,
                "quantityAfterChange": after,
                "ledgerDocumentUri": null,
                "item": { "__typename": "InventoryItem", "id": views::gid("InventoryItem", level.item), "sku": level.sku },
                "location": views::location(level.location),
            }));
        }
    }
    if changes.is_empty() {
        return Value::Null;
    }
    json!({
        "__typename": "InventoryAdjustmentGroup",
        "id": views::gid("InventoryAdjustmentGroup", world.generator.ids().draw()),
        "createdAt": act.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
        "reason": input["reason"],
        "referenceDocumentUri": input["referenceDocumentUri"],
        "changes": changes,
    })
}
