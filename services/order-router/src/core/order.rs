//! A version of an order.

use bytes::Bytes;
use contracts::wire::Originals;
use domain::{Operation, OperationKey, Order, Refund, TargetId};
use mapping::{OrderFacts, Rules};
use uuid::Uuid;

use super::Version;
use super::decision::{Command, Decision, Released, Settled, Verdict, Wait};
use super::error::Error;
use super::life::{CANCEL, CONFIRM, Life, OrderLife, PLACE, Placed, Progress, REVISE, RefundState, Sent, Stage, Touched, Why};
use super::revision::{self, Revision};

/// Decides about one version of an order. `message`: as it was read.
pub fn changed(life: Life, version: Version, order: Order, message: Bytes, rules: &Rules) -> Result<Decision, Error> {
    if let Some(known) = &life.order {
        if version.sequence < known.sequence {
            return Ok(Decision::superseded(life));
        }
        if version.sequence == known.sequence {
            return match known.version == message {
                true => Ok(Decision::superseded(life)),
                false => Err(Error::SequenceConflict { entity: life.order_ref(), sequence: version.sequence }),
            };
        }
    }
    let mut change = Change { version, order, message, life, commands: Vec::new(), released: Vec::new() };
    let (stage, verdict) = match change.life.order.as_ref().map(|it| (&it.stage, it)) {
        Some((Stage::Placed(placed), known)) => {
            let (placed, before) = (placed.clone(), known.decode()?);
            change.follow(*placed, &before)?
        }
        None | Some((Stage::Held { .. } | Stage::Dropped(_), _)) => change.begin(rules)?,
    };
    let Change { mut life, message, commands, released, .. } = change;
    life.order = Some(OrderLife { sequence: version.sequence, version: message, stage, touched: Touched::Whole });
    Ok(Decision { life, verdict, commands, released })
}

/// A version on its way to a decision.
struct Change {
    version: Version,
    order: Order,
    message: Bytes,
    life: Life,
    commands: Vec<Command>,
    released: Vec<Released>,
}

type Outcome = (Stage, Verdict);

fn applied(reason: Option<&'static str>) -> Verdict {
    Verdict::Settled(Settled::Applied(reason))
}

impl Change {
    /// Nothing was commanded yet.
    fn begin(&mut self, rules: &Rules) -> Result<Outcome, Error> {
        let ended = match (self.version.is_deleted, self.order.is_cancelled()) {
            (true, _) => Some(Why::DeletedBeforePlaced),
            (false, true) => Some(Why::CancelledBeforePlaced),
            (false, false) => None,
        };
        if let Some(why) = ended {
            self.supersede_waiting();
            self.drop_waiting_refunds(why);
            return Ok((Stage::Dropped(why), applied(Some(why.as_str()))));
        }
        let facts = OrderFacts::of(&self.life.connection, &self.order);
        match rules.decide(&facts)? {
            mapping::Decision::Hold { reason, .. } => {
                self.supersede_waiting();
                let stage = Stage::Held { reason: reason.clone(), event: self.version.event };
                Ok((stage, Verdict::Waiting(Wait::Hold(reason))))
            }
            mapping::Decision::Route { target, rule } => {
                self.supersede_waiting();
                self.place(target, &rule)
            }
            mapping::Decision::NoRoute => {
                Err(Error::NoRoute { connection: facts.connection, country: facts.country, currency: facts.currency })
            }
        }
    }

    /// The version that waited so far has a successor.
    fn supersede_waiting(&mut self) {
        if let Some(OrderLife { stage: Stage::Held { event, .. }, .. }) = &self.life.order {
            self.released.push(Released { event: *event, settled: Settled::Superseded });
        }
    }

    fn drop_waiting_refunds(&mut self, why: Why) {
        self.released.extend(self.life.drop_waiting_refunds(why));
    }

    fn place(&mut self, target: TargetId, rule: &str) -> Result<Outcome, Error> {
        let confirm = self.order.financial_state.is_paid();
        let key = OperationKey::create(&self.life.order_ref(), PLACE);
        self.command(&target, key, Operation::PlaceOrder { order: Box::new(self.order.clone()), confirm });
        let placed = Placed::new(target, rule, confirm);
        self.book_waiting(&placed.target, |refund, order| placed.takes(refund, order))?;
        Ok((Stage::Placed(Box::new(placed)), applied(None)))
    }

    /// Refunds that waited follow at once: behind what they waited for, in the same queue of the same key.
    fn book_waiting(&mut self, target: &TargetId, is_due: impl Fn(&Refund, &Order) -> bool) -> Result<(), Error> {
        for index in 0..self.life.refunds.len() {
            let refund = &self.life.refunds[index];
            if refund.state != RefundState::Waiting || !is_due(&refund.decode()?, &self.order) {
                continue;
            }
            let command = self.life.refund_command(refund, target, (self.order.clone(), self.message.clone()))?;
            let refund = &mut self.life.refunds[index];
            refund.state = RefundState::Sent(Sent::NEW);
            refund.touched = Touched::Progress;
            self.released.push(Released { event: refund.event, settled: Settled::Applied(None) });
            self.commands.push(command);
        }
        Ok(())
    }

    /// It was placed: what changed decides.
    fn follow(&mut self, mut placed: Placed, before: &Order) -> Result<Outcome, Error> {
        let target = placed.target.clone();
        if placed.place.progress == Progress::Discarded {
            self.drop_waiting_refunds(Why::PlaceDiscarded);
            let verdict = Verdict::Settled(Settled::Discarded(Why::PlaceDiscarded.as_str()));
            return Ok((Stage::Placed(Box::new(placed)), verdict));
        }
        if self.version.is_deleted {
            // Shops clear away old orders. The books keep them, and nothing more will be heard of its payment.
            self.book_waiting(&target, |_, _| true)?;
            return Ok((Stage::Placed(Box::new(placed)), applied(Some("deleted_in_source"))));
        }
        match (placed.cancel.is_some(), self.order.is_cancelled()) {
            (true, true) => {}
            (true, false) => return Err(Error::Reopened { target: target.to_string() }),
            (false, true) => {
                let key = OperationKey::create(&self.life.order_ref(), CANCEL);
                self.command(&target, key, Operation::CancelOrder { order: Box::new(self.order.clone()) });
                placed.cancel = Some(Sent::NEW);
            }
            (false, false) => self.keep_up(&mut placed, before)?,
        }
        self.book_waiting(&target, |refund, order| placed.takes(refund, order))?;
        let needless = if placed.cancel.is_some() { "already_cancelled" } else { "nothing_to_do" };
        let reason = self.commands.is_empty().then_some(needless);
        Ok((Stage::Placed(Box::new(placed)), applied(reason)))
    }

    /// A revision goes first: what is confirmed must be what was paid.
    fn keep_up(&mut self, placed: &mut Placed, before: &Order) -> Result<(), Error> {
        let target = placed.target.clone();
        let revision = self.revision(placed, before)?;
        match revision {
            Revision::Needless => {}
            Revision::Due => {
                let key = OperationKey::change(&self.life.order_ref(), REVISE, self.version.sequence);
                self.command(&target, key, Operation::ReviseOrder { order: Box::new(self.order.clone()) });
                placed.revise = Some((self.version.sequence, Sent::NEW));
            }
            Revision::Tangled => return Err(Error::Tangled { target: target.to_string() }),
        }
        if self.order.financial_state.is_paid() && placed.confirm.is_none() {
            let key = OperationKey::create(&self.life.order_ref(), CONFIRM);
            self.command(&target, key, Operation::ConfirmOrder { order: Box::new(self.order.clone()) });
            placed.confirm = Some(Sent::NEW);
            let quoted = if revision == Revision::Due { &self.order } else { before };
            placed.unrecorded = revision::unrecorded(quoted, &self.life.sent_refunds()?);
            self.drop_taken_out(placed)?;
        }
        Ok(())
    }

    /// Refunds that waited for the version that says the same.
    fn drop_taken_out(&mut self, placed: &Placed) -> Result<(), Error> {
        for index in 0..self.life.refunds.len() {
            let known = &self.life.refunds[index];
            if known.state == RefundState::Waiting && self.life.is_taken_out(placed, &known.decode()?)? {
                self.released.push(self.life.refunds[index].give_up(Why::TakenOutBefore));
            }
        }
        Ok(())
    }

    fn revision(&self, placed: &Placed, before: &Order) -> Result<Revision, Error> {
        if placed.confirm.is_some() {
            return Ok(revision::of_confirmed(before, &self.order, !self.life.refunds.is_empty()));
        }
        // Before the payment nothing of it can have been given back.
        let is_refund_waiting = self.order.financial_state.is_paid() && self.life.is_money_waiting()?;
        Ok(revision::of_quotation(before, &self.order, &self.life.sent_refunds()?, is_refund_waiting))
    }

    fn command(&mut self, target: &TargetId, key: OperationKey, operation: Operation) {
        let event: Uuid = self.version.event;
        let originals = Originals { order: Some(self.message.clone()), ..Originals::default() };
        let command = self.life.command(target, key, self.version.sequence, operation);
        self.commands.push(Command { event, subject: self.life.order_ref(), command, originals });
    }
}
