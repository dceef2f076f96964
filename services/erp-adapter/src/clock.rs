//! The target's clock, as far as we know it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use connector::erp::StockSource;

/// Stock observations carry the target's time, and whoever compares them with our confirmations must not take an observation
/// that began before a confirmation for a later one. So confirmations are dated by the target's clock, never too early.
#[derive(Debug, Default)]
pub struct TargetClock {
    /// How far the target's clock is ahead of ours.
    ahead_ms: AtomicI64,
}

/// Targets tell their time in whole seconds, cut off.
const RESOLUTION: TimeDelta = TimeDelta::seconds(1);
const INTERVAL: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(5);

impl TargetClock {
    /// Asks now and then. Never ends by itself; a target that can't be asked is told of by whoever reads its stock.
    pub async fn keep(&self, source: &dyn StockSource) {
        loop {
            let asked = Utc::now();
            let wait = match source.now().await {
                Ok(told) => {
                    self.learn(asked, told, Utc::now());
                    INTERVAL
                }
                Err(_) => RETRY,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// `asked` and `answered`, by our clock, around the target's `told`.
    fn learn(&self, asked: DateTime<Utc>, told: DateTime<Utc>, answered: DateTime<Utc>) {
        let middle = asked + (answered - asked) / 2;
        let ahead = told - middle + RESOLUTION;
        self.ahead_ms.store(ahead.num_milliseconds(), Ordering::Relaxed);
    }

    pub fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::milliseconds(self.ahead_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_never_before_the_targets_own() {
        let clock = TargetClock::default();
        let asked = Utc::now();
        let told = asked + TimeDelta::seconds(30);
        clock.learn(asked, told, asked + TimeDelta::milliseconds(200));
        let now = clock.now();
        assert!(now >= told && now <= told + TimeDelta::seconds(3), "{now} {told}");
    }
}
