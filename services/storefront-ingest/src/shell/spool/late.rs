//! What Kafka does not confirm in time: a partition without a leader takes nothing, for as long as that lasts. Its keys wait, and
//! nobody waits for them.

use std::collections::HashMap;
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

pub(super) type Sending = FuturesUnordered<BoxFuture<'static, Sent>>;

/// How a row is treated, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// Sent, and waited for.
    Prompt,
    /// Its key was late before: sent, and not waited for.
    Unawaited,
    /// A row of its key is on its way, or has just failed: what comes behind must not overtake it.
    Skipped,
}

#[derive(Default)]
pub(super) struct Late {
    sending: Sending,
    /// When the key may be tried again; `None` while a row of it is on its way.
    keys: HashMap<Bytes, Option<Instant>>,
}

impl Late {
    pub(super) fn pass(&self, key: &Bytes) -> Pass {
        match self.keys.get(key) {
            None => Pass::Prompt,
            Some(Some(again)) if *again <= Instant::now() && self.sending.len() < SENDING_MAX => Pass::Unawaited,
            Some(_) => Pass::Skipped,
        }
    }

    pub(super) fn add(&mut self, key: Bytes, sending: BoxFuture<'static, Sent>) {
        self.keys.insert(key, None);
        self.sending.push(sending);
    }

    /// What is left of a page.
    pub(super) fn take(&mut self, keys: impl Iterator<Item = Bytes>, sending: Sending) {
        self.keys.extend(keys.map(|key| (key, None)));
        self.sending.extend(sending);
    }

    /// Those that have been answered meanwhile.
    pub(super) fn answered(&mut self) -> Vec<Sent> {
        let answered: Vec<Sent> = std::iter::from_fn(|| self.sending.next().now_or_never().flatten()).collect();
        for it in &answered {
            match it.confirmed {
                // One that is refused for good comes again, and is waited for.
                Ok(()) | Err(ProduceError::Refused { .. }) => drop(self.keys.remove(&it.key)),
                Err(_) => self.failed(it.key.clone()),
            }
        }
        answered
    }

    pub(super) fn failed(&mut self, key: Bytes) {
        self.keys.insert(key, Some(Instant::now() + AGAIN));
    }

    /// Nothing is left in the spool; what is still on its way was taken over by somebody.
    pub(super) fn forget(&mut self) {
        self.keys.retain(|_, again| again.is_none());
    }
}

/// Rows of late keys on their way at once: the producer's queue has room for others.
const SENDING_MAX: usize = 100;
const AGAIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    fn sent(key: &'static str, confirmed: Result<(), ProduceError>) -> Sent {
        Sent { id: 1, size: 1, key: Bytes::from_static(key.as_bytes()), confirmed }
    }

    fn passes(late: &Late) -> [Pass; 3] {
        ["a", "b", "c"].map(|key| late.pass(&Bytes::from_static(key.as_bytes())))
    }

    #[test]
    fn a_key_that_is_on_its_way_waits_and_one_that_was_confirmed_is_free_again() {
        let mut late = Late::default();
        late.add(Bytes::from_static(b"a"), pending().boxed());
        late.add(Bytes::from_static(b"b"), ready(sent("b", Ok(()))).boxed());
        late.add(Bytes::from_static(b"c"), ready(sent("c", Err(ProduceError::QueueFull))).boxed());
        assert_eq!(passes(&late), [Pass::Skipped; 3]);
        assert_eq!(late.answered().len(), 2);
        assert_eq!(passes(&late), [Pass::Skipped, Pass::Prompt, Pass::Skipped], "one has just failed");
        late.keys.insert(Bytes::from_static(b"c"), Some(Instant::now()));
        assert_eq!(passes(&late), [Pass::Skipped, Pass::Prompt, Pass::Unawaited]);
        late.forget();
        assert_eq!(passes(&late), [Pass::Skipped, Pass::Prompt, Pass::Prompt]);
    }

    #[test]
    fn only_so_many_are_on_their_way_at_once() {
        let mut late = Late::default();
        late.take((0..SENDING_MAX).map(|it| it.to_string().into()), (0..SENDING_MAX).map(|_| pending().boxed()).collect());
        late.keys.insert(Bytes::from_static(b"a"), Some(Instant::now()));
        assert_eq!(passes(&late)[..2], [Pass::Skipped, Pass::Prompt]);
    }
}
