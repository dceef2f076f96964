//! After deaths: which partitions are read with care, and which of their records is in hand alone.
//!
//! A record that kills the process (an abort, more memory than there is) leaves no error behind; it leaves a partition that begins
//! at the same offset again and again. Such a partition is read one record at a time, each counted durably before it is touched, so
//! that the next life knows on which record this one ended. Pure: the caller asks the ledger and says what it answered.
//!
//! A letter is out of its partition; its key was taken over from dead processes again and again, and it is tried alone likewise.
//!
//! One record at a time of *all* of them: two at once would both be blamed for one death.

use std::collections::{HashMap, VecDeque};

use crate::record::Partition;

/// Beginnings at the same offset, this one counted, from which on a partition is read with care.
pub const BEGINNINGS: u32 = 3;

/// Tries alone that nobody outlived, before a record is a letter without another one.
pub const ATTEMPTS: u32 = 3;

/// Deaths with a letter in hand, from which on it is tried alone: as many as a partition's that begins so often.
pub const LETTER_DEATHS: u32 = BEGINNINGS - 1;

/// Records after which a partition is trusted again: as many as may be in hand, and the one that killed was among them.
pub const RECORDS: usize = 10_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Assigned, and nothing of it has come.
    Unread,
    /// The ledger is asked how often it began there.
    Asking,
    Careful {
        left: usize,
    },
}

/// Partitions that are not simply read. Those that are, are not in here: they cost nothing.
#[derive(Debug, Default)]
pub struct Care {
    states: HashMap<Partition, State>,
    /// Careful ones, in the order of their turns.
    turns: VecDeque<Partition>,
    in_hand: Option<u64>,
}

impl Care {
    pub fn assign(&mut self, partitions: &[Partition]) {
        self.forget(partitions);
        self.states.extend(partitions.iter().map(|it| (it.clone(), State::Unread)));
    }

    pub fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.states.remove(partition);
        }
        self.turns.retain(|it| !partitions.contains(it));
    }

    /// True for the first record of an assignment: the ledger is to be asked before any of it is touched.
    pub fn is_first_of(&mut self, partition: &Partition) -> bool {
        if self.states.is_empty() {
            return false;
        }
        match self.states.get_mut(partition) {
            Some(state @ State::Unread) => {
                *state = State::Asking;
                true
            }
            _ => false,
        }
    }

    /// The ledger's answer. True: it is to be read with care; false: it may run.
    pub fn began(&mut self, partition: &Partition, begun: u32) -> bool {
        if self.states.get(partition) != Some(&State::Asking) {
            return self.is_careful(partition);
        }
        if begun < BEGINNINGS {
            self.states.remove(partition);
            return false;
        }
        self.states.insert(partition.clone(), State::Careful { left: RECORDS });
        self.turns.push_back(partition.clone());
        true
    }

    /// It must not be handed out by itself.
    pub fn holds(&self, partition: &Partition) -> bool {
        self.states.contains_key(partition)
    }

    pub fn is_careful(&self, partition: &Partition) -> bool {
        matches!(self.states.get(partition), Some(State::Careful { .. }))
    }

    /// Whether nothing is in hand alone.
    pub fn is_free(&self) -> bool {
        self.in_hand.is_none()
    }

    /// Careful partitions in the order of their turns, if it is anybody's turn.
    pub fn turns(&self) -> Vec<Partition> {
        if self.is_free() { self.turns.iter().cloned().collect() } else { Vec::new() }
    }

    /// This record is in hand now, alone. A letter is of no careful partition.
    pub fn took(&mut self, partition: &Partition, arrival: u64) {
        self.in_hand = Some(arrival);
        if let Some(index) = self.turns.iter().position(|it| it == partition)
            && let Some(partition) = self.turns.remove(index)
        {
            self.turns.push_back(partition);
        }
    }

    /// We live, and it is settled or waits. True: it was the one in hand, which is to be counted no longer.
    pub fn rests(&mut self, arrival: u64) -> bool {
        self.in_hand.take_if(|it| *it == arrival).is_some()
    }

    /// A record of the partition was settled. True: that was enough of them, it is trusted again.
    pub fn settled(&mut self, partition: &Partition) -> bool {
        let Some(State::Careful { left }) = self.states.get_mut(partition) else { return false };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        self.forget(std::slice::from_ref(partition));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p(number: i32) -> Partition {
        Partition::new("t", number)
    }

    #[test]
    fn the_ledger_is_asked_once_per_assignment_and_only_what_began_there_too_often_is_read_with_care() {
        let mut care = Care::default();
        care.assign(&[p(0), p(1)]);
        assert!(care.is_first_of(&p(0)) && !care.is_first_of(&p(0)));
        assert!(care.holds(&p(0)) && care.holds(&p(1)), "nothing runs before the answer");
        assert!(!care.began(&p(0), BEGINNINGS - 1));
        assert!(!care.holds(&p(0)) && !care.is_first_of(&p(0)));
        assert!(care.is_first_of(&p(1)));
        assert!(care.began(&p(1), BEGINNINGS));
        assert_eq!(care.turns(), [p(1)]);
        care.assign(&[p(1)]);
        assert!(care.is_first_of(&p(1)) && care.turns().is_empty(), "the next assignment asks again");
    }

    #[test]
    fn one_record_of_all_careful_partitions_is_in_hand_and_they_take_turns() {
        let mut care = Care::default();
        care.assign(&[p(0), p(1)]);
        for partition in [p(0), p(1)] {
            care.is_first_of(&partition);
            care.began(&partition, BEGINNINGS);
        }
        assert_eq!(care.turns(), [p(0), p(1)]);
        care.took(&p(0), 7);
        assert!(care.turns().is_empty());
        assert!(!care.rests(8), "another one does not count");
        assert!(care.rests(7) && !care.rests(7));
        assert_eq!(care.turns(), [p(1), p(0)]);
    }

    #[test]
    fn after_enough_records_a_partition_is_trusted_again() {
        let mut care = Care::default();
        care.assign(&[p(0)]);
        care.is_first_of(&p(0));
        care.began(&p(0), BEGINNINGS);
        assert_eq!((0..RECORDS).filter(|_| care.settled(&p(0))).count(), 1);
        assert!(!care.holds(&p(0)) && !care.settled(&p(0)));
    }
}
