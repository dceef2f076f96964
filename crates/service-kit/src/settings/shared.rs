//! Settings that every service has.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use telemetry::Settings as TelemetrySettings;

/// Probes, metrics and the log level. Not for the world: whoever reaches the port can change what is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminSettings {
    pub listen: SocketAddr,
}
