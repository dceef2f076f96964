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
    pub sweep: SweepSettings,
    pub connections: BTreeMap<String, ConnectionSettings>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorSettings {
    pub listen: SocketAddr,
    pub body_bytes_max: usize,
    pub bodies_bytes_max: usize,
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

/// What webhooks do not tell: sweeps, scans, backfills, and the subscriptions themselves.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepSettings {
    pub enabled: bool,
    #[serde(with = "humantime_serde")]
    pub interval: Duration,
    /// Of single connections.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub intervals: BTreeMap<String, humantime_serde::Serde<Duration>>,
    #[serde(with = "humantime_serde")]
    pub overlap: Duration,
    /// How long a delivery may be on its way before what it tells is read.
    #[serde(with = "humantime_serde")]
    pub settle: Duration,
    /// How far before its first start a new connection is swept.
    #[serde(with = "humantime_serde")]
    pub first_window: Duration,
    #[serde(with = "humantime_serde")]
    pub scan_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub scan_horizon: Duration,
    /// A scan that misses more looks for none.
    pub missing_max: usize,
    /// Re-reads of a connection that may wait while more are ordered.
    pub waiting_max: i64,
    /// The share of the platform's budget that scans and backfills leave to others.
    pub reserve: f64,
    /// Between two pages of a scan or a backfill.
    #[serde(with = "humantime_serde")]
    pub pause: Duration,
    #[serde(with = "humantime_serde")]
    pub subscriptions_interval: Duration,
    #[serde(with = "humantime_serde")]
    pub silence: Duration,
}

impl SweepSettings {
    pub fn interval_of(&self, connection: &ConnectionId) -> Duration {
        self.intervals.get(connection.as_str()).map_or(self.interval, |it| it.into_inner())
    }

    fn problems(&self, connections: &BTreeMap<String, ConnectionSettings>) -> Vec<String> {
        let mut problems = Vec::new();
        let intervals = [
            ("interval", self.interval),
            ("scan_interval", self.scan_interval),
            ("scan_horizon", self.scan_horizon),
            ("pause", self.pause),
            ("subscriptions_interval", self.subscriptions_interval),
            ("silence", self.silence),
        ];
        for (name, interval) in intervals {
            if interval.is_zero() {
                problems.push(format!("sweep.{name}: must be above zero"));
            }
        }
        for (name, interval) in &self.intervals {
            if !connections.contains_key(name) {
                problems.push(format!("sweep.intervals.{name}: no connection has this name"));
            }
            if interval.into_inner().is_zero() {
                problems.push(format!("sweep.intervals.{name}: must be above zero"));
            }
        }
        if self.overlap > LOOKS_BACK_MAX || self.first_window > LOOKS_BACK_MAX || self.settle > LOOKS_BACK_MAX {
            problems.push("sweep: overlap, settle and first_window are at most 7d; `tradewind backfill` reaches further".to_owned());
        }
        if self.waiting_max < 1 {
            problems.push("sweep.waiting_max: at least 1, or nothing is ever ordered".to_owned());
        }
        if !(0.0..1.0).contains(&self.reserve) {
            problems.push("sweep.reserve: a share, from 0 to below 1".to_owned());
        }
        problems
    }
}

const LOOKS_BACK_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

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
        problems.extend(self.sweep.problems(&self.connections));
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
        if self.bodies_bytes_max < self.body_bytes_max {
            problems.push("door.bodies_bytes_max: at least body_bytes_max, or the largest body never finds room".to_owned());
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
        assert!(said(|it| it.bodies_bytes_max = 1000).contains("never finds room"));
        assert!(said(|it| it.spool_bytes_max = 1000).contains("the largest body"));
        assert!(said(|it| it.connections_max = 0).contains("nobody gets in"));
        assert!(problems(|it| it.mapper.spool_interval = Duration::ZERO)[0].contains("spool_interval"));
    }

    #[test]
    fn a_sweep_that_could_find_nothing_is_refused() {
        let said = |change: fn(&mut SweepSettings)| problems(|it| change(&mut it.sweep)).concat();
        assert!(said(|it| it.interval = Duration::ZERO).contains("sweep.interval"));
        assert!(said(|it| it.waiting_max = 0).contains("nothing is ever ordered"));
        assert!(said(|it| it.reserve = 1.0).contains("sweep.reserve"));
        assert!(said(|it| it.overlap = Duration::from_secs(8 * 24 * 3600)).contains("tradewind backfill"));
        let other = |it: &mut SweepSettings| it.intervals.extend([("other".to_owned(), Duration::from_secs(60).into())]);
        assert!(said(other).contains("no connection has this name"));
    }

    #[test]
    fn a_connection_may_have_an_interval_of_its_own() {
        let variables = [("TRADEWIND__CONNECTIONS__SHOP__PLATFORM", "shopify"), ("TRADEWIND__SWEEP__INTERVALS__SHOP", "1m")];
        let settings = load_from::<Settings, _, _>(crate::DEFAULTS, None, "TRADEWIND", variables).unwrap().settings;
        assert_eq!(settings.sweep.interval_of(&"shop".parse().unwrap()), Duration::from_secs(60));
        assert_eq!(settings.sweep.interval_of(&"other".parse().unwrap()), Duration::from_secs(300));
    }
}
