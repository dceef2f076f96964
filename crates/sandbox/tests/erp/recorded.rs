//! Requests recorded against the real one, where the recordings are at hand: the double answers with the same shape.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::client::{Erp, context, erp, usual_lines};

/// Keys of an object, and of the objects in it, with the kinds of their values.
fn shape(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) if object.contains_key("__class__") => {
            into.insert(format!("{path} {}", object["__class__"].as_str().unwrap_or_default()));
        }
        Value::Object(object) => object.iter().for_each(|(name, value)| shape(value, &format!("{path}/{name}"), into)),
        Value::Array(values) => values.iter().take(1).for_each(|value| shape(value, &format!("{path}[]"), into)),
        Value::Null => {}
        Value::Number(number) => {
            into.insert(format!("{path} {}", if number.is_f64() { "float" } else { "whole" }));
        }
        other => {
            into.insert(format!("{path} {}", if other.is_string() { "text" } else { "flag" }));
        }
    }
}

async fn answers_like(erp: &Erp, name: &str, method: &str, params: Value) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/erp-tryton");
    let Ok(text) = std::fs::read_to_string(folder.join(name)) else { return };
    let recorded: Value = serde_json::from_str(&text).unwrap();
    let (mut theirs, mut ours) = (BTreeSet::new(), BTreeSet::new());
    let mut recorded = recorded["response"]["body"].clone();
    recorded["id"] = json!(1);
    shape(&recorded, "", &mut theirs);
    shape(&erp.rpc(method, params).await, "", &mut ours);
    let missing: Vec<_> = theirs.difference(&ours).collect();
    assert!(missing.is_empty(), "{name}: the double lacks {missing:?}, it has {ours:?}");
}

#[tokio::test]
async fn the_double_answers_in_the_shapes_of_the_recordings() {
    let erp = erp().await;
    let sale = erp.booked("1001", usual_lines()).await;
    let invoice = erp.sale(sale).await["invoices"][0].clone();
    erp.call("account.invoice.post", json!([[invoice]])).await;
    let shipment_fields = [
        "number",
        "state",
        "reference",
        "customer.name",
        "planned_date",
        "effective_date",
        "origins",
        "outgoing_moves",
        "inventory_moves",
        "last_modified_at",
        "outgoing_moves.product.code",
        "outgoing_moves.quantity",
        "outgoing_moves.origin",
        "outgoing_moves.state",
        "outgoing_moves.effective_date",
    ];
    erp.double.ship("1001").unwrap();
    let invoice_fields = [
        "number",
        "state",
        "type",
        "invoice_date",
        "total_amount",
        "amount_to_pay",
        "untaxed_amount",
        "tax_amount",
        "reference",
        "lines",
        "last_modified_at",
    ];
    let since = json!([["id", ">", 0]]);
    for (name, method, params) in [
        (
            "shipment_search_read_nested.json",
            "model.stock.shipment.out.search_read",
            json!([[["id", "=", 1]], 0, 1, null, shipment_fields, context()]),
        ),
        ("invoice_read_posted.json", "model.account.invoice.read", json!([[invoice], invoice_fields, context()])),
        (
            "stock_by_warehouse.json",
            "model.product.product.search_read",
            json!([
                [["id", "in", [1, 2, 3]]],
                0,
                null,
                null,
                ["code", "quantity", "forecast_quantity", "list_price", "template.name", "last_modified_at"],
                context()
            ]),
        ),
        (
            "changed_stock_move.json",
            "model.stock.move.search_read",
            json!([
                [["sale", "!=", null]],
                0,
                1000,
                [["last_modified_at", "ASC"]],
                [
                    "product",
                    "quantity",
                    "state",
                    "from_location",
                    "to_location",
                    "effective_date",
                    "last_modified_at",
                    "create_date",
                    "write_date"
                ],
                context()
            ]),
        ),
        ("changed_party_party.json", "model.party.party.search_read", json!([since, 0, 10, null, ["code", "last_modified_at"], context()])),
        ("sale_read_timestamp.json", "model.sale.sale.read", json!([[sale], ["_timestamp", "comment"], context()])),
        ("unknown_model.json", "model.no.such.read", json!([[2], context()])),
        ("party_create_bad_field.json", "model.party.party.create", json!([[{"name": "x", "nosuch": 1}], context()])),
        ("sale_delete_processed.json", "model.sale.sale.delete", json!([[sale], context()])),
    ] {
        answers_like(&erp, name, method, params).await;
    }
}
