//! Effects on foreign systems: each step's claim is committed, with a new fence, before anything is sent.
//!
//! Whoever changes an operation's steps holds its `effect` row locked ([`open`]); so a step can be read, judged and written
//! back whole. What is stored here and what is done about it are two things: the rules are the adapter's.

pub mod captures;
pub mod identities;
mod ledger;
mod sole;
mod steps;

use std::collections::BTreeMap;

pub use ledger::{Applied, Known, decide, is_settled, look_up, mark_published, replays_of};
pub use sole::Sole;
pub use steps::{Effect, EffectState, Ended, NewEffect, StepRow, StepState, close, give_back, open, write_steps};

/// Ids and numbers in the target, by name.
pub type Findings = BTreeMap<String, String>;
