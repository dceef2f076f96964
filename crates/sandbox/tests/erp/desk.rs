//! What scripts and people do: the routes under `/_sandbox/`.

use http::Method;
use http_kit::Exchange;
use http_kit::client::Outgoing;
use sandbox::effects::{Effects, Entry, Held};
use sandbox::erp::{DeskError, Item};
use serde_json::{Value, json};

use crate::client::{Erp, context, erp, line, usual_lines};

async fn admin(erp: &Erp, method: Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/_sandbox/{path}", erp.double.base_url());
    let outgoing = match body {
        Value::Null => Outgoing::get(url),
        body => Outgoing::post_json(url, body.to_string()),
    };
    let exchange = erp.http.send(Outgoing { method, ..outgoing }).await;
    let Exchange::Answered { status, body, .. } = exchange else { panic!("{exchange:?}") };
    (status.as_u16(), if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}

#[tokio::test]
async fn stock_and_items_are_changed_from_outside() {
    let erp = erp().await;
    assert_eq!(admin(&erp, Method::PUT, "stock", json!({"sku": "MUG-RED", "on_hand": "7"})).await, (204, Value::Null));
    let (status, created) = admin(&erp, Method::POST, "items", json!({"sku": "NEW-1", "name": "New", "on_hand": "5"})).await;
    assert_eq!(status, 201);
    assert_eq!(created["id"], 9, "after the two services of the seed");
    let (_, stock) = admin(&erp, Method::GET, "stock", Value::Null).await;
    assert_eq!((&stock["MUG-RED"]["on_hand"], &stock["NEW-1"]["on_hand"]), (&json!("7"), &json!("5")));
    let (_, replayed) = admin(&erp, Method::GET, "stock/replayed", Value::Null).await;
    assert_eq!(replayed, stock);
    let (status, refused) = admin(&erp, Method::POST, "items", json!({"sku": "NEW-1", "name": "Twin"})).await;
    assert_eq!((status, refused["error"].is_string()), (422, true));
    assert_eq!(admin(&erp, Method::PUT, "stock", json!({"sku": "GONE", "on_hand": "7"})).await.0, 422);
    erp.booked("1001", json!([line(9, 2, "1")])).await;
}

#[tokio::test]
async fn orders_are_shipped_paid_and_listed_from_outside() {
    let erp = erp().await;
    erp.booked("1001", usual_lines()).await;
    for verb in ["ship", "pay"] {
        assert_eq!(admin(&erp, Method::POST, verb, json!({"web_id": "1001"})).await.0, 204);
    }
    let (_, sales) = admin(&erp, Method::GET, "sales?web_id=1001", Value::Null).await;
    assert_eq!((&sales[0]["state"], &sales[0]["total"], &sales[0]["number"]), (&json!("done"), &json!("28.80"), &json!("1")));
    assert_eq!(erp.double.ship("9999"), Err(DeskError::NoSale("9999".into())));
}

#[tokio::test]
async fn faults_are_set_listed_and_taken_away_from_outside() {
    let erp = erp().await;
    let rule = json!({"fault": "status", "status": 503, "retry_after": {"seconds": 3}, "operation": "model.party.*", "times": null});
    let (status, added) = admin(&erp, Method::POST, "faults", rule).await;
    assert_eq!(status, 201);
    assert_eq!(erp.status("model.party.party.search", json!([[], 0, 1, null, context()])).await, 503);
    let (_, listed) = admin(&erp, Method::GET, "faults", Value::Null).await;
    assert_eq!((&listed[0]["hit"], &listed[0]["rule"]["fault"]), (&json!(1), &json!("status")));
    assert_eq!(admin(&erp, Method::DELETE, &format!("faults/{}", added["id"]), Value::Null).await.0, 204);
    assert_eq!(erp.status("model.party.party.search", json!([[], 0, 1, null, context()])).await, 200);
    assert_eq!(admin(&erp, Method::DELETE, "faults/77", Value::Null).await.0, 404);
    let never = json!({"fault": "reset_early", "operation": "x"});
    assert_eq!(admin(&erp, Method::POST, "faults", never).await.0, 422);
}

#[tokio::test]
async fn the_log_is_read_from_outside_from_any_entry_on() {
    let erp = erp().await;
    erp.booked("1001", usual_lines()).await;
    let (_, all) = admin(&erp, Method::GET, "effects", Value::Null).await;
    let all: Vec<Entry> = serde_json::from_value(all).unwrap();
    assert_eq!(Effects::new(all.clone()).count_applied("sale.sale.confirm", "1001"), 1);
    let (_, rest) = admin(&erp, Method::GET, &format!("effects?since={}", all.len() - 1), Value::Null).await;
    assert_eq!(rest.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_reset_is_a_new_start() {
    let mut erp = erp().await;
    erp.booked("1001", usual_lines()).await;
    erp.double.add_item(&Item::new("NEW", "New", 1)).unwrap();
    assert_eq!(admin(&erp, Method::POST, "reset", json!({})).await.0, 204);
    assert_eq!(erp.double.sales(), []);
    assert_eq!(erp.double.stock().len(), 6);
    assert_eq!(erp.double.effects().stock()["MUG-RED"], Held { on_hand: 1000.into(), reserved: 0.into() });
    assert_eq!(erp.double.effects().sales().count(), 0);
    erp.log_in().await;
    erp.booked("1001", usual_lines()).await;
}

#[tokio::test]
async fn the_ids_have_the_keys_that_connectors_are_set_up_from() {
    let erp = erp().await;
    let (_, ids) = admin(&erp, Method::GET, "ids", Value::Null).await;
    assert_eq!(ids, erp.double.ids());
    for key in ["company", "warehouse", "payment_term", "carrier", "shipping_product", "rounding_product", "web_shop", "unit"] {
        assert!(ids[key].is_i64(), "{key} in {ids}");
    }
    assert_eq!(ids["taxes"], json!({"20": 1, "19": 2, "7": 3}));
    assert_eq!(ids["products"]["MUG-RED"], 4);
    assert_eq!((&ids["currencies"]["GBP"], &ids["adapter"]["login"]), (&json!(3), &json!("adapter")));
    assert!(ids["countries"].as_object().unwrap().len() > 200);
}
