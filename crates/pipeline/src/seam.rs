//! The traits between the engine and the world: where records come from, who decides, who acts.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fault::Fault;
use tokio::sync::oneshot;
use tracing::Span;

use crate::policy::Verdict;
use crate::record::{Partition, Record};

/// What a source says, in the order in which it happened.
#[derive(Debug)]
pub enum SourceEvent {
    Assigned(Vec<Partition>),
    /// The engine answers with the offsets to store, as soon as what is out is settled or a few seconds are over.
    Revoked {
        partitions: Vec<Partition>,
        answer: oneshot::Sender<Vec<(Partition, i64)>>,
    },
    /// Somebody else has them already: nothing may be stored.
    Lost(Vec<Partition>),
    Record(Record),
}

/// Where records come from. `None` = it ended by itself, which is a failure unless we asked for it.
#[async_trait]
pub trait Source: Send + 'static {
    async fn next(&mut self) -> Option<SourceEvent>;

    /// What is there already, without waiting.
    fn try_next(&mut self) -> Option<SourceEvent> {
        None
    }
}

/// Commands to a source; none of them waits.
pub trait SourceControl: Send + Sync + 'static {
    /// Until it is resumed: a source may keep this over a rebalance that takes a partition away and brings it back.
    fn pause(&self, partitions: &[Partition]);
    fn resume(&self, partitions: &[Partition]);
    /// The next offsets to read; committed by the source soon after.
    fn store(&self, offsets: &[(Partition, i64)]);
}

/// What happened to a record since the ledger last saw it.
#[derive(Debug)]
pub enum Turn<R> {
    /// A first delivery, a redelivery, a drained letter, or another try: the ledger knows how far it had come.
    Arrived,
    /// An act went through.
    Acted(R),
    /// It failed. [`Verdict::Letter`], [`Verdict::PutOff`]: write the letter, dead or waiting, and park the key, in this
    /// transaction. Otherwise: note it, it will arrive again. `report` is what the act can say of a request that may have been applied.
    Failed { fault: Arc<Fault>, verdict: Verdict, attempts: u32, report: Option<R> },
}

/// One record of a batch.
#[derive(Debug)]
pub struct Entry<R> {
    pub record: Arc<Record>,
    pub turn: Turn<R>,
    /// The record's span: outputs made while it is current carry its trace.
    pub span: Span,
}

/// A batch: at most one record per key.
pub type Batch<R> = Vec<Arc<Entry<R>>>;

/// What a record does next.
#[derive(Debug)]
pub enum Next<A> {
    /// Settled for good: applied, superseded, discarded, or durably a letter.
    Done,
    /// Settled as well: it was a letter already, or is held behind one now. No sign that things go well.
    Lettered,
    Act(A),
    /// Not now; let it arrive again after this. No failure, nothing counted.
    Later(Duration),
    /// The record itself failed; the failure policy decides. Nothing of it was stored.
    Fail(Fault),
}

/// A letter whose turn has come.
#[derive(Debug, Clone)]
pub struct Drained {
    pub record: Record,
    /// How often it was put off since somebody last asked for it.
    pub delays: u32,
    /// How often a process ended without a word while it had it, or was about to.
    pub deaths: u32,
}

/// Why a whole batch was not committed.
#[derive(Debug)]
pub enum CommitError {
    /// The database is away or gave up this transaction: the same batch again, later.
    Unavailable(Fault),
    /// Some record of it can't be stored: the engine looks for it by halves.
    Rejected(Fault),
}

/// Decides, and remembers what was decided.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    type Act: Clone + Send + Sync + 'static;
    type Report: Send + Sync + 'static;

    /// One transaction for the whole batch; as many answers as entries, in their order. Idempotent: after a commit whose
    /// answer was lost the same batch comes again.
    async fn commit(&self, batch: Batch<Self::Report>) -> Result<Vec<Next<Self::Act>>, CommitError>;

    /// Where this group remembers what outlives a process that died.
    fn deaths(&self) -> Arc<dyn Deaths> {
        Arc::new(NoDeaths)
    }

    /// Letters whose turn has come, oldest first, claimed for this process. Called at least once a second, with no room (0) as
    /// well: claims are renewed then.
    async fn drain(&self, _max: usize) -> Result<Vec<Drained>, Fault> {
        Ok(Vec::new())
    }

    /// The last words of a run that left nothing undone: the letters that it claimed are anybody's.
    async fn give_letters_back(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// Remembers what outlives a process that died. Each call is durable when it returns.
#[async_trait]
pub trait Deaths: Send + Sync + 'static {
    /// A partition begins at this offset; before anything of it is touched. Returns how often in a row it began there, this time
    /// counted. More than once: the process died, or was stopped hard, before anything moved.
    async fn begin(&self, partition: &Partition, offset: i64) -> Result<u32, Fault>;

    /// This record is about to be tried alone. Returns its tries that no process outlived, this one counted.
    async fn attempt(&self, record: &Record) -> Result<u32, Fault>;

    /// The process outlived the try.
    async fn outlived(&self, record: &Record) -> Result<(), Fault>;

    /// Nobody died on these partitions.
    async fn forget(&self, partitions: &[Partition]) -> Result<(), Fault>;
}

/// Of a group that remembers nothing.
struct NoDeaths;

#[async_trait]
impl Deaths for NoDeaths {
    async fn begin(&self, _: &Partition, _: i64) -> Result<u32, Fault> {
        Ok(1)
    }

    async fn attempt(&self, _: &Record) -> Result<u32, Fault> {
        Ok(1)
    }

    async fn outlived(&self, _: &Record) -> Result<(), Fault> {
        Ok(())
    }

    async fn forget(&self, _: &[Partition]) -> Result<(), Fault> {
        Ok(())
    }
}

/// Acts that share a limit: those on one other side.
#[derive(Debug, Clone)]
pub struct LaneSpec {
    /// Metric label.
    pub name: &'static str,
    /// Most acts at once.
    pub slots: usize,
    /// Metric labels: the other side may refuse one family of operations, or fail at it, and serve the others. At least one.
    pub families: &'static [&'static str],
    /// The other side is part of the installation (our broker): while it is away, retry for ever, in place, and tell nobody.
    pub is_ours: bool,
}

/// An act that failed.
#[derive(Debug)]
pub struct ActError<R> {
    pub fault: Fault,
    pub report: Option<R>,
}

impl<R> From<Fault> for ActError<R> {
    fn from(fault: Fault) -> Self {
        Self { fault, report: None }
    }
}

/// Acts on the outside: sends one request, produces stored bytes.
#[async_trait]
pub trait Actor<A, R>: Send + Sync + 'static {
    fn lanes(&self) -> Vec<LaneSpec>;

    /// Index into [`Actor::lanes`].
    fn lane(&self, act: &A) -> usize;

    /// Index into [`LaneSpec::families`] of its lane.
    fn family(&self, _act: &A) -> usize {
        0
    }

    async fn act(&self, record: &Record, act: A) -> Result<R, ActError<R>>;

    /// Whether it did what its family is for. A look did not: a target that shows what it has may fail at all that it is to write.
    fn did(&self, _report: &R) -> bool {
        true
    }

    /// The cheapest look whether a lane's other side is back.
    async fn probe(&self, lane: usize) -> Result<(), Fault>;
}
