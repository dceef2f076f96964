//! Settings of this service; its commented defaults are `erp-adapter.default.toml`.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::BusSettings;
use domain::TargetId;
use pipeline::BreakerSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use service_kit::{AdminSettings, ServiceSettings, TelemetrySettings, Validate};
use store::StoreSettings;

pub const DEFAULTS: &str = include_str!("../erp-adapter.default.toml");

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
    pub targets: BTreeMap<String, TargetSettings>,
}

/// One ERP.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TargetSettings {
    pub platform: String,
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    #[serde(with = "humantime_serde", default = "default_lease")]
    pub lease: Duration,
    #[serde(with = "humantime_serde", default = "default_look_after")]
    pub look_after: Duration,
    #[serde(with = "humantime_serde", default = "default_look_gap")]
    pub look_gap: Duration,
    #[serde(with = "humantime_serde", default = "default_dependency_wait")]
    pub dependency_wait_max: Duration,
    #[serde(default = "default_delays")]
    pub delays: u32,
    #[serde(with = "humantime_serde", default = "default_stock_interval")]
    pub stock_interval: Duration,
    #[serde(with = "humantime_serde", default = "default_comparison_interval")]
    pub stock_comparison_interval: Duration,
    #[serde(default = "default_missing_max")]
    pub stock_missing_max: u32,
    /// The platform's own; it refuses what it does not know.
    #[serde(flatten)]
    pub settings: serde_json::Map<String, Value>,
}

fn default_concurrency() -> usize {
    5
}

fn default_lease() -> Duration {
    Duration::from_secs(60)
}

fn default_look_after() -> Duration {
    Duration::from_secs(30)
}

fn default_look_gap() -> Duration {
    Duration::from_secs(5)
}

fn default_dependency_wait() -> Duration {
    Duration::from_secs(60 * 60)
}

fn default_delays() -> u32 {
    5
}

fn default_stock_interval() -> Duration {
    Duration::from_secs(1)
}

fn default_comparison_interval() -> Duration {
    Duration::from_secs(3600)
}

fn default_missing_max() -> u32 {
    100
}

impl TargetSettings {
    fn problems(&self, name: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if let Err(error) = name.parse::<TargetId>() {
            problems.push(format!("targets.{name}: {error}"));
        }
        if !(1..=1_000).contains(&self.concurrency) {
            problems.push(format!("targets.{name}.concurrency is {}: it must be from 1 to 1000", self.concurrency));
        }
        if self.lease < LEASE_MIN {
            problems.push(format!("targets.{name}.lease: at least {LEASE_MIN:?}, or requests are cut off and doubted"));
        }
        for (setting, wait) in [("look_after", self.look_after), ("look_gap", self.look_gap)] {
            if wait.is_zero() || wait > LOOK_WAIT_MAX {
                problems.push(format!("targets.{name}.{setting} must be above zero and at most {LOOK_WAIT_MAX:?}: the order waits for it"));
            }
        }
        if self.stock_interval.is_zero() || self.stock_comparison_interval.is_zero() {
            problems.push(format!("targets.{name}: stock_interval and stock_comparison_interval must be above zero"));
        }
        problems
    }
}

const LEASE_MIN: Duration = Duration::from_secs(2);
const LOOK_WAIT_MAX: Duration = Duration::from_secs(10 * 60);

impl Validate for Settings {
    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems: Vec<_> = self.targets.iter().flat_map(|(name, target)| target.problems(name)).collect();
        problems.extend(self.breaker.problems("breaker"));
        if self.targets.is_empty() {
            problems.push("targets: none is configured; add a table [targets.<name>] with its platform".to_owned());
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
    use std::io::Write as _;

    use service_kit::settings::{Error, load_from};

    use super::*;

    fn load(file: &str) -> Result<Settings, Error> {
        let mut written = tempfile::NamedTempFile::new().unwrap();
        written.write_all(file.as_bytes()).unwrap();
        load_from(DEFAULTS, Some(written.path()), "TRADEWIND", [("", ""); 0]).map(|it| it.settings)
    }

    #[test]
    fn what_is_not_ours_is_the_platforms() {
        let settings =
            load("[targets.erp-main]\nplatform = \"tryton\"\nlease = \"90s\"\nwarehouse = 5\nweb_shops = { shop-eu = 1 }\n").unwrap();
        let target = &settings.targets["erp-main"];
        assert_eq!((target.lease, target.concurrency), (Duration::from_secs(90), 5));
        assert_eq!(Value::Object(target.settings.clone()), serde_json::json!({"warehouse": 5, "web_shops": {"shop-eu": 1}}));
    }

    #[test]
    fn settings_that_nobody_can_mean_are_named() {
        assert!(load("").unwrap_err().to_string().contains("none is configured"));
        let wrong = load(
            "[targets.ERP]\nplatform = \"x\"\nconcurrency = 0\nlease = \"1s\"\nlook_after = \"1h\"\nlook_gap = \"0s\"\nstock_interval = \"0s\"\n",
        );
        let told = wrong.unwrap_err().to_string();
        for part in ["`ERP` is not a name", "concurrency is 0", "lease: at least", "look_after", "look_gap", "stock_interval"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }
}
