//! Re-reads: entities whose deliveries were deltas or disagreed are read whole at their source, and enter the raw topic as
//! deliveries of their own.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::Producer;
use chrono::Utc;
use connector::storefront::ReRead;
use domain::{AggregateKey, ConnectionId, EntityKind, EntityRef};
use fault::Fault;
use store::{Error, Store};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::core::raw;

pub struct ReReads {
    pub store: Store,
    pub producer: Producer,
    pub connections: HashMap<ConnectionId, Arc<dyn ReRead>>,
    /// The raw topic's full name.
    pub raw_topic: String,
    pub interval: Duration,
}

struct Due {
    entity: EntityRef,
    generation: i64,
    attempts: i32,
}

impl ReReads {
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            match self.claim().await {
                Ok(due) => {
                    for it in due {
                        let span = telemetry::spans::job("reread");
                        self.one(&it).instrument(span).await;
                    }
                }
                Err(error) => tracing::debug!(%error, "re-reads wait for the database"),
            }
        }
    }

    async fn claim(&self) -> Result<Vec<Due>, Error> {
        let sql = "update ingest.reread set claimed_until = now() + interval '60 seconds', attempts = attempts + 1
                   where (source, kind, id) in (
                     select source, kind, id from ingest.reread
                     where due_at <= now() and (claimed_until is null or claimed_until < now()) order by due_at limit 20 for update skip locked)
                   returning source, kind, id, generation, attempts";
        let rows: Vec<(String, String, String, i64, i32)> = sqlx::query_as(sql).fetch_all(self.store.pool()).await?;
        let due = rows.into_iter().filter_map(|(source, kind, id, generation, attempts)| {
            let entity = EntityRef::new(source.parse().ok()?, kind.parse().ok()?, id);
            Some(Due { entity, generation, attempts })
        });
        Ok(due.collect())
    }

    async fn one(&self, due: &Due) {
        let settled = match self.read(&due.entity).await {
            Ok(()) => self.done(due).await,
            Err(fault) => {
                tracing::warn!(entity = %due.entity, error = %fault, attempts = due.attempts, "a re-read failed and is tried again");
                self.later(due, &fault).await
            }
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "a re-read is done once more: its end was not stored");
        }
    }

    async fn read(&self, entity: &EntityRef) -> Result<(), Fault> {
        let Some(reread) = self.connections.get(&entity.connection) else { return Ok(()) };
        let read_at = Utc::now();
        let Some((topic, body)) = reread.read(entity).await? else {
            tracing::warn!(%entity, "the source does not know this entity any more");
            return Ok(());
        };
        let key = match entity.kind {
            EntityKind::Customer => AggregateKey::customer(&entity.connection, &entity.id),
            _ => AggregateKey::order(&entity.connection, &entity.id),
        };
        let record = raw::of_reread(&self.raw_topic, entity, key.as_str(), &topic, body, read_at);
        self.producer.produce(&record).await?;
        Ok(())
    }

    /// A request that came while we were reading stays.
    async fn done(&self, due: &Due) -> Result<(), Error> {
        let sql = "with gone as (delete from ingest.reread where source = $1 and kind = $2 and id = $3 and generation = $4)
                   update ingest.reread set claimed_until = null where source = $1 and kind = $2 and id = $3 and generation <> $4";
        self.execute(sql, due, due.generation).await
    }

    async fn later(&self, due: &Due, fault: &Fault) -> Result<(), Error> {
        let backoff = Duration::from_secs(1 << due.attempts.clamp(0, 8));
        let wait = fault.retry_after.unwrap_or(backoff).min(Duration::from_secs(600));
        let sql = "update ingest.reread set claimed_until = null, due_at = now() + make_interval(secs => $4) where source = $1 and kind = $2 and id = $3";
        sqlx::query(sql)
            .bind(due.entity.connection.as_str())
            .bind(due.entity.kind.as_str())
            .bind(&due.entity.id)
            .bind(wait.as_secs_f64())
            .execute(self.store.pool())
            .await?;
        Ok(())
    }

    async fn execute(&self, sql: &'static str, due: &Due, generation: i64) -> Result<(), Error> {
        sqlx::query(sql)
            .bind(due.entity.connection.as_str())
            .bind(due.entity.kind.as_str())
            .bind(&due.entity.id)
            .bind(generation)
            .execute(self.store.pool())
            .await?;
        Ok(())
    }
}
