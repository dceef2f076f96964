//! One connection's sweeps, scans, backfills and subscriptions. One process does it, the others wait for it to go.

mod backfill;
mod cursor;
mod scan;
mod sweeps;
mod watchdog;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connector::storefront::{Listing, Mapper, Subscriptions};
use domain::{ConnectionId, EntityKind};
use fault::Fault;
use store::effects::Sole;
use store::{Error, Store};
use tokio_util::sync::CancellationToken;

use crate::config::SweepSettings;
use crate::core::sweep::{FoundBy, is_silent, jittered, may_go_on};
use crate::metrics::Metrics;
use crate::shell::found::{self, Finding};
use crate::shell::pulse::Pulse;

pub use backfill::{Asked, Progress, ask, progress};
use sweeps::Course;

pub struct Sweeper {
    pub store: Store,
    pub connection: ConnectionId,
    pub listing: Arc<dyn Listing>,
    /// It knows what the platform hides.
    pub mapper: Arc<dyn Mapper>,
    pub subscriptions: Option<Arc<dyn Subscriptions>>,
    pub settings: SweepSettings,
    pub pulse: Arc<Pulse>,
    pub metrics: Metrics,
}

/// What this process remembers between its turns. What must not be lost is in tables.
struct Round {
    sole: Option<Sole>,
    is_registered: bool,
    patience: Patience,
    courses: Vec<Course>,
    watch_due: Instant,
    watch_patience: Patience,
    /// Topics without a subscription that could not be made.
    missing: BTreeSet<String>,
    pulse_due: Instant,
    /// When a sweep last found something that nobody had told of.
    found_at: Option<Instant>,
    /// When the silence was last told.
    told_at: Option<Instant>,
}

impl Sweeper {
    /// Can be cut off at any point: a page is stored whole or not at all.
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
    }

    async fn work(self) {
        let now = Instant::now();
        // Not all connections at once when a service starts.
        let first = self.interval().mul_f64(0.1 * rand::random::<f64>());
        let mut round = Round {
            sole: None,
            is_registered: false,
            patience: Patience::default(),
            courses: self.listing.kinds().iter().map(|kind| Course::new(*kind, now + first)).collect(),
            watch_due: now,
            watch_patience: Patience::default(),
            missing: BTreeSet::new(),
            pulse_due: now,
            found_at: None,
            told_at: None,
        };
        let mut ticks = tokio::time::interval(self.settings.pause);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.listen(&mut round).await;
            if round.patience.is_over() {
                let turn = self.turn(&mut round).await;
                self.settle(&mut round.patience, turn);
            }
        }
    }

    /// The one line about a failure, and the wait before the next try.
    fn settle(&self, patience: &mut Patience, outcome: Result<(), Fault>) {
        let Err(fault) = outcome else {
            *patience = Patience::default();
            return;
        };
        let wait = patience.begin(fault.retry_after, self.interval());
        self.metrics.sweep_failed(self.connection.as_str(), fault.class);
        let runbook = "docs/runbooks/sweeps-failing.md";
        tracing::warn!(connection = %self.connection, code = fault.code, error = %fault, ?wait, runbook, "a sweep failed; it goes on where it was");
    }

    /// Every instance does this: each has a door.
    async fn listen(&self, round: &mut Round) {
        let now = Instant::now();
        if now < round.pulse_due {
            return;
        }
        round.pulse_due = now + PULSE.min(self.settings.silence);
        let age = match self.pulse.age(&self.store, &self.connection).await {
            Ok(age) => age,
            Err(error) => {
                tracing::debug!(%error, "the time of the last delivery waits for the database");
                return;
            }
        };
        self.metrics.last_delivery(self.connection.as_str(), age);
        let is_told = round.told_at.is_some_and(|it| it.elapsed() < self.settings.silence.max(TOLD_AGAIN));
        if is_silent(age, self.settings.silence, round.found_at.map(|it| it.elapsed())) && !is_told {
            round.told_at = Some(now);
            tracing::warn!(
                connection = %self.connection,
                ?age,
                runbook = "docs/runbooks/webhooks-silent.md",
                "no delivery comes, and a sweep found changes: the webhooks are broken"
            );
        }
    }

    async fn turn(&self, round: &mut Round) -> Result<(), Fault> {
        if !self.is_ours(&mut round.sole).await? {
            return Ok(());
        }
        if !round.is_registered {
            self.register().await?;
            round.is_registered = true;
        }
        // What is wrong with the subscriptions must not keep the sweep away that heals it, nor one kind the other.
        let watched = self.watch(round).await;
        self.settle(&mut round.watch_patience, watched);
        for n in 0..round.courses.len() {
            if round.courses[n].patience.is_over() {
                let worked = self.work_on(n, round).await;
                self.settle(&mut round.courses[n].patience, worked);
            }
        }
        Ok(())
    }

    async fn work_on(&self, n: usize, round: &mut Round) -> Result<(), Fault> {
        let course = &mut round.courses[n];
        if self.sweep(course).await? {
            round.found_at = Some(Instant::now());
        }
        self.scan(course).await?;
        self.backfill(course).await
    }

    async fn is_ours(&self, sole: &mut Option<Sole>) -> Result<bool, Error> {
        if sole.is_none() {
            *sole = Some(Sole::new(&self.store, &format!("storefront-ingest/sweep/{}", self.connection)).await?);
        }
        let is_ours = sole.as_mut().expect("it was just made").is_ours().await;
        if is_ours.is_err() {
            // The lock went with its connection.
            *sole = None;
        }
        is_ours
    }

    /// The first time: what we know already is where to go on. A new connection begins a little before now, which is the only
    /// use of a clock of ours; from the first page on the source's time counts.
    async fn register(&self) -> Result<(), Error> {
        let sql = "insert into ingest.sweep (source, kind, position, floor)
                   select $1, k.kind, coalesce(e.last, now() - $3), least(coalesce(e.first, now() - $3), now() - $3)
                   from unnest($2::text[]) as k (kind)
                   cross join lateral (select min(updated_at) as first, max(updated_at) as last
                                       from ingest.entity e where e.source = $1 and e.kind = k.kind and not e.deleted) e
                   where not exists (select from ingest.sweep s where s.source = $1 and s.kind = k.kind)
                   on conflict do nothing";
        let kinds: Vec<&str> = self.listing.kinds().iter().map(|it| it.as_str()).collect();
        sqlx::query(sql).bind(self.connection.as_str()).bind(&kinds).bind(self.settings.first_window).execute(self.store.pool()).await?;
        // The first scan comes after its interval, too.
        let sql = "insert into ingest.scan (source, kind, since, state, done_at)
                   select $1, kind, now(), 'done', now() from unnest($2::text[]) as k (kind) on conflict do nothing";
        sqlx::query(sql).bind(self.connection.as_str()).bind(&kinds).execute(self.store.pool()).await?;
        Ok(())
    }

    fn finding(&self, kind: EntityKind, by: FoundBy) -> Finding {
        Finding { connection: self.connection.clone(), kind, by, settle: self.settings.settle }
    }

    /// Whether one page more may be asked for and ordered.
    async fn may_go_on(&self, by: FoundBy) -> Result<bool, Error> {
        let waiting = found::waiting(&self.store, &self.connection, by, self.settings.settle).await?;
        // A sweep is part of being correct: it takes its share of the budget as live traffic does.
        let reserve = if by == FoundBy::Sweep { 0.0 } else { self.settings.reserve };
        Ok(may_go_on(waiting, self.settings.waiting_max, self.listing.spare(), reserve))
    }

    fn interval(&self) -> Duration {
        self.settings.interval_of(&self.connection)
    }

    fn next(&self, interval: Duration) -> Instant {
        Instant::now() + jittered(interval, rand::random())
    }
}

/// After a failure.
#[derive(Default)]
struct Patience {
    until: Option<Instant>,
    failures: u32,
}

impl Patience {
    fn is_over(&self) -> bool {
        self.until.is_none_or(|it| Instant::now() >= it)
    }

    /// Ever longer, or as long as was asked for; never longer than the next sweep would be.
    fn begin(&mut self, asked: Option<Duration>, longest: Duration) -> Duration {
        self.failures += 1;
        let wait = asked.unwrap_or(Duration::from_secs(1 << self.failures.min(8))).min(longest);
        self.until = Some(Instant::now() + wait);
        wait
    }
}

/// Between two looks at the last delivery.
const PULSE: Duration = Duration::from_secs(5);
/// A silence is told again, but not every minute.
const TOLD_AGAIN: Duration = Duration::from_secs(3600);
