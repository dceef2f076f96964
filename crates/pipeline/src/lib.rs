//! The one place that settles records.
//!
//! A record's way: it is *delivered*, waits in the queue of its key, is *committed* in a batch (one transaction decides for
//! all of them and stores what was decided), *acts* (produces stored bytes, sends one request), is committed again with what
//! came of it, and is *done*; then its offset may move. A retry, a restart and a replay enter at the same place as a first
//! delivery: the ledger knows how far the record had come.
//!
//! Pure parts, each a room of its own: [`window`] (offsets), [`dispatch`] (queues per key, bounds), [`circuit`], [`policy`]
//! (what is done about a failure), [`breaker`] (too many letters), [`care`] (after deaths).
//! [`engine`] is the shell: it owns them in one task and talks to the world through the
//! traits of [`seam`].

pub mod breaker;
pub mod care;
pub mod circuit;
pub mod dispatch;
pub mod engine;
mod lanes;
pub mod metrics;
pub mod outgoing;
pub mod policy;
pub mod record;
pub mod seam;
pub mod window;

pub use breaker::BreakerSettings;
pub use engine::{Engine, EngineSettings, PROCESS_DIED};
pub use policy::Verdict;
pub use record::{Origin, OutRecord, Partition, Position, Record};
pub use seam::{Actor, Batch, CommitError, Deaths, Drained, Entry, LaneSpec, Ledger, Next, Source, SourceControl, SourceEvent, Turn};
