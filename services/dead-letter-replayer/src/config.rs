//! Settings of this service; its commented defaults are `dead-letter-replayer.default.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bus::BusSettings;
use domain::TargetId;
use serde::{Deserialize, Serialize};
use service_kit::{AdminSettings, SecretFile, ServiceSettings, TelemetrySettings, Validate};
use store::StoreSettings;

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(with = "humantime_serde")]
    pub grace: Duration,
    pub admin: AdminSettings,
    pub telemetry: TelemetrySettings,
    pub bus: BusSettings,
    pub store: StoreSettings,
    pub api: ApiSettings,
    pub relay: RelaySettings,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiSettings {
    pub listen: SocketAddr,
    #[serde(default)]
    pub operators: BTreeMap<String, SecretFile>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelaySettings {
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    #[serde(with = "humantime_serde")]
    pub account_interval: Duration,
    pub targets: Vec<String>,
}

impl RelaySettings {
    /// Checked by [`Validate`].
    pub fn targets(&self) -> Vec<TargetId> {
        self.targets.iter().filter_map(|it| it.parse().ok()).collect()
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems: Vec<String> = self
            .relay
            .targets
            .iter()
            .filter_map(|it| it.parse::<TargetId>().err())
            .map(|error| format!("relay.targets: {error}"))
            .collect();
        if self.api.operators.is_empty() && !self.api.listen.ip().is_loopback() {
            let listen = self.api.listen;
            problems
                .push(format!("api.operators: none is named, so api.listen must be a loopback address, not {listen}; name who may call"));
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
