//! Where the installation is that the commands work on.

use bus::BusSettings;
use domain::TargetId;
use serde::{Deserialize, Serialize};
use service_kit::{SecretFile, Validate};
use store::StoreSettings;

pub(crate) const DEFAULTS: &str = include_str!("../tradewind.default.toml");

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) bus: BusSettings,
    pub(crate) store: StoreSettings,
    pub(crate) api: Api,
    pub(crate) installation: Installation,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Api {
    pub(crate) url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token_file: Option<SecretFile>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Installation {
    pub(crate) targets: Vec<String>,
    pub(crate) replication: i32,
    pub(crate) min_insync: i32,
}

impl Installation {
    /// Checked by [`Validate`].
    pub(crate) fn targets(&self) -> Vec<TargetId> {
        self.targets.iter().filter_map(|it| it.parse().ok()).collect()
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), Vec<String>> {
        let bad = self.installation.targets.iter().filter_map(|it| it.parse::<TargetId>().err());
        let problems: Vec<_> = bad.map(|error| format!("installation.targets: {error}")).collect();
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}
