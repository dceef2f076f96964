//! Platforms by name: what a binary registers, and what the settings choose from.

use std::sync::Arc;

use domain::{ConnectionId, TargetId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::erp::{Erp, OperationGuarantees, StockSource};
use crate::storefront::{Listing, Mapper, ReRead, ShopStock, Subscriptions, Webhooks};

/// A connection that can't be opened as its settings say. Found at start, before a service calls itself ready.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    #[error("`{name}` is no platform that this program knows; it knows {known}")]
    Unknown { name: String, known: String },
    #[error("the settings of `{connection}` are not usable: {what}")]
    Settings { connection: String, what: String },
}

/// A storefront as settings files name it: its platform, and the platform's own settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectionSettings {
    pub platform: String,
    #[serde(flatten)]
    pub settings: serde_json::Map<String, Value>,
}

/// One storefront, opened.
#[derive(Clone)]
pub struct StorefrontConnection {
    pub webhooks: Arc<dyn Webhooks>,
    pub mapper: Arc<dyn Mapper>,
    pub reread: Arc<dyn ReRead>,
    /// `None`: the platform can't say what changed, and nothing sweeps it.
    pub listing: Option<Arc<dyn Listing>>,
    /// `None`: its settings don't name our address, or the platform has no subscriptions.
    pub subscriptions: Option<Arc<dyn Subscriptions>>,
    pub stock: Arc<dyn ShopStock>,
}

/// One ERP, opened.
#[derive(Clone)]
pub struct ErpConnection {
    pub erp: Arc<dyn Erp>,
    pub stock: Arc<dyn StockSource>,
}

/// Opens connections of one kind of storefront. Opening reads secrets and builds clients; it sends nothing.
pub trait StorefrontPlatform: Send + Sync + 'static {
    /// As in the settings: `shopify`.
    fn name(&self) -> &'static str;

    /// `settings`: the connection's own table of the settings file, without `platform`.
    fn open(&self, id: &ConnectionId, settings: &Value) -> Result<StorefrontConnection, PlatformError>;
}

/// Opens connections of one kind of ERP. Opening reads secrets and builds clients; it sends nothing.
pub trait ErpPlatform: Send + Sync + 'static {
    /// As in the settings: `tryton`.
    fn name(&self) -> &'static str;

    /// Every operation with what its steps promise: the printed matrix. What is missing here is refused by `Erp::steps`.
    fn guarantees(&self) -> Vec<OperationGuarantees>;

    /// `settings`: the target's own table of the settings file, without `platform`.
    fn open(&self, id: &TargetId, settings: &Value) -> Result<ErpConnection, PlatformError>;
}

/// Every platform that a binary knows.
#[derive(Clone, Default)]
pub struct Platforms {
    storefronts: Vec<Arc<dyn StorefrontPlatform>>,
    erps: Vec<Arc<dyn ErpPlatform>>,
}

impl Platforms {
    #[must_use]
    pub fn with_storefront(mut self, platform: impl StorefrontPlatform) -> Self {
        self.storefronts.push(Arc::new(platform));
        self
    }

    #[must_use]
    pub fn with_erp(mut self, platform: impl ErpPlatform) -> Self {
        self.erps.push(Arc::new(platform));
        self
    }

    /// By platform.
    pub fn guarantees(&self) -> Vec<(&'static str, Vec<OperationGuarantees>)> {
        self.erps.iter().map(|it| (it.name(), it.guarantees())).collect()
    }

    pub fn open_storefront(&self, platform: &str, id: &ConnectionId, settings: &Value) -> Result<StorefrontConnection, PlatformError> {
        let found = self.storefronts.iter().find(|it| it.name() == platform);
        found.ok_or_else(|| unknown(platform, self.storefronts.iter().map(|it| it.name())))?.open(id, settings)
    }

    pub fn open_erp(&self, platform: &str, id: &TargetId, settings: &Value) -> Result<ErpConnection, PlatformError> {
        let found = self.erps.iter().find(|it| it.name() == platform);
        found.ok_or_else(|| unknown(platform, self.erps.iter().map(|it| it.name())))?.open(id, settings)
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> PlatformError {
    PlatformError::Unknown { name: name.to_owned(), known: known.collect::<Vec<_>>().join(", ") }
}
