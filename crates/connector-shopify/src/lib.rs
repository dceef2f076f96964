//! Shopify as a storefront.
//!
//! Webhooks are verified and keyed by `webhooks`, mapped by `mapping` from the types of `wire`; `reread` asks for whole
//! entities by GraphQL, `stock` sets levels by compare-and-set; both speak through `client`, which paces itself by what Shopify
//! says is left of its budget.

mod client;
mod config;
mod error;
mod mapping;
mod reread;
mod stock;
mod webhooks;
mod wire;

use std::sync::Arc;

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
        Ok(StorefrontConnection {
            webhooks: Arc::new(webhooks::ShopifyWebhooks::new(config.secrets)),
            mapper: Arc::new(mapping::ShopifyMapper),
            reread: Arc::new(reread::ShopifyReRead::new(client.clone())),
            stock: Arc::new(stock::ShopifyStock::new(client, config.stock)),
        })
    }
}
