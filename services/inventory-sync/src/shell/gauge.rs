//! What waits to be pushed, as metrics.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ConnectionId;
use store::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;
use crate::shell::pusher::Problem;

const INTERVAL: Duration = Duration::from_secs(5);

/// Counts at intervals, until the stop.
pub struct Gauge {
    pub store: Store,
    /// With their locations as they are mapped now: of others nothing waits.
    pub connections: BTreeMap<ConnectionId, Vec<String>>,
    pub metrics: Metrics,
}

impl Gauge {
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            for (connection, locations) in &self.connections {
                if let Err(error) = self.look(connection.as_str(), locations).await {
                    tracing::debug!(%error, "what waits to be pushed was not counted");
                }
            }
        }
    }

    async fn look(&self, connection: &str, locations: &[String]) -> Result<(), Error> {
        let sql = "select count(*), coalesce(extract(epoch from now() - min(dirty_since)), 0)::float8 from stock.desired
                   where connection = $1 and location = any($2) and generation > pushed_generation and problem is null";
        let (rows, oldest): (i64, f64) = sqlx::query_as(sql).bind(connection).bind(locations).fetch_one(self.store.pool()).await?;
        self.metrics.dirty(connection, rows.unsigned_abs(), oldest);
        let sql = "select problem, count(*) from stock.desired
                   where connection = $1 and location = any($2) and generation > pushed_generation and problem is not null group by problem";
        let problems: Vec<(String, i64)> = sqlx::query_as(sql).bind(connection).bind(locations).fetch_all(self.store.pool()).await?;
        for problem in Problem::ALL.map(Problem::as_str) {
            let rows = problems.iter().find(|(it, _)| it == problem).map_or(0, |(_, rows)| rows.unsigned_abs());
            self.metrics.problems(connection, problem, rows);
        }
        Ok(())
    }
}
