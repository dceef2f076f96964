//! What is sent: Shopify-shaped orders of the sandbox, the same for every party.

use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use connector::{Platforms, StorefrontConnection};
use domain::ConnectionId;
use http_kit::{Encoding, Secrets};
use sandbox::payloads::{Generator, OrderWish, PayloadSettings, PaymentWish};
use serde_json::json;

pub(crate) const SHOP: &str = "shop-eu";
pub(crate) const SHOP_DOMAIN: &str = "bench-shop.example.com";
pub(crate) const SECRET: &str = "signing secret of the bench";
pub(crate) const CREATED: &str = "orders/create";
pub(crate) const UPDATED: &str = "orders/updated";

/// The body of one delivery.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) topic: &'static str,
    pub(crate) order: String,
    pub(crate) body: Bytes,
}

/// So many orders, one after the other, of goods that the sandbox ERP has. Always the same ones.
pub(crate) fn created(count: usize) -> Vec<Delivery> {
    let mut generator = generator();
    (0..count).map(|number| delivery(CREATED, &order(&mut generator, number))).collect()
}

/// A day of a shop: orders, and then later versions of a fifth of them.
pub(crate) fn history(count: usize) -> Vec<Delivery> {
    let mut generator = generator();
    let orders = count - count / 5;
    let mut placed: Vec<_> = (0..orders).map(|number| order(&mut generator, number)).collect();
    let mut deliveries: Vec<_> = placed.iter().map(|it| delivery(CREATED, it)).collect();
    for order in placed.iter_mut().take(count - orders) {
        order.annotate("please leave it at the door", noon() + TimeDelta::days(1));
        deliveries.push(delivery(UPDATED, order));
    }
    deliveries
}

fn generator() -> Generator {
    let skus = ["TS-S", "TS-M", "TS-L", "MUG-RED", "MUG-BLUE", "POSTER"].map(str::to_owned).to_vec();
    Generator::new(PayloadSettings { skus, tip_share: 0.0, foreign: None, company_share: 0.0, ..PayloadSettings::default() })
}

fn order(generator: &mut Generator, number: usize) -> sandbox::payloads::ShopOrder {
    let wish =
        OrderWish { discounts: Some(Vec::new()), country: Some("FR".to_owned()), ..OrderWish::of("TS-M", 2) }.paid_by(PaymentWish::Paid);
    let at = noon() + TimeDelta::seconds(i64::try_from(number).unwrap_or(0));
    generator.order(&wish, at).expect("the shop sells these")
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_790_000_000, 0).expect("a time of our own")
}

fn delivery(topic: &'static str, order: &sandbox::payloads::ShopOrder) -> Delivery {
    let body = serde_json::to_vec(&order.to_rest()).expect("JSON of our own");
    Delivery { topic, order: order.id.to_string(), body: body.into() }
}

pub(crate) fn sign(body: &[u8]) -> String {
    secrets().sign(Encoding::Base64, &[body])
}

pub(crate) fn secrets() -> Secrets {
    Secrets::new([SECRET.into()]).expect("one secret that is not empty")
}

pub(crate) fn shop() -> ConnectionId {
    SHOP.parse().expect("a name of our own")
}

/// The shop as the services see it; its secrets are written to `dir`.
pub(crate) fn connection(dir: &Path) -> anyhow::Result<StorefrontConnection> {
    let (token, secret) = (dir.join("token"), dir.join("secret"));
    std::fs::write(&token, "token").context("a secret can't be written")?;
    std::fs::write(&secret, SECRET).context("a secret can't be written")?;
    let settings = json!({
        "shop": SHOP_DOMAIN,
        "api_url": "http://127.0.0.1:1",
        "access_token_file": token,
        "webhook_secret_files": [secret],
        "allow_private": ["127.0.0.1"],
    });
    let platforms = Platforms::default().with_storefront(connector_shopify::Shopify);
    Ok(platforms.open_storefront("shopify", &shop(), &settings)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_brings_each_later_version_after_all_orders() {
        let history = history(10);
        let topics: Vec<_> = history.iter().map(|it| it.topic).collect();
        assert_eq!(topics, [[CREATED; 8].as_slice(), &[UPDATED; 2]].concat());
        assert_eq!((&history[8].order, &history[9].order), (&history[0].order, &history[1].order));
        assert!(history[0].body.len() > 4_000 && history[0].body.len() < 10_000, "{}", history[0].body.len());
    }
}
