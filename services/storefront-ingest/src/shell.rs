//! What touches the world: the door, the spool's drain, the mapper's tables, re-reads.

pub mod door;
pub mod entities;
pub mod mapper;
pub mod reread;
pub mod spool;
