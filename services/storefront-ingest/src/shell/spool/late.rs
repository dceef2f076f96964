//! What Kafka does not confirm in time: a partition without a leader takes nothing, for as long as that lasts. Its keys wait, and
//! nobody waits for them.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use bus::ProduceError;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};

/// A spooled row that was queued, without its body.
pub(super) struct Sent {
    pub(super) id: i64,
    pub(super) size: usize,
    pub(super) key: Bytes,
    pub(super) confirmed: Result<(), ProduceError>,
}

impl Sent {
    /// Its row, and what that takes of the spool.
    pub(super) fn place(&self) -> (i64, usize) {
        (self.id, self.size)
    }
}

pub(super) type Sending = FuturesUnordered<BoxFuture<'static, Sent>>;

/// How a row is treated, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Sent, and waited for.
    Prompt,
    /// Its key was late before: sent, and not waited for.
    Unawaited,
    /// A row of its key is on its way, has just failed, or was left behind: nothing overtakes it.
    Skipped,
}

/// Across the passes over an instance's rows.
pub(super) struct Late {
    sending: Sending,
    /// How many rows of a key are on their way.
    out: HashMap<Bytes, usize>,
    /// Keys that failed, and when they may be tried again.
    failed: HashMap<Bytes, Instant>,
    /// Of this pass: when it began, and the keys that it has left behind.
    now: Instant,
    left: HashSet<Bytes>,
    /// Keys that failed later than this have to wait for those that failed before.
    turn_of: Instant,
    renewed_at: Instant,
    /// Whether this pass marks what it leaves behind as ours.
    pub(super) renews: bool,
}

impl Late {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            sending: Sending::new(),
            out: HashMap::new(),
            failed: HashMap::new(),
            now,
            left: HashSet::new(),
            turn_of: now,
            renewed_at: now,
            renews: false,
        }
    }

    /// Within a pass a key that waits does not become free: rows of it have been passed over.
    pub(super) fn begin_pass(&mut self) {
        self.now = Instant::now();
        self.left.clear();
        self.turn_of = self.now.min(self.turn_of_the_first());
        self.renews = self.now - self.renewed_at >= RENEW;
        if self.renews {
            self.renewed_at = self.now;
        }
    }

    /// Of so many as may be on their way: each gets its turn before the first one comes again.
    fn turn_of_the_first(&self) -> Instant {
        let mut due: Vec<Instant> = self.failed.iter().filter(|(key, _)| !self.out.contains_key(*key)).map(|(_, again)| *again).collect();
        if due.len() <= SENDING_MAX {
            return self.now;
        }
        *due.select_nth_unstable(SENDING_MAX - 1).1
    }

    pub(super) fn treatment(&mut self, key: &Bytes) -> Treatment {
        let treatment = match self.failed.get(key) {
            _ if self.left.contains(key) || self.out.contains_key(key) => Treatment::Skipped,
            None => Treatment::Prompt,
            Some(again) if *again <= self.turn_of && self.sending.len() < SENDING_MAX => Treatment::Unawaited,
            Some(_) => Treatment::Skipped,
        };
        if treatment == Treatment::Skipped {
            self.left.insert(key.clone());
        }
        treatment
    }

    pub(super) fn add(&mut self, key: Bytes, sending: BoxFuture<'static, Sent>) {
        *self.out.entry(key).or_default() += 1;
        self.sending.push(sending);
    }

    /// What is left of a page.
    pub(super) fn take(&mut self, keys: impl Iterator<Item = Bytes>, sending: Sending) {
        for key in keys {
            *self.out.entry(key).or_default() += 1;
        }
        self.sending.extend(sending);
    }

    /// Those that have been answered meanwhile.
    pub(super) fn answered(&mut self) -> Vec<Sent> {
        let answered: Vec<Sent> = std::iter::from_fn(|| self.sending.next().now_or_never().flatten()).collect();
        for it in &answered {
            let others = self.out.remove(&it.key).unwrap_or_default().saturating_sub(1);
            if others > 0 {
                self.out.insert(it.key.clone(), others);
            }
            match it.confirmed {
                Ok(()) => drop(self.failed.remove(&it.key)),
                // It comes again, in another pass, and is waited for.
                Err(ProduceError::Refused { .. }) => {
                    self.failed.remove(&it.key);
                    self.left.insert(it.key.clone());
                }
                Err(_) => self.failed(it.key.clone()),
            }
        }
        answered
    }

    pub(super) fn failed(&mut self, key: Bytes) {
        self.failed.insert(key, Instant::now() + AGAIN);
    }

    /// Nothing is left in the spool.
    pub(super) fn forget(&mut self) {
        self.failed.clear();
    }
}

/// Rows of late keys on their way at once: the producer's queue is everybody's.
const SENDING_MAX: usize = 100;
const AGAIN: Duration = Duration::from_secs(10);
/// Shorter than a claim: another instance takes over what is marked no more.
const RENEW: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn key(name: &'static str) -> Bytes {
        Bytes::from_static(name.as_bytes())
    }

    fn sent(name: &'static str, confirmed: Result<(), ProduceError>) -> BoxFuture<'static, Sent> {
        ready(Sent { id: 1, size: 1, key: key(name), confirmed }).boxed()
    }

    fn treatments(late: &mut Late) -> [Treatment; 3] {
        late.begin_pass();
        ["a", "b", "c"].map(|name| late.treatment(&key(name)))
    }

    #[test]
    fn a_key_that_is_on_its_way_waits_and_one_that_was_confirmed_is_free_again() {
        let mut late = Late::new();
        late.add(key("a"), pending().boxed());
        late.add(key("b"), sent("b", Ok(())));
        late.add(key("c"), sent("c", Err(ProduceError::QueueFull)));
        assert_eq!(treatments(&mut late), [Treatment::Skipped; 3]);
        assert_eq!(late.answered().len(), 2);
        assert_eq!(treatments(&mut late), [Treatment::Skipped, Treatment::Prompt, Treatment::Skipped], "one has just failed");
        late.failed.insert(key("c"), Instant::now());
        assert_eq!(treatments(&mut late), [Treatment::Skipped, Treatment::Prompt, Treatment::Unawaited]);
        late.forget();
        assert_eq!(treatments(&mut late), [Treatment::Skipped, Treatment::Prompt, Treatment::Prompt]);
    }

    /// Its first rows were passed over.
    #[test]
    fn a_key_that_was_left_behind_stays_behind_to_the_end_of_the_pass() {
        let mut late = Late::new();
        late.add(key("a"), sent("a", Ok(())));
        late.failed(key("b"));
        assert_eq!(treatments(&mut late)[..2], [Treatment::Skipped; 2]);
        assert_eq!(late.answered().len(), 1);
        late.failed.insert(key("b"), late.turn_of);
        assert_eq!((late.treatment(&key("a")), late.treatment(&key("b"))), (Treatment::Skipped, Treatment::Skipped));
        assert_eq!(treatments(&mut late)[..2], [Treatment::Prompt, Treatment::Unawaited]);
    }

    #[test]
    fn keys_that_failed_take_turns() {
        let mut late = Late::new();
        let name = |number: usize| Bytes::from(number.to_string());
        let start = Instant::now();
        late.failed.extend((0..3 * SENDING_MAX).map(|it| (name(it), start + Duration::from_nanos(it as u64))));
        for round in 0..3 {
            late.begin_pass();
            let sent: Vec<usize> = (0..3 * SENDING_MAX).filter(|it| late.treatment(&name(*it)) == Treatment::Unawaited).collect();
            assert_eq!(sent, (round * SENDING_MAX..(round + 1) * SENDING_MAX).collect::<Vec<_>>());
            // Due at once again, and the last in the row.
            late.failed.extend(sent.iter().map(|it| (name(*it), Instant::now())));
        }
    }

    #[test]
    fn a_key_is_free_when_all_of_it_is_answered_and_only_so_much_is_on_its_way() {
        let mut late = Late::new();
        let page: Sending = [sent("a", Ok(())), pending().boxed()].into_iter().collect();
        late.take([key("a"), key("a")].into_iter(), page);
        assert_eq!((late.answered().len(), treatments(&mut late)[0]), (1, Treatment::Skipped));
        (0..SENDING_MAX).for_each(|_| late.add(key("x"), pending().boxed()));
        late.failed.insert(key("b"), Instant::now());
        assert_eq!(treatments(&mut late)[1..], [Treatment::Skipped, Treatment::Prompt]);
    }
}
