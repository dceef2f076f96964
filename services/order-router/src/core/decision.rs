//! What was decided about one event.

use std::sync::Arc;

use contracts::wire::Originals;
use domain::{EntityRef, ErpCommand};
use uuid::Uuid;

use super::life::Life;

/// Everything that follows from one event. It is stored and produced whole, or not at all.
#[derive(Debug)]
pub struct Decision {
    /// What is known from now on.
    pub life: Life,
    pub verdict: Verdict,
    /// In the order in which the target must see them.
    pub commands: Vec<Command>,
    /// Earlier events whose waiting ends here.
    pub released: Vec<Released>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Settled(Settled),
    Waiting(Wait),
}

/// How an obligation ends. A reason is one of a closed set: it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// `None`: its commands say it all.
    Applied(Option<&'static str>),
    Superseded,
    Discarded(&'static str),
}

/// What an event waits for inside the router.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// The hold's reason, from the rules.
    Hold(Arc<str>),
    /// Its order is unknown, not paid yet, or known by a version only that it has overtaken.
    Order,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// The event that it answers: not always the one that was decided about.
    pub event: Uuid,
    /// The entity that it is about.
    pub subject: EntityRef,
    pub command: ErpCommand,
    /// What it is about, as it was read: a newer reader may know more of it than we do.
    pub originals: Originals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    pub event: Uuid,
    pub settled: Settled,
}

impl Decision {
    pub(super) fn new(life: Life, verdict: Verdict) -> Self {
        Self { life, verdict, commands: Vec::new(), released: Vec::new() }
    }

    /// Settled without any command, for this reason.
    pub(super) fn needless(life: Life, reason: &'static str) -> Self {
        Self::new(life, Verdict::Settled(Settled::Applied(Some(reason))))
    }

    pub(super) fn superseded(life: Life) -> Self {
        Self::new(life, Verdict::Settled(Settled::Superseded))
    }
}
