//! Around the core: records in, rows, records out.

mod inbound;
mod outbound;
mod router;
mod rows;

pub use router::Router;
