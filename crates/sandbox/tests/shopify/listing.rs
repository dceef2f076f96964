//! Our own connector lists the double's changes, within the double's limits, and watches over its subscriptions.

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use connector::storefront::{ListFrom, Listed};
use connector::{StorefrontConnection, StorefrontPlatform};
use domain::EntityKind;
use sandbox::faults::{Fault, Rule};
use sandbox::payloads::OrderWish;
use sandbox::shopify::ShopDouble;
use serde_json::json;

use crate::client::{PATIENCE, settings, start};
use crate::door::Door;

fn on(shop: &ShopDouble, callback_url: &str) -> StorefrontConnection {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "sandbox-access-token").unwrap();
    let settings = json!({
        "shop": "sandbox.myshopify.com",
        "api_url": shop.base_url(),
        "access_token_file": secret,
        "webhook_secret_files": [secret],
        "allow_private": ["127.0.0.0/8"],
        "callback_url": callback_url,
        "webhook_topics": ["orders/create", "orders/updated"],
    });
    connector_shopify::Shopify.open(&"shop-eu".parse().unwrap(), &settings).unwrap()
}

/// Everything from a time on, by pages as they come.
async fn pages(opened: &StorefrontConnection, kind: EntityKind, since: chrono::DateTime<Utc>) -> Vec<Vec<Listed>> {
    let (mut pages, mut from) = (Vec::new(), ListFrom::Since(since));
    loop {
        let page = opened.listing.as_ref().unwrap().page(kind, &from).await.unwrap();
        pages.push(page.listed);
        match page.next {
            Some(cursor) => from = ListFrom::Cursor(cursor),
            None => return pages,
        }
    }
}

#[tokio::test]
async fn what_changed_is_listed_by_time_then_id_in_pages() {
    let shop = start(settings());
    let opened = on(&shop, "http://127.0.0.1:1/webhooks/shop-eu");
    let day = Utc::now() - TimeDelta::days(1);
    for (n, it) in shop.burst(260).unwrap().into_iter().enumerate() {
        // Many share a second, and the time goes against the ids.
        shop.backdate(it.id, day - TimeDelta::seconds(i64::try_from(n).unwrap() / 100)).unwrap();
    }
    let pages = pages(&opened, EntityKind::Order, day - TimeDelta::hours(1)).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [250, 10]);
    let all: Vec<_> = pages.concat().into_iter().map(|it| (it.updated_at, it.id.parse::<u64>().unwrap())).collect();
    assert!(all.is_sorted(), "{all:?}");
    let distinct: BTreeSet<u64> = all.iter().map(|it| it.1).collect();
    assert_eq!(distinct, shop.orders().iter().map(|it| it.id).collect());
    for (updated_at, id) in &all[..5] {
        assert_eq!(shop.order(*id).unwrap().updated_at, *updated_at);
    }
    assert_eq!(self::pages(&opened, EntityKind::Order, day + TimeDelta::hours(1)).await, [vec![]]);
    let customer = shop.create_customer().id.to_string();
    let customers = self::pages(&opened, EntityKind::Customer, Utc::now() - TimeDelta::minutes(1)).await.concat();
    assert!(customers.iter().any(|it| it.id == customer), "{customers:?}");
}

#[tokio::test]
async fn a_listing_pays_and_fails_like_any_other_query() {
    let shop = start(settings());
    let opened = on(&shop, "http://127.0.0.1:1/webhooks/shop-eu");
    let listing = opened.listing.as_ref().unwrap();
    let since = ListFrom::Since(Utc::now());
    shop.throttle(1);
    let throttled = listing.page(EntityKind::Order, &since).await.unwrap_err();
    assert_eq!((throttled.code, throttled.retry_after.is_some()), ("shopify_throttled", true));
    shop.plan().add(Rule::new(Fault::status(502)).on("orders")).unwrap();
    assert_eq!(listing.page(EntityKind::Order, &since).await.unwrap_err().class.as_str(), "outage");
    listing.page(EntityKind::Order, &since).await.unwrap();
    assert!(listing.spare().unwrap() > 0.9);
    shop.drain_points(300);
    listing.page(EntityKind::Order, &since).await.unwrap();
    assert!(listing.spare().unwrap() < 0.2, "{:?}", listing.spare());
}

#[tokio::test]
async fn a_subscription_that_the_shop_deleted_is_missed_and_made_again() {
    let door = Door::open().await;
    let shop = start(settings());
    let opened = on(&shop, &door.url);
    let watched = opened.subscriptions.as_ref().unwrap();
    assert!(watched.present().await.unwrap().is_empty());
    for topic in watched.wanted() {
        watched.create(topic).await.unwrap();
        watched.create(topic).await.unwrap();
    }
    assert_eq!(watched.present().await.unwrap(), *watched.wanted());
    assert_eq!(shop.subscriptions().len(), 2);
    assert_eq!(shop.unsubscribe(&["orders/create"]), 1);
    assert_eq!(watched.present().await.unwrap().into_iter().collect::<Vec<_>>(), ["orders/updated"]);
    shop.place_order(&OrderWish::default()).unwrap();
    watched.create("orders/create").await.unwrap();
    shop.hold();
    shop.place_order(&OrderWish::default()).unwrap();
    assert!(shop.lose() > 0);
    shop.place_order(&OrderWish::default()).unwrap();
    shop.settled(PATIENCE).await.unwrap();
    assert_eq!(door.topics().iter().filter(|it| *it == "orders/create").count(), 1, "neither the one before nor the lost one");
}
