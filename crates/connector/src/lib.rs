//! What a storefront and an ERP can do for us.
//!
//! Small traits, one per capability: a service asks for the capability that it needs and knows no platform by name; the
//! binaries register [`Platforms`]. Connectors classify failures ([`fault::Classify`]) and never retry: the pipeline does.

pub mod erp;
pub mod platform;
pub mod storefront;

pub use platform::{ConnectionSettings, ErpConnection, ErpPlatform, PlatformError, Platforms, StorefrontConnection, StorefrontPlatform};
