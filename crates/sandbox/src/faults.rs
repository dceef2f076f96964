//! Scripted faults for any double: which request they hit ([`Plan`]), how the answer is spoiled ([`spoil`]), and a listener
//! that can refuse, reset and drip ([`Gate`]).

pub mod admin;
mod gate;
mod latency;
mod plan;
mod rule;
mod spoil;
mod wire;

pub use gate::{Gate, GateError};
pub use latency::{Latency, Pace};
pub use plan::{Facts, Plan, RuleError, Scheduled};
pub use rule::{Fault, RetryAfter, Rule};
pub use spoil::spoil;
pub use wire::Wire;
