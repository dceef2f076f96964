//! Stock pushes: one result per row, whatever Shopify makes of the rows together.

use connector::storefront::{PushResult, ShownLevel, StockPush};
use domain::Sku;
use fault::{Class, Fault};
use serde_json::{Value, json};

use super::server::{Reply, Shop, data};

fn row(item: u64, available: i64, expected: Option<i64>) -> StockPush {
    StockPush { item: item.to_string(), location: "1".to_owned(), available, expected, idempotency_key: format!("{item}/1/7") }
}

fn set(errors: Value) -> Reply {
    data(json!({ "inventorySetQuantities": { "userErrors": errors } }))
}

fn at(row: usize, code: &str) -> Value {
    json!({ "code": code, "field": ["input", "quantities", row.to_string(), "changeFromQuantity"], "message": "no" })
}

fn whole(code: &str) -> Value {
    json!([{ "code": code, "field": ["input"], "message": "no" }])
}

/// Three rows against these answers: the results, and what was sent.
async fn push(replies: impl IntoIterator<Item = Reply>) -> (Result<Vec<PushResult>, Fault>, Vec<Value>) {
    let shop = Shop::answering(replies).await;
    let rows = [row(11, 5, Some(6)), row(12, 0, None), row(13, 9, Some(9))];
    (shop.connection.stock.push(&rows).await, shop.asked())
}

fn items(asked: &Value) -> Vec<&str> {
    let quantities = asked["variables"]["input"]["quantities"].as_array().unwrap();
    quantities.iter().map(|it| it["inventoryItemId"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

#[tokio::test]
async fn levels_are_set_in_one_call() {
    let (results, asked) = push([set(json!([]))]).await;
    assert_eq!(results.unwrap(), vec![PushResult::Set; 3]);
    let input = &asked[0]["variables"]["input"];
    assert_eq!((input["name"].as_str(), input["reason"].as_str()), (Some("available"), Some("correction")));
    assert!(input["referenceDocumentUri"].is_string());
    assert_eq!(
        input["quantities"][0],
        json!({
            "inventoryItemId": "gid://shopify/InventoryItem/11", "locationId": "gid://shopify/Location/1",
            "quantity": 5, "changeFromQuantity": 6
        })
    );
    assert!(input["quantities"][1].as_object().unwrap()["changeFromQuantity"].is_null(), "said, and null");
    assert!(asked[0]["query"].as_str().unwrap().contains("@idempotent(key: $key)"));
}

#[tokio::test]
async fn the_same_push_has_the_same_key() {
    let ((_, first), (_, second)) = (push([set(json!([]))]).await, push([set(json!([]))]).await);
    assert_eq!(first[0]["variables"]["key"], second[0]["variables"]["key"]);
}

#[tokio::test]
async fn what_is_stale_or_not_stocked_does_not_stop_the_others() {
    let errors = json!([at(0, "CHANGE_FROM_QUANTITY_STALE"), at(1, "ITEM_NOT_STOCKED_AT_LOCATION")]);
    let (results, asked) = push([set(errors), set(json!([]))]).await;
    assert_eq!(results.unwrap(), [PushResult::Stale, PushResult::NotStocked, PushResult::Set]);
    assert_eq!((items(&asked[0]), items(&asked[1])), (vec!["11", "12", "13"], vec!["13"]));
    assert_ne!(asked[0]["variables"]["key"], asked[1]["variables"]["key"], "other rows, another key");
}

#[tokio::test]
async fn rows_are_counted_in_what_was_sent_last() {
    let replies = [set(json!([at(0, "INVALID_QUANTITY_TOO_HIGH")])), set(json!([at(1, "COMPARE_QUANTITY_STALE")])), set(json!([]))];
    let (results, asked) = push(replies).await;
    let refused = PushResult::Refused("INVALID_QUANTITY_TOO_HIGH".to_owned());
    assert_eq!(results.unwrap(), [refused, PushResult::Set, PushResult::Stale]);
    assert_eq!(items(&asked[2]), ["12"]);
}

#[tokio::test]
async fn a_burnt_key_is_replaced() {
    let (results, asked) = push([set(whole("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED")), set(json!([]))]).await;
    assert_eq!(results.unwrap(), vec![PushResult::Set; 3]);
    assert_eq!(items(&asked[0]), items(&asked[1]));
    assert_ne!(asked[0]["variables"]["key"], asked[1]["variables"]["key"]);
}

#[tokio::test]
async fn errors_about_the_call_are_faults() {
    let (results, _) = push([set(whole("IDEMPOTENCY_CONCURRENT_REQUEST"))]).await;
    assert_eq!(results.unwrap_err().class, Class::Transient);
    let (results, _) = push([set(whole("INVALID_REASON"))]).await;
    let fault = results.unwrap_err();
    assert_eq!(fault.class, Class::BusinessRejected);
    assert!(fault.message.contains("INVALID_REASON"), "{fault}");
}

#[tokio::test]
async fn a_shop_that_never_settles_is_left_for_later() {
    let endless = (0..20).map(|_| set(whole("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED")));
    let (results, asked) = push(endless).await;
    assert_eq!(results.unwrap_err().class, Class::Transient);
    assert_eq!(asked.len(), 8);
}

#[tokio::test]
async fn a_row_that_is_none_is_refused_and_the_rest_is_sent() {
    let shop = Shop::answering([set(json!([]))]).await;
    let wrong = StockPush { item: "MUG-SEA".to_owned(), ..row(1, 1, None) };
    let results = shop.connection.stock.push(&[wrong, row(2, 1, None)]).await.unwrap();
    assert!(matches!(results[..], [PushResult::Refused(_), PushResult::Set]));
    assert_eq!(items(&shop.asked()[0]), ["2"]);
}

#[tokio::test]
async fn a_batch_has_its_bounds() {
    let shop = Shop::answering([]).await;
    assert_eq!(shop.connection.stock.push(&[]).await.unwrap(), []);
    let many: Vec<StockPush> = (0..251).map(|it| row(it, 1, None)).collect();
    assert_eq!(shop.connection.stock.push(&many).await.unwrap_err().class, Class::Validation);
    assert_eq!(shop.connection.stock.batch_max(), 250);
    assert!(shop.asked().is_empty());
}

#[tokio::test]
async fn levels_are_read_for_what_is_stocked_there() {
    let level =
        |available: i64| json!({ "quantities": [{ "name": "on_hand", "quantity": 99 }, { "name": "available", "quantity": available }] });
    let nodes = json!([
        { "id": "gid://shopify/InventoryItem/11", "inventoryLevel": level(-2) },
        null,
        { "id": "gid://shopify/InventoryItem/13", "inventoryLevel": null },
    ]);
    let shop = Shop::answering([data(json!({ "nodes": nodes }))]).await;
    let items: Vec<String> = ["11", "12", "13"].map(str::to_owned).to_vec();
    let shown = shop.connection.stock.levels("1", &items).await.unwrap();
    assert_eq!(shown, [ShownLevel { item: "11".to_owned(), location: "1".to_owned(), available: -2 }]);
    assert_eq!(shop.asked()[0]["variables"]["location"], "gid://shopify/Location/1");
}

#[tokio::test]
async fn a_sku_is_what_equals_it_not_what_resembles_it() {
    let page = |nodes: Value, after: Option<&str>| {
        let info = json!({ "hasNextPage": after.is_some(), "endCursor": after });
        data(json!({ "productVariants": { "pageInfo": info, "nodes": nodes } }))
    };
    let variant = |sku: &str, item: u64| json!({ "sku": sku, "inventoryItem": { "id": format!("gid://shopify/InventoryItem/{item}") } });
    let shop = Shop::answering([
        page(json!([variant("MUG-SEA", 11), variant("mug-sea", 12), variant("MUG-SEA-2", 13)]), Some("next")),
        page(json!([variant("MUG-SEA", 14), variant("MUG-SEA", 11)]), None),
    ])
    .await;
    let items = shop.connection.stock.items_of(&Sku::new("MUG-SEA").unwrap()).await.unwrap();
    assert_eq!(items, ["11", "14"], "two: an error of the catalogue, which the caller has to see");
    assert_eq!(shop.asked()[0]["variables"]["query"], "sku:'MUG-SEA'");
    assert_eq!(shop.asked()[1]["variables"]["after"], "next");
}

#[tokio::test]
async fn a_sku_that_has_no_end_is_not_guessed() {
    let info = json!({ "hasNextPage": true, "endCursor": "next" });
    let page = data(json!({ "productVariants": { "pageInfo": info, "nodes": [] } }));
    let shop = Shop::answering(vec![page; 20]).await;
    assert_eq!(shop.connection.stock.items_of(&Sku::new("A").unwrap()).await.unwrap_err().class, Class::Validation);
}
