//! Levels: what orders do to them, and what a client may do to them.

use std::time::Duration;

use http_kit::Exchange;
use sandbox::faults::{Fault, Rule};
use sandbox::payloads::{EditWish, OrderWish, PaymentWish, RefundWish};
use sandbox::shopify::{ShopDouble, ShopSettings};
use serde_json::{Value, json};

use crate::client::{PATIENCE, ask, codes, exchange, settings, start};
use crate::door::Door;

const SET: &str = "mutation Set($input: InventorySetQuantitiesInput!, $key: String!) {
    inventorySetQuantities(input: $input) @idempotent(key: $key) {
        inventoryAdjustmentGroup { id changes { name delta quantityAfterChange } }
        userErrors { code field message }
    }
}";

fn row(shop: &ShopDouble, sku: &str, quantity: i64, expected: Value) -> Value {
    let item = shop.articles().iter().find(|it| it.sku == sku).unwrap().inventory_item_id;
    json!({
        "inventoryItemId": format!("gid://shopify/InventoryItem/{item}"),
        "locationId": format!("gid://shopify/Location/{}", shop.location_id()),
        "quantity": quantity,
        "changeFromQuantity": expected,
    })
}

fn input(rows: &[Value]) -> Value {
    json!({ "name": "available", "reason": "correction", "referenceDocumentUri": "sandbox://tests/1", "quantities": rows })
}

/// The user errors' codes and the index of the row that each is about.
async fn set(shop: &ShopDouble, key: &str, rows: &[Value]) -> Vec<(String, Option<String>)> {
    let answer = ask(shop, SET, json!({ "input": input(rows), "key": key })).await;
    assert_eq!(codes(&answer), [""; 0], "{answer}");
    let errors = answer["data"]["inventorySetQuantities"]["userErrors"].as_array().unwrap();
    errors.iter().map(|it| (it["code"].as_str().unwrap().to_owned(), it["field"][2].as_str().map(str::to_owned))).collect()
}

fn error(code: &str, row: Option<&str>) -> (String, Option<String>) {
    (code.to_owned(), row.map(str::to_owned))
}

fn available(shop: &ShopDouble, sku: &str) -> i64 {
    shop.available(sku).unwrap()
}

#[tokio::test]
async fn an_order_lowers_what_is_available_and_its_end_raises_it() {
    let shop = start(settings());
    let order = shop.place_order(&OrderWish::of("TW-001", 5).with("TW-002", 1).paid_by(PaymentWish::Paid)).unwrap().id;
    assert_eq!((available(&shop, "TW-001"), available(&shop, "TW-002")), (95, 99));
    assert_eq!(shop.levels().iter().find(|it| it.sku == "TW-001").unwrap().on_hand(), 100, "the goods are still there");

    let line = shop.order(order).unwrap().lines[0].id;
    shop.edit(order, &EditWish { add: vec![("TW-003".to_owned(), 4)], remove: vec![(line, 1)] }).unwrap();
    assert_eq!((available(&shop, "TW-001"), available(&shop, "TW-003")), (96, 96));
    shop.refund(order, &RefundWish { restock: false, ..RefundWish::line(line, 1) }).unwrap();
    assert_eq!(available(&shop, "TW-001"), 96, "not restocked");
    shop.refund(order, &RefundWish::line(line, 1)).unwrap();
    assert_eq!(available(&shop, "TW-001"), 97);
    shop.cancel(order, "customer", true).unwrap();
    assert_eq!([available(&shop, "TW-001"), available(&shop, "TW-002"), available(&shop, "TW-003")], [99, 100, 100]);
    assert!(shop.levels().iter().all(|it| it.committed == 0), "nothing is promised any more");
    assert!(shop.cancel(order, "customer", true).is_err(), "it is cancelled once");
}

#[tokio::test]
async fn a_level_is_set_only_from_what_it_is() {
    let shop = start(settings());
    assert_eq!(set(&shop, "a", &[row(&shop, "TW-001", 42, json!(100))]).await, []);
    assert_eq!(available(&shop, "TW-001"), 42);
    shop.place_order(&OrderWish::of("TW-001", 2)).unwrap();
    let stale = set(&shop, "b", &[row(&shop, "TW-001", 50, json!(42))]).await;
    assert_eq!(stale, [error("CHANGE_FROM_QUANTITY_STALE", Some("0"))]);
    assert_eq!(available(&shop, "TW-001"), 40);
    assert_eq!(set(&shop, "c", &[row(&shop, "TW-001", 50, Value::Null)]).await, [], "null takes whatever is there");
    assert_eq!(available(&shop, "TW-001"), 50);
}

#[tokio::test]
async fn one_bad_row_keeps_all_from_being_set_and_each_is_named() {
    let shop = start(settings());
    shop.add_article("NOWHERE", None);
    let unknown = json!({
        "inventoryItemId": "gid://shopify/InventoryItem/1", "locationId": "gid://shopify/Location/1", "quantity": 1, "changeFromQuantity": null,
    });
    let rows = [
        row(&shop, "TW-001", 7, json!(100)),
        row(&shop, "TW-002", 7, json!(99)),
        row(&shop, "NOWHERE", 7, json!(0)),
        unknown,
        row(&shop, "TW-003", -1, Value::Null),
        row(&shop, "TW-001", 8, json!(100)),
    ];
    let errors = set(&shop, "a", &rows).await;
    assert_eq!(
        errors,
        [
            error("CHANGE_FROM_QUANTITY_STALE", Some("1")),
            error("ITEM_NOT_STOCKED_AT_LOCATION", Some("2")),
            error("INVALID_INVENTORY_ITEM", Some("3")),
            error("INVALID_QUANTITY_NEGATIVE", Some("4")),
            error("NO_DUPLICATE_INVENTORY_ITEM_ID_GROUP_ID_PAIR", Some("5")),
        ]
    );
    assert_eq!(available(&shop, "TW-001"), 100);
}

#[tokio::test]
async fn the_input_has_its_limits() {
    let shop = start(settings());
    let one = row(&shop, "TW-001", 1, Value::Null);
    let many = ask(&shop, SET, json!({ "input": input(&vec![one.clone(); 251]), "key": "a" })).await;
    assert_eq!(codes(&many), ["MAX_INPUT_SIZE_EXCEEDED"]);
    let mut silent = one.clone();
    silent.as_object_mut().unwrap().remove("changeFromQuantity");
    let answer = ask(&shop, SET, json!({ "input": input(&[silent]), "key": "a" })).await;
    assert_eq!(codes(&answer), ["INVALID_VARIABLE"], "it must be said, if only as null");
    let keyless = SET.replace("@idempotent(key: $key)", "");
    let answer = ask(&shop, &keyless, json!({ "input": input(&[one]), "key": "a" })).await;
    assert_eq!(codes(&answer), ["BAD_REQUEST"], "a key is needed");
    assert_eq!(available(&shop, "TW-001"), 100);
}

#[tokio::test]
async fn the_same_request_under_the_same_key_takes_effect_once() {
    let shop = start(settings());
    let rows = [row(&shop, "TW-001", 42, json!(100))];
    let variables = json!({ "input": input(&rows), "key": "k" });
    let first = ask(&shop, SET, variables.clone()).await["data"].take();
    assert_eq!(first["inventorySetQuantities"]["inventoryAdjustmentGroup"]["changes"][0]["delta"], -58);
    shop.place_order(&OrderWish::of("TW-001", 2)).unwrap();
    assert_eq!(ask(&shop, SET, variables).await["data"], first, "the first answer again, although the level is another by now");
    assert_eq!(available(&shop, "TW-001"), 40);
    assert_eq!(shop.log().effects().count_applied("inventorySetQuantities", "k"), 1);

    let other = set(&shop, "k", &[row(&shop, "TW-001", 43, json!(40))]).await;
    assert_eq!(other, [error("IDEMPOTENCY_KEY_PARAMETER_MISMATCH", None)]);
    let stale = [row(&shop, "TW-001", 1, json!(1))];
    assert_eq!(set(&shop, "s", &stale).await, [error("CHANGE_FROM_QUANTITY_STALE", Some("0"))]);
    assert_eq!(set(&shop, "s", &stale).await, [error("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", None)], "a failed attempt burns its key");
    shop.refuse("inventorySetQuantities", "IDEMPOTENCY_CONCURRENT_REQUEST", 1);
    assert_eq!(set(&shop, "t", &stale).await, [error("IDEMPOTENCY_CONCURRENT_REQUEST", None)]);
}

#[tokio::test]
async fn a_lost_answer_is_found_again_under_its_key() {
    let shop = start(settings());
    shop.plan().add(Rule::new(Fault::Silence).applied().on("inventorySetQuantities")).unwrap();
    shop.plan().add(Rule::new(Fault::status(503)).on("inventorySetQuantities")).unwrap();
    let variables = json!({ "input": input(&[row(&shop, "TW-001", 42, json!(100))]), "key": "k" });
    let send = |total| exchange(&shop, "sandbox-access-token", SET, variables.clone(), total);
    assert!(matches!(send(Duration::from_millis(300)).await, Exchange::Unknown(_)));
    assert_eq!(available(&shop, "TW-001"), 42, "it was applied before the silence");
    assert!(matches!(send(PATIENCE).await, Exchange::Answered { status, .. } if status == 503));
    let answer = ask(&shop, SET, variables.clone()).await;
    assert_eq!(answer["data"]["inventorySetQuantities"]["userErrors"], json!([]));
    assert_eq!(shop.log().effects().count_applied("inventorySetQuantities", "k"), 1);
}

#[tokio::test]
async fn a_fault_can_be_about_one_item_only() {
    let shop = start(settings());
    let sick = row(&shop, "TW-002", 1, Value::Null);
    shop.plan().add(Rule::new(Fault::status(500)).about(sick["inventoryItemId"].as_str().unwrap()).always()).unwrap();
    let answer = exchange(&shop, "sandbox-access-token", SET, json!({ "input": input(&[sick]), "key": "a" }), PATIENCE).await;
    assert!(matches!(answer, Exchange::Answered { status, .. } if status == 500));
    assert_eq!(set(&shop, "b", &[row(&shop, "TW-001", 1, Value::Null)]).await, []);
}

#[tokio::test]
async fn a_level_that_was_set_is_told_back_as_a_webhook() {
    let door = Door::open().await;
    let shop = start(ShopSettings { door: Some(door.url.clone()), ..settings() });
    assert_eq!(set(&shop, "a", &[row(&shop, "TW-001", 42, json!(100)), row(&shop, "TW-002", 100, json!(100))]).await, []);
    shop.settled(PATIENCE).await.unwrap();
    let arrivals = door.arrivals();
    assert_eq!(door.topics(), ["inventory_levels/update"], "an unchanged level is not news");
    assert_eq!(arrivals[0].json()["available"], 42);
    assert!(arrivals[0].json().get("sku").is_none(), "the platform does not say it");
}

#[tokio::test]
async fn levels_are_read_by_item_and_a_sku_may_be_on_two_variants() {
    let shop = start(settings());
    let twin = shop.add_article("TW-001", Some(3));
    let query = "query($q: String!, $l: ID!) { productVariants(first: 10, query: $q) { nodes { sku inventoryItem { id
        inventoryLevel(locationId: $l) { quantities(names: [\"available\", \"on_hand\"]) { name quantity } } } } pageInfo { hasNextPage } } }";
    let location = format!("gid://shopify/Location/{}", shop.location_id());
    let answer = ask(&shop, query, json!({ "q": "sku:'tw-001'", "l": location })).await;
    let nodes = answer["data"]["productVariants"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 2, "{answer}");
    let of_twin = nodes.iter().find(|it| it["inventoryItem"]["id"] == format!("gid://shopify/InventoryItem/{}", twin.inventory_item_id));
    let quantities = &of_twin.unwrap()["inventoryItem"]["inventoryLevel"]["quantities"];
    assert_eq!(*quantities, json!([{ "name": "available", "quantity": 3 }, { "name": "on_hand", "quantity": 3 }]));

    let elsewhere = ask(&shop, query, json!({ "q": "sku:'TW-002'", "l": "gid://shopify/Location/1" })).await;
    assert!(elsewhere["data"]["productVariants"]["nodes"][0]["inventoryItem"]["inventoryLevel"].is_null());
}
