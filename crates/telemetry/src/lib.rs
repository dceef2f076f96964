//! Logs, traces and metrics: one subscriber, one registry, and the trace context in record headers.

pub mod context;
pub mod spans;
