//! What `@idempotent(key:)` remembers.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

/// Keys live so long.
const LIFE: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Default)]
pub(super) struct Idempotency {
    attempts: HashMap<String, Attempt>,
}

#[derive(Debug)]
struct Attempt {
    /// Mutation and arguments.
    request: Value,
    /// Its whole result; `None`: it ended with errors of the user.
    result: Option<Value>,
    at: Instant,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Known {
    New,
    /// The result of the first time, which is given again.
    Done(Value),
    /// An error's code.
    Refused(&'static str),
}

impl Idempotency {
    pub(super) fn known(&mut self, key: &str, request: &Value) -> Known {
        self.attempts.retain(|_, it| it.at.elapsed() < LIFE);
        match self.attempts.get(key) {
            None => Known::New,
            Some(it) if it.request != *request => Known::Refused("IDEMPOTENCY_KEY_PARAMETER_MISMATCH"),
            Some(Attempt { result: Some(result), .. }) => Known::Done(result.clone()),
            Some(_) => Known::Refused("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"),
        }
    }

    pub(super) fn note(&mut self, key: &str, request: Value, result: Option<Value>) {
        self.attempts.insert(key.to_owned(), Attempt { request, result, at: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_stands_for_one_request_for_a_day() {
        let mut known = Idempotency::default();
        assert_eq!(known.known("k", &json!(1)), Known::New);
        known.note("k", json!(1), Some(json!("done")));
        assert_eq!(known.known("k", &json!(1)), Known::Done(json!("done")));
        assert_eq!(known.known("k", &json!(2)), Known::Refused("IDEMPOTENCY_KEY_PARAMETER_MISMATCH"));
        known.note("bad", json!(1), None);
        assert_eq!(known.known("bad", &json!(1)), Known::Refused("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED"));
        tokio::time::advance(LIFE).await;
        assert_eq!(known.known("k", &json!(2)), Known::New);
    }
}
