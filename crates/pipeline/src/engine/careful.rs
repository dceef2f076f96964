//! What [`Care`](crate::care::Care) says, done: asks the ledger where a partition began, and tries the records of one that began
//! there too often one by one; and so the letters of processes that died.

use std::sync::Arc;
use std::time::Duration;

use fault::{Class, Fault};
use tokio::time::Instant;

use super::Engine;
use super::hand::{Hand, Resume};
use crate::care::{ATTEMPTS, LETTER_DEATHS};
use crate::dispatch::Ticket;
use crate::policy::Verdict;
use crate::record::{Origin, Partition, Record};
use crate::seam::{Actor, Drained, Ledger, Turn};

/// The code of a record on which the process died too often.
pub const PROCESS_DIED: &str = "process_died";

/// What the ledger answered about deaths.
pub(super) enum Cared {
    Began(Partition, u32),
    /// Boxed: a hand is large, and most answers have none.
    Counted(Box<Hand>, u32),
    Noted,
}

impl<L: Ledger, A: Actor<L::Act, L::Report>> Engine<L, A> {
    /// Before the first record of an assignment is touched.
    pub(super) fn ask_where_it_began(&mut self, partition: &Partition, offset: i64) {
        if !self.care.is_first_of(partition) {
            return;
        }
        let (deaths, partition) = (self.ledger.deaths(), partition.clone());
        self.cared.spawn(async move {
            let begun = patiently(|| deaths.begin(&partition, offset)).await;
            Cared::Began(partition, begun)
        });
    }

    pub(super) fn on_cared(&mut self, cared: Cared) {
        match cared {
            Cared::Noted => self.noting -= 1,
            Cared::Began(partition, begun) => {
                if self.care.began(&partition, begun) {
                    let group = &self.settings.group;
                    tracing::error!(group, topic = %partition.topic, number = partition.number, begun, runbook = RUNBOOK,
                        "the process died here before: the partition is read with care");
                    self.metrics.careful(&partition, true);
                }
                self.let_run(&partition);
            }
            Cared::Counted(hand, attempts) => self.on_counted(*hand, attempts),
        }
    }

    fn on_counted(&mut self, mut hand: Hand, attempts: u32) {
        if !self.goes_on(&hand) {
            self.outlived(&hand);
            self.dispatcher.give_back(&hand.ticket);
            return;
        }
        if attempts <= ATTEMPTS {
            self.pend(hand, Turn::Arrived);
            return;
        }
        hand.is_condemned = true;
        let message = format!("the process died {ATTEMPTS} times while it had this record in hand alone");
        let fault = Fault::new(Class::Poison, PROCESS_DIED, message);
        self.metrics.failed(fault.class.as_str(), fault.code);
        if self.may_be_a_letter(&mut hand, &fault, Instant::now()) {
            hand.tell(&fault, Verdict::Letter);
            self.pend(hand, Turn::Failed { fault: Arc::new(fault), verdict: Verdict::Letter, attempts: ATTEMPTS, report: None });
        } else {
            hand.resume = Resume::WithBreaker;
            self.outlived(&hand);
            self.timers.wait(hand);
        }
    }

    /// A record arrives, for the first time or again: at once, or when it is its turn to be tried alone.
    pub(super) fn arrive(&mut self, hand: Hand) {
        if self.is_tried_alone(&hand.ticket) {
            self.alone.push(hand);
        } else {
            self.pend(hand, Turn::Arrived);
        }
    }

    /// A letter that is tried alone is worth a line.
    pub(super) fn tell_of_deaths(&self, Drained { record, deaths, .. }: &Drained) {
        if *deaths >= LETTER_DEATHS
            && let Origin::Letter(letter) = record.origin
        {
            let group = &self.settings.group;
            tracing::error!(group, %letter, deaths, runbook = RUNBOOK, "processes died with this letter in hand: it is tried alone");
        }
    }

    fn is_tried_alone(&self, ticket: &Ticket) -> bool {
        match ticket.record.origin {
            Origin::Topic => self.care.is_careful(&ticket.record.partition),
            Origin::Letter(_) => ticket.deaths >= LETTER_DEATHS,
        }
    }

    /// The next record to be tried alone, counted before it is touched.
    pub(super) fn try_alone(&mut self) {
        if self.noting > 0 || !self.care.is_free() {
            return;
        }
        let Some(hand) = self.next_alone() else { return };
        self.care.took(&hand.ticket.record.partition, hand.arrival);
        let deaths = self.ledger.deaths();
        self.cared.spawn(async move {
            let attempts = patiently(|| deaths.attempt(&hand.ticket.record)).await;
            Cared::Counted(Box::new(hand), attempts)
        });
    }

    /// Letters first: there are few of them.
    fn next_alone(&mut self) -> Option<Hand> {
        if let Some(letter) = self.alone.iter().position(|it| it.ticket.record.origin != Origin::Topic) {
            return Some(self.alone.remove(letter));
        }
        for partition in self.care.turns() {
            if let Some(again) = self.alone.iter().position(|it| it.ticket.record.partition == partition) {
                return Some(self.alone.remove(again));
            }
            if !self.stands_still(&partition)
                && let Some(ticket) = self.dispatcher.take_one_of(&partition)
            {
                self.arrivals += 1;
                return Some(Hand::new(self.arrivals, ticket, &self.settings.group));
            }
        }
        None
    }

    /// We live: it is settled, or waits for something that takes its time.
    pub(super) fn outlived(&mut self, hand: &Hand) {
        if self.care.rests(hand.arrival) && !hand.is_condemned {
            let (deaths, record) = (self.ledger.deaths(), Arc::clone(&hand.ticket.record));
            self.note(async move { patiently(|| deaths.outlived(&record)).await });
        }
    }

    /// After its settling. Enough of them, and the partition is trusted again.
    pub(super) fn settled_alone(&mut self, record: &Record) {
        if record.origin != Origin::Topic || !self.care.is_careful(&record.partition) {
            return;
        }
        // The next one may be the last of this life.
        self.store_offsets();
        if self.care.settled(&record.partition) {
            tracing::warn!(group = self.settings.group, topic = %record.partition.topic, number = record.partition.number,
                "nobody died, the partition is read as usual");
            self.metrics.careful(&record.partition, false);
            self.forget_deaths(vec![record.partition.clone()]);
            let is_of_it = |it: &mut Hand| it.ticket.record.origin == Origin::Topic && it.ticket.record.partition == record.partition;
            for hand in self.alone.extract_if(.., is_of_it).collect::<Vec<_>>() {
                self.pend(hand, Turn::Arrived);
            }
            self.let_run(&record.partition);
        }
    }

    /// They are somebody else's now.
    pub(super) fn forget_care(&mut self, partitions: &[Partition]) {
        for partition in partitions.iter().filter(|it| self.care.is_careful(it)) {
            self.metrics.careful(partition, false);
        }
        self.care.forget(partitions);
    }

    /// They were left in good order: nobody died on them.
    pub(super) fn forget_deaths(&mut self, partitions: Vec<Partition>) {
        let deaths = self.ledger.deaths();
        self.note(async move { patiently(|| deaths.forget(&partitions)).await });
    }

    /// The last words of a run that left nothing undone.
    pub(super) async fn leave(&mut self) {
        self.cared.shutdown().await;
        let partitions: Vec<_> = self.dispatcher.assigned().cloned().collect();
        let leaving = async {
            // What one more look has claimed is given back as well.
            while self.drains.join_next().await.is_some() {}
            self.ledger.give_letters_back().await?;
            self.ledger.deaths().forget(&partitions).await
        };
        match tokio::time::timeout(LEAVE_MAX, leaving).await {
            Ok(Ok(())) => {}
            Ok(Err(fault)) => tracing::debug!(error = %fault, "its letters stay claimed, the beginnings of its partitions noted"),
            Err(_) => tracing::debug!("its letters stay claimed, the beginnings of its partitions noted: the ledger does not answer"),
        }
    }

    fn note(&mut self, noting: impl Future<Output = ()> + Send + 'static) {
        self.noting += 1;
        self.cared.spawn(async move {
            noting.await;
            Cared::Noted
        });
    }

    /// Hands it out again, unless something else keeps it.
    pub(super) fn let_run(&mut self, partition: &Partition) {
        if !self.care.holds(partition) && !self.stands_still(partition) {
            self.dispatcher.go_on(partition);
        }
    }
}

/// While the ledger is away nothing can be committed either.
async fn patiently<T, F: Future<Output = Result<T, Fault>>>(ask: impl Fn() -> F) -> T {
    let mut wait = Duration::from_millis(50);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(fault) => {
                tracing::warn!(error = %fault, "the ledger is away, asking again");
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(5));
            }
        }
    }
}

/// It is a courtesy: a beginning that stays noted counts once more.
const LEAVE_MAX: Duration = Duration::from_secs(1);

const RUNBOOK: &str = "docs/runbooks/crash-loop.md";
