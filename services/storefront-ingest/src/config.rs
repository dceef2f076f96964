//! Settings of this service; its commented defaults are `storefront-ingest.default.toml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bus::BusSettings;
use connector::ConnectionSettings;
use domain::ConnectionId;
use pipeline::BreakerSettings;
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
    pub breaker: BreakerSettings,
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
        let mut problems = self.breaker.problems("breaker");
        for name in self.connections.keys() {
            if let Err(error) = name.parse::<ConnectionId>() {
                problems.push(format!("connections.{name}: {error}"));
            }
        }
        if self.connections.is_empty() {
            problems.push("connections: none is configured; add a table [connections.<name>] with its platform".to_owned());
        }
        problems.extend(self.door.problems());
        if self.mapper.reread_interval.is_zero() || self.mapper.spool_interval.is_zero() {
            problems.push("mapper: reread_interval and spool_interval must be above zero".to_owned());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }
}

impl DoorSettings {
    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.kafka_budget.is_zero() || self.spool_budget.is_zero() {
            problems.push("door: kafka_budget and spool_budget must be above zero, or nothing can be kept".to_owned());
        }
        if self.kafka_budget + self.spool_budget > BUDGETS_MAX {
            problems.push(format!("door: kafka_budget and spool_budget are more than {BUDGETS_MAX:?} together: senders give 5s in all"));
        }
        if self.body_bytes_max == 0 || self.body_bytes_max > BODY_BYTES_MAX {
            problems.push(format!("door.body_bytes_max: 1 to {BODY_BYTES_MAX}, the raw topic takes no larger records"));
        }
        if self.spool_bytes_max < BODY_BYTES_MAX as u64 {
            problems.push(format!("door.spool_bytes_max: at least {BODY_BYTES_MAX}, the largest body"));
        }
        if self.connections_max == 0 {
            problems.push("door.connections_max: at least 1, or nobody gets in".to_owned());
        }
        problems
    }
}

/// Shopify gives five seconds from its connect to our answer.
const BUDGETS_MAX: Duration = Duration::from_secs(4);
const BODY_BYTES_MAX: usize = 4 << 20;

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

    /// The defaults with a shop, changed.
    fn problems(change: impl FnOnce(&mut Settings)) -> Vec<String> {
        let variables = [("TRADEWIND__CONNECTIONS__SHOP__PLATFORM", "shopify")];
        let mut settings = load_from::<Settings, _, _>(crate::DEFAULTS, None, "TRADEWIND", variables).unwrap().settings;
        change(&mut settings);
        settings.validate().err().unwrap_or_default()
    }

    #[test]
    fn the_defaults_need_a_connection_and_nothing_else() {
        assert_eq!(problems(|_| ()), [""; 0]);
        let said = problems(|it| it.connections.clear());
        assert!(said[0].starts_with("connections: none is configured"), "{said:?}");
    }

    #[test]
    fn what_could_keep_nothing_is_refused() {
        let said = |change: fn(&mut DoorSettings)| problems(|it| change(&mut it.door)).concat();
        assert!(said(|it| it.kafka_budget = Duration::ZERO).contains("above zero"));
        assert!(said(|it| it.spool_budget = Duration::from_secs(3)).contains("more than 4s together"));
        assert!(said(|it| it.body_bytes_max = (4 << 20) + 1).contains("1 to 4194304"));
        assert!(said(|it| it.spool_bytes_max = 1000).contains("the largest body"));
        assert!(said(|it| it.connections_max = 0).contains("nobody gets in"));
        assert!(problems(|it| it.mapper.spool_interval = Duration::ZERO)[0].contains("spool_interval"));
    }
}
