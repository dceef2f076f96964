//! The GraphQL endpoint: who may ask, what it costs, what is shown.

use http_kit::Exchange;
use sandbox::payloads::{OrderWish, PaymentWish, RefundWish};
use sandbox::shopify::{Points, ShopSettings};
use serde_json::{Value, json};

use crate::client::{PATIENCE, ask, codes, exchange, settings, start};
use crate::door::Door;

const SHOP: &str = "{ shop { name } }";

#[tokio::test]
async fn without_the_token_nothing_is_said() {
    let shop = start(settings());
    let answer = exchange(&shop, "wrong", SHOP, json!({}), PATIENCE).await;
    assert!(matches!(answer, Exchange::Answered { status, .. } if status == 401));
    assert_eq!(ask(&shop, SHOP, json!({})).await["data"]["shop"]["name"], "Sandbox shop");
}

#[tokio::test]
async fn what_the_schema_does_not_know_is_an_error_of_the_answer() {
    let shop = start(settings());
    for (query, code) in [
        ("{ shop { nmae } }", "undefinedField"),
        ("{ shopp { name } }", "undefinedField"),
        ("mutation { orderExplode { id } }", "undefinedField"),
        ("{ shop ", "PARSE_ERROR"),
        ("{ shop }", "selectionMismatch"),
        ("{ orders { nodes { id } } }", "missingRequiredArguments"),
        ("{ orders(first: 251) { nodes { id } } }", "argumentLiteralsIncompatible"),
        ("{ order(id: \"7\") { id } }", "INVALID_ID"),
        ("query($id: ID!) { order(id: $id) { id } }", "INVALID_VARIABLE"),
        ("{ orders(first: 1, query: \"colour:red\") { nodes { id } } }", "INVALID_SEARCH"),
        ("{ orders(first: 250) { nodes { lineItems(first: 250) { nodes { id } } } } }", "MAX_COST_EXCEEDED"),
    ] {
        // An order, so that a list has something to fail at.
        shop.place_order(&OrderWish::default()).unwrap();
        let answer = ask(&shop, query, json!({})).await;
        assert_eq!(codes(&answer), [code], "{query}: {answer}");
        assert!(answer.get("data").is_none());
    }
    let nobody = ask(&shop, "{ order(id: \"gid://shopify/Order/7\") { id } }", json!({})).await;
    assert_eq!((&nobody["data"]["order"], codes(&nobody).len()), (&Value::Null, 0));
}

#[tokio::test]
async fn the_bucket_is_told_with_every_answer_and_an_empty_one_throttles_with_status_200() {
    let shop = start(ShopSettings { points: Points { maximum: 100, restore_rate: 1 }, ..settings() });
    let answer = ask(&shop, SHOP, json!({})).await;
    let cost = &answer["extensions"]["cost"];
    assert_eq!((&cost["requestedQueryCost"], &cost["actualQueryCost"]), (&json!(1), &json!(1)));
    assert_eq!(cost["throttleStatus"]["maximumAvailable"], 100.0);
    assert_eq!(cost["throttleStatus"]["restoreRate"], 1.0);

    shop.drain_points(50);
    let greedy = "{ orders(first: 99) { nodes { id } } }";
    let throttled = ask(&shop, greedy, json!({})).await;
    assert_eq!(codes(&throttled), ["THROTTLED"]);
    assert!(throttled["extensions"]["cost"]["actualQueryCost"].is_null());

    shop.throttle(2);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(codes(&ask(&shop, SHOP, json!({})).await).len());
    }
    assert_eq!(seen, [1, 1, 0]);
}

#[tokio::test]
async fn orders_are_swept_page_by_page_by_their_change() {
    let shop = start(settings());
    let placed: Vec<u64> = shop.burst(7).unwrap().iter().map(|it| it.id).collect();
    for (index, id) in placed.iter().enumerate() {
        let at = format!("2026-01-0{}T00:00:00Z", 7 - index).parse().unwrap();
        shop.backdate(*id, at).unwrap();
    }
    let query = "query($after: String, $q: String!) { orders(first: 2, after: $after, query: $q, sortKey: UPDATED_AT) {
        edges { cursor node { ...O } } pageInfo { hasNextPage endCursor } } } fragment O on Order { id legacyResourceId updatedAt }";
    let (mut ids, mut after) = (Vec::new(), Value::Null);
    loop {
        let answer = ask(&shop, query, json!({ "after": after, "q": "updated_at:>='2026-01-02T00:00:00Z'" })).await;
        let page = &answer["data"]["orders"];
        ids.extend(
            page["edges"].as_array().unwrap().iter().map(|it| it["node"]["legacyResourceId"].as_str().unwrap().parse::<u64>().unwrap()),
        );
        assert_eq!(page["edges"].as_array().unwrap().last().unwrap()["cursor"], page["pageInfo"]["endCursor"]);
        after = page["pageInfo"]["endCursor"].clone();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    let expected: Vec<u64> = placed[..6].iter().rev().copied().collect();
    assert_eq!(ids, expected, "the oldest change first, the one before the time left out");
}

#[tokio::test]
async fn an_order_is_shown_as_it_is_now_with_its_refunds() {
    let shop = start(settings());
    let order = shop.place_order(&OrderWish::of("TW-001", 2).paid_by(PaymentWish::Paid)).unwrap().id;
    let line = shop.order(order).unwrap().lines[0].id;
    shop.refund(order, &RefundWish::line(line, 1)).unwrap();
    let query = "query($id: ID!) { order(id: $id) { name displayFinancialStatus lines: lineItems(first: 5) { nodes { sku quantity currentQuantity } }
        refunds { id refundLineItems(first: 5) { nodes { quantity restockType lineItem { sku } } } transactions(first: 5) { nodes { kind } } }
        transactions { kind status } totalPriceSet { shopMoney { amount } } billingAddress { city } } }";
    let answer = ask(&shop, query, json!({ "id": format!("gid://shopify/Order/{order}") })).await;
    let shown = &answer["data"]["order"];
    assert_eq!(shown["displayFinancialStatus"], "PARTIALLY_REFUNDED", "{answer}");
    assert_eq!(shown["lines"]["nodes"][0], json!({ "sku": "TW-001", "quantity": 2, "currentQuantity": 1 }));
    assert_eq!(shown["refunds"][0]["refundLineItems"]["nodes"][0]["restockType"], "CANCEL");
    assert_eq!(shown["transactions"], json!([{ "kind": "SALE", "status": "SUCCESS" }, { "kind": "REFUND", "status": "SUCCESS" }]));
    let total: rust_decimal::Decimal = shown["totalPriceSet"]["shopMoney"]["amount"].as_str().unwrap().parse().unwrap();
    assert_eq!(total, shop.order(order).unwrap().total().shop);
}

#[tokio::test]
async fn subscriptions_are_made_listed_and_taken_back() {
    let door = Door::open().await;
    let shop = start(settings());
    let create = "mutation($topic: WebhookSubscriptionTopic!, $uri: String!) { webhookSubscriptionCreate(topic: $topic,
        webhookSubscription: { uri: $uri, format: JSON }) { webhookSubscription { id topic uri } userErrors { field message } } }";
    let variables = json!({ "topic": "ORDER_TRANSACTIONS_CREATE", "uri": door.url });
    let made = ask(&shop, create, variables.clone()).await;
    let made = &made["data"]["webhookSubscriptionCreate"];
    assert_eq!(made["userErrors"], json!([]));
    let again = ask(&shop, create, variables).await;
    assert_eq!(again["data"]["webhookSubscriptionCreate"]["userErrors"].as_array().unwrap().len(), 1, "once is enough");

    let listed = ask(
        &shop,
        "{ webhookSubscriptions(first: 50) { nodes { id topic endpoint { ... on WebhookHttpEndpoint { callbackUrl } } } } }",
        json!({}),
    )
    .await;
    let listed = &listed["data"]["webhookSubscriptions"]["nodes"];
    assert_eq!(
        *listed,
        json!([{ "id": made["webhookSubscription"]["id"], "topic": "ORDER_TRANSACTIONS_CREATE", "endpoint": { "callbackUrl": door.url } }])
    );

    shop.place_order(&OrderWish::of("TW-001", 1).paid_by(PaymentWish::Paid)).unwrap();
    shop.settled(PATIENCE).await.unwrap();
    assert_eq!(door.topics(), ["order_transactions/create"]);

    let delete = "mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { deletedWebhookSubscriptionId userErrors { message } } }";
    ask(&shop, delete, json!({ "id": made["webhookSubscription"]["id"] })).await;
    assert!(shop.subscriptions().is_empty());
}
