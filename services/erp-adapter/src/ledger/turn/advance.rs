//! What an operation does next: its first open step is claimed, or it is complete.

use std::sync::Arc;
use std::time::Duration;

use connector::erp::Findings;
use fault::{Class, Fault};
use pipeline::{Next, Origin};
use store::effects::identities::{self, Claimed};
use store::effects::{Effect, EffectState};
use store::{Error, Tx};

use super::{BUSY, Work, wanted};
use crate::act::{Act, Op, StepAct};
use crate::core::step::{self, AMBIGUOUS, Came, Mode};
use crate::ledger::LedgerSettings;

/// Somebody is finding or creating the record that both need.
const TAKEN: Duration = Duration::from_millis(100);

/// What an operation can do now.
enum Stage {
    Claim(usize, Mode),
    Wait(Duration),
    /// Every step is confirmed.
    Complete,
    Ambiguous(&'static str),
}

impl Work {
    /// Claims the next step of each, or completes it. Those that share an identity with others ask for it first; what
    /// somebody has found already confirms their step, and they go on at once.
    pub(super) async fn advance(&mut self, tx: &mut Tx, mut open: Vec<usize>) -> Result<(), Error> {
        while !open.is_empty() {
            let mut asking: Vec<(usize, usize, Mode)> = Vec::new();
            for index in std::mem::take(&mut open) {
                match self.stage(index) {
                    None => self.nexts[index] = Some(Next::Later(BUSY)),
                    Some(Stage::Wait(wait)) => self.nexts[index] = Some(Next::Later(wait)),
                    Some(Stage::Complete) => self.complete(index),
                    Some(Stage::Ambiguous(step)) => self.nexts[index] = Some(Next::Fail(ambiguous(step))),
                    Some(Stage::Claim(step, mode)) if self.identities(index, step) > 0 => asking.push((index, step, mode)),
                    Some(Stage::Claim(step, mode)) => self.claim(index, step, mode),
                }
            }
            open = self.ask(tx, asking).await?;
        }
        Ok(())
    }

    fn identities(&self, index: usize, step: usize) -> usize {
        self.op(index).map_or(0, |op| op.steps[step].identities.len())
    }

    /// Asks for all that their records are known by, the surest first. Returns those whose record somebody has found: they go on.
    async fn ask(&mut self, tx: &mut Tx, mut asking: Vec<(usize, usize, Mode)>) -> Result<Vec<usize>, Error> {
        let (mut go_on, mut adopted) = (Vec::new(), Vec::new());
        for nth in 0.. {
            if asking.is_empty() {
                break;
            }
            let wish = |(index, step, _): &(usize, usize, Mode)| {
                let op = self.op(*index).expect("what asks is an operation");
                wanted(&op.steps[*step], op).nth(nth).expect("only those with one more ask")
            };
            let answers = identities::claim(tx, self.target(), &asking.iter().map(wish).collect::<Vec<_>>()).await?;
            for (it @ (index, step, mode), answer) in std::mem::take(&mut asking).into_iter().zip(answers) {
                match answer {
                    Claimed::Taken => self.nexts[index] = Some(Next::Later(TAKEN)),
                    // By the surest mark, or the target has none by that one.
                    Claimed::Known(findings) if nth == 0 || mode == Mode::Send => {
                        self.found(index, step, &findings);
                        go_on.push(index);
                        adopted.push((index, step, findings));
                    }
                    // What is known by less sure a mark may be another one: the target is asked.
                    Claimed::Ours | Claimed::Known(_) if nth + 1 < self.identities(index, step) => asking.push(it),
                    Claimed::Ours | Claimed::Known(_) => self.claim(index, step, mode),
                }
            }
        }
        self.adopt(tx, &adopted).await?;
        Ok(go_on)
    }

    /// Marks that were ours when somebody's record was found by another one are its marks, too.
    async fn adopt(&self, tx: &mut Tx, adopted: &[(usize, usize, Findings)]) -> Result<(), Error> {
        let mut confirmed = Vec::new();
        for (index, step, findings) in adopted {
            let op = self.op(*index).expect("what asked is an operation");
            confirmed.extend(wanted(&op.steps[*step], op).map(|it| (it, findings)));
        }
        identities::confirm(tx, self.target(), &confirmed).await
    }

    fn found(&mut self, index: usize, step: usize, findings: &Findings) {
        let op = Arc::clone(self.op(index).expect("what asks is an operation"));
        let me = self.context.me;
        let row = self.row_mut(&op, op.steps[step].name);
        row.owner = me;
        step::settle(row, Came::Done(findings));
        self.changed.insert((op.key().to_owned(), op.steps[step].name.to_owned()));
    }

    /// `None`: its row is gone, which only a person can have done; it is made anew when it arrives again.
    fn stage(&mut self, index: usize) -> Option<Stage> {
        let op = Arc::clone(self.op(index)?);
        let may_decide = matches!(self.batch[index].record.origin, Origin::Letter(_));
        if self.effects.get(op.key())?.state == EffectState::Applied {
            return Some(Stage::Complete);
        }
        let me = self.context.me;
        let LedgerSettings { lease, look_waits } = self.context.settings;
        for (step_index, step) in op.steps.iter().enumerate() {
            let row = self.row_mut(&op, step.name).clone();
            if row.owner != me && !row.leased.is_zero() {
                return Some(Stage::Wait(row.leased.min(BUSY)));
            }
            let was_sent = self.was_sent(&op, step.name, &row);
            let row = self.row_mut(&op, step.name);
            step::recover(row, was_sent, lease);
            match step::plan(step, row, look_waits, may_decide) {
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

fn ambiguous(step: &str) -> Fault {
    let message = format!(
        "nobody can tell whether the step `{step}` was done: look into the target, then replay it to have it sent again or discard it"
    );
    Fault::new(Class::Ambiguous, AMBIGUOUS, message)
}
