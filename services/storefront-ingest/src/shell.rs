//! What touches the world: the door, the spool's drain, readiness, the mapper's tables, re-reads.

pub mod door;
pub mod durable;
pub mod entities;
pub mod mapper;
pub mod oversize;
pub mod reread;
pub mod spool;
