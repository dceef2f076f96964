//! Signed deliveries, by the platform's rules.

use std::time::Duration;

use chrono::{DateTime, Utc};
use http_kit::{Encoding, Secrets};
use sandbox::effects::Kind;
use sandbox::payloads::{BuyerWish, OrderWish, PaymentWish};
use sandbox::shopify::{
    API_VERSION, EVENT_ID, HMAC, RawDelivery, Release, SHOP_DOMAIN, ShopSettings, TRIGGERED_AT, WEBHOOK_ID, WebhookSettings, traces,
};

use crate::client::{PATIENCE, hasty, settings, start};
use crate::door::{Answer, Arrival, Door};

fn is_signed_with(arrival: &Arrival, secret: &str) -> bool {
    let secrets = Secrets::new([secret.into()]).unwrap();
    secrets.verify(arrival.header(&HMAC).as_bytes(), Encoding::Base64, &[&arrival.body]).is_some()
}

#[tokio::test]
async fn an_order_is_told_in_signed_bytes_under_the_platforms_headers() {
    let door = Door::open().await;
    let shop = start(ShopSettings { door: Some(door.url.clone()), ..settings() });
    let wish = OrderWish::of("TW-001", 2).paid_by(PaymentWish::Paid).from(BuyerWish::Customer);
    let placed = shop.place_order(&wish).unwrap();
    let counts = shop.settled(PATIENCE).await.unwrap();

    let mut topics = door.topics();
    topics.sort_unstable();
    assert_eq!(topics, ["customers/create", "inventory_levels/update", "order_transactions/create", "orders/create", "orders/paid"]);
    assert_eq!(counts.acked, 5);
    let arrivals = door.arrivals();
    for it in &arrivals {
        assert!(is_signed_with(it, "sandbox-signing-secret"));
        assert_eq!(it.header(&SHOP_DOMAIN), "sandbox-shop.example.com");
        assert_eq!(it.header(&API_VERSION), "2026-07");
        assert_eq!(it.header(&EVENT_ID), placed.event_id, "one action, one event");
        let triggered: DateTime<Utc> = it.header(&TRIGGERED_AT).parse().unwrap();
        assert!((Utc::now() - triggered).num_seconds() < 60);
        assert_eq!(it.header(&TRIGGERED_AT).len(), "2026-03-30T14:30:00.000000000Z".len());
    }
    let ids: std::collections::HashSet<_> = arrivals.iter().map(|it| it.header(&WEBHOOK_ID)).collect();
    assert_eq!(ids.len(), 5, "each delivery has its own id");
    let created = arrivals.iter().find(|it| it.topic() == "orders/create").unwrap();
    assert_eq!(created.json()["id"], placed.id);
    assert_eq!(created.body, placed.delivery("orders/create").unwrap().body);
    shop.stop().await;
}

#[tokio::test]
async fn a_refused_delivery_comes_again_with_the_same_bytes_until_it_is_taken() {
    let door = Door::open().await;
    let shop = start(settings());
    shop.subscribe(&door.url, &["orders/create"]);
    door.will_answer([500, 302, 404, 503].map(Answer::Status));
    let placed = shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    // What happens to the order meanwhile does not change what was sent of it.
    shop.annotate(placed.id, "later").unwrap();
    let counts = shop.settled(PATIENCE).await.unwrap();

    let arrivals = door.arrivals();
    assert_eq!(arrivals.len(), 5, "only 2xx is success");
    for it in &arrivals {
        assert_eq!(it.body, arrivals[0].body);
        assert_eq!(it.header(&WEBHOOK_ID), arrivals[0].header(&WEBHOOK_ID));
        assert_eq!(it.header(&TRIGGERED_AT), arrivals[0].header(&TRIGGERED_AT));
    }
    assert_eq!((counts.acked, counts.failed_attempts, counts.given_up), (1, 4, 0));
    assert_eq!(shop.subscriptions().len(), 1);
}

#[tokio::test]
async fn after_eight_retries_in_vain_the_subscription_is_gone() {
    let door = Door::open().await;
    let shop = start(settings());
    shop.subscribe(&door.url, &["orders/create", "orders/updated"]);
    door.will_answer([Answer::Status(500); 9]);
    let placed = shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    let counts = shop.settled(PATIENCE).await.unwrap();
    assert_eq!((counts.given_up, counts.attempts), (1, 9));
    assert_eq!(shop.subscriptions_lost(), 1);

    assert!(shop.place_order(&OrderWish::of("TW-001", 1)).unwrap().deliveries.is_empty(), "nobody is subscribed any more");
    let updated = shop.annotate(placed.id, "x").unwrap();
    assert_eq!(updated.deliveries.len(), 1, "the other topic still is");
}

#[tokio::test]
async fn a_lasting_subscription_survives_and_a_switch_spares_all() {
    let door = Door::open().await;
    let shop = start(ShopSettings { webhooks: WebhookSettings { delete_failing: false, ..hasty() }, ..settings() });
    shop.subscribe(&door.url, &["orders/create"]);
    door.will_answer([Answer::Status(500); 9]);
    shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    assert_eq!(shop.settled(PATIENCE).await.unwrap().given_up, 1);
    assert_eq!((shop.subscriptions().len(), shop.subscriptions_lost()), (1, 0));
}

#[tokio::test]
async fn a_door_that_takes_too_long_or_is_shut_has_failed() {
    let door = Door::open().await;
    let patience = WebhookSettings { total: Duration::from_millis(200), retries: 1, ..hasty() };
    let shop = start(ShopSettings { webhooks: patience, ..settings() });
    shop.subscribe(&door.url, &["orders/create"]);
    door.will_answer([Answer::After(Duration::from_secs(5))]);
    shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    assert_eq!(shop.settled(PATIENCE).await.unwrap().acked, 1);
    let id = door.arrivals()[0].header(&WEBHOOK_ID).to_owned();
    let outcomes = traces(&shop.log().effects())[&id].outcomes.clone();
    assert_eq!((outcomes.len(), outcomes[1].as_str()), (2, "200"), "{outcomes:?}");

    // A port that nobody listens on.
    let shut = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    shop.send_raw_to(&format!("http://{shut}/"), &RawDelivery::new("orders/create", "{}"));
    assert_eq!(shop.settled(PATIENCE).await.unwrap().given_up, 1);
}

#[tokio::test]
async fn deliveries_come_twice_or_in_another_order_when_asked() {
    let door = Door::open().await;
    let shop = start(ShopSettings { webhooks: WebhookSettings { concurrency: 1, ..hasty() }, ..settings() });
    shop.subscribe(&door.url, &["orders/create", "orders/updated"]);
    shop.hold();
    let placed = shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    shop.annotate(placed.id, "x").unwrap();
    assert!(door.arrivals().is_empty(), "they are held");
    assert_eq!(shop.release(Release::Reversed), 2);
    shop.settled(PATIENCE).await.unwrap();
    assert_eq!(door.topics(), ["orders/updated", "orders/create"]);

    shop.send_again(&placed.deliveries);
    shop.settled(PATIENCE).await.unwrap();
    let arrivals = door.arrivals();
    assert_eq!(arrivals[2].header(&WEBHOOK_ID), arrivals[1].header(&WEBHOOK_ID));
    assert_eq!(arrivals[2].body, arrivals[1].body);
}

#[tokio::test]
async fn a_noisy_shop_sends_duplicates_and_stragglers_but_loses_nothing() {
    let door = Door::open().await;
    let noise = WebhookSettings { duplicates: 0.3, late: 0.3, late_by: Duration::from_millis(30), ..hasty() };
    let shop = start(ShopSettings { webhooks: noise, ..settings() });
    shop.subscribe(&door.url, &["orders/create"]);
    let placed = shop.burst(60).unwrap();
    shop.settled(PATIENCE).await.unwrap();
    let ids: Vec<u64> = door.arrivals().iter().map(|it| it.json()["id"].as_u64().unwrap()).collect();
    assert!(ids.len() > 65, "{} deliveries of 60 orders", ids.len());
    for order in &placed {
        assert!(ids.contains(&order.id));
    }
    let first_of_each: Vec<u64> = placed.iter().map(|it| it.id).collect();
    assert_ne!(ids[..60], first_of_each[..], "some were overtaken");
}

#[tokio::test]
async fn a_rotated_secret_signs_from_then_on_and_a_forgery_is_none_of_the_shops() {
    let door = Door::open().await;
    let shop = start(settings());
    shop.subscribe(&door.url, &["orders/create"]);
    shop.rotate_secret("next-secret").unwrap();
    shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    shop.settled(PATIENCE).await.unwrap();
    shop.send_raw(RawDelivery::new("orders/create", "{\"id\":1}").signed_with("forged").with_id("w-1"));
    shop.settled(PATIENCE).await.unwrap();
    let arrivals = door.arrivals();
    assert!(is_signed_with(&arrivals[0], "next-secret") && !is_signed_with(&arrivals[0], "sandbox-signing-secret"));
    assert!(is_signed_with(&arrivals[1], "forged") && !is_signed_with(&arrivals[1], "next-secret"));
    assert_eq!((arrivals[1].header(&WEBHOOK_ID), &arrivals[1].body[..]), ("w-1", &b"{\"id\":1}"[..]));
}

#[tokio::test]
async fn the_log_has_the_intention_before_and_the_outcome_after_each_attempt() {
    let door = Door::open().await;
    let shop = start(settings());
    shop.subscribe(&door.url, &["orders/create"]);
    door.will_answer([Answer::Status(503)]);
    let placed = shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    shop.settled(PATIENCE).await.unwrap();
    let effects = shop.log().effects();
    let of_webhooks = effects.entries().iter().filter(|it| it.operation == "webhook orders/create");
    let kinds: Vec<Kind> = of_webhooks.map(|it| it.kind).collect();
    assert_eq!(kinds, [Kind::Sending, Kind::Answered, Kind::Sending, Kind::Answered]);
    let trace = &traces(&effects)[&placed.deliveries[0].webhook_id];
    assert_eq!((trace.subject.clone(), trace.sent), (placed.id.to_string(), 2));
    assert_eq!(trace.outcomes, ["503", "200"]);
    assert!(trace.is_acked());
    let order = effects.applied("order.place").next().unwrap();
    assert_eq!(order.amounts["total"], shop.order(placed.id).unwrap().total().shop.normalize().to_string());
}
