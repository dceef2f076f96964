//! Decide, commit the decision with the exact bytes of its outputs, produce them, then let the offset move.
//!
//! A redelivery that finds the row produces the stored bytes again and never decides again: rules, mappings and state may have
//! changed since. All of it happens in batches, one transaction each.

pub(crate) mod intake;
pub(crate) mod rows;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contracts::topics::Parking;
use fault::{Class, Fault};
use pipeline::{Batch, CommitError, Drained, Entry, Ledger, Next, Origin, OutRecord, PROCESS_DIED, Position, Record, Turn, Verdict};
use tracing::Span;
use uuid::Uuid;

use crate::deaths::Deaths;
use crate::error::commit_error;
use crate::letters::{self, Drainer, Failure, Obligation, Subject};
use crate::owner::Owner;
use crate::{Error, Store, Tx};

pub use intake::value_hash;
pub use rows::release;
use rows::{NewDecision, Published};

/// How an obligation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Applied,
    Superseded,
    Discarded,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Superseded => "superseded",
            Self::Discarded => "discarded",
        }
    }
}

/// One record to decide about.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub record: &'a Record,
    /// Its obligation's id: the record's `ce_id`.
    pub id: Uuid,
    /// Outputs made while it is entered carry its trace.
    pub span: &'a Span,
}

/// What was decided about one record.
#[derive(Debug)]
pub enum Decided {
    /// Settled, once its outputs are produced.
    Settled { state: State, reason: Option<&'static str>, outputs: Vec<OutRecord> },
    /// It waits for something that is no failure; whoever ends the waiting calls [`release`].
    Waiting { reason: &'static str },
    /// The record itself failed. Nothing of it may have been written in this transaction.
    Fail(Fault),
}

impl Decided {
    pub fn applied(outputs: Vec<OutRecord>) -> Self {
        Self::Settled { state: State::Applied, reason: None, outputs }
    }

    pub fn superseded() -> Self {
        Self::Settled { state: State::Superseded, reason: None, outputs: Vec::new() }
    }
}

/// The rules of one group.
#[async_trait]
pub trait Decide: Send + Sync + 'static {
    /// Decides for a whole batch inside its transaction: loads facts with few queries, answers one per input, in order. At most
    /// one record per key in a batch.
    async fn decide(&self, tx: &mut Tx, batch: &[Input<'_>]) -> Result<Vec<Decided>, Error>;

    /// Every record that arrives from a topic, whatever becomes of it, before anything else in the transaction.
    async fn seen(&self, _tx: &mut Tx, _batch: &[Input<'_>]) -> Result<(), Error> {
        Ok(())
    }

    /// What a good record must be about, and be no older than, to supersede a dead one of this. Only where the policy is latest-wins.
    fn subject(&self, _record: &Record) -> Option<Subject> {
        None
    }

    /// True where two records with the same id and other bytes are possible, and an alarm.
    fn ids_come_from_outside(&self) -> bool {
        false
    }
}

/// The ledger of a group whose only acts are produces.
pub struct DecisionLedger<D> {
    store: Store,
    group: String,
    owner: Owner,
    policy: Parking,
    decide: std::sync::Arc<D>,
    drainer: Drainer,
}

impl<D: Decide> DecisionLedger<D> {
    /// `group`: without the installation's prefix.
    pub fn new(store: Store, group: impl Into<String>, owner: Owner, policy: Parking, decide: D) -> Self {
        let group = group.into();
        Self { drainer: Drainer::new(store.clone(), &group), store, group, owner, policy, decide: std::sync::Arc::new(decide) }
    }
}

#[async_trait]
impl<D: Decide> Ledger for DecisionLedger<D> {
    type Act = Vec<OutRecord>;
    type Report = Vec<Position>;

    async fn commit(&self, batch: Batch<Vec<Position>>) -> Result<Vec<Next<Vec<OutRecord>>>, CommitError> {
        let work = Work {
            group: self.group.clone(),
            owner: self.owner,
            policy: self.policy,
            decide: std::sync::Arc::clone(&self.decide),
            batch: batch.clone(),
        };
        let nexts = self.store.transaction(move |tx| Box::pin(work.run(tx))).await.map_err(commit_error)?;
        self.drainer.forget_settled(&batch, &nexts);
        Ok(nexts)
    }

    async fn drain(&self, max: usize) -> Result<Vec<Drained>, Fault> {
        self.drainer.drain(max).await.map_err(Fault::from)
    }

    async fn give_letters_back(&self) -> Result<(), Fault> {
        Ok(self.drainer.give_back().await?)
    }

    fn deaths(&self) -> Arc<dyn pipeline::Deaths> {
        Arc::new(Deaths::new(self.store.clone(), &*self.group))
    }
}

/// One batch on its way through its transaction.
struct Work<D> {
    group: String,
    owner: Owner,
    policy: Parking,
    decide: std::sync::Arc<D>,
    batch: Batch<Vec<Position>>,
}

impl<D: Decide> Work<D> {
    async fn run(self, tx: &mut Tx) -> Result<Vec<Next<Vec<OutRecord>>>, Error> {
        let mut nexts: Vec<Option<Next<Vec<OutRecord>>>> = self.batch.iter().map(|_| None).collect();
        letters::lock_keys_of(tx, &self.group, &self.batch).await?;
        self.publish(tx, &mut nexts).await?;
        self.bury(tx, &mut nexts).await?;
        self.take_in(tx, &mut nexts).await?;
        Ok(nexts.into_iter().map(|it| it.expect("every turn is one of the three")).collect())
    }

    /// What was produced: its bytes go, its places are noted, its letter is settled.
    async fn publish(&self, tx: &mut Tx, nexts: &mut [Option<Next<Vec<OutRecord>>>]) -> Result<(), Error> {
        let mut published = Vec::new();
        for (index, entry) in self.batch.iter().enumerate() {
            if let Turn::Acted(positions) = &entry.turn {
                published.push(Published { id: Obligation::of(&entry.record).id, positions });
                nexts[index] = Some(Next::Done);
            }
        }
        if published.is_empty() {
            return Ok(());
        }
        let states = rows::mark_published(tx, self.owner, &self.group, &published).await?;
        for entry in self.batch.iter().filter(|it| matches!(it.turn, Turn::Acted(_))) {
            let obligation = Obligation::of(&entry.record);
            let state = states.get(&obligation.id).copied().unwrap_or(State::Applied);
            self.settle_letter(tx, entry, &obligation, state).await?;
        }
        Ok(())
    }

    /// What can't pass: letters, and parked keys.
    async fn bury(&self, tx: &mut Tx, nexts: &mut [Option<Next<Vec<OutRecord>>>]) -> Result<(), Error> {
        for (index, entry) in self.batch.iter().enumerate() {
            let Turn::Failed { fault, verdict, attempts, .. } = &entry.turn else { continue };
            if fault.code == PROCESS_DIED && entry.record.origin == Origin::Topic {
                // It never came so far as to be seen.
                let input = Input { record: &entry.record, id: Obligation::of(&entry.record).id, span: &entry.span };
                self.decide.seen(tx, &[input]).await?;
            }
            let wait = match verdict {
                Verdict::Letter => None,
                Verdict::PutOff(wait) => Some(*wait),
                Verdict::Retry(_) | Verdict::Outage | Verdict::SlowDown(_) | Verdict::Withhold => {
                    nexts[index] = Some(Next::Later(Duration::ZERO));
                    continue;
                }
            };
            let (failure, obligation) = (Failure { fault, attempts: *attempts, wait }, self.obligation(entry, fault));
            nexts[index] = Some(Next::Done);
            // Perhaps another process has brought it to its end meanwhile.
            if entry.record.origin == Origin::Topic && rows::is_settled(tx, self.owner, &self.group, obligation.id).await? {
                continue;
            }
            // Whether it was written or was there: it is settled here.
            letters::write(tx, &self.group, &obligation, &entry.record, failure, self.policy).await?;
        }
        Ok(())
    }

    /// A reused id is an obligation of its own: the first record of that id has its row already.
    fn obligation(&self, entry: &Entry<Vec<Position>>, fault: &Fault) -> Obligation {
        let mut obligation = Obligation::of(&entry.record);
        if fault.code == intake::ID_REUSED {
            obligation.id = contracts::ids::of_position(&entry.record.partition.topic, entry.record.partition.number, entry.record.offset);
        }
        // What killed the process is not looked into once more.
        obligation.subject = if fault.code == PROCESS_DIED { None } else { self.decide.subject(&entry.record) };
        obligation
    }

    async fn take_in(&self, tx: &mut Tx, nexts: &mut [Option<Next<Vec<OutRecord>>>]) -> Result<(), Error> {
        let arrived: Vec<usize> = (0..self.batch.len()).filter(|index| matches!(self.batch[*index].turn, Turn::Arrived)).collect();
        if arrived.is_empty() {
            return Ok(());
        }
        let obligations: Vec<Obligation> = arrived.iter().map(|index| Obligation::of(&self.batch[*index].record)).collect();
        let inputs: Vec<Input<'_>> = arrived
            .iter()
            .zip(&obligations)
            .map(|(index, obligation)| Input { record: &self.batch[*index].record, id: obligation.id, span: &self.batch[*index].span })
            .collect();
        let from_topic: Vec<Input<'_>> = inputs.iter().filter(|it| it.record.origin == Origin::Topic).copied().collect();
        if !from_topic.is_empty() {
            self.decide.seen(tx, &from_topic).await?;
        }

        let known =
            intake::look_up(tx, self.owner, &self.group, &inputs, &obligations, self.policy, self.decide.ids_come_from_outside()).await?;
        let mut open = Vec::new();
        for ((index, input), known) in arrived.iter().zip(&inputs).zip(known) {
            match known {
                intake::Known::New => open.push((*index, *input)),
                intake::Known::Settled(state) => {
                    let entry = &self.batch[*index];
                    self.settle_letter(tx, entry, &Obligation::of(&entry.record), state).await?;
                    nexts[*index] = Some(Next::Done);
                }
                intake::Known::NotDue => nexts[*index] = Some(Next::Done),
                intake::Known::Lettered => nexts[*index] = Some(Next::Lettered),
                intake::Known::Full => nexts[*index] = Some(Next::Later(intake::FULL_WAIT)),
                intake::Known::Unpublished(outputs) => nexts[*index] = Some(Next::Act(outputs)),
                intake::Known::IdReused => {
                    let message = "a delivery came under the id of an earlier one with other content";
                    nexts[*index] = Some(Next::Fail(Fault::new(Class::Validation, intake::ID_REUSED, message)));
                }
            }
        }
        self.decide_open(tx, &open, nexts).await
    }

    async fn decide_open(&self, tx: &mut Tx, open: &[(usize, Input<'_>)], nexts: &mut [Option<Next<Vec<OutRecord>>>]) -> Result<(), Error> {
        if open.is_empty() {
            return Ok(());
        }
        let inputs: Vec<Input<'_>> = open.iter().map(|(_, input)| *input).collect();
        let decided = self.decide.decide(tx, &inputs).await?;
        assert_eq!(decided.len(), inputs.len(), "a group decides about every input");
        let mut rows = Vec::new();
        let mut settled = HashMap::new();
        for ((index, input), decided) in open.iter().zip(decided) {
            let (state, reason, outputs) = match decided {
                Decided::Settled { state, reason, outputs } => (Some(state), reason, outputs),
                Decided::Waiting { reason } => (None, Some(reason), Vec::new()),
                Decided::Fail(fault) => {
                    nexts[*index] = Some(Next::Fail(fault));
                    continue;
                }
            };
            let hash = self.decide.ids_come_from_outside().then(|| value_hash(&input.record.value));
            rows.push(NewDecision {
                obligation: Obligation::of(input.record),
                record: input.record,
                state,
                reason,
                hash,
                outputs: outputs.clone(),
            });
            settled.insert(*index, state.unwrap_or(State::Applied));
            nexts[*index] = Some(if outputs.is_empty() { Next::Done } else { Next::Act(outputs) });
        }
        // None was there when they were looked up. One that is there now was decided by another process meanwhile, perhaps
        // otherwise, and it is that decision's outputs that go out.
        if !rows::insert(tx, self.owner, &self.group, &rows).await? {
            return Err(Error::Overtaken);
        }
        self.supersede_older(tx, &rows).await?;
        for (index, state) in settled {
            if matches!(nexts[index], Some(Next::Done)) {
                let entry = &self.batch[index];
                self.settle_letter(tx, entry, &Obligation::of(&entry.record), state).await?;
            }
        }
        Ok(())
    }

    /// Where the latest wins, a good version ends the dead ones of older versions, whichever came first.
    async fn supersede_older(&self, tx: &mut Tx, rows: &[NewDecision<'_>]) -> Result<(), Error> {
        if self.policy != Parking::LatestWins {
            return Ok(());
        }
        let is_good = |it: &&NewDecision<'_>| it.state == Some(State::Applied);
        let good: Vec<Subject> = rows.iter().filter(is_good).filter_map(|it| self.decide.subject(it.record)).collect();
        letters::supersede(tx, &self.group, &good).await
    }

    async fn settle_letter(&self, tx: &mut Tx, entry: &Entry<Vec<Position>>, obligation: &Obligation, state: State) -> Result<(), Error> {
        match entry.record.origin {
            Origin::Letter(letter) => letters::settle(tx, &self.group, &obligation.aggregate, letter, state).await,
            Origin::Topic => Ok(()),
        }
    }
}
