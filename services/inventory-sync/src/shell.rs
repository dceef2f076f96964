//! Around the core: records in, rows, records out, and the shops' levels.

mod gauge;
pub mod hearing;
mod inbound;
mod outbound;
pub mod pusher;
mod reckoner;
pub mod recount;
mod rows;

pub use gauge::Gauge;
pub use reckoner::Reckoner;
