//! The sandbox shop and the sandbox ERP.

use anyhow::Context as _;
use sandbox::erp::{ErpDouble, ErpSettings, Item};
use sandbox::faults::Latency;
use sandbox::payloads::PayloadSettings;
use sandbox::shopify::{ShopDouble, ShopSettings, WebhookSettings};
use secrecy::ExposeSecret as _;

use crate::installation::{Erp, ErpIds, Shop};

pub(crate) fn start_erp(seed: u64) -> anyhow::Result<ErpDouble> {
    let erp = ErpSettings { seed, latency: Latency::Fixed { ms: 5 }, ..ErpSettings::default() };
    ErpDouble::start(erp).context("the sandbox ERP")
}

/// `port` 0 takes a free one.
pub(crate) fn start_shop(seed: u64, port: u16) -> anyhow::Result<ShopDouble> {
    let shop = ShopSettings {
        address: ([127, 0, 0, 1], port).into(),
        payloads: PayloadSettings { seed, skus: Item::of_the_demo().into_iter().map(|it| it.sku).collect(), ..PayloadSettings::default() },
        webhooks: WebhookSettings { time_scale: 2_000.0, delete_failing: false, ..WebhookSettings::default() },
        stock: 1_000,
        ..ShopSettings::default()
    };
    ShopDouble::start(shop).context("the sandbox shop")
}

pub(crate) fn shop_access(shop: &ShopDouble) -> Shop {
    let settings = shop.settings();
    Shop {
        domain: settings.shop_domain.clone(),
        url: shop.base_url(),
        access_token: settings.access_token.expose_secret().to_owned(),
        webhook_secret: settings.secret.expose_secret().to_owned(),
        location: shop.location_id().to_string(),
    }
}

pub(crate) fn erp_access(erp: &ErpDouble) -> anyhow::Result<Erp> {
    // It takes more at once than a real one does.
    Ok(Erp { url: erp.url(), ids: ErpIds::read(erp.ids())?, concurrency: Some(16) })
}
