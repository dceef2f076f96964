//! What this process is at, by operation key.
//!
//! The database keeps processes apart; this keeps a process apart from itself: a partition that went and came back brings a
//! record a second time while the first is still on the wire. It also knows which claims were sent, which the rows can't say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use pipeline::Record;

/// A step's name and the fence of its claim.
pub type Claim = (&'static str, i64);

#[derive(Default)]
pub struct Claims {
    held: Mutex<HashMap<String, Held>>,
}

struct Held {
    /// The delivery that holds it. Once the engine has dropped that one nobody is at it any more.
    by: Weak<Record>,
    claim: Option<Claim>,
    sent: Option<Claim>,
}

impl Held {
    fn is_of(&self, record: &Arc<Record>) -> bool {
        std::ptr::eq(self.by.as_ptr(), Arc::as_ptr(record))
    }

    fn is_orphan(&self) -> bool {
        self.by.strong_count() == 0
    }
}

impl Claims {
    /// False: another delivery of this process is at it.
    pub fn reserve(&self, op_key: &str, record: &Arc<Record>) -> bool {
        let mut held = self.lock();
        match held.get_mut(op_key) {
            Some(held) if held.is_of(record) => true,
            // What the dropped one claimed and sent is still so.
            Some(held) if held.is_orphan() => {
                held.by = Arc::downgrade(record);
                true
            }
            Some(_) => false,
            None => {
                held.insert(op_key.to_owned(), Held { by: Arc::downgrade(record), claim: None, sent: None });
                true
            }
        }
    }

    pub fn release(&self, op_key: &str, record: &Arc<Record>) {
        let mut held = self.lock();
        if held.get(op_key).is_some_and(|it| it.is_of(record)) {
            held.remove(op_key);
        }
    }

    /// Its claim is committed.
    pub fn claimed(&self, op_key: &str, claim: Claim) {
        if let Some(held) = self.lock().get_mut(op_key) {
            held.claim = Some(claim);
        }
    }

    /// Its request is about to be written.
    pub fn sending(&self, op_key: &str, claim: Claim) {
        if let Some(held) = self.lock().get_mut(op_key) {
            held.sent = Some(claim);
        }
    }

    pub fn was_sent(&self, op_key: &str, claim: Claim) -> bool {
        self.lock().get(op_key).is_some_and(|it| it.sent == Some(claim))
    }

    /// Claims whose delivery the engine has dropped before they were sent: a revocation, a stop. They are forgotten here, and
    /// are to be given back.
    pub fn take_orphans(&self) -> Vec<(String, Claim)> {
        let mut orphans = Vec::new();
        self.lock().retain(|op_key, held| {
            let is_unsent = held.is_orphan() && held.sent != held.claim;
            orphans.extend(held.claim.filter(|_| is_unsent).map(|claim| (op_key.clone(), claim)));
            !is_unsent
        });
        orphans
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().expect("nobody panics with it")
    }
}

#[cfg(test)]
mod tests {
    use contracts::headers::Headers;
    use pipeline::{Origin, Partition};

    use super::*;

    fn record() -> Arc<Record> {
        let partition = Partition::new("t", 0);
        let (key, value, headers) = ("k".into(), "v".into(), Headers::default());
        Arc::new(Record { partition, offset: 0, timestamp_ms: 0, key, value, headers, origin: Origin::Topic })
    }

    #[test]
    fn one_delivery_at_a_time_is_at_an_operation() {
        let (claims, first, second) = (Claims::default(), record(), record());
        assert!(claims.reserve("op", &first));
        assert!(claims.reserve("op", &first), "it comes again with its result");
        assert!(!claims.reserve("op", &second));
        claims.release("op", &second);
        assert!(!claims.reserve("op", &second), "only its holder lets go");
        claims.release("op", &first);
        assert!(claims.reserve("op", &second));
    }

    #[test]
    fn who_follows_a_dropped_delivery_knows_whether_it_was_sent() {
        let (claims, first, second) = (Claims::default(), record(), record());
        claims.reserve("op", &first);
        claims.claimed("op", ("create", 1));
        claims.sending("op", ("create", 1));
        drop(first);
        assert_eq!(claims.take_orphans(), [], "it may be in the target");
        assert!(claims.reserve("op", &second));
        assert!(claims.was_sent("op", ("create", 1)));
    }

    #[test]
    fn claims_that_were_dropped_unsent_are_given_back_once() {
        let (claims, first) = (Claims::default(), record());
        claims.reserve("op", &first);
        claims.claimed("op", ("create", 3));
        assert_eq!(claims.take_orphans(), [], "somebody is at it");
        drop(first);
        assert_eq!(claims.take_orphans(), [("op".to_owned(), ("create", 3))]);
        assert_eq!(claims.take_orphans(), []);
    }
}
