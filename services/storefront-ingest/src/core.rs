//! What needs no world: raw records, the version guard, where deliveries go while Kafka is away and how much of them fits, what
//! a sweep makes of a listing.

pub mod failover;
pub mod gauge;
pub mod guard;
pub mod patience;
pub mod raw;
pub mod sweep;
