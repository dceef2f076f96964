//! One batch on its way through its transaction.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::erp::{Findings, Identity};
use contracts::topics::Parking;
use contracts::wire::Wire as _;
use domain::ErpCommand;
use fault::{Class, Fault};
use pipeline::{Batch, Next, Origin, OutRecord, Position, Turn, Verdict};
use store::decisions::{Input, State};
use store::effects::identities::{self, Claimed, Wanted};
use store::effects::{self, Applied, Effect, EffectState, Ended, Known, NewEffect, StepRow, StepState};
use store::letters::{self, Obligation};
use store::{Error, Tx, outbox};

use super::Context;
use crate::act::{Act, Op, Report, StepAct, StepCame, StepReport};
use crate::core::step::{self, AMBIGUOUS, Came, Mode};

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
/// Somebody is finding or creating the record that both need.
const TAKEN: Duration = Duration::from_millis(100);

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

/// What an operation can do now.
enum Stage {
    Claim(usize, Mode),
    Wait(Duration),
    /// Every step is confirmed.
    Complete,
    Ambiguous(&'static str),
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
        self.published(tx).await?;
        let mut open = self.take_in(tx).await?;
        self.open_effects(tx, &open).await?;
        self.note_results(tx).await?;
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
            if let Origin::Letter(letter) = self.batch[index].record.origin {
                letters::settle(tx, self.group(), &self.obligations[index].aggregate, letter, State::Applied).await?;
            }
            self.nexts[index] = Some(Next::Done);
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
            self.nexts[index] = match (known, &mut self.readings[index]) {
                (Known::Settled, _) => Some(Next::Done),
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
                Turn::Acted(Report::Step(report)) => learned.extend(self.note_result(report, None)),
                Turn::Failed { fault, verdict, report: Some(Report::Step(report)), .. } => {
                    learned.extend(self.note_result(report, Some((fault.as_ref(), *verdict == Verdict::Letter))));
                }
                Turn::Failed { fault, verdict, .. } => self.note_unreported(index, fault, *verdict == Verdict::Letter),
                Turn::Arrived | Turn::Acted(_) => {}
            }
            if let Turn::Failed { verdict, .. } = &entry.turn
                && *verdict != Verdict::Letter
            {
                self.nexts[index] = Some(Next::Later(Duration::ZERO));
            }
        }
        let confirmed: Vec<_> = learned.iter().map(|(identity, op, findings)| (wanted(identity, op), *findings)).collect();
        identities::confirm(tx, self.target(), &confirmed).await
    }

    /// Returns what others wait for.
    fn note_result<'a>(&mut self, report: &'a StepReport, failure: Option<(&Fault, bool)>) -> Option<(&'a Identity, &'a Op, &'a Findings)> {
        let StepReport { act, came } = report;
        let effect = self.effects.get_mut(act.op.key())?;
        let row = effect.steps.iter_mut().find(|it| it.step == act.step().name && it.fence == act.fence)?;
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
            Came::Done(findings) => act.step().identity.as_ref().map(|identity| (identity, &*act.op, findings)),
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
        let row = self.row_mut(&op, name);
        step::recover(row, was_sent);
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

    /// What can't pass: a letter, its key parked, and the outcome that says so.
    async fn bury(&mut self, tx: &mut Tx) -> Result<(), Error> {
        for index in self.each(|turn| matches!(turn, Turn::Failed { .. })) {
            let entry = Arc::clone(&self.batch[index]);
            let Turn::Failed { fault, attempts, .. } = &entry.turn else { continue };
            let obligation = &self.obligations[index];
            let deaths = effects::replays_of(tx, self.group(), obligation.id).await?;
            letters::bury(tx, self.group(), obligation, &entry.record, fault, *attempts, Parking::Park).await?;
            let op = self.op(index).cloned();
            if let Some(op) = &op {
                let held: Vec<_> = op.steps.iter().filter_map(|it| it.identity.as_ref()).map(|it| wanted(it, op)).collect();
                identities::release(tx, self.target(), &held).await?;
                if let Some(effect) = self.effects.get_mut(op.key())
                    && effect.state == EffectState::InFlight
                {
                    effect.state = EffectState::Rejected;
                    self.ended.insert(op.key().to_owned());
                }
            }
            let deaths = usize::try_from(deaths).unwrap_or(0);
            // A connector that refuses a command leaves no operation; the router knows it by its key all the same.
            let command = op.map_or_else(|| ErpCommand::decode(&entry.record.value).ok(), |it| Some(it.command.clone()));
            let command_id = self.obligations[index].id;
            let outcome = entry.span.in_scope(|| self.context.outcomes.dead(&entry.record, command_id, command.as_ref(), fault, deaths));
            outbox::insert_captured(tx, self.target(), &[outcome]).await?;
            self.died.push(command.map_or("unreadable", |it| it.operation.name()));
            self.nexts[index] = Some(Next::Done);
        }
        Ok(())
    }

    /// Claims the next step of each, or completes it. Those that share an identity with others ask for it first; what
    /// somebody has found already confirms their step, and they go on at once.
    async fn advance(&mut self, tx: &mut Tx, mut open: Vec<usize>) -> Result<(), Error> {
        while !open.is_empty() {
            let mut asking: Vec<(usize, usize, Mode)> = Vec::new();
            for index in std::mem::take(&mut open) {
                match self.stage(index) {
                    None => self.nexts[index] = Some(Next::Later(BUSY)),
                    Some(Stage::Wait(wait)) => self.nexts[index] = Some(Next::Later(wait)),
                    Some(Stage::Complete) => self.complete(index),
                    Some(Stage::Ambiguous(step)) => self.nexts[index] = Some(Next::Fail(ambiguous(step))),
                    Some(Stage::Claim(step, mode)) if self.identity(index, step).is_some() => asking.push((index, step, mode)),
                    Some(Stage::Claim(step, mode)) => self.claim(index, step, mode),
                }
            }
            open = self.ask(tx, asking).await?;
        }
        Ok(())
    }

    fn identity(&self, index: usize, step: usize) -> Option<&Identity> {
        self.op(index)?.steps[step].identity.as_ref()
    }

    /// Returns those that go on.
    async fn ask(&mut self, tx: &mut Tx, asking: Vec<(usize, usize, Mode)>) -> Result<Vec<usize>, Error> {
        let mut wanted_once = HashSet::new();
        let mut asked = Vec::new();
        for (index, step, mode) in asking {
            // Of several in one batch the first asks.
            if wanted_once.insert(self.identity(index, step).cloned()) {
                asked.push((index, step, mode));
            } else {
                self.nexts[index] = Some(Next::Later(TAKEN));
            }
        }
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let wishes: Vec<_> = asked
            .iter()
            .map(|(index, step, _)| {
                let op = self.op(*index).expect("what asks is an operation");
                wanted(op.steps[*step].identity.as_ref().expect("only those with one ask"), op)
            })
            .collect();
        let answers = identities::claim(tx, self.target(), &wishes).await?;
        let mut go_on = Vec::new();
        for ((index, step, mode), answer) in asked.into_iter().zip(answers) {
            match answer {
                Claimed::Ours => self.claim(index, step, mode),
                Claimed::Taken => self.nexts[index] = Some(Next::Later(TAKEN)),
                Claimed::Known(findings) => {
                    let op = Arc::clone(self.op(index).expect("what asks is an operation"));
                    let me = self.context.me;
                    let row = self.row_mut(&op, op.steps[step].name);
                    row.owner = me;
                    step::settle(row, Came::Done(&findings));
                    self.changed.insert((op.key().to_owned(), op.steps[step].name.to_owned()));
                    go_on.push(index);
                }
            }
        }
        Ok(go_on)
    }

    /// `None`: its row is gone, which only a person can have done; it is made anew when it arrives again.
    fn stage(&mut self, index: usize) -> Option<Stage> {
        let op = Arc::clone(self.op(index)?);
        let may_decide = matches!(self.batch[index].record.origin, Origin::Letter(_));
        if self.effects.get(op.key())?.state == EffectState::Applied {
            return Some(Stage::Complete);
        }
        let (me, look_gap) = (self.context.me, self.context.settings.look_gap);
        for (step_index, step) in op.steps.iter().enumerate() {
            let row = self.row_mut(&op, step.name).clone();
            if row.owner != me && !row.leased.is_zero() {
                return Some(Stage::Wait(row.leased.min(BUSY)));
            }
            let was_sent = self.was_sent(&op, step.name, &row);
            let row = self.row_mut(&op, step.name);
            step::recover(row, was_sent);
            match step::plan(step, row, look_gap, may_decide) {
                Mode::Skip => {}
                Mode::LookAgainIn(wait) => return Some(Stage::Wait(wait)),
                Mode::Ambiguous => return Some(Stage::Ambiguous(step.name)),
                mode @ (Mode::Probe | Mode::Send) => return Some(Stage::Claim(step_index, mode)),
            }
        }
        Some(Stage::Complete)
    }

    fn claim(&mut self, index: usize, step_index: usize, mode: Mode) {
        let op = Arc::clone(self.op(index).expect("what is claimed is an operation"));
        let step = &op.steps[step_index];
        let (me, lease) = (self.context.me, self.context.settings.lease);
        let row = self.row_mut(&op, step.name);
        step::claim(row, step, mode, me, lease);
        let fence = row.fence;
        self.changed.insert((op.key().to_owned(), step.name.to_owned()));
        let effect = self.effects.get_mut(op.key()).expect("only operations that are open are worked on");
        if effect.state == EffectState::Rejected {
            effect.state = EffectState::InFlight;
            self.ended.insert(op.key().to_owned());
        }
        let findings = Arc::new(learned(&op, effect));
        let act = StepAct { op, step: step_index, mode, fence, findings, send_before: self.send_before };
        self.nexts[index] = Some(Next::Act(Act::Step(act)));
    }

    /// The effect is there, whoever had it made: the command's outcome is stored, and produced next.
    fn complete(&mut self, index: usize) {
        let op = Arc::clone(self.op(index).expect("what is complete is an operation"));
        let entry = Arc::clone(&self.batch[index]);
        let effect = self.effects.get_mut(op.key()).expect("only operations that are open are worked on");
        let at = match effect.state {
            EffectState::Applied => effect.settled_at.unwrap_or_else(|| self.context.clock.now()),
            EffectState::InFlight | EffectState::Rejected => {
                effect.state = EffectState::Applied;
                effect.findings = learned(&op, effect);
                self.ended.insert(op.key().to_owned());
                self.context.clock.now()
            }
        };
        let command = self.obligations[index].id;
        let outcome = entry.span.in_scope(|| self.context.outcomes.applied(&entry.record, command, &op.command, &effect.findings, at));
        self.nexts[index] = Some(Next::Act(Act::Publish(vec![outcome.clone()])));
        self.applied.push((index, outcome));
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

/// All that an operation's steps have learned; later ones know better.
fn learned(op: &Op, effect: &Effect) -> Findings {
    let mut findings = Findings::new();
    for step in &op.steps {
        if let Some(row) = effect.steps.iter().find(|it| it.step == step.name) {
            findings.extend(row.findings.clone());
        }
    }
    findings
}

fn wanted<'a>(identity: &'a Identity, op: &'a Op) -> Wanted<'a> {
    Wanted { kind: &identity.kind, match_key: &identity.match_key, op_key: op.key() }
}

fn ambiguous(step: &str) -> Fault {
    let message = format!(
        "nobody can tell whether the step `{step}` was done: look into the target, then replay it to have it sent again or discard it"
    );
    Fault::new(Class::Ambiguous, AMBIGUOUS, message)
}
