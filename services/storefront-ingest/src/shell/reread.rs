//! Re-reads: entities whose deliveries were deltas or disagreed are read whole at their source, and enter the raw topic as
//! deliveries of their own. So do entities of which a sweep found that we don't know their version, and the answer that the
//! source has an entity no more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::Producer;
use chrono::{DateTime, Utc};
use connector::storefront::{Listing, ReRead};
use domain::{ConnectionId, EntityRef};
use fault::{Answer, Fault};
use kill_point::{Point, reach};
use pipeline::OutRecord;
use sqlx::Row as _;
use sqlx::postgres::PgRow;
use store::{Error, Store};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use crate::core::patience::Patience;
use crate::core::raw;
use crate::core::sweep::{FoundBy, has_room};
use crate::metrics::Metrics;

pub struct ReReads {
    pub store: Store,
    pub producer: Producer,
    pub connections: HashMap<ConnectionId, Arc<dyn ReRead>>,
    /// They know what is left of a platform's budget.
    pub listings: HashMap<ConnectionId, Arc<dyn Listing>>,
    /// The share of it that scans and backfills leave alone.
    pub reserve: f64,
    /// The raw topic's full name.
    pub raw_topic: String,
    pub interval: Duration,
    pub metrics: Metrics,
}

/// A request that this process works on.
#[derive(Debug)]
struct Due {
    entity: EntityRef,
    generation: i64,
    attempts: i32,
    /// The last look found nothing.
    was_missing: bool,
    /// The source has said that it is gone.
    told_gone: bool,
    found_by: Option<FoundBy>,
    /// By the clock of the database, like the times of the decisions that wait for it: no read begins before it.
    claimed_at: DateTime<Utc>,
}

impl Due {
    fn read(row: &PgRow) -> Result<Self, Error> {
        let text = |name| row.try_get::<String, _>(name);
        let connection = text("source")?.parse().map_err(|_| corrupt("the source of a re-read"))?;
        let kind = text("kind")?.parse().map_err(|_| corrupt("the kind of a re-read"))?;
        Ok(Self {
            entity: EntityRef::new(connection, kind, text("id")?),
            generation: row.try_get("generation")?,
            attempts: row.try_get("attempts")?,
            was_missing: row.try_get("was_missing")?,
            told_gone: row.try_get("told_gone")?,
            found_by: row.try_get::<Option<String>, _>("found_by")?.as_deref().and_then(FoundBy::parse),
            claimed_at: row.try_get("claimed_at")?,
        })
    }
}

/// One connection's re-reads.
struct Line {
    connection: ConnectionId,
    patience: Patience,
    /// A record did not get there: until Kafka answers, the shop is read in vain.
    kafka_is_away: bool,
}

/// How a re-read ended.
struct End {
    shop: Result<(), Fault>,
    kafka_is_away: bool,
}

/// How a look at the source ended.
enum Seen {
    There,
    Missing,
    Gone,
}

impl Seen {
    fn as_str(&self) -> &'static str {
        match self {
            Self::There => "read",
            Self::Missing => "missing",
            Self::Gone => "gone",
        }
    }
}

impl ReReads {
    /// Connection by connection, side by side: a shop that is slow or away keeps no other waiting. A read that is cut off by the stop
    /// is done again.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut lines: JoinSet<()> = this.connections.keys().map(|it| Arc::clone(&this).work(it.clone())).collect();
        let over = async {
            while lines.join_next().await.transpose().expect("re-reads do not panic").is_some() {}
            stop.cancelled().await;
        };
        stop.run_until_cancelled(over).await;
    }

    async fn work(self: Arc<Self>, connection: ConnectionId) {
        let mut ticks = tokio::time::interval(self.interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut line = Line { connection, patience: Patience::new(SLOTS), kafka_is_away: false };
        loop {
            ticks.tick().await;
            while self.turn(&mut line).await == SLOTS && !line.kafka_is_away {}
        }
    }

    /// What a delivery told meanwhile has not to be read.
    async fn drop_known(&self, connection: &ConnectionId) -> Result<(), Error> {
        let sql = "delete from ingest.reread r using ingest.entity e
                   where r.source = $1 and r.wanted is not null and (r.claimed_until is null or r.claimed_until < now())
                     and e.source = r.source and e.kind = r.kind and e.id = r.id and e.updated_at >= r.wanted";
        let known = sqlx::query(sql).bind(connection.as_str()).execute(self.store.pool()).await?.rows_affected();
        self.metrics.rereads("known", known);
        Ok(())
    }

    /// Returns how many there were.
    async fn turn(self: &Arc<Self>, line: &mut Line) -> usize {
        if line.kafka_is_away && self.producer.probe(PROBE).await.is_err() {
            return 0;
        }
        let Line { connection, patience, kafka_is_away } = line;
        let allowed = patience.allows(Instant::now());
        if allowed == 0 {
            return 0;
        }
        let due = self.claim(connection, allowed).await.unwrap_or_else(|error| {
            tracing::debug!(%error, "re-reads wait for the database");
            Vec::new()
        });
        let mut reading = JoinSet::new();
        for it in due {
            let this = Arc::clone(self);
            reading.spawn(async move { this.one(&it).await }.instrument(telemetry::spans::job("reread")));
        }
        let ends = reading.join_all().await;
        *kafka_is_away = ends.iter().any(|it| it.kafka_is_away);
        let ends: Vec<_> = ends.into_iter().map(|it| it.shop).collect();
        let was_away = patience.is_away();
        patience.heard(Instant::now(), &ends);
        match (was_away, patience.is_away()) {
            (false, true) => tracing::warn!(%connection, runbook = RUNBOOK, "no re-read comes through, they wait"),
            (true, false) => tracing::info!(%connection, "re-reads come through again"),
            _ => {}
        }
        ends.len()
    }

    /// What deliveries asked for goes first, then sweeps; scans and backfills last, and only while the platform's budget has room for
    /// live traffic. A request for a connection that is not configured here waits until it is.
    async fn claim(&self, connection: &ConnectionId, max: usize) -> Result<Vec<Due>, Error> {
        self.drop_known(connection).await?;
        let sql = "update ingest.reread set claimed_until = now() + interval '60 seconds', attempts = attempts + 1
                   where (source, kind, id) in (
                     select source, kind, id from ingest.reread
                     where due_at <= now() and (claimed_until is null or claimed_until < now()) and source = $1 and (priority < 2 or $4)
                     order by priority, due_at limit $2 for update skip locked)
                   returning source, kind, id, generation, attempts, reason = any($3) as was_missing, reason = any($5) as told_gone, found_by,
                     now() as claimed_at";
        let has_room = has_room(self.listings.get(connection).and_then(|it| it.spare()), self.reserve);
        let rows = sqlx::query(sql)
            .bind(connection.as_str())
            .bind(i64::try_from(max).unwrap_or(i64::MAX))
            .bind([MISSING, TOLD_MISSING])
            .bind(has_room)
            .bind(TOLD)
            .fetch_all(self.store.pool())
            .await?;
        rows.iter().map(Due::read).collect()
    }

    async fn one(&self, due: &Due) -> End {
        let mut end = End { shop: Ok(()), kafka_is_away: false };
        let settled = match self.look(due).await {
            Err(fault) => {
                let settled = self.failed(due, &fault).await;
                end.shop = Err(fault);
                settled
            }
            Ok((seen, record)) => match self.produce(due, record).await {
                Err(fault) => {
                    end.kafka_is_away = true;
                    self.failed(due, &fault).await
                }
                Ok(()) => self.seen(due, &seen).await,
            },
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "a re-read is done once more: its end was not stored");
        }
        end
    }

    async fn produce(&self, due: &Due, record: Option<OutRecord>) -> Result<(), Fault> {
        let Some(record) = record else { return Ok(()) };
        self.producer.produce(&raw::found_by(record, due.found_by)).await?;
        reach(Point::RereadProduced);
        Ok(())
    }

    async fn seen(&self, due: &Due, seen: &Seen) -> Result<(), Error> {
        self.metrics.reread(seen.as_str());
        match seen {
            Seen::There | Seen::Gone => self.done(due).await,
            Seen::Missing => self.again(due, MISSING_PAUSE, Some(if due.told_gone { TOLD_MISSING } else { MISSING })).await,
        }
    }

    async fn failed(&self, due: &Due, fault: &Fault) -> Result<(), Error> {
        self.metrics.reread("failed");
        self.again(due, tell(due, fault), None).await
    }

    /// What an API does not show right after a change may be on its way to the replica that answered: gone is what is missing
    /// twice.
    async fn look(&self, due: &Due) -> Result<(Seen, Option<OutRecord>), Fault> {
        let Some(reread) = self.connections.get(&due.entity.connection) else { return Ok((Seen::Missing, None)) };
        Ok(match reread.read(&due.entity).await? {
            Some((topic, body)) => (Seen::There, Some(raw::of_reread(&self.raw_topic, &due.entity, &topic, body, due.claimed_at))),
            None if due.was_missing => (Seen::Gone, Some(raw::of_gone(&self.raw_topic, &due.entity, due.claimed_at, due.told_gone))),
            None => (Seen::Missing, None),
        })
    }

    /// A request that came while we were reading stays.
    async fn done(&self, due: &Due) -> Result<(), Error> {
        let sql = "with gone as (delete from ingest.reread where source = $1 and kind = $2 and id = $3 and generation = $4)
                   update ingest.reread set claimed_until = null where source = $1 and kind = $2 and id = $3 and generation <> $4";
        sqlx::query(sql)
            .bind(due.entity.connection.as_str())
            .bind(due.entity.kind.as_str())
            .bind(&due.entity.id)
            .bind(due.generation)
            .execute(self.store.pool())
            .await?;
        Ok(())
    }

    /// `reason`: the new one. A request that came meanwhile is due at once, and keeps its own.
    async fn again(&self, due: &Due, wait: Duration, reason: Option<&str>) -> Result<(), Error> {
        let sql = "update ingest.reread set claimed_until = null,
                     due_at = case when generation = $4 then now() + make_interval(secs => $5) else due_at end,
                     reason = case when generation = $4 then coalesce($6, reason) else reason end
                   where source = $1 and kind = $2 and id = $3";
        sqlx::query(sql)
            .bind(due.entity.connection.as_str())
            .bind(due.entity.kind.as_str())
            .bind(&due.entity.id)
            .bind(due.generation)
            .bind(wait.as_secs_f64())
            .bind(reason)
            .execute(self.store.pool())
            .await?;
        Ok(())
    }
}

/// The one line about a failure. Returns the wait before the next try, of which there is always one: until then the deltas that
/// asked for it are in flight.
fn tell(due: &Due, fault: &Fault) -> Duration {
    let backoff = Duration::from_secs(1 << due.attempts.clamp(0, 8));
    let wait = fault.retry_after.unwrap_or(backoff).min(WAIT_MAX);
    let (entity, attempts, code, runbook) = (&due.entity, due.attempts, fault.code, RUNBOOK);
    match fault.class.answer() {
        Answer::Letter => {
            tracing::error!(%entity, attempts, code, error = %fault, ?wait, runbook, "a re-read is refused; it is tried again")
        }
        _ => tracing::warn!(%entity, attempts, code, error = %fault, ?wait, runbook, "a re-read failed; it is tried again"),
    }
    wait
}

fn corrupt(what: &'static str) -> Error {
    Error::Corrupt { what, source: "it does not parse".into() }
}

/// Of one shop at once; the connector keeps to the platform's pace.
const SLOTS: usize = 16;
/// The reason of a request whose source has said that it is gone.
pub(super) const TOLD_GONE: &str = "its source says that it is gone";
/// The reasons that they have after a look that found nothing.
const MISSING: &str = "its source did not show it";
const TOLD_MISSING: &str = "its source says that it is gone, and did not show it";
pub(super) const TOLD: [&str; 2] = [TOLD_GONE, TOLD_MISSING];
const MISSING_PAUSE: Duration = Duration::from_secs(3);
const WAIT_MAX: Duration = Duration::from_secs(600);
const PROBE: Duration = Duration::from_secs(1);
const RUNBOOK: &str = "docs/runbooks/rereads-failing.md";
