//! The rules of an order's life.
//!
//! An order is *held* while a rule says so, *placed* in one target, once, for ever, or *dropped* if it was cancelled before that.
//! Whatever comes later is compared with what is known: the order's own sequence guards its versions, each refund's own sequence
//! guards the refund's. Refunds that come before their order is placed wait, and follow it in the order in which they came.
//!
//! Nothing here reads a clock, a topic or a table.

pub mod customer;
pub mod decision;
pub mod error;
pub mod life;
pub mod order;
pub mod outcome;
pub mod refund;
pub mod revision;
#[cfg(test)]
mod tests;

pub use decision::{Command, Decision, Released, Settled, Verdict, Wait};
pub use error::Error;
pub use life::{KnownRefund, Life, OrderLife, Placed, Progress, RefundState, Sent, Stage, Why};

use uuid::Uuid;

/// A change event of one entity, but for the entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// The record's id: the obligation.
    pub event: Uuid,
    /// The entity's own.
    pub sequence: u64,
    pub is_deleted: bool,
}
