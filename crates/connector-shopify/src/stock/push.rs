//! `inventorySetQuantities`, round by round.

use connector::storefront::{PushResult, StockPush};
use serde::Serialize;
use uuid::Uuid;

use super::answers::{SetAnswer, UserError};
use super::{BATCH_MAX, item_gid, location_gid};
use crate::client::{GraphQl, Query};
use crate::config::StockConfig;
use crate::error::CallError;
use crate::wire::Id;

/// Shopify names all rows that it refuses at once; more rounds than this mean that the shop's levels move faster than we ask. Then those
/// that are left are looked at.
const ROUNDS_MAX: u32 = 8;

const SET: Query = Query {
    operation: "TradewindSetAvailable",
    cost: 10,
    text: "mutation TradewindSetAvailable($input: InventorySetQuantitiesInput!, $key: String!) { \
           inventorySetQuantities(input: $input) @idempotent(key: $key) { userErrors { code field message } } }",
};

#[derive(Serialize)]
struct Variables<'a> {
    input: Input<'a>,
    key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    name: &'static str,
    reason: &'a str,
    reference_document_uri: &'a str,
    quantities: Vec<Quantity>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Quantity {
    inventory_item_id: String,
    location_id: String,
    quantity: i64,
    /// Must be there; `null` says that whatever the shop shows is to be replaced.
    change_from_quantity: Option<i64>,
}

pub(super) async fn push(client: &GraphQl, config: &StockConfig, pushes: &[StockPush]) -> Result<Vec<PushResult>, CallError> {
    if pushes.len() > BATCH_MAX {
        return Err(CallError::Request { operation: SET.operation, what: "more than 250 levels in one call" });
    }
    let mut results: Vec<Option<PushResult>> = pushes.iter().map(|it| quantity(it).err()).collect();
    // A failed attempt burns its key.
    let mut attempt = 0;
    for _ in 0..ROUNDS_MAX {
        let open: Vec<usize> = (0..pushes.len()).filter(|row| results[*row].is_none()).collect();
        if open.is_empty() {
            break;
        }
        let errors = send(client, config, pushes, &open, attempt).await?;
        if errors.is_empty() {
            open.iter().for_each(|row| results[*row] = Some(PushResult::Set));
            break;
        }
        attempt += u32::from(!settle(&errors, &open, &mut results)?);
    }
    if !results.is_empty() && results.iter().all(Option::is_none) {
        return Err(CallError::Concurrent { operation: SET.operation });
    }
    // Rows that are still open were never set: each round sets all or nothing.
    Ok(results.into_iter().map(|it| it.unwrap_or(PushResult::Stale)).collect())
}

async fn send(
    client: &GraphQl,
    config: &StockConfig,
    pushes: &[StockPush],
    open: &[usize],
    attempt: u32,
) -> Result<Vec<UserError>, CallError> {
    let rows = open.iter().map(|row| &pushes[*row]);
    let input = Input {
        name: "available",
        reason: &config.reason,
        reference_document_uri: &config.reference,
        quantities: rows.clone().filter_map(|it| quantity(it).ok()).collect(),
    };
    let answer: SetAnswer = client.ask(&SET, &Variables { input, key: key(rows, attempt) }).await?;
    let unexpected =
        || CallError::Shape { operation: SET.operation, path: "inventorySetQuantities".to_owned(), expected: "a payload".to_owned() };
    Ok(answer.inventory_set_quantities.ok_or_else(unexpected)?.user_errors)
}

/// Writes down what the errors say of single rows. False: they are about an earlier attempt under the same key, and the same
/// rows are to be sent under another.
fn settle(errors: &[UserError], open: &[usize], results: &mut [Option<PushResult>]) -> Result<bool, CallError> {
    let mut rest = Vec::new();
    let mut is_any_settled = false;
    for error in errors {
        match error.row().and_then(|row| open.get(row)) {
            Some(row) => {
                is_any_settled = true;
                // A row may have several errors; a stale one is stale whatever else is wrong with it.
                let result = result_of(&error.code());
                if results[*row].is_none() || result == PushResult::Stale {
                    results[*row] = Some(result);
                }
            }
            None => rest.push(error.code()),
        }
    }
    if is_any_settled {
        return Ok(true);
    }
    if rest.iter().any(|it| it == "IDEMPOTENCY_CONCURRENT_REQUEST") {
        return Err(CallError::Concurrent { operation: SET.operation });
    }
    if rest.iter().any(|it| it == "IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED") {
        return Ok(false);
    }
    // Alone, a row needs no number.
    let codes = rest.join(", ");
    if let ([row], [code]) = (open, &rest[..]) {
        let result = result_of(code);
        if result != PushResult::Refused(code.clone()) {
            results[*row] = Some(result);
            return Ok(true);
        }
    }
    Err(CallError::Refused { operation: SET.operation, codes })
}

fn result_of(code: &str) -> PushResult {
    match code {
        "CHANGE_FROM_QUANTITY_STALE" | "COMPARE_QUANTITY_STALE" => PushResult::Stale,
        "ITEM_NOT_STOCKED_AT_LOCATION" => PushResult::NotStocked,
        _ => PushResult::Refused(code.to_owned()),
    }
}

fn quantity(push: &StockPush) -> Result<Quantity, PushResult> {
    let item = Id::parse(&push.item).ok_or_else(|| PushResult::Refused("the item is no id of Shopify's".to_owned()))?;
    let location = Id::parse(&push.location).ok_or_else(|| PushResult::Refused("the location is no id of Shopify's".to_owned()))?;
    Ok(Quantity {
        inventory_item_id: item_gid(item),
        location_id: location_gid(location),
        quantity: push.available,
        change_from_quantity: push.expected,
    })
}

/// The same rows in the same order have the same key, other rows another: Shopify refuses a key that comes back with other rows.
fn key<'a>(rows: impl Iterator<Item = &'a StockPush>, attempt: u32) -> String {
    let mut name = format!("attempt {attempt}");
    for row in rows {
        let expected = row.expected.map_or_else(|| "any".to_owned(), |it| it.to_string());
        name.push_str(&format!("\n{}\t{}\t{}\t{}\t{expected}", row.idempotency_key, row.item, row.location, row.available));
    }
    Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(item: &str, available: i64, expected: Option<i64>) -> StockPush {
        let idempotency_key = format!("{item}/1/7");
        StockPush { item: item.to_owned(), location: "1".to_owned(), available, expected, idempotency_key }
    }

    #[test]
    fn a_key_stands_for_its_rows_and_nothing_else() {
        let rows = [row("1", 5, Some(4)), row("2", 5, None)];
        let of = |rows: &[StockPush], attempt| key(rows.iter(), attempt);
        assert_eq!(of(&rows, 0), of(&rows, 0));
        assert_ne!(of(&rows, 0), of(&rows, 1));
        assert_ne!(of(&rows, 0), of(&rows[..1], 0));
        assert_ne!(of(&rows, 0), of(&[row("1", 5, Some(3)), row("2", 5, None)], 0));
        assert_ne!(of(&rows, 0), of(&[row("1", 6, Some(4)), row("2", 5, None)], 0));
    }

    #[test]
    fn whatever_is_there_is_said_as_null() {
        let json = serde_json::to_value(quantity(&row("9007199254740993", 5, None)).unwrap()).unwrap();
        assert_eq!(json["inventoryItemId"], "gid://shopify/InventoryItem/9007199254740993");
        assert!(json["changeFromQuantity"].is_null() && json.get("changeFromQuantity").is_some());
    }

    #[test]
    fn what_is_no_id_is_refused_before_anything_is_sent() {
        assert!(matches!(quantity(&row("MUG-RED", 5, None)), Err(PushResult::Refused(_))));
    }
}
