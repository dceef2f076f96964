//! What every service has, so that none of them has it differently: settings, signals, a task set, readiness and liveness,
//! the admin port, exit codes.
//!
//! A service is a library with `run(settings, life)`; its `main.rs` is [`main`] with that function. [`Life`] is all that a
//! run shares with its surroundings, so several services live in one process as well as each in its own.

/// Records are many small allocations that another thread frees; the system's allocator spends a quarter of a relay's time on
/// them, and keeps what a burst took.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod admin;
mod entry;
pub mod exit;
mod health;
pub mod life;
pub mod settings;
pub mod signals;
pub mod tasks;

pub use entry::{ENV_PREFIX, ServiceInfo, ServiceSettings, main};
pub use exit::{Exit, Startup};
pub use health::{Heartbeat, Latch, Liveness, Readiness, Stale};
pub use life::Life;
pub use settings::{AdminSettings, SecretFile, TelemetrySettings, Validate};
pub use tasks::{Ended, Tasks};
