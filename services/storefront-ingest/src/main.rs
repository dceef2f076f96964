//! Reads signed webhooks and the raw topic; writes the raw topic and change topics. Opens the door, then runs the mapper.

use std::process::ExitCode;

use connector::Platforms;

fn main() -> ExitCode {
    let platforms = Platforms::default().with_storefront(connector_shopify::Shopify);
    service_kit::main(storefront_ingest::info(), |settings, life| storefront_ingest::run(settings, platforms, life))
}
