//! Stock: what the ERP shows at every step of a shipment, and that its log alone gives the same.

use std::collections::BTreeMap;

use chrono::{Datelike, Utc};
use sandbox::effects::{Durability, Effects, Held, read};
use sandbox::erp::{ErpDouble, ErpSettings, Item};
use serde_json::{Value, json};

use crate::client::{Erp, MUG_BLUE, MUG_RED, context, erp, erp_with, line, usual_lines};

fn stock_context() -> Value {
    let today = Utc::now().date_naive();
    let mut context = context();
    context["locations"] = json!([5]);
    context["stock_date_end"] = json!({"__class__": "date", "year": today.year(), "month": today.month(), "day": today.day()});
    context
}

/// Quantity, forecast and quantity with assigned moves gone.
async fn shown(erp: &Erp) -> [f64; 3] {
    let mut assign = stock_context();
    assign["stock_assign"] = json!(true);
    let fields = json!([[MUG_RED], ["quantity", "forecast_quantity"]]);
    let plain = erp.call_in("product.product.read", fields.clone(), stock_context()).await;
    let assigned = erp.call_in("product.product.read", fields, assign).await;
    [&plain[0]["quantity"], &plain[0]["forecast_quantity"], &assigned[0]["quantity"]].map(|it| it.as_f64().unwrap())
}

/// The open moves to customers, as stock captures read them.
async fn open_moves(erp: &Erp) -> Value {
    let domain = json!([
        ["state", "in", ["draft", "assigned"]],
        ["to_location.type", "=", "customer"],
        ["from_location", "child_of", [5], "parent"],
        ["product", "in", [MUG_RED, MUG_BLUE]],
    ]);
    let fields = ["product", "internal_quantity", "product.quantity", "sale.web_id", "sale.web_shop", "state"];
    erp.call_in("stock.move.search_read", json!([domain, 0, null, [["id", "ASC"]], fields]), stock_context()).await
}

fn replayed(effects: &Effects) -> BTreeMap<String, Held> {
    effects.stock()
}

fn same_as_live(double: &ErpDouble) {
    let live = double.stock();
    let mut replayed = replayed(&double.effects());
    for sku in live.keys() {
        replayed.entry(sku.clone()).or_default();
    }
    assert_eq!(replayed, live);
}

#[tokio::test]
async fn every_step_of_a_shipment_shows_as_in_the_real_one() {
    let erp = erp().await;
    assert_eq!(shown(&erp).await, [1000.0, 1000.0, 1000.0]);
    let sale = erp.draft("1001", usual_lines()).await;
    erp.press("sale.sale", "quote", sale).await;
    assert_eq!(shown(&erp).await, [1000.0, 1000.0, 1000.0]);
    erp.press("sale.sale", "confirm", sale).await;
    let shipment = erp.sale(sale).await["shipments"][0].as_i64().unwrap();
    assert_eq!(shown(&erp).await, [1000.0, 998.0, 1000.0]);
    for (button, expected, open) in [
        ("assign_try", [1000.0, 998.0, 998.0], Some("draft")),
        ("pick", [1000.0, 998.0, 1000.0], Some("draft")),
        ("pack", [1000.0, 998.0, 998.0], Some("assigned")),
        ("ship", [1000.0, 998.0, 998.0], Some("assigned")),
        ("do", [998.0, 998.0, 998.0], None),
    ] {
        erp.press("stock.shipment.out", button, shipment).await;
        assert_eq!(shown(&erp).await, expected, "after {button}");
        let moves = open_moves(&erp).await;
        assert_eq!(moves.get(0).and_then(|it| it["state"].as_str()), open, "after {button}");
        same_as_live(&erp.double);
    }
}

#[tokio::test]
async fn open_moves_name_their_orders_and_the_stock_they_are_part_of() {
    let erp = erp().await;
    erp.booked("1001", usual_lines()).await;
    erp.booked("1002", json!([line(MUG_RED, 1, "1"), line(MUG_BLUE, 4, "1")])).await;
    let moves = open_moves(&erp).await;
    let seen: Vec<_> = moves
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            (
                it["product"].as_i64().unwrap(),
                it["internal_quantity"].as_f64().unwrap(),
                it["sale."]["web_id"].as_str().unwrap(),
                it["product."]["quantity"].as_f64().unwrap(),
            )
        })
        .collect();
    assert_eq!(seen, [(MUG_RED, 2.0, "1001", 1000.0), (MUG_RED, 1.0, "1002", 1000.0), (MUG_BLUE, 4.0, "1002", 1000.0)]);
    assert_eq!(erp.double.stock()["MUG-RED"], Held { on_hand: 1000.into(), reserved: 3.into() });
}

#[tokio::test]
async fn an_inventory_sets_what_is_there() {
    let erp = erp().await;
    let count = |quantity: f64, empty: Value| json!([[{"location": 3, "company": 1, "empty_quantity": empty, "lines": [["create", [{"product": MUG_BLUE, "quantity": quantity}]]]}]]);
    for quantity in [42.0, 1234.0, 0.0] {
        let inventory = erp.call("stock.inventory.create", count(quantity, json!("keep"))).await;
        erp.call("stock.inventory.confirm", json!([inventory])).await;
        erp.refused("stock.inventory.confirm", json!([inventory])).await;
        let read = erp.call_in("product.product.read", json!([[MUG_BLUE], ["quantity"]]), stock_context()).await;
        assert_eq!(read[0]["quantity"], json!(quantity));
        same_as_live(&erp.double);
    }
    let undecided = erp.call("stock.inventory.create", count(1.0, Value::Null)).await;
    assert!(erp.refused("stock.inventory.confirm", json!([undecided])).await.contains("empty quantity"));
}

#[tokio::test]
async fn short_stock_leaves_a_shipment_waiting() {
    let erp = erp().await;
    erp.double.set_stock("MUG-RED", 3).unwrap();
    let first = erp.booked("1", usual_lines()).await;
    let second = erp.booked("2", usual_lines()).await;
    for sale in [first, second] {
        let shipment = erp.sale(sale).await["shipments"][0].as_i64().unwrap();
        erp.press("stock.shipment.out", "assign_try", shipment).await;
    }
    let shipments =
        erp.call("stock.shipment.out.search_read", json!([[], 0, null, [["id", "ASC"]], ["state", "partially_assigned"]])).await;
    assert_eq!((&shipments[0]["state"], &shipments[1]["state"]), (&json!("assigned"), &json!("waiting")));
    assert_eq!((&shipments[0]["partially_assigned"], &shipments[1]["partially_assigned"]), (&json!(false), &json!(true)));
    same_as_live(&erp.double);
}

#[tokio::test]
async fn the_log_alone_gives_the_stock_after_all_kinds_of_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("erp.jsonl");
    let settings = ErpSettings { log: Some(path.clone()), durability: Durability::Synced, ..ErpSettings::default() };
    let erp = erp_with(settings.clone()).await;
    for number in 0..12 {
        let web_id = number.to_string();
        let sale = erp.booked(&web_id, json!([line(MUG_RED, 1 + number % 3, "1"), line(MUG_BLUE, 1, "1")])).await;
        match number % 4 {
            0 => erp.double.ship(&web_id).unwrap(),
            1 => {
                let shipment = erp.sale(sale).await["shipments"][0].clone();
                erp.call("stock.shipment.out.cancel", json!([[shipment]])).await;
            }
            2 => {
                let shipment = erp.sale(sale).await["shipments"][0].clone();
                for button in ["assign_try", "wait", "draft", "wait", "assign_try", "pick"] {
                    erp.call(&format!("stock.shipment.out.{button}"), json!([[shipment]])).await;
                }
            }
            _ => {}
        }
    }
    erp.double.add_item(&Item::new("NEW", "New", 7)).unwrap();
    erp.double.set_stock("MUG-BLUE", 500).unwrap();
    same_as_live(&erp.double);
    assert_eq!(erp.double.stock()["MUG-BLUE"].on_hand, 500.into());
    let live = erp.double.stock();
    let from_file = Effects::new(read(&path).unwrap());
    assert_eq!(from_file.sales().count(), 12);
    assert_eq!(from_file.stock(), live);
    erp.double.stop().await;

    // Another process on the same file begins anew.
    let again = ErpDouble::start(settings).unwrap();
    same_as_live(&again);
    assert_eq!(Effects::new(read(&path).unwrap()).sales().count(), 0);
}

#[tokio::test]
async fn stock_is_read_while_it_changes_and_never_half() {
    let erp = std::sync::Arc::new(erp().await);
    let writer = {
        let erp = erp.clone();
        tokio::spawn(async move {
            for number in 0..20 {
                let web_id = number.to_string();
                erp.booked(&web_id, usual_lines()).await;
                erp.double.ship(&web_id).unwrap();
            }
        })
    };
    while !writer.is_finished() {
        let moves = open_moves(&erp).await;
        for row in moves.as_array().unwrap() {
            // A sale of two is either still in stock and open, or gone from both.
            let quantity = row["product."]["quantity"].as_f64().unwrap();
            assert!((quantity as i64) % 2 == 0, "{row}");
        }
    }
    writer.await.unwrap();
    assert_eq!(erp.double.stock()["MUG-RED"], Held { on_hand: 960.into(), reserved: 0.into() });
}
