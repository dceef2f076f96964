//! A partition that goes is a small shutdown: nothing more is handed out, what is out is settled, offsets are stored.

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::Engine;
use crate::record::Partition;
use crate::seam::{Actor, Ledger};

pub(super) struct Revoking {
    partitions: Vec<Partition>,
    answer: oneshot::Sender<Vec<(Partition, i64)>>,
    pub(super) deadline: Instant,
}

impl<L: Ledger, A: Actor<L::Act, L::Report>> Engine<L, A> {
    pub(super) fn start_revoking(&mut self, partitions: Vec<Partition>, answer: oneshot::Sender<Vec<(Partition, i64)>>) {
        self.dispatcher.freeze(&partitions);
        self.revoking = Some(Revoking { partitions, answer, deadline: Instant::now() + self.settings.revoke_grace });
    }

    /// Late completions of what is still out then may finish their effects (fenced); they move no offset.
    pub(super) fn finish_revoking(&mut self, now: Instant) {
        let Some(revoking) = self.revoking.take_if(|it| now >= it.deadline || self.dispatcher.out_of(&it.partitions) == 0) else { return };
        let watermarks = self.dispatcher.revoke(&revoking.partitions);
        self.dirty.retain(|partition, _| !revoking.partitions.contains(partition));
        // The source may have given up waiting; then it stores nothing, and those records are read again.
        let _given_up = revoking.answer.send(watermarks);
    }
}
