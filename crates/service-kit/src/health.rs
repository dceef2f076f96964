//! Whether the service can take work, and whether its loops turn.

mod liveness;
mod readiness;

pub use liveness::{Heartbeat, Liveness, Stale};
pub use readiness::{Latch, Readiness};
