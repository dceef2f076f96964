use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

/// Ready when every latch is released, and one was made at all. Make all latches before the first is released. Only what is
/// ours to vouch for gets one: a target that is away does not make us unready, its work waits.
#[derive(Clone)]
pub struct Readiness(Arc<watch::Sender<State>>);

#[derive(Default)]
struct State {
    /// Why it still holds; `None` once released.
    latches: BTreeMap<&'static str, Option<String>>,
    stopping: bool,
}

impl State {
    fn waiting(&self) -> Vec<(String, String)> {
        if self.stopping {
            return vec![("stop".to_owned(), "the service is stopping".to_owned())];
        }
        if self.latches.is_empty() {
            return vec![("start".to_owned(), "the service has not begun".to_owned())];
        }
        let held = self.latches.iter().filter_map(|(name, why)| Some(((*name).to_owned(), why.clone()?)));
        held.collect()
    }
}

/// Holds readiness back under a name. Clones are the same latch; dropping one releases nothing.
#[derive(Clone)]
pub struct Latch {
    name: &'static str,
    state: Arc<watch::Sender<State>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(State::default())))
    }
}

impl Readiness {
    /// A new latch, not released. The same name again is the same latch, and holds again.
    pub fn latch(&self, name: &'static str) -> Latch {
        let latch = Latch { name, state: Arc::clone(&self.0) };
        latch.take_back("not there yet");
        latch
    }

    /// What readiness waits for, each with its reason. Empty = ready.
    pub fn waiting(&self) -> Vec<(String, String)> {
        self.0.borrow().waiting()
    }

    pub fn is_ready(&self) -> bool {
        self.waiting().is_empty()
    }

    /// Returns once everything is released; at once if it is.
    pub async fn ready(&self) {
        let ready = self.0.subscribe().wait_for(|state| state.waiting().is_empty()).await.is_ok();
        debug_assert!(ready, "self keeps the sender");
    }

    /// Not ready any more, for good: no new work comes while the old is finished.
    pub fn stop(&self) {
        self.0.send_modify(|state| state.stopping = true);
    }
}

impl Latch {
    pub fn release(&self) {
        self.set(None);
    }

    /// Not ready again; `why` is what the probe's answer says.
    pub fn take_back(&self, why: impl Into<String>) {
        self.set(Some(why.into()));
    }

    fn set(&self, why: Option<String>) {
        self.state.send_modify(|state| {
            state.latches.insert(self.name, why);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(readiness: &Readiness) -> Vec<String> {
        readiness.waiting().into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn nothing_is_ready_before_it_began_and_after_it_stopped() {
        let readiness = Readiness::default();
        assert_eq!(names(&readiness), ["start"]);
        readiness.latch("kafka").release();
        assert!(readiness.is_ready());
        readiness.stop();
        assert_eq!(names(&readiness), ["stop"]);
    }

    #[tokio::test]
    async fn every_latch_has_to_be_released_and_can_be_taken_back() {
        let readiness = Readiness::default();
        let (kafka, store) = (readiness.latch("kafka"), readiness.latch("store"));
        store.release();
        assert_eq!(names(&readiness), ["kafka"]);
        let waiter = tokio::spawn({
            let readiness = readiness.clone();
            async move { readiness.ready().await }
        });
        kafka.release();
        waiter.await.unwrap();
        store.take_back("the pool is empty");
        assert_eq!(readiness.waiting(), [("store".to_owned(), "the pool is empty".to_owned())]);
    }
}
