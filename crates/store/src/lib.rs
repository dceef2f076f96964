//! PostgreSQL, as this product uses it: one database per installation, one linear migration history, and the ledgers that every
//! group's records are settled in.
//!
//! [`decisions`] stores what a group decided with the exact bytes to produce; [`letters`] what it gave up on; [`deaths`] what
//! outlives a process that died; [`effects`] what was sent to foreign systems; [`spool`] what the door took in while Kafka was
//! away; [`outbox`] records born without an input; [`account`] adds all of it up, [`retention`] deletes what was settled long ago,
//! [`roles`] say who may do what.

pub mod account;
pub mod deaths;
pub mod decisions;
pub mod effects;
mod error;
pub mod letters;
mod migrate;
pub mod outbox;
pub mod owner;
mod pool;
pub mod retention;
pub mod roles;
pub mod spool;
mod stored;
mod transaction;

pub use error::{Error, commit_error};
pub use migrate::{migrate, pending_migrations};
pub use owner::Owner;
pub use pool::Pool;
pub use transaction::{Store, StoreSettings, Tx};
