//! Decides what a command does next, and remembers what was done: one transaction for a whole batch.
//!
//! A command's way: it arrives, its first open step is claimed and committed, the step acts, its result is committed together
//! with the claim of the next, and after the last one the outcome's bytes are stored and produced. Whatever happens in
//! between, the command arrives again and goes on at its first step that is not confirmed.

mod turn;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connector::erp::Erp;
use fault::Fault;
use pipeline::{Batch, CommitError, Drained, Entry, Ledger, Next, PROCESS_DIED, Turn};
use store::deaths::Deaths;
use store::letters::Drainer;
use store::{Store, commit_error};
use tokio::sync::Notify;
use uuid::Uuid;

use crate::act::{Act, Op, Report};
use crate::claims::Claims;
use crate::clock::TargetClock;
use crate::core::step::LookWaits;
use crate::metrics::Metrics;
use crate::outcome::Outcomes;

use turn::{Reading, Work};

#[derive(Debug, Clone, Copy)]
pub struct LedgerSettings {
    /// How long a claim keeps others away. Half of it is for the wait for a slot, half for the request.
    pub lease: Duration,
    pub look_waits: LookWaits,
}

/// What the parts of one target's adapter tell each other.
#[derive(Default)]
pub struct Signals {
    /// A command was applied: the target's stock has changed.
    pub applied: Notify,
    /// The outbox has something new.
    pub outbox: Notify,
}

pub(crate) struct Context {
    pub(crate) outcomes: Outcomes,
    pub(crate) settings: LedgerSettings,
    /// This process, at this target.
    pub(crate) me: Uuid,
    pub(crate) claims: Arc<Claims>,
    pub(crate) clock: Arc<TargetClock>,
}

pub struct EffectLedger {
    store: Store,
    erp: Arc<dyn Erp>,
    context: Arc<Context>,
    signals: Arc<Signals>,
    drainer: Drainer,
    metrics: Metrics,
}

impl EffectLedger {
    pub fn new(
        store: Store,
        erp: Arc<dyn Erp>,
        outcomes: Outcomes,
        settings: LedgerSettings,
        clock: Arc<TargetClock>,
        signals: Arc<Signals>,
    ) -> Self {
        let drainer = Drainer::new(store.clone(), &outcomes.group);
        let metrics = Metrics::new(outcomes.target.as_str());
        let context = Context { outcomes, settings, me: Uuid::new_v4(), claims: Arc::default(), clock };
        Self { store, erp, context: Arc::new(context), signals, drainer, metrics }
    }

    /// To be shared with the actor.
    pub fn claims(&self) -> Arc<Claims> {
        Arc::clone(&self.context.claims)
    }

    /// The longest that one call of the target may take.
    pub fn call_max(&self) -> Duration {
        self.context.settings.lease / 2
    }

    /// Claims that were dropped before they were sent are free for the next owner at once, not when their leases are over.
    /// To be called once more after the engine has ended.
    pub async fn give_back(&self) -> Result<(), store::Error> {
        let orphans = self.context.claims.take_orphans();
        if orphans.is_empty() {
            return Ok(());
        }
        let claims: Vec<_> = orphans.iter().map(|(op_key, (step, fence))| (op_key.as_str(), *step, *fence)).collect();
        let given = store::effects::give_back(&self.store, self.context.outcomes.target.as_str(), &claims).await?;
        tracing::debug!(erp = %self.context.outcomes.target, claims = given, "gave back what was claimed and not sent");
        Ok(())
    }

    fn read(&self, entry: &Entry<Report>) -> Reading {
        let known = match &entry.turn {
            Turn::Acted(Report::Step(report)) | Turn::Failed { report: Some(Report::Step(report)), .. } => Some(Arc::clone(&report.act.op)),
            Turn::Acted(Report::Published(_)) => return Reading::NotNeeded,
            // What killed the process is not looked into once more.
            Turn::Failed { fault, .. } if fault.code == PROCESS_DIED => return Reading::NotNeeded,
            Turn::Arrived | Turn::Failed { .. } => None,
        };
        let op = match known {
            Some(op) => op,
            None => match Op::read(&entry.record, &self.context.outcomes.target, |command| self.erp.steps(command)) {
                Ok(op) => Arc::new(op),
                Err(fault) => return Reading::Unreadable(fault),
            },
        };
        if self.context.claims.reserve(op.key(), &entry.record) { Reading::Op(op) } else { Reading::Busy }
    }

    /// Keeps what a claimed step holds, and lets go of everything else.
    fn note_claims(&self, entries: &[Arc<Entry<Report>>], ops: &[Option<Arc<Op>>], nexts: &[Next<Act>]) {
        for ((entry, op), next) in entries.iter().zip(ops).zip(nexts) {
            match (next, op) {
                (Next::Act(Act::Step(act)), _) => self.context.claims.claimed(act.op.key(), (act.step().name, act.fence)),
                (_, Some(op)) => self.context.claims.release(op.key(), &entry.record),
                (_, None) => {}
            }
        }
    }
}

#[async_trait]
impl Ledger for EffectLedger {
    type Act = Act;
    type Report = Report;

    async fn commit(&self, batch: Batch<Report>) -> Result<Vec<Next<Act>>, CommitError> {
        // By our clock the lease begins before the database's does.
        let send_before = Instant::now() + self.context.settings.lease - self.call_max();
        let readings: Vec<_> = batch.iter().map(|entry| self.read(entry)).collect();
        let ops: Vec<_> = readings.iter().map(|it| if let Reading::Op(op) = it { Some(Arc::clone(op)) } else { None }).collect();
        let work = Work::new(Arc::clone(&self.context), batch.clone(), readings, send_before);
        let done = self.store.transaction(move |tx| Box::pin(work.run(tx))).await.map_err(commit_error)?;
        self.note_claims(&batch, &ops, &done.nexts);
        self.drainer.forget_settled(&batch, &done.nexts);
        if !done.applied.is_empty() {
            self.signals.applied.notify_one();
        }
        if !done.died.is_empty() {
            self.signals.outbox.notify_one();
        }
        done.applied.iter().for_each(|operation| self.metrics.applied(operation));
        done.died.iter().for_each(|operation| self.metrics.died(operation));
        Ok(done.nexts)
    }

    async fn drain(&self, max: usize) -> Result<Vec<Drained>, Fault> {
        self.give_back().await?;
        Ok(self.drainer.drain(max).await?)
    }

    async fn give_letters_back(&self) -> Result<(), Fault> {
        Ok(self.drainer.give_back().await?)
    }

    fn deaths(&self) -> Arc<dyn pipeline::Deaths> {
        Arc::new(Deaths::new(self.store.clone(), &*self.context.outcomes.group))
    }
}
