//! Cuts out of a whole value what a query asked for. Strict, so that a client's slip shows here and not at a customer's:
//! unknown fields, connections without `first`, objects without a selection are errors.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::arguments::Request;
use super::error::GraphqlError;
use super::parse::{Field, Selection};

/// Most objects of one page.
pub(super) const PAGE_MAX: usize = 250;

/// Paging goes no further than this.
const DEPTH_MAX: usize = 25_000;

/// Fields that are connections wherever they stand.
const CONNECTIONS: [&str; 14] = [
    "lineItems",
    "shippingLines",
    "discountApplications",
    "refundLineItems",
    "refundShippingLines",
    "orderAdjustments",
    "inventoryLevels",
    "addressesV2",
    "events",
    "returns",
    "fulfillmentOrders",
    "metafields",
    "variants",
    "fulfillmentLineItems",
];

/// Where an item stands in its connection: what it is sorted by, then its id.
pub(super) type Position = (i64, u64);

/// What a query cost that ran: its objects.
#[derive(Debug, Default)]
pub(super) struct Spent(pub(super) u64);

pub(super) fn project(value: &Value, selections: &[Selection], request: &Request<'_>, spent: &mut Spent) -> Result<Value, GraphqlError> {
    let typename = value["__typename"].as_str().unwrap_or_default();
    if selections.is_empty() {
        return Err(GraphqlError::new("selectionMismatch", format!("an object of type {typename} needs a selection of its fields")));
    }
    let mut answer = Map::new();
    for field in request.fields(selections, typename)? {
        let found = match (typename, field.name.as_str()) {
            ("InventoryItem", "inventoryLevel") => level_at(value, &request.arguments(&field.arguments)?)?,
            (_, name) => value.get(name).ok_or_else(|| GraphqlError::undefined(name, typename))?,
        };
        let shown = show(found, typename, field, request, spent).map_err(|error| error.within(field.key()))?;
        merge(&mut answer, field.key(), shown);
    }
    Ok(Value::Object(answer))
}

fn show(value: &Value, typename: &str, field: &Field, request: &Request<'_>, spent: &mut Spent) -> Result<Value, GraphqlError> {
    let arguments = request.arguments(&field.arguments)?;
    match value {
        Value::Array(items) if is_connection(&field.name, typename) => {
            let place = |index: usize| (i64::try_from(index).expect("lists are short"), 0);
            let places = (0..items.len()).map(place).collect();
            connection(places, &field.selections, &arguments, request, spent, |place| {
                items[usize::try_from(place.0).expect("it was made of an index")].clone()
            })
        }
        Value::Array(items) => list(items, field, &arguments, request, spent),
        // Untyped objects and lists are scalars of the schema, such as JSON.
        Value::Object(fields) if fields.contains_key("__typename") => {
            spent.0 += cost_of(&field.name);
            project(value, &field.selections, request, spent)
        }
        other if field.selections.is_empty() || other.is_null() => Ok(other.clone()),
        _ => Err(GraphqlError::new("selectionMismatch", format!("`{}` has no fields to select", field.name))),
    }
}

/// The level of an item at the location that the argument names; null where it is not stocked.
fn level_at<'a>(item: &'a Value, arguments: &Map<String, Value>) -> Result<&'a Value, GraphqlError> {
    let location = arguments.get("locationId").ok_or_else(|| GraphqlError::new("missingRequiredArguments", "`locationId` is missing"))?;
    let levels = item["inventoryLevels"].as_array().map_or(&[][..], Vec::as_slice);
    Ok(levels.iter().find(|it| it["location"]["id"] == *location).unwrap_or(&Value::Null))
}

/// Only some lists of a type are connections: a refund's transactions are, an order's are not.
fn is_connection(field: &str, typename: &str) -> bool {
    CONNECTIONS.contains(&field) || (field == "transactions" && typename == "Refund")
}

fn list(
    items: &[Value],
    field: &Field,
    arguments: &Map<String, Value>,
    request: &Request<'_>,
    spent: &mut Spent,
) -> Result<Value, GraphqlError> {
    let names: Option<Vec<&str>> = arguments.get("names").and_then(Value::as_array).map(|it| it.iter().filter_map(Value::as_str).collect());
    let first = arguments.get("first").and_then(Value::as_u64).map_or(items.len(), |it| usize::try_from(it).unwrap_or(usize::MAX));
    let wanted = items.iter().filter(|it| names.as_ref().is_none_or(|names| it["name"].as_str().is_some_and(|name| names.contains(&name))));
    let mut shown = Vec::new();
    for item in wanted.take(first) {
        shown.push(if item.is_object() { project(item, &field.selections, request, spent)? } else { item.clone() });
    }
    Ok(Value::Array(shown))
}

/// One page of a connection. Items are given by their positions, in order, and only those of the page are rendered.
pub(super) fn connection(
    mut positions: Vec<Position>,
    selections: &[Selection],
    arguments: &Map<String, Value>,
    request: &Request<'_>,
    spent: &mut Spent,
    render: impl Fn(Position) -> Value,
) -> Result<Value, GraphqlError> {
    let Some(first) = arguments.get("first").and_then(Value::as_u64) else {
        return Err(GraphqlError::new("missingRequiredArguments", "a connection needs `first` (the sandbox pages forward only)"));
    };
    let first = usize::try_from(first).unwrap_or(usize::MAX);
    if first > PAGE_MAX {
        return Err(GraphqlError::new("argumentLiteralsIncompatible", format!("`first` is {first}, at most {PAGE_MAX} are given")));
    }
    let is_reversed = arguments.get("reverse") == Some(&Value::Bool(true));
    if is_reversed {
        positions.reverse();
    }
    let mut start = 0;
    if let Some(after) = arguments.get("after").and_then(Value::as_str) {
        let after = position(after).ok_or_else(|| GraphqlError::new("INVALID_CURSOR", "`after` is no cursor of ours"))?;
        start = positions.partition_point(|it| if is_reversed { *it >= after } else { *it <= after });
    }
    if start >= DEPTH_MAX {
        return Err(GraphqlError::new("PAGINATION_LIMIT", format!("paging ends after {DEPTH_MAX} objects: narrow the query")));
    }
    let page = &positions[start..positions.len().min(start + first)];
    let more = start + page.len() < positions.len();
    spent.0 += page.len() as u64;

    let mut answer = Map::new();
    for field in request.fields(selections, "Connection")? {
        let shown = match field.name.as_str() {
            "nodes" => page.iter().map(|it| project(&render(*it), &field.selections, request, spent)).collect::<Result<Value, _>>(),
            "edges" => page.iter().map(|it| edge(*it, &render, field, request, spent)).collect::<Result<Value, _>>(),
            "pageInfo" => project(&page_info(page, start, more), &field.selections, request, spent),
            "__typename" => Ok(json!("Connection")),
            other => Err(GraphqlError::undefined(other, "Connection")),
        };
        merge(&mut answer, field.key(), shown.map_err(|error| error.within(field.key()))?);
    }
    if answer.is_empty() {
        return Err(GraphqlError::new("selectionMismatch", "a connection needs a selection: nodes, edges or pageInfo"));
    }
    Ok(Value::Object(answer))
}

fn edge(
    at: Position,
    render: &impl Fn(Position) -> Value,
    field: &Field,
    request: &Request<'_>,
    spent: &mut Spent,
) -> Result<Value, GraphqlError> {
    let whole = json!({ "__typename": "Edge", "cursor": cursor(at), "node": render(at) });
    project(&whole, &field.selections, request, spent)
}

fn page_info(page: &[Position], start: usize, more: bool) -> Value {
    json!({
        "__typename": "PageInfo",
        "hasNextPage": more,
        "hasPreviousPage": start > 0,
        "startCursor": page.first().map(|it| cursor(*it)),
        "endCursor": page.last().map(|it| cursor(*it)),
    })
}

fn cursor(at: Position) -> String {
    STANDARD.encode(format!("{{\"last_value\":{},\"last_id\":{}}}", at.0, at.1))
}

fn position(cursor: &str) -> Option<Position> {
    let whole: Value = serde_json::from_slice(&STANDARD.decode(cursor).ok()?).ok()?;
    Some((whole["last_value"].as_i64()?, whole["last_id"].as_u64()?))
}

/// Resources cost a point; amounts and other parts of a resource nothing.
pub(super) fn cost_of(field: &str) -> u64 {
    const RESOURCES: [&str; 9] =
        ["order", "customer", "product", "variant", "inventoryItem", "item", "refund", "inventoryLevel", "location"];
    u64::from(RESOURCES.contains(&field))
}

/// Two selections of one field are one field with both.
fn merge(into: &mut Map<String, Value>, key: &str, value: Value) {
    match (into.get_mut(key), value) {
        (Some(Value::Object(present)), Value::Object(more)) => {
            for (key, value) in more {
                merge(present, &key, value);
            }
        }
        (Some(Value::Array(present)), Value::Array(more)) if present.len() == more.len() => {
            for (present, more) in present.iter_mut().zip(more) {
                let (Value::Object(present), Value::Object(more)) = (present, more) else { continue };
                for (key, value) in more {
                    merge(present, &key, value);
                }
            }
        }
        (_, value) => {
            into.insert(key.to_owned(), value);
        }
    }
}
