//! Settings of this service; its commented defaults are `storefront-ingest.default.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bus::BusSettings;
use connector::ConnectionSettings;
use domain::ConnectionId;
use serde::{Deserialize, Serialize};
use service_kit::{AdminSettings, ServiceSettings, TelemetrySettings, Validate};
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
    pub door: DoorSettings,
    pub mapper: MapperSettings,
    pub connections: BTreeMap<String, ConnectionSettings>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorSettings {
    pub listen: SocketAddr,
    pub body_bytes_max: usize,
    #[serde(with = "humantime_serde")]
    pub kafka_budget: Duration,
    #[serde(with = "humantime_serde")]
    pub spool_budget: Duration,
    pub spool_bytes_max: u64,
    pub connections_max: usize,
    /// 0 = no limit.
    pub connections_per_ip_max: usize,
    /// Refuse when this much lies in one partition. Only for the embedded broker, which forgets what it can't hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_bytes_max: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MapperSettings {
    #[serde(with = "humantime_serde")]
    pub reread_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub spool_interval: Duration,
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), Vec<String>> {
        let mut problems = Vec::new();
        for name in self.connections.keys() {
            if let Err(error) = name.parse::<ConnectionId>() {
                problems.push(format!("connections.{name}: {error}"));
            }
        }
        if self.connections.is_empty() {
            problems.push("connections: none is configured; add a table [connections.<name>] with its platform".to_owned());
        }
        if self.door.kafka_budget.is_zero() || self.door.spool_budget.is_zero() {
            problems.push("door: kafka_budget and spool_budget must be above zero, or nothing can be kept".to_owned());
        }
        if self.door.body_bytes_max > 4 << 20 {
            problems.push("door.body_bytes_max: at most 4194304, the raw topic takes no larger records".to_owned());
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
