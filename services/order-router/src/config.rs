//! Settings of the router. `router.default.toml` explains every key.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use bus::BusSettings;
use domain::TargetId;
use pipeline::BreakerSettings;
use serde::{Deserialize, Serialize};
use service_kit::{AdminSettings, ServiceSettings, TelemetrySettings, Validate};
use store::StoreSettings;

pub const DEFAULTS: &str = include_str!("../router.default.toml");

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    /// Names of the ERPs.
    pub targets: Vec<String>,
    pub admin: AdminSettings,
    pub telemetry: TelemetrySettings,
    pub bus: BusSettings,
    pub store: StoreSettings,
    pub breaker: BreakerSettings,
    pub rules: RulesSettings,
    pub customers: CustomerSettings,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesSettings {
    pub file: PathBuf,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerSettings {
    /// Names of the ERPs that want customers.
    pub targets: Vec<String>,
}

impl Settings {
    /// After `validate` all of them are names.
    pub fn target_ids(&self) -> BTreeSet<TargetId> {
        self.targets.iter().filter_map(|it| it.parse().ok()).collect()
    }

    pub fn customer_target_ids(&self) -> Vec<TargetId> {
        self.customers.targets.iter().filter_map(|it| it.parse().ok()).collect()
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = self.breaker.problems("breaker");
        if self.targets.is_empty() {
            problems.push("targets is empty: name the ERPs that orders can go to".to_owned());
        }
        for (index, target) in self.targets.iter().enumerate() {
            if let Err(error) = target.parse::<TargetId>() {
                problems.push(format!("targets: {error}"));
            }
            if self.targets[..index].contains(target) {
                problems.push(format!("targets names `{target}` twice"));
            }
        }
        for (index, target) in self.customers.targets.iter().enumerate() {
            if !self.targets.contains(target) {
                problems.push(format!("customers.targets names `{target}`, which is not among the targets"));
            }
            if self.customers.targets[..index].contains(target) {
                problems.push(format!("customers.targets names `{target}` twice"));
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

    fn load(variables: &[(&str, &str)]) -> Result<Settings, String> {
        load_from::<Settings, _, _>(DEFAULTS, None, "TRADEWIND", variables.iter().copied())
            .map(|it| it.settings)
            .map_err(|it| it.to_string())
    }

    #[test]
    fn the_defaults_lack_only_the_targets() {
        let error = load(&[("TRADEWIND__GRACE", "20s")]).unwrap_err();
        assert!(error.contains("targets is empty: name the ERPs that orders can go to"), "{error}");
        let settings = load(&[("TRADEWIND__TARGETS", "[\"erp-main\"]")]).unwrap();
        assert_eq!(settings.target_ids(), ["erp-main".parse().unwrap()].into());
    }

    #[test]
    fn all_problems_are_named_at_once() {
        let targets = ("TRADEWIND__TARGETS", "[\"erp-main\", \"erp-main\", \"ERP\"]");
        let error = load(&[targets, ("TRADEWIND__CUSTOMERS__TARGETS", "[\"erp-man\"]")]).unwrap_err();
        for problem in [
            "targets names `erp-main` twice",
            "targets: `ERP` is not a name",
            "customers.targets names `erp-man`, which is not among the targets",
        ] {
            assert!(error.contains(problem), "{error}");
        }
    }
    #[test]
    fn the_example_of_a_rules_file_is_right_and_names_every_field() {
        let text = include_str!("../rules.example.toml");
        let checked = mapping::check_text("rules.example.toml", text, None).unwrap();
        assert_eq!((checked.holds.len(), checked.routes.len()), (1, 2));
        for (name, _) in mapping::FIELDS {
            assert!(text.contains(name), "{name}");
        }
    }
}
