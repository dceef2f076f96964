//! Re-reads, and what becomes of every way in which the API can fail.

use std::time::Duration;

use bytes::Bytes;
use domain::{EntityKind, EntityRef};
use fault::{Class, Fault};
use http::header;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use super::server::{Reply, Shop, answer, cost, data, raw};
use super::shop::{customer, entities, golden, open_at, order};

fn entity(kind: EntityKind, id: &str) -> EntityRef {
    EntityRef::new("shop-eu".parse().unwrap(), kind, id)
}

fn golden_json(name: &str) -> Value {
    serde_json::from_slice(&golden(name)).unwrap()
}

async fn read(shop: &Shop, kind: EntityKind, id: &str) -> Result<Option<(String, Bytes)>, Fault> {
    shop.connection.reread.read(&entity(kind, id)).await
}

/// The fault of one re-read that was answered so.
async fn fault(reply: Reply) -> Fault {
    let shop = Shop::answering([reply]).await;
    read(&shop, EntityKind::Customer, "7").await.unwrap_err()
}

#[tokio::test]
async fn an_order_is_read_page_by_page_with_its_refunds() {
    let whole = golden_json("order_pair_graphql");
    let shop = Shop::answering([
        data(json!({ "order": whole["order"] })),
        data(json!({ "order": { "lineItems": whole["moreLineItems"][0] } })),
        data(json!({ "refund": whole["refunds"][0]["refund"] })),
    ])
    .await;
    let (topic, body) = read(&shop, EntityKind::Order, "9007199254740993009").await.unwrap().unwrap();
    assert_eq!(order(&topic, body.clone()), order("orders/updated", golden("order_pair_webhook")));
    assert_eq!(entities(&topic, body), entities("orders/updated", golden("order_pair_webhook")));

    let asked = shop.asked();
    assert_eq!(asked[0]["variables"], json!({ "id": "gid://shopify/Order/9007199254740993009" }));
    assert_eq!(asked[1]["variables"], json!({ "id": "gid://shopify/Order/9007199254740993009", "after": "c" }));
    assert_eq!(asked[2]["variables"], json!({ "id": "gid://shopify/Refund/3310000000000000091" }));
    assert_eq!(asked[0]["operationName"], "TradewindOrder");
    assert_eq!(shop.headers()["x-shopify-access-token"], "shpat_test");
}

#[tokio::test]
async fn a_refund_is_read_as_it_stands_in_its_order() {
    let whole = golden_json("order_pair_graphql");
    let shop = Shop::answering([data(json!({ "refund": whole["refunds"][0]["refund"] }))]).await;
    let (topic, body) = read(&shop, EntityKind::Refund, "3310000000000000091").await.unwrap().unwrap();
    assert_eq!(entities(&topic, body)[0], entities("orders/updated", golden("order_pair_webhook"))[1]);
}

#[tokio::test]
async fn a_customer_is_read_as_its_webhook_tells_it() {
    let shop = Shop::answering([data(golden_json("customer_graphql"))]).await;
    let (topic, body) = read(&shop, EntityKind::Customer, "6110000000000000101").await.unwrap().unwrap();
    assert_eq!(customer(&topic, body), customer("customers/update", golden("customer_webhook")));
}

#[tokio::test]
async fn what_is_gone_is_nothing() {
    for (kind, field) in [(EntityKind::Order, "order"), (EntityKind::Refund, "refund"), (EntityKind::Customer, "customer")] {
        let shop = Shop::answering([data(json!({ field: null }))]).await;
        assert_eq!(read(&shop, kind, "7").await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_asked_for() {
    let shop = Shop::answering([]).await;
    assert_eq!(read(&shop, EntityKind::Product, "7").await.unwrap_err().class, Class::Validation);
    assert_eq!(read(&shop, EntityKind::Order, "HG-7").await.unwrap_err().class, Class::Validation);
    assert!(shop.asked().is_empty());
}

#[tokio::test]
async fn a_throttled_200_asks_for_the_wait_that_the_budget_needs() {
    let errors = json!([{ "message": "Throttled", "extensions": { "code": "THROTTLED" } }]);
    let fault = fault(answer(json!({ "errors": errors, "extensions": { "cost": cost(700, 100) } }))).await;
    assert_eq!((fault.class, fault.retry_after), (Class::RateLimited, Some(Duration::from_secs(6))));
}

#[tokio::test]
async fn what_would_be_throttled_is_not_even_sent() {
    let nothing = answer(json!({ "data": { "customer": null }, "extensions": { "cost": cost(1500, 0) } }));
    let shop = Shop::answering([nothing]).await;
    read(&shop, EntityKind::Customer, "7").await.unwrap();
    let fault = read(&shop, EntityKind::Customer, "7").await.unwrap_err();
    assert_eq!(fault.class, Class::RateLimited);
    assert!(fault.retry_after.unwrap() > Duration::from_secs(10));
    assert_eq!(shop.asked().len(), 1);
}

#[tokio::test]
async fn every_refusal_has_its_class() {
    for (status, expected) in [
        (401, Class::Auth),
        (403, Class::Auth),
        (404, Class::Auth),
        (301, Class::Auth),
        (500, Class::Transient),
        (502, Class::Outage),
        (503, Class::Outage),
        (504, Class::Outage),
        (400, Class::Schema),
    ] {
        assert_eq!(fault(raw(status, "<html>")).await.class, expected, "{status}");
    }
    let fault = fault(raw(429, "{}").with(header::RETRY_AFTER, "2.0")).await;
    assert_eq!((fault.class, fault.retry_after), (Class::RateLimited, Some(Duration::from_secs(2))));
}

#[tokio::test]
async fn a_200_that_is_no_answer_is_unknown() {
    for body in ["<!DOCTYPE html><html><body>We'll be back</body></html>", r#"{"data":{"customer":{"id""#, ""] {
        assert_eq!(fault(raw(200, body)).await.class, Class::Transient, "{body}");
    }
}

#[tokio::test]
async fn errors_in_a_200_are_errors() {
    for (code, expected) in [
        ("ACCESS_DENIED", Class::Auth),
        ("INTERNAL_SERVER_ERROR", Class::Transient),
        ("undefinedField", Class::Schema),
        ("MAX_COST_EXCEEDED", Class::Schema),
    ] {
        let errors = json!([{ "message": "ada@example.com", "extensions": { "code": code } }]);
        let fault = fault(answer(json!({ "data": { "customer": null }, "errors": errors }))).await;
        assert_eq!(fault.class, expected, "{code}");
        assert!(!fault.to_string().contains("ada@"), "{fault}");
    }
    assert_eq!(fault(data(json!({ "client": null }))).await.class, Class::Schema);
}

#[tokio::test]
async fn a_shop_that_is_away_is_an_outage_and_one_that_hangs_up_is_not() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let hangs_up = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut some = [0; 64];
        assert!(connection.read(&mut some).await.unwrap() > 0);
    });
    let connection = open_at(&url);
    let customer = entity(EntityKind::Customer, "7");
    let fault = connection.reread.read(&customer).await.unwrap_err();
    assert_eq!(fault.class, Class::Transient, "{fault}");
    hangs_up.await.unwrap();
    // The listener is gone with the task.
    let fault = connection.reread.read(&customer).await.unwrap_err();
    assert_eq!(fault.class, Class::Outage, "{fault}");
}
