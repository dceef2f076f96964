//! The Shopify double from outside: over HTTP, and under our own connector.

#[path = "shopify/admin.rs"]
mod admin;
#[path = "shopify/api.rs"]
mod api;
#[path = "shopify/client.rs"]
mod client;
#[path = "shopify/connector.rs"]
mod connector;
#[path = "shopify/door.rs"]
mod door;
#[path = "shopify/listing.rs"]
mod listing;
#[path = "shopify/stock.rs"]
mod stock;
#[path = "shopify/webhooks.rs"]
mod webhooks;
