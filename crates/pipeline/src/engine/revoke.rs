//! A partition that goes is a small shutdown: nothing more is handed out, what is out is settled, offsets are stored.

use std::collections::VecDeque;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Engine;
use super::hand::Hand;
use crate::record::{Origin, Partition};
use crate::seam::{Actor, Ledger, Turn};

pub(super) struct Revoking {
    partitions: Vec<Partition>,
    answer: oneshot::Sender<Vec<(Partition, i64)>>,
    pub(super) deadline: Instant,
}

impl<L: Ledger, A: Actor<L::Act, L::Report>> Engine<L, A> {
    pub(super) fn is_going(&self, partition: &Partition) -> bool {
        self.revoking.as_ref().is_some_and(|it| it.partitions.contains(partition))
    }

    pub(super) fn start_revoking(&mut self, partitions: Vec<Partition>, answer: oneshot::Sender<Vec<(Partition, i64)>>) {
        self.dispatcher.freeze(&partitions);
        self.withdraw(&partitions);
        self.revoking = Some(Revoking { partitions, answer, deadline: Instant::now() + self.settings.revoke_grace });
    }

    /// Gives back what is in hand but neither on the wire nor in a transaction: a record in back-off would be waited for in vain.
    pub(super) fn withdraw(&mut self, partitions: &[Partition]) {
        let is_meant = |hand: &Hand| hand.ticket.record.origin == Origin::Topic && partitions.contains(&hand.ticket.record.partition);
        let mut back = self.timers.withdraw(is_meant);
        for lane in self.lanes.iter_mut().filter(|lane| !lane.spec.is_ours) {
            back.extend(lane.withdraw(|(hand, _)| is_meant(hand)).into_iter().map(|(hand, _)| hand));
        }
        let (meant, pending) =
            std::mem::take(&mut self.pending).into_iter().partition(|(hand, turn)| matches!(turn, Turn::Arrived) && is_meant(hand));
        self.pending = pending;
        back.extend(VecDeque::into_iter(meant).map(|(hand, _)| hand));
        let alone: Vec<_> = self.alone.extract_if(.., |hand| is_meant(hand)).collect();
        back.extend(alone);
        for hand in back {
            self.outlived(&hand);
            self.dispatcher.give_back(&hand.ticket);
        }
    }

    /// Late completions of what is still out then may finish their effects (fenced); they move no offset.
    pub(super) fn finish_revoking(&mut self, now: Instant) {
        if let Some(revoking) = self.revoking.take_if(|it| now >= it.deadline || self.dispatcher.out_of(&it.partitions) == 0) {
            self.give_up(revoking);
        }
    }

    /// They come again before they are gone: the source has waited long enough.
    pub(super) fn cut_revoking_short(&mut self) {
        if let Some(revoking) = self.revoking.take() {
            self.give_up(revoking);
        }
    }

    fn give_up(&mut self, revoking: Revoking) {
        let is_settled = self.dispatcher.out_of(&revoking.partitions) == 0;
        let watermarks = self.dispatcher.revoke(&revoking.partitions);
        self.forget_care(&revoking.partitions);
        if is_settled {
            self.forget_deaths(revoking.partitions.clone());
        }
        self.forget_breakers(&revoking.partitions);
        self.dirty.retain(|partition, _| !revoking.partitions.contains(partition));
        // The source may have given up waiting; then it stores nothing, and those records are read again.
        let _given_up = revoking.answer.send(watermarks);
        // What waited for a family that is away may have been theirs.
        self.hold_back_while_open();
    }
}
