//! Logs, traces and metrics: one subscriber, one registry, and the trace context in record headers.
//!
//! [`init`] comes first in a process: instruments and spans made before it lead nowhere.
//!
//! Logs and traces filter apart from each other. Were the log level to decide for both, `error` would switch off the spans
//! that records carry their context from, and every trace would break at that service.

pub mod context;
mod format;
mod install;
mod logs;
mod metrics;
mod settings;
pub mod spans;
#[cfg(feature = "testing")]
pub mod testing;
mod traces;

pub use install::{Error, Guard, init};
pub use logs::LogLevel;
pub use metrics::Metrics;
pub use settings::{Format, Settings, TraceSettings};
