//! Settings of this service; its commented defaults are `dead-letter-replayer.default.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bus::BusSettings;
use domain::TargetId;
use serde::{Deserialize, Serialize};
use service_kit::{AdminSettings, SecretFile, ServiceSettings, TelemetrySettings, Validate};
use store::StoreSettings;

use crate::retention;

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
    pub retention: RetentionSettings,
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

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetentionSettings {
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    #[serde(with = "humantime_serde")]
    pub deliveries: Duration,
    #[serde(with = "humantime_serde")]
    pub settled: Duration,
    #[serde(with = "humantime_serde")]
    pub letters: Duration,
    pub batch: u32,
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
}

impl RetentionSettings {
    fn problems(&self) -> impl Iterator<Item = String> {
        let stay = retention::records_stay();
        let ages = [("deliveries", self.deliveries), ("settled", self.settled)].into_iter().filter(move |(_, age)| *age <= stay).map(move |(name, _)| {
            let days = stay.as_secs() / 86_400;
            format!("retention.{name}: topics keep their records {days} days; what is forgotten sooner than a record can come again is done again")
        });
        let batch = (!(1..=BATCH_MAX).contains(&self.batch)).then(|| format!("retention.batch: 1 to {BATCH_MAX}, not {}", self.batch));
        let interval = self.interval.is_zero().then(|| "retention.interval: longer than nothing".to_owned());
        ages.chain(batch).chain(interval)
    }
}

/// A batch is one transaction, and the mapper may have to wait for it.
const BATCH_MAX: u32 = 10_000;

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
        problems.extend(self.retention.problems());
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
