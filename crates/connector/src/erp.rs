//! An ERP: operations as steps, each with its guarantee, and stock capture.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{ErpCommand, StockLevel};
use fault::{Class, Fault};
use serde::{Deserialize, Serialize};

/// The code of a step that came too late to be sent: it is claimed anew, and nobody has failed.
pub const LEASE_EXPIRED: &str = "lease_expired";

/// The claim waited for its slot for longer than its lease allows. It is taken anew, which is nobody's failure: a class that
/// counted attempts or opened the circuit would turn a long queue into letters.
pub fn lease_expired() -> Fault {
    let mut fault = Fault::new(Class::RateLimited, LEASE_EXPIRED, "the claim was too old to send when its turn came; it is claimed anew");
    fault.retry_after = Some(Duration::ZERO);
    fault
}

/// What the target itself does against a request that arrives twice. It decides how an unknown answer is resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guarantee {
    /// The target remembers our key: send the same request again.
    IdempotencyKey,
    /// The request names the record and its whole state: send the same request again.
    Upsert,
    /// The target refuses a second create: look once, send again where nothing is there, then verify what is.
    Unique,
    /// Only looking can tell: two spaced look-ups, then decide.
    Lookup,
    /// Nothing can tell: a letter of class `ambiguous`, a person decides.
    None,
}

/// One request of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub name: &'static str,
    pub guarantee: Guarantee,
    /// Probe even before the first try: the step may have nothing to do.
    pub look_first: bool,
    /// Of a find-or-create step: all that its record is known by, the surest first. One caller per identity works, the others wait
    /// for its result.
    pub identities: Vec<Identity>,
}

/// A record of the target that many commands share, such as a customer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// `customer`, `item`, ...
    pub kind: String,
    /// The exact, normalised key that it is matched by.
    pub match_key: String,
}

/// What the steps of one operation have learned so far, by name: ids and numbers in the target.
/// Stored with the step that learned it; later steps and recoveries read it.
pub type Findings = BTreeMap<String, String>;

/// One step of one command, as the connector sees it.
pub struct StepCall<'a> {
    pub command: &'a ErpCommand,
    pub step: &'a str,
    /// Unchanged over retries, restarts and replays.
    pub idempotency_key: &'a str,
    pub findings: &'a Findings,
    /// After that no writing request may go out: somebody else may do the step by then. Looked at right before each of them.
    pub not_after: Instant,
}

/// What the target shows of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// Its effect is there, whoever made it.
    Done(Findings),
    /// It is not there.
    Missing,
}

/// An operation and what its steps promise: a row of the printed matrix.
#[derive(Debug, Clone, Serialize)]
pub struct OperationGuarantees {
    pub operation: &'static str,
    pub steps: Vec<(&'static str, Guarantee)>,
}

/// Effects on an ERP.
#[async_trait]
pub trait Erp: Send + Sync + 'static {
    /// The platform's name, such as `tryton`.
    fn platform(&self) -> &'static str;

    /// The command's steps in order. Pure: the same command gives the same steps.
    fn steps(&self, command: &ErpCommand) -> Result<Vec<Step>, Fault>;

    /// Reads the target: is the step's effect there? Never changes anything.
    async fn probe(&self, call: &StepCall<'_>) -> Result<Probe, Fault>;

    /// Does the step with one writing request and returns what it learned. After an answer that cannot be trusted (time-out,
    /// reset, partial or foreign body) the error says [`StepError::maybe_applied`].
    async fn perform(&self, call: &StepCall<'_>) -> Result<Findings, StepError>;

    /// The cheapest read that shows that the target is back, for half-open circuits.
    async fn ping(&self) -> Result<(), Fault>;
}

/// A step that failed.
#[derive(Debug)]
pub struct StepError {
    pub fault: Fault,
    /// False only when it is certain that the target has not applied anything: refused connection, a clear refusal in a
    /// valid answer. True makes the step `unknown`: it is probed before anything else is sent.
    pub maybe_applied: bool,
}

impl From<Fault> for StepError {
    /// Faults that the target states, or that happen before anything is sent.
    fn from(fault: Fault) -> Self {
        Self { fault, maybe_applied: false }
    }
}

/// Where a capture stands; opaque to everybody but its connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor(pub serde_json::Value);

/// One page of changed stock levels.
#[derive(Debug, Clone)]
pub struct StockPage {
    pub levels: Vec<StockLevel>,
    /// Store it together with what was made of `levels`.
    pub next: Cursor,
    /// True: ask again at once.
    pub more: bool,
}

/// Stock, read from an ERP.
#[async_trait]
pub trait StockSource: Send + Sync + 'static {
    /// Levels of items that moved since the cursor (overlapping: repeats are normal), each read in one consistent call with the
    /// open sales that it contains. `None` starts at the target's present time with no levels.
    async fn changed(&self, since: Option<&Cursor>) -> Result<StockPage, Fault>;

    /// All levels in pages, for the full comparison. `after` is the last SKU of the page before.
    async fn all(&self, after: Option<&str>, limit: usize) -> Result<Vec<StockLevel>, Fault>;

    /// The target's clock, where it tells one; observations are compared with confirms by it.
    async fn now(&self) -> Result<DateTime<Utc>, Fault>;
}
