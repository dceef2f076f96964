//! Stock of a target: what changed, asked for again and again, and now and then all of it.
//!
//! Both ways end in the same comparison with what was last said, under the entities' rows: events, the new hashes and the
//! cursor are one transaction.

mod levels;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use connector::erp::{Cursor, StockSource};
use domain::{Sku, StockLevel, TargetId};
use fault::{Class, Fault};
use kill_point::{Point, reach};
use serde::{Deserialize, Serialize};
use store::Store;
use store::effects::captures;
use telemetry::spans;
use tokio::time::Instant;
use tracing::Instrument as _;

use crate::ledger::Signals;
use crate::metrics::Metrics;
use levels::Telling;

#[derive(Debug, Clone)]
pub struct CaptureSettings {
    pub interval: Duration,
    /// Of the full comparison.
    pub comparison_interval: Duration,
    /// When more is missing than this, the target most likely does not show us everything.
    pub missing_max: u32,
}

pub struct Capture {
    pub store: Store,
    pub target: TargetId,
    pub source: Arc<dyn StockSource>,
    /// The inventory topic's full name.
    pub topic: String,
    pub settings: CaptureSettings,
    pub metrics: Metrics,
}

/// How far the full comparison is, so that a restart does not begin it anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Comparison {
    /// The last SKU that was compared; `None`: the beginning.
    after: Option<String>,
    /// When the running one began, by the database's clock.
    #[serde(default)]
    begun_at: Option<DateTime<Utc>>,
    /// When the last whole one ended.
    finished_at: Option<DateTime<Utc>>,
}

const CHANGES: &str = "stock";
const COMPARISON: &str = "stock_comparison";
/// Levels of one page of the comparison.
const PAGE: usize = 200;
const BACKOFF_CAP: Duration = Duration::from_secs(30);
/// After an operation the target needs a moment, and others end in the same one.
const SETTLE: Duration = Duration::from_millis(50);

impl Capture {
    /// Never ends by itself. It can be dropped at any point.
    pub async fn run(&self, signals: &Signals) {
        let mut failures = 0;
        let mut last_good = Instant::now();
        loop {
            let turn = self.turn().instrument(spans::job("capture stock"));
            let wait = match turn.await {
                Ok(captured) => {
                    if failures > 0 {
                        tracing::info!(erp = %self.target, failures, "its stock can be read again");
                    }
                    (failures, last_good) = (0, Instant::now());
                    if captured > 0 {
                        signals.outbox.notify_one();
                    }
                    self.settings.interval
                }
                Err(fault) => {
                    failures += 1;
                    self.tell(&fault, failures);
                    backoff(&fault, failures, self.settings.interval)
                }
            };
            self.metrics.capture_age(last_good.elapsed().as_secs_f64());
            if failures > 0 {
                // What was applied meanwhile changes nothing about a target that can't be read.
                tokio::time::sleep(wait).await;
            } else if tokio::time::timeout(wait, signals.applied.notified()).await.is_ok() {
                tokio::time::sleep(SETTLE).await;
            }
        }
    }

    fn tell(&self, fault: &Fault, failures: u32) {
        self.metrics.capture_failed(fault.class);
        // One line when it begins, and again from time to time.
        if failures == 1 || failures.is_multiple_of(20) {
            tracing::warn!(erp = %self.target, class = fault.class.as_str(), code = fault.code, error = %fault, failures, "its stock can't be read, trying again");
        }
    }

    /// What changed since the last turn, and a page of the full comparison if it is due. Returns how many levels were news.
    async fn turn(&self) -> Result<usize, Fault> {
        Ok(self.changes().await? + self.compare().await?)
    }

    pub async fn changes(&self) -> Result<usize, Fault> {
        let mut captured = 0;
        let mut cursor = captures::cursor(&self.store, self.target.as_str(), CHANGES).await?.map(Cursor);
        loop {
            let asked = Instant::now();
            let page = self.source.changed(cursor.as_ref()).await?;
            if cursor.as_ref() != Some(&page.next) || !page.levels.is_empty() {
                captured += self.store_levels(asked, page.levels, CHANGES, page.next.0.clone()).await?;
            }
            if !page.more {
                return Ok(captured);
            }
            cursor = Some(page.next);
        }
    }

    /// One page of the comparison with everything, if one is due.
    pub async fn compare(&self) -> Result<usize, Fault> {
        let stored = captures::cursor(&self.store, self.target.as_str(), COMPARISON).await?;
        let comparison: Comparison = stored.and_then(|it| serde_json::from_value(it).ok()).unwrap_or_default();
        let is_due =
            comparison.after.is_some() || comparison.finished_at.is_none_or(|it| it + self.settings.comparison_interval <= Utc::now());
        if !is_due {
            return Ok(0);
        }
        let begun_at = match comparison.after {
            Some(_) => comparison.begun_at,
            None => Some(captures::now(&self.store).await?),
        };
        let asked = Instant::now();
        let levels = self.source.all(comparison.after.as_deref(), PAGE).await?;
        match levels.iter().map(|it| &it.sku).max().map(Sku::to_string) {
            Some(last) => {
                let value = as_value(&Comparison { after: Some(last), begun_at, ..comparison })?;
                self.store_levels(asked, levels, COMPARISON, value).await
            }
            // A first page with nothing says nothing: there may be nothing, or nothing that we may see.
            None if comparison.after.is_none() => self.finish(None).await,
            None => self.finish(begun_at).await,
        }
    }

    /// The end of a comparison that began then: what it did not come by is gone.
    async fn finish(&self, begun_at: Option<DateTime<Utc>>) -> Result<usize, Fault> {
        let value = as_value(&Comparison { after: None, begun_at: None, finished_at: Some(Utc::now()) })?;
        let looked = match begun_at {
            Some(begun_at) => Some((begun_at, self.source.now().await?)),
            None => None,
        };
        let (target, topic, span) = (self.target.clone(), self.topic.clone(), tracing::Span::current());
        let max = self.settings.missing_max;
        let finished = self.store.transaction(move |tx| {
            Box::pin(async move {
                let telling = Telling { target: &target, topic: &topic, span: &span };
                let buried = match looked {
                    Some((begun_at, observed_at)) => levels::bury(tx, &telling, begun_at, observed_at, max.into()).await?,
                    None => Some(0),
                };
                captures::move_cursor(tx, target.as_str(), COMPARISON, &value).await?;
                Ok(buried)
            })
        });
        let Some(buried) = finished.await? else {
            let runbook = "docs/runbooks/stock-drift.md";
            tracing::error!(erp = %self.target, max, runbook, "more articles are missing in the ERP than may be; none of them is said to be gone");
            return Ok(0);
        };
        self.metrics.captured(buried);
        Ok(buried)
    }

    /// Events of those that are news, with the cursor, in one transaction. `asked`: when the target was, by our own clock.
    async fn store_levels(
        &self,
        asked: Instant,
        levels: Vec<StockLevel>,
        cursor: &'static str,
        value: serde_json::Value,
    ) -> Result<usize, Fault> {
        reach(Point::CaptureRead);
        let (target, topic, span) = (self.target.clone(), self.topic.clone(), tracing::Span::current());
        let stored = self.store.transaction(move |tx| {
            Box::pin(async move {
                // A process that stood still may have been overtaken by more than times can tell.
                if asked.elapsed() >= levels::BEHIND_MAX {
                    return Ok(None);
                }
                let telling = Telling { target: &target, topic: &topic, span: &span };
                let captured = levels::store(tx, &telling, levels, cursor == COMPARISON).await?;
                // What is behind is read once more, from where it was.
                if captured.is_some() {
                    captures::move_cursor(tx, target.as_str(), cursor, &value).await?;
                }
                Ok(captured)
            })
        });
        let captured = stored.await?.ok_or_else(behind)?;
        self.metrics.captured(captured);
        Ok(captured)
    }
}

/// A clock that was set back, or two servers behind one address.
fn behind() -> Fault {
    let message =
        "a level changed, and by the target's own clock it was read before the last one: nothing is told until the clock has gone on";
    Fault::new(Class::Transient, "erp_clock_back", message)
}

fn as_value(comparison: &Comparison) -> Result<serde_json::Value, Fault> {
    serde_json::to_value(comparison).map_err(|error| Fault::new(Class::Poison, "capture_cursor", error.to_string()))
}

/// As long as was asked; otherwise ever longer, and for a bad secret at once as long as it gets.
fn backoff(fault: &Fault, failures: u32, interval: Duration) -> Duration {
    match (fault.retry_after, fault.class) {
        (Some(wait), _) => wait.max(interval),
        (None, Class::Auth) => BACKOFF_CAP,
        (None, _) => interval.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(BACKOFF_CAP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_time_gets_it_and_a_bad_secret_is_not_hammered() {
        let second = Duration::from_secs(1);
        let mut limited = Fault::new(Class::RateLimited, "slow", "slow down");
        limited.retry_after = Some(Duration::from_secs(7));
        assert_eq!(backoff(&limited, 1, second), Duration::from_secs(7));
        assert_eq!(backoff(&Fault::new(Class::Auth, "secret", "401"), 1, second), BACKOFF_CAP);
        let away = Fault::new(Class::Outage, "away", "refused");
        assert_eq!([1, 2, 3, 99].map(|it| backoff(&away, it, second).as_secs()), [2, 4, 8, 30]);
    }
}
