//! Against the double of Shopify, by our own connector: a hot article, and what users of such systems complain of most.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use connector::storefront::{self, Delivery, Mapped};
use connector::{StorefrontConnection, StorefrontPlatform as _};
use contracts::wire::Entity;
use contracts::wire::OutcomeState::Applied;
use inventory_sync::config::StockSettings;
use inventory_sync::shell::pusher::Pusher;
use pipeline::{Record, Turn};
use sandbox::payloads::{OrderWish, PaymentWish};
use sandbox::shopify::{Happened, ShopDouble, ShopSettings};
use serde_json::json;
use testkit::{eventually, eventually_eq};
use tokio_util::sync::CancellationToken;

use super::group::{Group, stock_settings};
use super::world::*;

const SOON: Duration = Duration::from_secs(30);
const SKU: &str = "TW-001";

/// An ERP with so many of the article, a shop that sells it, and the group between them.
struct World {
    shop: ShopDouble,
    opened: StorefrontConnection,
    group: Group,
    looks: u64,
    _secrets: tempfile::TempDir,
}

impl World {
    async fn with(on_hand: i64) -> Self {
        http_kit::install_crypto();
        let shop = ShopDouble::start(ShopSettings { stock: 0, ..ShopSettings::default() }).unwrap();
        // Deliveries are made, and never sent: the tests carry them.
        shop.subscribe("http://127.0.0.1:1/", &["orders/create", "orders/updated", "orders/cancelled"]);
        shop.hold();
        let secrets = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = secrets.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let settings = json!({
            "shop": "sandbox.myshopify.com",
            "api_url": shop.base_url(),
            "access_token_file": file("token", "sandbox-access-token"),
            "webhook_secret_files": [file("secret", "sandbox-signing-secret")],
            "allow_private": ["127.0.0.0/8"],
        });
        let opened = connector_shopify::Shopify.open(&super::world::shop(), &settings).unwrap();
        let mut settings = StockSettings { push_interval: Duration::from_millis(100), ..stock_settings() };
        let locations = settings.location_map.get_mut("shop").unwrap().get_mut("erp-main").unwrap();
        locations.insert("WH".to_owned(), shop.location_id().to_string());
        let mut world = Self { shop, opened, group: Group::with(settings).await, looks: 0, _secrets: secrets };
        world.erp_says(on_hand, 0, &[]).await;
        world.push().await;
        assert_eq!(world.shown(), on_hand);
        world
    }

    fn pusher(&self) -> Pusher {
        self.group.pusher_to(Arc::clone(&self.opened.stock))
    }

    async fn push(&self) {
        let pusher = self.pusher();
        while pusher.round().await.unwrap() {}
    }

    fn shown(&self) -> i64 {
        self.shop.available(SKU).unwrap()
    }

    fn buy(&self, quantity: u32) -> Happened {
        self.shop.place_order(&OrderWish::of(SKU, quantity).paid_by(PaymentWish::Paid)).unwrap()
    }

    /// The order as the mapper makes it of the shop's own words.
    fn event(&self, sequence: u64, happened: &Happened, topic: &str) -> Record {
        let body = happened.delivery(topic).unwrap().body.clone();
        let delivery = Delivery {
            connection: super::world::shop(),
            topic: topic.to_owned(),
            identity: topic.to_owned(),
            triggered_at: None,
            received_at: Utc::now(),
            read_at: None,
            body,
        };
        let Ok(Mapped::Entities(entities)) = self.opened.mapper.map(&delivery) else { panic!("an order is mapped") };
        let order = entities.into_iter().find_map(|it| match it.body {
            storefront::Entity::Order(order) => Some(order),
            _ => None,
        });
        change_record(&super::world::shop(), sequence, Entity::Order(order.unwrap()))
    }

    async fn hear(&self, sequence: u64, happened: &Happened, topic: &str) {
        self.group.settle(&self.event(sequence, happened, topic)).await;
    }

    async fn erp_says(&mut self, on_hand: i64, reserved: i64, listed: &[(&str, i64)]) {
        self.looks += 1;
        let seconds = i64::try_from(self.looks).unwrap() * 10;
        self.group.settle(&level_record(self.looks, level_of(SKU, on_hand, reserved, seconds, listed))).await;
    }
}

/// Complaint: stock in the ERP changes, and the connector writes its on hand over what waiting web orders have taken.
#[tokio::test]
async fn orders_that_the_erp_does_not_know_yet_are_not_sold_again() {
    let mut world = World::with(5).await;
    let order = world.buy(2);
    world.erp_says(6, 0, &[]).await;
    world.push().await;
    assert_eq!(world.shown(), 4, "an order is missing: its pieces are kept back");
    world.hear(1, &order, "orders/create").await;
    world.push().await;
    assert_eq!(world.shown(), 4);
}

/// Complaint: the order is in the ERP and waits for its delivery; on hand still has its goods.
#[tokio::test]
async fn goods_that_the_erp_has_promised_are_not_sold_again() {
    let mut world = World::with(5).await;
    let order = world.buy(2);
    let id = order.id.to_string();
    world.hear(1, &order, "orders/create").await;
    world.group.settle(&outcome(&id, "place_order", Applied, 1, 15)).await;
    world.erp_says(5, 2, &[(&id, 2)]).await;
    world.erp_says(6, 2, &[(&id, 2)]).await;
    world.push().await;
    assert_eq!(world.shown(), 4);
}

/// Complaint: the same order is taken off twice, once as the shop's reservation and once as the ERP's.
#[tokio::test]
async fn an_order_that_shop_and_erp_both_know_is_taken_off_once() {
    let mut world = World::with(5).await;
    let order = world.buy(2);
    let id = order.id.to_string();
    world.erp_says(5, 2, &[(&id, 2)]).await;
    world.push().await;
    world.hear(1, &order, "orders/create").await;
    world.push().await;
    assert_eq!(world.shown(), 3, "listed before we heard of it");
    world.group.settle(&outcome(&id, "place_order", Applied, 1, 5)).await;
    world.erp_says(3, 0, &[]).await;
    world.push().await;
    assert_eq!(world.shown(), 3, "shipped");

    let other = world.buy(1);
    world.hear(1, &other, "orders/create").await;
    world.push().await;
    assert_eq!(world.shown(), 2);
    let cancelled = world.shop.cancel(other.id, "customer", true).unwrap();
    world.hear(2, &cancelled, "orders/cancelled").await;
    world.push().await;
    assert_eq!(world.shown(), 3, "and given back once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_article_costs_few_calls_and_is_never_oversold() {
    let mut world = World::with(1000).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(world.pusher().run(stop.clone()));
    let calls = |world: &World| world.shop.log().effects().received("inventorySetQuantities").count();
    let before = calls(&world);
    for chunk in 0..10 {
        let orders: Vec<Happened> = (0..30).map(|_| world.buy(1)).collect();
        let heard = orders.iter().map(|it| (world.event(1, it, "orders/create"), Turn::Arrived));
        world.group.commit(heard.collect()).await;
        world.erp_says(1000 + chunk, 0, &[]).await;
        assert!(world.shown() <= 1009 - 30 * (chunk + 1), "no push puts back what a buyer has taken");
    }
    eventually_eq(SOON, (709, 0), async || (world.shown(), world.group.dirty().await)).await;
    assert!(calls(&world) - before <= 20, "{} calls for 300 orders", calls(&world) - before);
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_that_throttles_or_is_away_gets_the_latest_when_it_is_back() {
    let mut world = World::with(5).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(world.pusher().run(stop.clone()));
    world.shop.throttle(3);
    world.erp_says(4, 0, &[]).await;
    eventually_eq(SOON, 4, async || world.shown()).await;
    world.shop.gate().keeper().refuse(None).await;
    world.erp_says(3, 0, &[]).await;
    let sent = "select count(*) from stock.desired where sent is not null";
    eventually(SOON, async || if world.group.count(sent).await == 1 { Ok(()) } else { Err("nothing was tried") }).await;
    world.erp_says(2, 0, &[]).await;
    world.shop.gate().keeper().restore().await;
    eventually_eq(SOON, (2, 0), async || (world.shown(), world.group.dirty().await)).await;
    stop.cancel();
    running.await.unwrap();
}
