//! What changed, listed page by page, and the subscriptions that should have told of it.

use connector::storefront::{ListFrom, ListPage, Listed};
use domain::EntityKind;
use fault::{Class, Fault};
use serde_json::{Value, json};

use super::server::{Reply, Shop, answer, data};
use super::shop::time;

const SINCE: &str = "2026-03-04T05:06:07Z";

fn page(kind: &str, nodes: &[(u64, &str)], end: Option<&str>) -> Value {
    let nodes: Vec<_> = nodes.iter().map(|(id, at)| json!({ "id": format!("gid://shopify/{kind}/{id}"), "updatedAt": at })).collect();
    json!({ "list": { "pageInfo": { "hasNextPage": end.is_some(), "endCursor": end }, "nodes": nodes } })
}

async fn list(shop: &Shop, kind: EntityKind, from: &ListFrom) -> Result<ListPage, Fault> {
    shop.connection.listing.as_ref().unwrap().page(kind, from).await
}

#[tokio::test]
async fn what_changed_is_listed_from_a_time_on_page_by_page() {
    let shop = Shop::answering([
        data(page("Order", &[(9, "2026-03-04T05:06:07Z"), (3, "2026-03-04T05:06:08Z")], Some("c1"))),
        data(page("Order", &[(4, "2026-03-04T05:06:09Z")], None)),
    ])
    .await;
    let first = list(&shop, EntityKind::Order, &ListFrom::Since(time(SINCE))).await.unwrap();
    let listed = |id: &str, at: &str| Listed { id: id.to_owned(), updated_at: time(at) };
    assert_eq!(first.listed, [listed("9", SINCE), listed("3", "2026-03-04T05:06:08Z")]);
    let second = list(&shop, EntityKind::Order, &ListFrom::Cursor(first.next.unwrap())).await.unwrap();
    assert_eq!(second, ListPage { listed: vec![listed("4", "2026-03-04T05:06:09Z")], next: None });
    let asked = shop.asked();
    assert_eq!(asked[0]["variables"], json!({ "query": "updated_at:>='2026-03-04T05:06:07Z'", "after": null }));
    assert_eq!(asked[1]["variables"], json!({ "query": "updated_at:>='2026-03-04T05:06:07Z'", "after": "c1" }));
    assert!(asked[0]["query"].as_str().unwrap().contains("sortKey: UPDATED_AT"));
}

#[tokio::test]
async fn customers_are_listed_and_other_kinds_are_not() {
    let shop = Shop::answering([data(page("Customer", &[(7, SINCE)], None))]).await;
    let from = ListFrom::Since(time(SINCE));
    assert_eq!(list(&shop, EntityKind::Customer, &from).await.unwrap().listed.len(), 1);
    assert_eq!(shop.asked()[0]["operationName"], "TradewindChangedCustomers");
    assert_eq!(list(&shop, EntityKind::Refund, &from).await.unwrap_err().class, Class::Validation);
    assert_eq!(list(&shop, EntityKind::Order, &ListFrom::Cursor("{}".to_owned())).await.unwrap_err().code, "shopify_request");
}

#[tokio::test]
async fn what_is_left_of_the_budget_is_what_the_shop_said() {
    let shop = Shop::answering([data(page("Order", &[], None))]).await;
    let listing = shop.connection.listing.clone().unwrap();
    assert_eq!(listing.spare(), None);
    list(&shop, EntityKind::Order, &ListFrom::Since(time(SINCE))).await.unwrap();
    assert!(listing.spare().unwrap() >= 0.95);
}

fn subscriptions(all: &[(&str, &str)]) -> Reply {
    let nodes: Vec<_> = all.iter().map(|(topic, uri)| json!({ "topic": topic, "uri": uri })).collect();
    data(json!({ "webhookSubscriptions": { "pageInfo": { "hasNextPage": false, "endCursor": null }, "nodes": nodes } }))
}

#[tokio::test]
async fn only_subscriptions_to_our_address_count() {
    let ours = "https://hooks.example.com/webhooks/shop-eu";
    let shop = Shop::answering([subscriptions(&[
        ("ORDERS_CREATE", ours),
        ("ORDERS_UPDATED", "https://elsewhere.example.com/x"),
        ("PRODUCTS_CREATE", ours),
    ])])
    .await;
    let watched = shop.connection.subscriptions.clone().unwrap();
    assert_eq!(watched.present().await.unwrap().into_iter().collect::<Vec<_>>(), ["orders/create"]);
    assert!(watched.wanted().len() > 5);
}

#[tokio::test]
async fn a_subscription_is_made_once_whoever_makes_it() {
    let payload =
        |made: Value, errors: Value| data(json!({ "webhookSubscriptionCreate": { "webhookSubscription": made, "userErrors": errors } }));
    let error = |message: &str| json!([{ "field": ["webhookSubscription", "uri"], "message": message }]);
    let shop = Shop::answering([
        payload(json!({ "id": "gid://shopify/WebhookSubscription/1" }), json!([])),
        payload(Value::Null, error("Address for this topic has already been taken")),
        payload(Value::Null, error("Address is invalid")),
        answer(json!({ "data": { "webhookSubscriptionCreate": null } })),
    ])
    .await;
    let watched = shop.connection.subscriptions.clone().unwrap();
    watched.create("orders/create").await.unwrap();
    watched.create("orders/create").await.unwrap();
    let refused = watched.create("orders/create").await.unwrap_err();
    assert_eq!((refused.class, refused.code), (Class::BusinessRejected, "shopify_refused"));
    assert_eq!(watched.create("orders/create").await.unwrap_err().code, "shopify_answer_shape");
    let uri = "https://hooks.example.com/webhooks/shop-eu";
    assert_eq!(shop.asked()[0]["variables"], json!({ "topic": "ORDERS_CREATE", "uri": uri }));
}
