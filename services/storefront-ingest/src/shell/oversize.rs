//! Deliveries over the size limit leave a line in the audit: their sender gives up on them, and a human has to know.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use connector::storefront::DeliveryFacts;
use store::{Store, letters};

/// One line per connection and minute: whoever sends them has not been asked for a signature, since nobody reads what is over
/// the limit.
#[derive(Debug, Default)]
pub struct Oversize {
    last: Mutex<HashMap<String, Instant>>,
}

impl Oversize {
    /// Returns at once; the line is written behind the answer.
    pub fn note(&self, store: &Store, connection: &str, facts: &DeliveryFacts, limit: usize) {
        if !self.is_due(connection, Instant::now()) {
            return;
        }
        let runbook = "docs/runbooks/door-refuses.md";
        tracing::error!(
            connection,
            topic = facts.topic,
            limit,
            runbook,
            "a delivery over the size limit was refused, its sender will give it up"
        );
        let (store, identity) = (store.clone(), &facts.identity);
        let detail = format!("connection {connection}: {identity} has more than {limit} bytes; refused, its signature unseen");
        tokio::spawn(async move {
            let written = store.transaction(move |tx| {
                Box::pin(async move { letters::audit(tx, "storefront-ingest", "delivery.too_large", None, &detail, None).await })
            });
            if let Err(error) = written.await {
                tracing::warn!(%error, "a delivery over the size limit is not in the audit");
            }
        });
    }

    fn is_due(&self, connection: &str, now: Instant) -> bool {
        let mut last = self.last.lock().expect("nobody panics with it");
        let is_due = last.get(connection).is_none_or(|it| now.duration_since(*it) >= PAUSE);
        if is_due {
            last.insert(connection.to_owned(), now);
        }
        is_due
    }
}

const PAUSE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_per_connection_and_minute() {
        let (oversize, start) = (Oversize::default(), Instant::now());
        assert!(oversize.is_due("shop-eu", start));
        assert!(!oversize.is_due("shop-eu", start + Duration::from_secs(59)));
        assert!(oversize.is_due("shop-us", start));
        assert!(oversize.is_due("shop-eu", start + Duration::from_secs(60)));
    }
}
