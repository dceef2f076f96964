//! What is known of one order.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use contracts::wire::{Originals, OutcomeState, Wire as _};
use domain::{AggregateKey, ConnectionId, Decimal, EntityKind, EntityRef, ErpCommand, Operation, OperationKey, Order, Refund, TargetId};
use uuid::Uuid;

use super::decision::{Command, Released, Settled};
use super::error::Error;

/// All that is known under one order's aggregate key.
#[derive(Debug, Clone, PartialEq)]
pub struct Life {
    pub connection: ConnectionId,
    /// The source's id.
    pub order_id: String,
    /// `None`: no version of it was seen. Its refunds may have been.
    pub order: Option<OrderLife>,
    /// In the order in which they came.
    pub refunds: Vec<KnownRefund>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct OrderLife {
    /// Of the newest version.
    pub sequence: u64,
    /// That version, encoded: it is needed for few events only.
    pub version: Bytes,
    pub stage: Stage,
    pub touched: Touched,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Stage {
    /// A hold matches; `event` waits.
    Held {
        reason: Arc<str>,
        event: Uuid,
    },
    /// It ended before it was placed. Nothing was commanded.
    Dropped(Why),
    Placed(Box<Placed>),
}

/// Why an order, or a refund, came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    CancelledBeforePlaced,
    DeletedBeforePlaced,
    /// Somebody discarded the letter of the order's placing: the target will never have it.
    PlaceDiscarded,
    /// The order was confirmed without what this refund takes out.
    TakenOutBefore,
}

/// An order that was sent to its target: the target stays, whatever the rules say later.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed {
    pub target: TargetId,
    /// The route that chose it.
    pub rule: String,
    pub place: Sent,
    /// Also set when the placing carried the confirmation.
    pub confirm: Option<Sent>,
    /// The newest revision, with its sequence.
    pub revise: Option<(u64, Sent)>,
    pub cancel: Option<Sent>,
    /// Pieces by line that were taken out before it was confirmed and of which no refund had told by then.
    pub unrecorded: BTreeMap<String, Decimal>,
    /// What the target calls it.
    pub erp_id: Option<String>,
    pub erp_number: Option<String>,
    /// The target says that it is confirmed.
    pub erp_confirmed: bool,
    /// Code of the newest failure that no later success cured.
    pub failure: Option<String>,
}

/// A command that was sent, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub progress: Progress,
    /// When the newest outcome happened; `None`: there is none yet.
    pub at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Sent,
    Replaying,
    Dead,
    Discarded,
    Superseded,
    Applied,
}

/// One refund, by its newest version.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownRefund {
    pub id: String,
    pub sequence: u64,
    /// The event that brought this version.
    pub event: Uuid,
    /// Its message, as it was read.
    pub version: Bytes,
    pub state: RefundState,
    pub touched: Touched,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundState {
    /// For its order; `event` waits.
    Waiting,
    Sent(Sent),
    Dropped(Why),
}

/// What a decision changed, hence what has to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    No,
    /// Only how far its commands have come.
    Progress,
    Whole,
}

impl Life {
    pub fn new(connection: ConnectionId, order_id: impl Into<String>) -> Self {
        Self { connection, order_id: order_id.into(), order: None, refunds: Vec::new() }
    }

    pub fn order_ref(&self) -> EntityRef {
        EntityRef::new(self.connection.clone(), EntityKind::Order, self.order_id.clone())
    }

    pub fn refund_ref(&self, id: &str) -> EntityRef {
        EntityRef::new(self.connection.clone(), EntityKind::Refund, id)
    }

    pub fn placed(&self) -> Option<&Placed> {
        match &self.order.as_ref()?.stage {
            Stage::Placed(placed) => Some(placed),
            Stage::Held { .. } | Stage::Dropped(_) => None,
        }
    }

    /// Nothing comes of those that wait.
    pub(super) fn drop_waiting_refunds(&mut self, why: Why) -> Vec<Released> {
        self.refunds.iter_mut().filter(|it| it.state == RefundState::Waiting).map(|it| it.give_up(why)).collect()
    }

    /// Of a quotation: none moved money when it was sent, and its newest version may.
    pub(super) fn sent_refunds(&self) -> Result<Vec<Refund>, Error> {
        self.refunds.iter().filter(|it| matches!(it.state, RefundState::Sent(_))).map(KnownRefund::decode).collect()
    }

    /// Whether one that gives money back waits.
    pub(super) fn is_money_waiting(&self) -> Result<bool, Error> {
        for waiting in self.refunds.iter().filter(|it| it.state == RefundState::Waiting) {
            if waiting.decode()?.moves_money() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a refund only tells late what the confirmed order lacks already. What others of its kind told counts once.
    pub(super) fn is_taken_out(&self, placed: &Placed, refund: &Refund) -> Result<bool, Error> {
        let says_pieces = refund.lines.iter().any(|it| !it.quantity.is_zero());
        if placed.unrecorded.is_empty() || refund.moves_money() || !says_pieces {
            return Ok(false);
        }
        let mut left = placed.unrecorded.clone();
        let mut take = |refund: &Refund| {
            for line in &refund.lines {
                *left.entry(line.order_line_id.clone()).or_default() -= line.quantity;
            }
        };
        take(refund);
        let told = |it: &&KnownRefund| it.state == RefundState::Dropped(Why::TakenOutBefore) && it.id != refund.id;
        for known in self.refunds.iter().filter(told) {
            take(&known.decode()?);
        }
        Ok(refund.lines.iter().all(|it| left[&it.order_line_id] >= Decimal::ZERO))
    }

    /// Where its refund with this id is in the list.
    pub(super) fn refund_index(&self, id: &str) -> Option<usize> {
        self.refunds.iter().position(|it| it.id == id)
    }

    /// Books a refund: once for its id, whatever its versions. The order comes with its message.
    pub(super) fn refund_command(&self, refund: &KnownRefund, target: &TargetId, order: (Order, Bytes)) -> Result<Command, Error> {
        let (order, message) = order;
        let originals = Originals { order: Some(message), refund: Some(refund.version.clone()), customer: None };
        let subject = self.refund_ref(&refund.id);
        let operation = Operation::BookRefund { refund: Box::new(refund.decode()?), order: Box::new(order) };
        let command = self.command(target, OperationKey::create(&subject, BOOK), refund.sequence, operation);
        Ok(Command { event: refund.event, subject, command, originals })
    }

    pub(super) fn command(&self, target: &TargetId, operation_key: OperationKey, sequence: u64, operation: Operation) -> ErpCommand {
        ErpCommand {
            target: target.clone(),
            connection: self.connection.clone(),
            aggregate: AggregateKey::order(&self.connection, &self.order_id),
            operation_key,
            sequence,
            operation,
        }
    }
}

/// Names of operations in operation keys. They are in ledgers and targets: they never change.
pub(super) const PLACE: &str = "place";
pub(super) const CONFIRM: &str = "confirm";
pub(super) const REVISE: &str = "revise";
pub(super) const CANCEL: &str = "cancel";
pub(super) const BOOK: &str = "book";
pub(super) const SYNC: &str = "sync";

impl OrderLife {
    pub(super) fn decode(&self) -> Result<Order, Error> {
        Order::decode(&self.version).map_err(Error::Stored)
    }
}

impl KnownRefund {
    pub(super) fn decode(&self) -> Result<Refund, Error> {
        Refund::decode(&self.version).map_err(Error::Stored)
    }

    pub(super) fn give_up(&mut self, why: Why) -> Released {
        self.state = RefundState::Dropped(why);
        self.touched = Touched::Progress;
        Released { event: self.event, settled: why.settled() }
    }
}

impl Why {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CancelledBeforePlaced => "cancelled_before_placed",
            Self::DeletedBeforePlaced => "deleted_before_placed",
            Self::PlaceDiscarded => "place_discarded",
            Self::TakenOutBefore => "taken_out_before",
        }
    }

    pub fn parse(why: &str) -> Option<Self> {
        let all = [Self::CancelledBeforePlaced, Self::DeletedBeforePlaced, Self::PlaceDiscarded, Self::TakenOutBefore];
        all.into_iter().find(|it| it.as_str() == why)
    }

    /// What becomes of a refund.
    pub(super) fn settled(self) -> Settled {
        match self {
            Self::TakenOutBefore => Settled::Applied(Some(self.as_str())),
            Self::CancelledBeforePlaced | Self::DeletedBeforePlaced | Self::PlaceDiscarded => Settled::Discarded(self.as_str()),
        }
    }
}

impl Placed {
    pub(super) fn new(target: TargetId, rule: &str, confirm: bool) -> Self {
        Self {
            target,
            rule: rule.to_owned(),
            place: Sent::NEW,
            confirm: confirm.then_some(Sent::NEW),
            revise: None,
            cancel: None,
            unrecorded: BTreeMap::new(),
            erp_id: None,
            erp_number: None,
            erp_confirmed: false,
            failure: None,
        }
    }
}

impl Placed {
    /// Whether a refund may follow now, in the queue of the same key; `order` is the newest version. One that overtook what it
    /// needs would stand in front of it: the version whose lines it is about, or the word that the money came or that nothing
    /// comes of the order.
    pub(super) fn takes(&self, refund: &Refund, order: &Order) -> bool {
        refund.fits(order) && (self.confirm.is_some() || self.cancel.is_some() || !refund.moves_money())
    }
}

impl Sent {
    pub const NEW: Self = Self { progress: Progress::Sent, at: None };

    /// What was applied stays applied, what was given up can only still turn out to be applied; between the others the later
    /// one counts, whichever comes first. True: it made a difference.
    pub(super) fn advance(&mut self, state: OutcomeState, at: DateTime<Utc>) -> bool {
        let next = Progress::from(state);
        let is_later = self.at.is_none_or(|known| known <= at);
        let moves = match self.progress {
            Progress::Applied => false,
            Progress::Discarded | Progress::Superseded => next == Progress::Applied,
            Progress::Sent | Progress::Replaying | Progress::Dead => is_later || next.is_final(),
        };
        if moves {
            *self = Self { progress: next, at: Some(at) };
        }
        moves
    }
}

impl Progress {
    pub const ALL: [Self; 6] = [Self::Sent, Self::Replaying, Self::Dead, Self::Discarded, Self::Superseded, Self::Applied];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Replaying => "replaying",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Superseded => "superseded",
            Self::Applied => "applied",
        }
    }

    pub fn parse(progress: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == progress)
    }

    fn is_final(self) -> bool {
        matches!(self, Self::Applied | Self::Discarded | Self::Superseded)
    }
}

impl From<OutcomeState> for Progress {
    fn from(state: OutcomeState) -> Self {
        match state {
            OutcomeState::Applied => Self::Applied,
            OutcomeState::Superseded => Self::Superseded,
            OutcomeState::Dead => Self::Dead,
            OutcomeState::Discarded => Self::Discarded,
            OutcomeState::Replaying => Self::Replaying,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(states: &[(OutcomeState, i64)]) -> Progress {
        let mut sent = Sent::NEW;
        for (state, second) in states {
            sent.advance(*state, DateTime::from_timestamp(*second, 0).unwrap());
        }
        sent.progress
    }

    #[test]
    fn an_older_outcome_never_overwrites_a_later_one() {
        use OutcomeState::{Applied, Dead, Discarded, Replaying};
        assert_eq!(after(&[(Dead, 1), (Replaying, 2), (Applied, 3)]), Progress::Applied);
        assert_eq!(after(&[(Applied, 3), (Dead, 1), (Replaying, 2), (Discarded, 9)]), Progress::Applied);
        assert_eq!(after(&[(Replaying, 2), (Dead, 1)]), Progress::Replaying);
        assert_eq!(after(&[(Replaying, 2), (Dead, 3)]), Progress::Dead);
        assert_eq!(after(&[(Discarded, 4), (Dead, 5)]), Progress::Discarded);
        assert_eq!(after(&[(Discarded, 4), (Applied, 3)]), Progress::Applied, "what the target shows is there");
    }
}
