//! Our own connector against the double: what it maps adds up, what it re-reads is what it was told, what it pushes is shown.

use std::sync::Arc;

use bytes::Bytes;
use chrono::Utc;
use connector::storefront::{Delivery, Entity, Mapped, MappedEntity, PushResult, StockPush};
use connector::{StorefrontConnection, StorefrontPlatform};
use domain::{ConnectionId, EntityKind, EntityRef, Sku};
use http::HeaderMap;
use proptest::prelude::*;
use sandbox::payloads::{BuyerWish, EditWish, Generator, OrderWish, PayloadSettings, PaymentWish, RefundWish};
use sandbox::shopify::{ShopDouble, ShopSettings};
use serde_json::json;

use crate::client::{PATIENCE, settings, start};
use crate::door::Door;

fn id() -> ConnectionId {
    "shop-eu".parse().unwrap()
}

/// The connector, opened on the double (or on nothing, for mapping only).
fn open(api_url: &str) -> (tempfile::TempDir, StorefrontConnection) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let settings = json!({
        "shop": "sandbox.myshopify.com",
        "api_url": api_url,
        "access_token_file": file("token", "sandbox-access-token"),
        "webhook_secret_files": [file("secret", "sandbox-signing-secret")],
        "allow_private": ["127.0.0.0/8"],
    });
    let opened = connector_shopify::Shopify.open(&id(), &settings).unwrap();
    (folder, opened)
}

fn on(shop: &ShopDouble) -> (tempfile::TempDir, StorefrontConnection) {
    open(&shop.base_url())
}

fn delivery(topic: &str, body: impl Into<Bytes>) -> Delivery {
    let (now, topic) = (Utc::now(), topic.to_owned());
    Delivery { connection: id(), identity: topic.clone(), topic, triggered_at: None, received_at: now, read_at: None, body: body.into() }
}

fn entities(opened: &StorefrontConnection, topic: &str, body: impl Into<Bytes>) -> Vec<MappedEntity> {
    match opened.mapper.map(&delivery(topic, body)) {
        Ok(Mapped::Entities(entities)) => entities,
        other => panic!("{topic}: {other:?}"),
    }
}

fn check_totals(entities: &[MappedEntity]) -> Result<(), domain::order::TotalsError> {
    for entity in entities {
        if let Entity::Order(order) = &entity.body {
            order.check_totals()?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_order_adds_up_when_our_connector_maps_it(seed: u64) {
        let (_folder, opened) = open("http://127.0.0.1:1");
        let settings = PayloadSettings { seed, discount_share: 0.7, foreign_share: 0.4, tip_share: 0.2, company_share: 0.2, ..PayloadSettings::default() };
        let mut generator = Generator::new(settings);
        for _ in 0..3 {
            let mut order = generator.order(&OrderWish::default(), Utc::now()).unwrap();
            prop_assert_eq!(check_totals(&entities(&opened, "orders/create", order.to_rest().to_string())), Ok(()));
            let line = order.lines[0].id;
            let refund = order.refund(&RefundWish { shipping: true, ..RefundWish::line(line, 1) }, generator.ids(), Utc::now());
            let mapped = entities(&opened, "refunds/create", order.refund_to_rest(&refund).to_string());
            prop_assert!(mapped.iter().any(|it| matches!(&it.body, Entity::Refund(it) if it.id == refund.id.to_string())));
            order.cancel("customer", true, generator.ids(), Utc::now());
            prop_assert_eq!(check_totals(&entities(&opened, "orders/cancelled", order.to_rest().to_string())), Ok(()));
        }
    }
}

#[tokio::test]
async fn a_delivery_passes_the_connectors_check_and_names_its_order() {
    let door = Door::open().await;
    let shop = start(ShopSettings { door: Some(door.url.clone()), ..settings() });
    let (_folder, opened) = on(&shop);
    let placed = shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    shop.settled(PATIENCE).await.unwrap();
    let arrivals = door.arrivals();
    let created = arrivals.iter().find(|it| it.topic() == "orders/create").unwrap();
    assert_eq!(opened.webhooks.verify(&created.headers, &created.body), Some(0));
    assert_eq!(opened.webhooks.verify(&HeaderMap::new(), &created.body), None);
    let facts = opened.webhooks.facts(&id(), &created.headers, &created.body);
    assert_eq!((facts.topic.as_str(), facts.aggregate.to_string()), ("orders/create", format!("shop-eu/order/{}", placed.id)));
}

#[tokio::test]
async fn a_reread_order_is_the_one_that_the_webhook_told() {
    let shop = start(settings());
    shop.subscribe("http://127.0.0.1:1/", &["orders/create", "orders/updated", "orders/edited", "orders/cancelled", "refunds/create"]);
    shop.hold();
    let (_folder, opened) = on(&shop);
    for (buyer, goods_go_back) in [(BuyerWish::Guest, true), (BuyerWish::Customer, false), (BuyerWish::Company, true)] {
        let placed = shop.place_order(&OrderWish::of("TW-001", 3).with("TW-002", 1).paid_by(PaymentWish::Paid).from(buyer)).unwrap();
        same_as_reread(&opened, placed.id, "orders/create", &placed.delivery("orders/create").unwrap().body).await;

        let line = shop.order(placed.id).unwrap().lines[0].id;
        let edited = shop.edit(placed.id, &EditWish { add: vec![("TW-003".to_owned(), 2)], remove: vec![(line, 1)] }).unwrap();
        let delta = edited.delivery("orders/edited").unwrap();
        let asked = opened.mapper.map(&delivery("orders/edited", delta.body.clone())).unwrap();
        assert!(matches!(asked, Mapped::ReRead(it) if it.id == placed.id.to_string()));

        let refunded = shop.refund(placed.id, &RefundWish { shipping: true, ..RefundWish::line(line, 1) }).unwrap();
        same_as_reread(&opened, placed.id, "orders/updated", &refunded.delivery("orders/updated").unwrap().body).await;
        let cancelled = shop.cancel(placed.id, "customer", goods_go_back).unwrap();
        same_as_reread(&opened, placed.id, "orders/cancelled", &cancelled.delivery("orders/cancelled").unwrap().body).await;
    }
}

async fn same_as_reread(opened: &StorefrontConnection, order: u64, topic: &str, body: &Bytes) {
    let told = entities(opened, topic, body.clone());
    let entity = EntityRef { connection: id(), kind: EntityKind::Order, id: order.to_string() };
    let (topic, body) = opened.reread.read(&entity).await.unwrap().expect("the shop has it");
    let read = entities(opened, &topic, body);
    assert_eq!(check_totals(&read), Ok(()));
    assert_eq!(told.len(), read.len());
    for (told, read) in told.iter().zip(&read) {
        assert_eq!(told.entity, read.entity);
        assert_eq!(told.updated_at, read.updated_at);
        assert_eq!(told.body, read.body, "after {topic}");
    }
}

#[tokio::test]
async fn a_customer_and_what_is_gone_are_reread() {
    let shop = start(settings());
    let customer = shop.create_customer().id;
    let (_folder, opened) = on(&shop);
    let of = |id: u64| EntityRef { connection: self::id(), kind: EntityKind::Customer, id: id.to_string() };
    let (topic, body) = opened.reread.read(&of(customer)).await.unwrap().unwrap();
    let told = shop.customer(customer).unwrap().to_rest(shop.settings().payloads.offset).to_string();
    assert_eq!(entities(&opened, &topic, body), entities(&opened, "customers/create", told));
    assert_eq!(opened.reread.read(&of(7)).await.unwrap(), None);
}

#[tokio::test]
async fn levels_are_pushed_by_compare_and_set_and_read_back() {
    let shop = start(settings());
    shop.add_article("TW-002", Some(1));
    let nowhere = shop.add_article("NOWHERE", None).inventory_item_id.to_string();
    let (_folder, opened) = on(&shop);
    let stock = Arc::clone(&opened.stock);
    let items = stock.items_of(&Sku::new("TW-001").unwrap()).await.unwrap();
    assert_eq!(items.len(), 1);
    assert_eq!(stock.items_of(&Sku::new("TW-002").unwrap()).await.unwrap().len(), 2, "a SKU on two variants");
    assert!(stock.items_of(&Sku::new("tw-001").unwrap()).await.unwrap().is_empty(), "another SKU, whatever the search says");

    let location = shop.location_id().to_string();
    let push = |item: &str, available, expected, key: &str| StockPush {
        item: item.to_owned(),
        location: location.clone(),
        available,
        expected,
        idempotency_key: key.to_owned(),
    };
    shop.place_order(&OrderWish::of("TW-001", 1)).unwrap();
    let other = shop.articles()[2].inventory_item_id.to_string();
    let pushes = [push(&items[0], 50, Some(100), "1"), push(&other, 7, Some(100), "2"), push(&nowhere, 1, None, "3")];
    assert_eq!(stock.push(&pushes).await.unwrap(), [PushResult::Stale, PushResult::Set, PushResult::NotStocked]);
    assert_eq!(shop.available("TW-001"), Some(99));
    assert_eq!(stock.push(&[push(&items[0], 50, Some(99), "4")]).await.unwrap(), [PushResult::Set]);
    let shown = stock.levels(&location, &[items[0].clone(), other, nowhere]).await.unwrap();
    assert_eq!(shown.iter().map(|it| it.available).collect::<Vec<_>>(), [50, 7]);
}
