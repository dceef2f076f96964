//! The points that queries cost: a bucket that refills steadily.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

/// How many points a client has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Points {
    pub maximum: u64,
    /// Per second.
    pub restore_rate: u64,
}

impl Default for Points {
    /// As shops of the biggest plan show it.
    fn default() -> Self {
        Self { maximum: 20_000, restore_rate: 1000 }
    }
}

#[derive(Debug)]
pub(super) struct Bucket {
    points: Points,
    available: f64,
    at: Instant,
    /// Refuses so many queries, whatever is available.
    refusals: u64,
}

/// What a query would cost at most, and whether it may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Runs,
    Throttled,
}

impl Bucket {
    pub(super) fn new(points: Points) -> Self {
        Self { points, available: points.maximum as f64, at: Instant::now(), refusals: 0 }
    }

    pub(super) fn refuse(&mut self, times: u64) {
        self.refusals = times;
    }

    /// Leaves so many points.
    pub(super) fn drain(&mut self, left: u64) {
        self.refill();
        self.available = self.available.min(left as f64);
    }

    pub(super) fn admit(&mut self, requested: u64) -> Admission {
        self.refill();
        if self.refusals > 0 {
            self.refusals -= 1;
            return Admission::Throttled;
        }
        if self.available < requested as f64 { Admission::Throttled } else { Admission::Runs }
    }

    /// Takes what the query really cost.
    pub(super) fn take(&mut self, actual: u64) {
        self.available -= actual as f64;
    }

    /// The `extensions` of an answer; `actual` is `None` for a query that did not run.
    pub(super) fn extensions(&mut self, requested: u64, actual: Option<u64>) -> Value {
        self.refill();
        json!({
            "cost": {
                "requestedQueryCost": requested,
                "actualQueryCost": actual,
                "throttleStatus": {
                    "maximumAvailable": self.points.maximum as f64,
                    "currentlyAvailable": self.available.max(0.0).floor() as u64,
                    "restoreRate": self.points.restore_rate as f64,
                },
            }
        })
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let since: Duration = now - self.at;
        self.at = now;
        self.available = (self.available + since.as_secs_f64() * self.points.restore_rate as f64).min(self.points.maximum as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn spent_points_come_back_at_their_rate_and_never_over_the_brim() {
        let mut bucket = Bucket::new(Points { maximum: 1000, restore_rate: 50 });
        assert_eq!(bucket.admit(1000), Admission::Runs);
        bucket.take(990);
        assert_eq!(bucket.admit(11), Admission::Throttled);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(bucket.admit(110), Admission::Runs);
        assert_eq!(bucket.extensions(110, None)["cost"]["throttleStatus"]["currentlyAvailable"], 110);
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert_eq!(bucket.extensions(0, None)["cost"]["throttleStatus"]["currentlyAvailable"], 1000);
    }
}
