//! Settings of this service; its commented defaults are `inventory-sync.default.toml`.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::BusSettings;
use connector::ConnectionSettings;
use domain::{ConnectionId, Decimal, Sku, TargetId};
use pipeline::BreakerSettings;
use serde::{Deserialize, Serialize};
use service_kit::{AdminSettings, ServiceSettings, TelemetrySettings, Validate};
use store::StoreSettings;

use crate::core::feeds::{Feeds, Place, Source};

pub const DEFAULTS: &str = include_str!("../inventory-sync.default.toml");

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    pub admin: AdminSettings,
    pub telemetry: TelemetrySettings,
    pub bus: BusSettings,
    pub store: StoreSettings,
    pub breaker: BreakerSettings,
    pub stock: StockSettings,
    pub connections: BTreeMap<String, ConnectionSettings>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StockSettings {
    /// Names of the ERPs whose stock is sold.
    pub targets: Vec<String>,
    #[serde(with = "humantime_serde")]
    pub push_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub drift_wait: Duration,
    #[serde(with = "humantime_serde")]
    pub full_comparison_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub problem_retry: Duration,
    #[serde(with = "humantime_serde")]
    pub item_age_max: Duration,
    /// By connection, target and the ERP's location: the shop's location.
    pub location_map: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    /// By connection.
    pub buffers: BTreeMap<String, BufferSettings>,
}

/// What one connection keeps back, in units.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BufferSettings {
    #[serde(default)]
    pub default: u32,
    /// Instead of the default.
    #[serde(default)]
    pub skus: BTreeMap<String, u32>,
}

impl StockSettings {
    /// After `validate` every name is one.
    pub fn feeds(&self) -> Feeds {
        let mut feeds = Feeds::default();
        for (connection, targets) in &self.location_map {
            let Ok(connection) = connection.parse::<ConnectionId>() else { continue };
            for (target, locations) in targets {
                let Ok(target) = target.parse::<TargetId>() else { continue };
                for (from, to) in locations {
                    let source = Source { target: target.clone(), location: from.clone() };
                    feeds.connect(source, Place { connection: connection.clone(), location: to.clone() });
                }
            }
        }
        for (connection, buffer) in &self.buffers {
            let Ok(connection) = connection.parse::<ConnectionId>() else { continue };
            let skus = buffer.skus.iter().filter_map(|(sku, units)| Some((Sku::new(sku).ok()?, Decimal::from(*units))));
            feeds.keep_back(connection, buffer.default.into(), skus);
        }
        feeds
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.targets.is_empty() {
            problems.push("stock.targets is empty: name the ERPs whose stock is sold".to_owned());
        }
        for target in &self.targets {
            if let Err(error) = target.parse::<TargetId>() {
                problems.push(format!("stock.targets: {error}"));
            }
        }
        for (connection, targets) in &self.location_map {
            if let Err(error) = connection.parse::<ConnectionId>() {
                problems.push(format!("stock.location_map: {error}"));
            }
            for (target, locations) in targets {
                if !self.targets.contains(target) {
                    problems.push(format!("stock.location_map.{connection} names `{target}`, which is not among stock.targets"));
                }
                if locations.iter().any(|(from, to)| from.is_empty() || to.is_empty()) {
                    problems.push(format!("stock.location_map.{connection}.{target} has a location without a name"));
                }
            }
        }
        for (connection, buffer) in &self.buffers {
            if !self.location_map.contains_key(connection) {
                problems.push(format!("stock.buffers.{connection}: stock.location_map has no such shop"));
            }
            for sku in buffer.skus.keys().filter(|sku| Sku::new(sku.as_str()).is_err()) {
                problems.push(format!("stock.buffers.{connection}.skus: `{sku}` is no SKU"));
            }
        }
        for (key, duration) in [
            ("push_interval", self.push_interval),
            ("full_comparison_interval", self.full_comparison_interval),
            ("problem_retry", self.problem_retry),
            ("item_age_max", self.item_age_max),
        ] {
            if duration.is_zero() {
                problems.push(format!("stock.{key} must be above zero"));
            }
        }
        problems
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = self.stock.problems();
        problems.extend(self.breaker.problems("breaker"));
        for name in self.connections.keys() {
            if let Err(error) = name.parse::<ConnectionId>() {
                problems.push(format!("connections.{name}: {error}"));
            }
            if self.stock.location_map.get(name).is_none_or(|it| it.values().all(BTreeMap::is_empty)) {
                problems.push(format!(
                    "connections.{name}: nothing would be pushed to it; say in stock.location_map.{name} which ERP location is sold there"
                ));
            }
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl ServiceSettings for Settings {
    fn telemetry(&self) -> &TelemetrySettings {
        &self.telemetry
    }

    fn admin(&self) -> &AdminSettings {
        &self.admin
    }

    fn grace(&self) -> Duration {
        self.grace
    }
}

#[cfg(test)]
mod tests {
    use service_kit::settings::load_from;

    use super::*;

    const SHOP: &str = r#"
        [stock]
        targets = ["erp-main"]
        [stock.location_map.shop-eu.erp-main]
        WH = "7"
        [stock.buffers.shop-eu]
        default = 1
        [stock.buffers.shop-eu.skus]
        MUG-RED = 2
        [connections.shop-eu]
        platform = "shopify"
        shop = "example.myshopify.com"
    "#;

    fn load(text: &str) -> Result<Settings, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let loaded = load_from::<Settings, _, _>(DEFAULTS, Some(file.path()), "TRADEWIND", [] as [(&str, &str); 0]);
        loaded.map(|it| it.settings).map_err(|it| it.to_string())
    }

    #[test]
    fn a_shop_is_fed_from_the_locations_that_are_mapped_to_it() {
        let settings = load(SHOP).unwrap();
        assert_eq!(settings.connections["shop-eu"].settings["shop"], "example.myshopify.com");
        let (feeds, shop) = (settings.stock.feeds(), "shop-eu".parse().unwrap());
        assert_eq!(feeds.places().map(|(place, _)| place.location.as_str()).collect::<Vec<_>>(), ["7"]);
        assert_eq!(feeds.buffer(&shop, &Sku::new("MUG-RED").unwrap()), Decimal::TWO);
        assert_eq!(feeds.buffer(&shop, &Sku::new("MUG-BLUE").unwrap()), Decimal::ONE);
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let text = SHOP.replace("[\"erp-main\"]", "[\"erp-mian\"]").replace("[connections.shop-eu]", "[connections.shop-us]");
        let error = load(&text.replace("[stock.buffers.shop-eu]", "[stock.buffers.shop-uk]")).unwrap_err();
        for problem in [
            "stock.location_map.shop-eu names `erp-main`, which is not among stock.targets",
            "connections.shop-us: nothing would be pushed to it",
            "stock.buffers.shop-uk: stock.location_map has no such shop",
        ] {
            assert!(error.contains(problem), "{error}");
        }
    }
}
