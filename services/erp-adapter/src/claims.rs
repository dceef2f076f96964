//! What this process is at, by operation key.
//!
//! The database keeps processes apart; this keeps a process apart from itself: a partition that went and came back brings a
//! record a second time while the first is still on the wire. It also knows which claims were sent, which the rows can't say.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use pipeline::Record;

/// A step's index and the fence of its claim.
pub type Claim = (usize, i64);

#[derive(Default)]
pub struct Claims {
    held: Mutex<HashMap<String, Held>>,
}

struct Held {
    /// The delivery that holds it. Kept, so that no other one can have its address.
    record: Arc<Record>,
    claim: Option<Claim>,
    sent: Option<Claim>,
}

impl Claims {
    /// False: another delivery of this process is at it.
    pub fn reserve(&self, op_key: &str, record: &Arc<Record>) -> bool {
        let mut held = self.lock();
        if let Some(held) = held.get(op_key) {
            return Arc::ptr_eq(&held.record, record);
        }
        held.insert(op_key.to_owned(), Held { record: Arc::clone(record), claim: None, sent: None });
        true
    }

    pub fn release(&self, op_key: &str, record: &Arc<Record>) {
        let mut held = self.lock();
        if held.get(op_key).is_some_and(|it| Arc::ptr_eq(&it.record, record)) {
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

    /// Operations whose last claim was never sent.
    pub fn unsent(&self) -> Vec<String> {
        let held = self.lock();
        held.iter().filter(|(_, it)| it.claim.is_some() && it.claim != it.sent).map(|(op_key, _)| op_key.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().expect("nobody panics with it")
    }
}
