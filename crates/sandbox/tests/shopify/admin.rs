//! `/_sandbox/`: the shop driven from another process.

use http::Method;
use serde_json::{Value, json};

use crate::client::{PATIENCE, send, settings, start};
use crate::door::Door;

#[tokio::test]
async fn a_script_places_an_order_pays_it_and_reads_the_levels() {
    let door = Door::open().await;
    let shop = start(settings());
    let url = |path: &str| format!("{}/_sandbox/{path}", shop.base_url());
    let (status, _) =
        send(Method::POST, url("subscriptions"), json!({ "url": door.url, "topics": ["orders/create", "orders/paid"] })).await;
    assert_eq!(status, 201);

    let (status, placed) =
        send(Method::POST, url("orders"), json!({ "lines": [["TW-001", 3]], "payment": "pending", "buyer": "guest" })).await;
    assert_eq!((status, &placed["financial_status"]), (201, &json!("pending")), "{placed}");
    assert_eq!(placed["deliveries"][0]["topic"], "orders/create");
    let order = format!("orders/{}", placed["id"]);
    let (_, paid) = send(Method::POST, url(&format!("{order}/pay")), json!({})).await;
    assert_eq!(paid["financial_status"], "paid");
    shop.settled(PATIENCE).await.unwrap();
    let (_, counts) = send(Method::GET, url("deliveries"), Value::Null).await;
    assert_eq!(counts["acked"], 2);

    let line = placed["lines"][0]["id"].clone();
    let (status, _) = send(Method::POST, url(&format!("{order}/refund")), json!({ "lines": [[line, 1]], "restock": true })).await;
    assert_eq!(status, 201);
    let (status, cancelled) = send(Method::POST, url(&format!("{order}/cancel")), json!({ "reason": "fraud" })).await;
    assert_eq!((status, &cancelled["cancelled"]), (201, &json!(true)));
    let (_, levels) = send(Method::GET, url("levels"), Value::Null).await;
    let level = levels.as_array().unwrap().iter().find(|it| it["sku"] == "TW-001").unwrap();
    assert_eq!((&level["available"], &level["committed"]), (&json!(100), &json!(0)));
    let (_, whole) = send(Method::GET, url(&order), Value::Null).await;
    assert_eq!(whole["cancel_reason"], "fraud");

    let (_, log) = send(Method::GET, url("log"), Value::Null).await;
    let applied: Vec<&str> =
        log.as_array().unwrap().iter().filter(|it| it["kind"] == "applied").map(|it| it["operation"].as_str().unwrap()).collect();
    assert_eq!(applied, ["order.place", "order.pay", "order.refund", "order.cancel"]);
}

#[tokio::test]
async fn what_is_not_there_or_not_understood_is_said() {
    let shop = start(settings());
    let url = |path: &str| format!("{}/_sandbox/{path}", shop.base_url());
    let (status, error) = send(Method::POST, url("orders"), json!({ "lines": [["NO-SUCH", 1]] })).await;
    assert_eq!(status, 422);
    assert!(error["error"].as_str().unwrap().contains("NO-SUCH"));
    assert_eq!(send(Method::POST, url("orders"), json!({ "linse": [] })).await.0, 400);
    assert_eq!(send(Method::POST, url("orders/7/pay"), json!({})).await.0, 404);
    assert_eq!(send(Method::POST, url("faults"), json!({ "fault": "status", "status": 503 })).await.0, 201);
    assert_eq!(send(Method::PUT, url("levels"), json!({ "sku": "TW-001", "available": 5 })).await.0, 204);
    assert_eq!(shop.available("TW-001"), Some(5));
}

#[tokio::test]
async fn a_script_sends_any_bytes_and_holds_and_releases() {
    let door = Door::open().await;
    let shop = start(settings());
    let url = |path: &str| format!("{}/_sandbox/{path}", shop.base_url());
    assert_eq!(send(Method::POST, url("hold"), json!({})).await.0, 204);
    let (status, ids) = send(Method::POST, url("send"), json!({ "topic": "orders/create", "body": "not json", "url": door.url })).await;
    assert_eq!((status, ids.as_array().unwrap().len()), (202, 1));
    let (_, released) = send(Method::POST, url("release"), json!({ "shuffled": { "seed": 1 } })).await;
    assert_eq!(released, json!({ "released": 1 }));
    shop.settled(PATIENCE).await.unwrap();
    assert_eq!(&door.arrivals()[0].body[..], b"not json");
}

#[tokio::test]
async fn a_script_loses_deliveries_and_subscriptions() {
    let door = Door::open().await;
    let shop = start(settings());
    let url = |path: &str| format!("{}/_sandbox/{path}", shop.base_url());
    let topics = json!(["orders/create", "orders/updated"]);
    assert_eq!(send(Method::POST, url("subscriptions"), json!({ "url": door.url, "topics": topics })).await.1, json!({ "made": 2 }));
    assert_eq!(send(Method::POST, url("hold"), json!({})).await.0, 204);
    assert_eq!(send(Method::POST, url("orders"), json!({})).await.0, 201);
    assert_eq!(send(Method::POST, url("lose"), json!({})).await.1, json!({ "lost": 1 }));
    assert_eq!(send(Method::DELETE, url("subscriptions"), json!(["orders/create"])).await.1, json!({ "deleted": 1 }));
    assert_eq!(send(Method::DELETE, url("subscriptions"), json!([])).await.1, json!({ "deleted": 1 }));
    shop.settled(PATIENCE).await.unwrap();
    assert_eq!(door.arrivals().len(), 0);
}
