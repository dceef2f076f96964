//! The subscriptions' watchdog: a platform that deletes them tells nobody. What is missing is made again, and what happened
//! meanwhile is swept.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use connector::storefront::Subscriptions;
use fault::Fault;
use store::Error;

use super::{Round, Sweeper};

impl Sweeper {
    pub(super) async fn watch(&self, round: &mut Round) -> Result<(), Fault> {
        let Some(subscriptions) = &self.subscriptions else { return Ok(()) };
        if Instant::now() < round.watch_due {
            return Ok(());
        }
        let watched = self.compare(&**subscriptions, round).await;
        let interval = self.settings.subscriptions_interval;
        round.watch_due = self.next(if watched.is_ok() { interval } else { interval.min(AGAIN) });
        watched
    }

    async fn compare(&self, subscriptions: &dyn Subscriptions, round: &mut Round) -> Result<(), Fault> {
        let present = subscriptions.present().await?;
        let missing: BTreeSet<&String> = subscriptions.wanted().difference(&present).collect();
        let mut is_news = missing.iter().any(|it| !round.missing.contains(*it));
        self.metrics.subscriptions_missing(self.connection.as_str(), missing.len());
        if missing.is_empty() {
            round.missing.clear();
            return Ok(self.all_present().await?);
        }
        tracing::warn!(
            connection = %self.connection,
            topics = %missing.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", "),
            runbook = "docs/runbooks/webhooks-silent.md",
            "webhook subscriptions are missing; they are made again, and what happened meanwhile is swept"
        );
        if is_news {
            // First the order, then the cure: a process that ends between the two leaves a sweep too many, not a gap.
            self.sweep_back().await?;
        }
        // What can't be made is missing at every look. Sweeps find what it would tell; going back each time would find it again.
        round.missing = missing.iter().map(|it| (*it).clone()).collect();
        let mut failed = None;
        for topic in missing {
            match subscriptions.create(topic).await {
                Ok(()) => {
                    is_news = true;
                    round.missing.remove(topic);
                    self.metrics.subscribed(self.connection.as_str());
                }
                Err(fault) => failed = failed.or(Some(fault)),
            }
        }
        if is_news {
            round.courses.iter_mut().for_each(super::Course::begin_anew);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Up to here nothing can have been lost for want of a subscription.
    async fn all_present(&self) -> Result<(), Error> {
        let sql = "update ingest.sweep set present_position = position where source = $1 and present_position is distinct from position";
        sqlx::query(sql).bind(self.connection.as_str()).execute(self.store.pool()).await?;
        Ok(())
    }

    /// The next sweep begins where all were last seen present, by the time of the source.
    async fn sweep_back(&self) -> Result<(), Error> {
        let sql = "update ingest.sweep set position = least(position, present_position) where source = $1";
        sqlx::query(sql).bind(self.connection.as_str()).execute(self.store.pool()).await?;
        Ok(())
    }
}

/// After a failure.
const AGAIN: Duration = Duration::from_secs(60);
