//! Reads the topics of orders, inventory and outcomes; writes the availability topic and the storefronts' stock levels. Opens the
//! connections and the database, reckons everything anew, then follows the topics.

use std::process::ExitCode;

use connector::Platforms;

fn main() -> ExitCode {
    let platforms = Platforms::default().with_storefront(connector_shopify::Shopify);
    service_kit::main(inventory_sync::info(), |settings, life| inventory_sync::run(settings, platforms, life))
}
