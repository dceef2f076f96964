//! What touches the world: the door, the spool's drain, readiness, the mapper's tables, re-reads, sweeps.

pub mod door;
pub mod durable;
pub mod entities;
pub mod found;
pub mod mapper;
pub mod oversize;
pub mod pulse;
pub mod reread;
pub mod spool;
pub mod sweeper;
