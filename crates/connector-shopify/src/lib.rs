//! Shopify as a storefront.
//!
//! Webhooks are verified and keyed by `webhooks`, mapped by `mapping` from the types of `wire`; `reread` asks for whole
//! entities by GraphQL, `listing` for what changed, `subscriptions` for the webhooks themselves; `stock` sets levels by
//! compare-and-set. All speak through `client`, which paces itself by what Shopify says is left of its budget.

mod client;
mod config;
mod error;
mod listing;
mod mapping;
mod reread;
mod stock;
mod subscriptions;
mod webhooks;
mod wire;

use std::sync::Arc;

use connector::storefront::Subscriptions;
use connector::{PlatformError, StorefrontConnection, StorefrontPlatform};
use domain::ConnectionId;
use serde_json::Value;

/// Opens Shopify shops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shopify;

impl StorefrontPlatform for Shopify {
    fn name(&self) -> &'static str {
        "shopify"
    }

    fn open(&self, id: &ConnectionId, settings: &Value) -> Result<StorefrontConnection, PlatformError> {
        let config = config::Config::read(settings).map_err(|what| PlatformError::Settings { connection: id.to_string(), what })?;
        let client = Arc::new(config.client().map_err(|what| PlatformError::Settings { connection: id.to_string(), what })?);
        let subscriptions =
            config.wanted.map(|it| Arc::new(subscriptions::ShopifySubscriptions::new(client.clone(), it)) as Arc<dyn Subscriptions>);
        Ok(StorefrontConnection {
            listing: Some(Arc::new(listing::ShopifyListing::new(client.clone()))),
            subscriptions,
            webhooks: Arc::new(webhooks::ShopifyWebhooks::new(config.secrets)),
            mapper: Arc::new(mapping::ShopifyMapper),
            reread: Arc::new(reread::ShopifyReRead::new(client.clone())),
            stock: Arc::new(stock::ShopifyStock::new(client, config.stock)),
        })
    }
}
