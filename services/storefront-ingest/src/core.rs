//! What needs no world: raw records, the version guard, where deliveries go while Kafka is away.

pub mod failover;
pub mod guard;
pub mod raw;
