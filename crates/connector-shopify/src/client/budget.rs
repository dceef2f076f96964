//! Paces calls by what Shopify said is left of the shop's budget, which other apps share and plans differ in.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::Query;
use super::answer::Cost;
use crate::error::CallError;

#[derive(Debug, Default)]
pub(super) struct Pace {
    budget: Mutex<Budget>,
}

/// A call that may be sent. Its points are held back from others until it ends, however it ends.
pub(super) struct Turn<'a> {
    pace: &'a Pace,
    operation: &'static str,
    cost: f64,
}

impl Pace {
    /// Waits until the budget has room for the query. An error, and no wait, when that would take longer than `wait_max`.
    pub(super) async fn turn(&self, query: &Query, wait_max: Duration) -> Result<Turn<'_>, CallError> {
        let deadline = Instant::now() + wait_max;
        loop {
            let (wait, cost, left) = {
                let mut budget = self.lock();
                let cost = budget.cost_of(query);
                match budget.reserve(cost, Instant::now()) {
                    Ok(()) => return Ok(Turn { pace: self, operation: query.operation, cost }),
                    Err(wait) => (wait, cost, budget.free(Instant::now())),
                }
            };
            if Instant::now() + wait > deadline {
                let whole = |points: f64| Duration::try_from_secs_f64(points).map_or(0, |it| it.as_secs());
                return Err(CallError::Throttled { needed: whole(cost), available: whole(left), retry_after: wait });
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// What is left of the whole budget, from 0 to 1; `None` until the first answer.
    pub(super) fn spare(&self, now: Instant) -> Option<f64> {
        let budget = self.lock();
        budget.known.map(|it| (budget.free(now) / it.maximum.max(1.0)).clamp(0.0, 1.0))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Budget> {
        // Numbers are whole after each statement: a panic elsewhere cannot have left half of one.
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn<'_> {
    /// What the answer said.
    pub(super) fn paid(&self, cost: &Cost, now: Instant) {
        let mut budget = self.pace.lock();
        if let Some(requested) = cost.requested_query_cost {
            budget.costs.insert(self.operation, requested);
        }
        budget.known = Some(Known {
            available: cost.throttle_status.currently_available,
            maximum: cost.throttle_status.maximum_available,
            rate: cost.throttle_status.restore_rate.max(1.0),
            at: now,
        });
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pace.lock().held -= self.cost;
    }
}

#[derive(Debug, Default)]
struct Budget {
    /// `None` until the first answer: the first calls are sent on trust.
    known: Option<Known>,
    /// By calls on their way.
    held: f64,
    /// What each operation was said to cost.
    costs: HashMap<&'static str, f64>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    available: f64,
    maximum: f64,
    rate: f64,
    at: Instant,
}

impl Budget {
    fn cost_of(&self, query: &Query) -> f64 {
        let guess = u32::try_from(query.cost).map_or(f64::MAX, f64::from);
        self.costs.get(query.operation).copied().unwrap_or(guess)
    }

    fn free(&self, now: Instant) -> f64 {
        self.known.map_or(f64::INFINITY, |it| {
            let restored = it.available + now.duration_since(it.at).as_secs_f64() * it.rate;
            restored.min(it.maximum) - self.held
        })
    }

    /// Holds the points back, or says how long to wait until they may be there.
    fn reserve(&mut self, cost: f64, now: Instant) -> Result<(), Duration> {
        if let Some(known) = self.known {
            // A query that costs more than the whole bucket is sent when the bucket is full; Shopify will say no.
            let missing = cost.min(known.maximum) - self.free(now);
            // Alone, held points cannot block forever: they are given back when their calls end.
            if missing > 0.0 {
                let wait = Duration::try_from_secs_f64(missing / known.rate).unwrap_or(Duration::MAX);
                return Err(wait.max(Duration::from_millis(10)));
            }
        }
        self.held += cost;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::answer::ThrottleStatus;
    use super::*;

    const QUERY: Query = Query { operation: "TestQuery", text: "", cost: 10 };

    fn said(requested: f64, left: f64) -> Cost {
        let throttle_status = ThrottleStatus { maximum_available: 1000.0, currently_available: left, restore_rate: 50.0 };
        Cost { requested_query_cost: Some(requested), throttle_status }
    }

    /// Seconds that a call waits after an answer that said this.
    async fn waited(requested: f64, left: f64) -> Option<f64> {
        let pace = Pace::default();
        pace.turn(&QUERY, Duration::ZERO).await.unwrap().paid(&said(requested, left), Instant::now());
        let start = Instant::now();
        let turn = pace.turn(&QUERY, Duration::from_secs(5)).await;
        turn.ok().map(|_| start.elapsed().as_secs_f64())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_waits_for_the_points_that_it_lacks() {
        assert_eq!(waited(100.0, 900.0).await, Some(0.0));
        assert_eq!(waited(100.0, 100.0).await, Some(0.0));
        let two_seconds = waited(100.0, 0.0).await.unwrap();
        assert!((2.0..2.1).contains(&two_seconds), "{two_seconds}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_is_the_callers_business() {
        assert_eq!(waited(900.0, 0.0).await, None);
        let pace = Pace::default();
        pace.turn(&QUERY, Duration::ZERO).await.unwrap().paid(&said(900.0, 0.0), Instant::now());
        let error = pace.turn(&QUERY, Duration::from_secs(5)).await.err().unwrap();
        assert_eq!(error, CallError::Throttled { needed: 900, available: 0, retry_after: Duration::from_secs(18) });
    }

    #[tokio::test(start_paused = true)]
    async fn calls_on_their_way_hold_their_points_until_they_end() {
        let pace = Pace::default();
        pace.turn(&QUERY, Duration::ZERO).await.unwrap().paid(&said(100.0, 150.0), Instant::now());
        let first = pace.turn(&QUERY, Duration::ZERO).await.unwrap();
        assert!(pace.turn(&QUERY, Duration::ZERO).await.is_err(), "50 are left");
        drop(first);
        assert!(pace.turn(&QUERY, Duration::ZERO).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_spare_is_what_was_said_less_what_is_held_and_comes_back_with_time() {
        let pace = Pace::default();
        assert_eq!(pace.spare(Instant::now()), None, "nothing was said yet");
        pace.turn(&QUERY, Duration::ZERO).await.unwrap().paid(&said(100.0, 400.0), Instant::now());
        assert_eq!(pace.spare(Instant::now()), Some(0.4));
        let held = pace.turn(&QUERY, Duration::ZERO).await.unwrap();
        assert_eq!(pace.spare(Instant::now()), Some(0.3));
        drop(held);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pace.spare(Instant::now()), Some(0.5));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(pace.spare(Instant::now()), Some(1.0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_call_is_sent_on_trust() {
        assert!(Pace::default().turn(&QUERY, Duration::ZERO).await.is_ok());
    }
}
