//! One batch on its way through its transaction.

mod advance;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::erp::{Findings, Step};
use contracts::topics::Parking;
use contracts::wire::Wire as _;
use domain::ErpCommand;
use fault::{Class, Fault};
use pipeline::{Batch, Next, Origin, OutRecord, PROCESS_DIED, Position, Turn, Verdict};
use store::decisions::{Input, State};
use store::effects::identities::{self, Wanted};
use store::effects::{self, Applied, Effect, EffectState, Ended, Known, NewEffect, StepRow, StepState};
use store::letters::{self, Failure, Obligation};
use store::{Error, Tx, outbox};

use super::Context;
use crate::act::{Act, Op, Report, StepAct, StepCame, StepReport};
use crate::core::step::{self, Came, Mode};

/// What is known of a record before the transaction.
pub(crate) enum Reading {
    Op(Arc<Op>),
    Unreadable(Fault),
    /// Another delivery of the same operation is at it in this process.
    Busy,
    /// Its outcome was produced.
    NotNeeded,
}

/// What the transaction did.
pub(crate) struct Done {
    pub(crate) nexts: Vec<Next<Act>>,
    /// By operation.
    pub(crate) applied: Vec<&'static str>,
    pub(crate) died: Vec<&'static str>,
}

/// Somebody else, or another delivery, is at it.
const BUSY: Duration = Duration::from_secs(1);

pub(crate) struct Work {
    context: Arc<Context>,
    batch: Batch<Report>,
    readings: Vec<Reading>,
    send_before: Instant,
    obligations: Vec<Obligation>,
    nexts: Vec<Option<Next<Act>>>,
    effects: HashMap<String, Effect>,
    /// Steps to write, by operation key and name.
    changed: BTreeSet<(String, String)>,
    /// Operations whose own state changed.
    ended: BTreeSet<String>,
    applied: Vec<(usize, OutRecord)>,
    died: Vec<&'static str>,
}

impl Work {
    pub(crate) fn new(context: Arc<Context>, batch: Batch<Report>, readings: Vec<Reading>, send_before: Instant) -> Self {
        Self {
            obligations: batch.iter().map(|it| Obligation::of(&it.record)).collect(),
            nexts: batch.iter().map(|_| None).collect(),
            context,
            batch,
            readings,
            send_before,
            effects: HashMap::new(),
            changed: BTreeSet::new(),
            ended: BTreeSet::new(),
            applied: Vec::new(),
            died: Vec::new(),
        }
    }

    pub(crate) async fn run(mut self, tx: &mut Tx) -> Result<Done, Error> {
        letters::lock_keys_of(tx, self.group(), &self.batch).await?;
        self.published(tx).await?;
        let mut open = self.take_in(tx).await?;
        self.open_effects(tx, &open).await?;
        self.note_results(tx).await?;
        self.leave_settled(tx).await?;
        self.put_off(tx).await?;
        self.bury(tx).await?;
        open.extend(self.each(|turn| matches!(turn, Turn::Acted(Report::Step(_)))));
        self.advance(tx, open).await?;
        self.write(tx).await?;
        let applied = self.applied.iter().filter_map(|(index, _)| self.op(*index)).map(|it| it.command.operation.name()).collect();
        let nexts = self.nexts.into_iter().map(|it| it.expect("every turn is one of those above")).collect();
        Ok(Done { nexts, applied, died: self.died })
    }

    fn each(&self, is_one: impl Fn(&Turn<Report>) -> bool) -> Vec<usize> {
        (0..self.batch.len()).filter(|index| self.nexts[*index].is_none() && is_one(&self.batch[*index].turn)).collect()
    }

    fn target(&self) -> &str {
        self.context.outcomes.target.as_str()
    }

    fn group(&self) -> &str {
        &self.context.outcomes.group
    }

    fn op(&self, index: usize) -> Option<&Arc<Op>> {
        if let Reading::Op(op) = &self.readings[index] { Some(op) } else { None }
    }

    /// Outcomes that Kafka has: the commands are settled.
    async fn published(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let mut published: Vec<(uuid::Uuid, &[Position])> = Vec::new();
        for (entry, obligation) in self.batch.iter().zip(&self.obligations) {
            if let Turn::Acted(Report::Published(positions)) = &entry.turn {
                published.push((obligation.id, positions));
            }
        }
        effects::mark_published(tx, self.group(), &published).await?;
        for index in self.each(|turn| matches!(turn, Turn::Acted(Report::Published(_)))) {
            self.settle_letter(tx, index).await?;
            self.nexts[index] = Some(Next::Done);
        }
        Ok(())
    }

    async fn settle_letter(&self, tx: &mut Tx, index: usize) -> Result<(), Error> {
        match self.batch[index].record.origin {
            Origin::Letter(letter) => letters::settle(tx, self.group(), &self.obligations[index].aggregate, letter, State::Applied).await,
            Origin::Topic => Ok(()),
        }
    }

    /// Failures of what another process has brought to its end meanwhile.
    async fn leave_settled(&mut self, tx: &mut Tx) -> Result<(), Error> {
        for index in self.each(|turn| matches!(turn, Turn::Failed { .. })) {
            let is_live = self.batch[index].record.origin == Origin::Topic;
            if is_live && effects::is_settled(tx, self.group(), self.obligations[index].id).await? {
                self.nexts[index] = Some(Next::Done);
            }
        }
        Ok(())
    }

    /// What arrives: decided before, a letter, held, unreadable, or to be gone on with (returned).
    async fn take_in(&mut self, tx: &mut Tx) -> Result<Vec<usize>, Error> {
        let arrived = self.each(|turn| matches!(turn, Turn::Arrived));
        let input = |index: &usize| {
            let entry = &self.batch[*index];
            Input { record: &entry.record, id: self.obligations[*index].id, span: &entry.span }
        };
        let known = effects::look_up(tx, self.group(), &arrived.iter().map(input).collect::<Vec<_>>()).await?;
        let mut open = Vec::new();
        for (index, known) in arrived.into_iter().zip(known) {
            if matches!(known, Known::Settled) {
                self.settle_letter(tx, index).await?;
            }
            self.nexts[index] = match (known, &mut self.readings[index]) {
                (Known::Settled | Known::NotDue, _) => Some(Next::Done),
                (Known::Lettered, _) => Some(Next::Lettered),
                (Known::Full(wait), _) => Some(Next::Later(wait)),
                (Known::Unpublished(outputs), _) => Some(Next::Act(Act::Publish(outputs))),
                (Known::New, Reading::Op(_)) => {
                    open.push(index);
                    None
                }
                (Known::New, Reading::Busy | Reading::NotNeeded) => Some(Next::Later(BUSY)),
                (Known::New, reading) => {
                    let Reading::Unreadable(fault) = std::mem::replace(reading, Reading::NotNeeded) else {
                        unreachable!("the one that is left")
                    };
                    Some(Next::Fail(fault))
                }
            };
        }
        Ok(open)
    }

    async fn open_effects(&mut self, tx: &mut Tx, arrived: &[usize]) -> Result<(), Error> {
        let new: Vec<_> = arrived
            .iter()
            .filter_map(|index| {
                let op = self.op(*index)?;
                Some(NewEffect {
                    op_key: op.key(),
                    command: self.obligations[*index].id,
                    aggregate: &self.obligations[*index].aggregate,
                    operation: op.command.operation.name(),
                    sequence: op.command.sequence,
                })
            })
            .collect();
        let open = (0..self.batch.len()).filter(|index| self.nexts[*index].is_none());
        let op_keys: Vec<_> = open.filter_map(|index| self.op(index)).map(|it| it.key()).collect();
        self.effects = effects::open(tx, self.target(), &new, &op_keys).await?;
        Ok(())
    }

    /// What came of claims, as far as they are still ours.
    async fn note_results(&mut self, tx: &mut Tx) -> Result<(), Error> {
        let batch = self.batch.clone();
        let mut learned = Vec::new();
        for (index, entry) in batch.iter().enumerate() {
            match &entry.turn {
                // Somebody else has the step by now, or had it done: what came of our try decides nothing.
                Turn::Acted(Report::Step(report)) | Turn::Failed { report: Some(Report::Step(report)), .. } if !self.is_current(report) => {
                    self.nexts[index] = Some(Next::Later(Duration::ZERO));
                }
                Turn::Acted(Report::Step(report)) => learned.extend(self.note_result(report, None)),
                Turn::Failed { fault, verdict, report: Some(Report::Step(report)), .. } => {
                    learned.extend(self.note_result(report, Some((fault.as_ref(), *verdict == Verdict::Letter))));
                }
                Turn::Failed { fault, verdict, .. } => self.note_unreported(index, fault, *verdict == Verdict::Letter),
                Turn::Arrived | Turn::Acted(_) => {}
            }
            if let Turn::Failed { verdict, .. } = &entry.turn
                && !matches!(verdict, Verdict::Letter | Verdict::PutOff(_))
            {
                self.nexts[index] = Some(Next::Later(Duration::ZERO));
            }
        }
        let (mut confirmed, mut released) = (Vec::new(), Vec::new());
        for (act, findings) in learned {
            let mut known_by = wanted(act.step(), &act.op);
            confirmed.extend(known_by.next().map(|it| (it, findings)));
            match act.mode {
                // Who was found need not have the other marks.
                Mode::Probe => released.extend(known_by),
                _ => confirmed.extend(known_by.map(|it| (it, findings))),
            }
        }
        identities::confirm(tx, self.target(), &confirmed).await?;
        identities::release(tx, self.target(), &released).await
    }

    /// Whether the claim is the step's last one.
    fn is_current(&self, StepReport { act, .. }: &StepReport) -> bool {
        self.effects.get(act.op.key()).is_some_and(|it| it.steps.iter().any(|row| is_of(row, act)))
    }

    /// Returns what others wait for.
    fn note_result<'a>(&mut self, report: &'a StepReport, failure: Option<(&Fault, bool)>) -> Option<(&'a StepAct, &'a Findings)> {
        let StepReport { act, came } = report;
        let effect = self.effects.get_mut(act.op.key())?;
        let row = effect.steps.iter_mut().find(|row| is_of(row, act))?;
        let (code, for_good) = failure.map_or(("unknown", false), |(fault, for_good)| (fault.code, for_good));
        let came = match came {
            StepCame::Done(findings) => Came::Done(findings),
            StepCame::Missing => Came::Missing,
            StepCame::Expired => Came::Expired,
            StepCame::Failed { maybe_applied } => Came::Failed { mode: act.mode, code, maybe_applied: *maybe_applied, for_good },
        };
        step::settle(row, came);
        self.changed.insert((act.op.key().to_owned(), row.step.clone()));
        match came {
            Came::Done(findings) => Some((act, findings)),
            _ => None,
        }
    }

    /// Our own code panicked, or the ledger itself refused: what the claim did is as good as unknown.
    fn note_unreported(&mut self, index: usize, fault: &Fault, for_good: bool) {
        let Some(op) = self.op(index).cloned() else { return };
        let Some((name, row)) = self.first_open(&op) else { return };
        let is_free = row.leased.is_zero() || row.owner == self.context.me;
        if !is_free || row.fence == 0 {
            return;
        }
        let was_sent = self.was_sent(&op, name, row);
        let lease = self.context.settings.lease;
        let row = self.row_mut(&op, name);
        step::recover(row, was_sent, lease);
        step::settle(row, Came::Failed { mode: Mode::Probe, code: fault.code, maybe_applied: false, for_good });
        self.changed.insert((op.key().to_owned(), name.to_owned()));
    }

    fn first_open<'a>(&'a self, op: &Op) -> Option<(&'static str, &'a StepRow)> {
        let effect = self.effects.get(op.key())?;
        let row_of = |name| effect.steps.iter().find(|row| row.step == name);
        let mut rows = op.steps.iter().map(|it| (it.name, row_of(it.name)));
        let (name, row) = rows.find(|(_, row)| row.is_none_or(|it| it.state != StepState::Confirmed))?;
        Some((name, row?))
    }

    /// An unanswered claim of another process may have been sent; of ours we know.
    fn was_sent(&self, op: &Op, step: &'static str, row: &StepRow) -> bool {
        row.owner != self.context.me || self.context.claims.was_sent(op.key(), (step, row.fence))
    }

    fn row_mut(&mut self, op: &Op, name: &str) -> &mut StepRow {
        let effect = self.effects.get_mut(op.key()).expect("only operations that are open are worked on");
        let index = effect.steps.iter().position(|it| it.step == name).unwrap_or_else(|| {
            effect.steps.push(StepRow::new(name));
            effect.steps.len() - 1
        });
        &mut effect.steps[index]
    }

    /// What is tried again much later: a waiting letter, its key parked. Nobody is told: the command is in flight.
    async fn put_off(&mut self, tx: &mut Tx) -> Result<(), Error> {
        for index in self.each(|turn| matches!(turn, Turn::Failed { verdict: Verdict::PutOff(_), .. })) {
            let entry = Arc::clone(&self.batch[index]);
            let Turn::Failed { fault, attempts, verdict: Verdict::PutOff(wait), .. } = &entry.turn else { continue };
            self.nexts[index] = Some(Next::Done);
            let failure = Failure { fault, attempts: *attempts, wait: Some(*wait) };
            if !letters::write(tx, self.group(), &self.obligations[index], &entry.record, failure, Parking::Park).await? {
                continue;
            }
            let Some(op) = self.op(index).cloned() else { continue };
            self.doubt_found(&op);
            // Others may look for a customer meanwhile, unless our request for it is in doubt.
            if fault.class == Class::DependencyMissing {
                self.release_identities(tx, &op).await?;
            }
        }
        Ok(())
    }

    fn doubt_found(&mut self, op: &Op) {
        let Some(effect) = self.effects.get_mut(op.key()) else { return };
        let doubted = step::doubt_found(&op.steps, &mut effect.steps);
        self.changed.extend(doubted.into_iter().map(|step| (op.key().to_owned(), step)));
    }

    async fn release_identities(&self, tx: &mut Tx, op: &Op) -> Result<(), Error> {
        let held: Vec<_> = op.steps.iter().flat_map(|it| wanted(it, op)).collect();
        identities::release(tx, self.target(), &held).await
    }

    /// What can't pass: a letter, its key parked, and the outcome that says so.
    async fn bury(&mut self, tx: &mut Tx) -> Result<(), Error> {
        for index in self.each(|turn| matches!(turn, Turn::Failed { .. })) {
            let entry = Arc::clone(&self.batch[index]);
            let Turn::Failed { fault, attempts, .. } = &entry.turn else { continue };
            let obligation = &self.obligations[index];
            let deaths = effects::replays_of(tx, self.group(), obligation.id).await?;
            let failure = Failure { fault, attempts: *attempts, wait: None };
            self.nexts[index] = Some(Next::Done);
            if !letters::write(tx, self.group(), obligation, &entry.record, failure, Parking::Park).await? {
                continue;
            }
            let op = self.op(index).cloned();
            if let Some(op) = &op {
                self.doubt_found(op);
                self.release_identities(tx, op).await?;
                if let Some(effect) = self.effects.get_mut(op.key())
                    && effect.state == EffectState::InFlight
                {
                    effect.state = EffectState::Rejected;
                    self.ended.insert(op.key().to_owned());
                }
            }
            let deaths = usize::try_from(deaths).unwrap_or(0);
            // A connector that refuses a command leaves no operation; the router knows it by its key all the same.
            let read = || if fault.code == PROCESS_DIED { None } else { ErpCommand::decode(&entry.record.value).ok() };
            let command = op.map_or_else(read, |it| Some(it.command.clone()));
            let command_id = self.obligations[index].id;
            let outcome = entry.span.in_scope(|| self.context.outcomes.dead(&entry.record, command_id, command.as_ref(), fault, deaths));
            outbox::insert_captured(tx, self.target(), &[outcome]).await?;
            self.died.push(command.map_or("unreadable", |it| it.operation.name()));
        }
        Ok(())
    }

    async fn write(&self, tx: &mut Tx) -> Result<(), Error> {
        let mut steps = Vec::with_capacity(self.changed.len());
        for (op_key, name) in &self.changed {
            let row = self.effects[op_key].steps.iter().find(|it| it.step == *name).expect("what changed is there");
            steps.push((op_key.as_str(), row));
        }
        effects::write_steps(tx, self.target(), self.context.settings.lease, &steps).await?;
        let ended: Vec<_> = self
            .ended
            .iter()
            .map(|op_key| (op_key, &self.effects[op_key]))
            .map(|(op_key, effect)| Ended { op_key, state: effect.state, findings: &effect.findings })
            .collect();
        effects::close(tx, self.target(), &ended).await?;
        if self.applied.is_empty() {
            return Ok(());
        }
        let applied: Vec<_> = self
            .applied
            .iter()
            .map(|(index, outcome)| Applied { record: &self.batch[*index].record, outputs: vec![outcome.clone()] })
            .collect();
        effects::decide(tx, self.group(), &applied).await
    }
}

/// Whether the step stands as this claim has left it.
fn is_of(row: &StepRow, act: &StepAct) -> bool {
    row.step == act.step().name && row.fence == act.fence
}

fn wanted<'a>(step: &'a Step, op: &'a Op) -> impl Iterator<Item = Wanted<'a>> {
    step.identities.iter().map(|it| Wanted { kind: &it.kind, match_key: &it.match_key, op_key: op.key() })
}
