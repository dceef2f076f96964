//! When each connection's last delivery came, through whichever door.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::ConnectionId;
use store::{Error, Store};

/// What this process's door saw, in milliseconds; 0: nothing yet, or it is stored.
#[derive(Debug, Default)]
pub struct Pulse(HashMap<String, AtomicI64>);

impl Pulse {
    pub fn new<'a>(connections: impl IntoIterator<Item = &'a ConnectionId>) -> Self {
        Self(connections.into_iter().map(|it| (it.to_string(), AtomicI64::new(0))).collect())
    }

    pub fn beat(&self, connection: &str, at: DateTime<Utc>) {
        if let Some(last) = self.0.get(connection) {
            last.fetch_max(at.timestamp_millis(), Ordering::Relaxed);
        }
    }

    /// Stores what came here, and says how long ago the last one came anywhere. A connection that never had one counts from the
    /// first time that it was looked at.
    pub async fn age(&self, store: &Store, connection: &ConnectionId) -> Result<Duration, Error> {
        let here = self.0.get(connection.as_str()).map_or(0, |it| it.swap(0, Ordering::Relaxed));
        let stored = if here == 0 {
            let sql = "insert into ingest.pulse (source, last_delivery_at) values ($1, now()) on conflict (source) do nothing";
            sqlx::query(sql).bind(connection.as_str()).execute(store.pool()).await
        } else {
            let sql = "insert into ingest.pulse as p (source, last_delivery_at) values ($1, $2)
                       on conflict (source) do update set last_delivery_at = greatest(p.last_delivery_at, excluded.last_delivery_at)";
            let at = DateTime::<Utc>::from_timestamp_millis(here).unwrap_or_default();
            sqlx::query(sql).bind(connection.as_str()).bind(at).execute(store.pool()).await
        };
        if let Err(error) = stored {
            if let Some(last) = self.0.get(connection.as_str()) {
                last.fetch_max(here, Ordering::Relaxed);
            }
            return Err(error.into());
        }
        let sql = "select greatest(0, extract(epoch from now() - last_delivery_at))::float8 from ingest.pulse where source = $1";
        let seconds: f64 = sqlx::query_scalar(sql).bind(connection.as_str()).fetch_one(store.pool()).await?;
        Ok(Duration::try_from_secs_f64(seconds).unwrap_or_default())
    }
}
