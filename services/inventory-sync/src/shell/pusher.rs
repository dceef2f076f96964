//! Brings one shop's levels to what they should be.
//!
//! What has to be pushed stands in its rows, so a pusher can die anywhere: what was sent is noted before it is sent, and whoever
//! comes next looks at the shop before it pushes again. Nothing of that is an obligation of the account: levels are state.

mod compare;
mod items;
mod shelves;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use connector::storefront::{PushResult, ShopStock, StockPush};
use domain::{ConnectionId, Decimal};
use fault::{Answer, Class, Fault};
use kill_point::{Point, reach};
use rand::Rng as _;
use store::effects::Sole;
use store::{Error, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::StockSettings;
use crate::core::push::{Heard, Judged, Plan};
use crate::metrics::Metrics;
use crate::shell::hearing::HeardUntil;
pub use compare::Compared;
use compare::Comparison;
use shelves::{Row, Sent, Waiting};

/// Why a level can't be pushed. It is tried again now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Problem {
    UnknownSku,
    AmbiguousSku,
    NotStocked,
    Refused,
}

impl Problem {
    pub const ALL: [Self; 4] = [Self::UnknownSku, Self::AmbiguousSku, Self::NotStocked, Self::Refused];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownSku => "unknown_sku",
            Self::AmbiguousSku => "ambiguous_sku",
            Self::NotStocked => "not_stocked",
            Self::Refused => "refused",
        }
    }
}

/// Why a round broke off. Its rows wait for the next.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    #[error("the shop: {0}")]
    Shop(#[from] Fault),
    #[error(transparent)]
    Store(#[from] Error),
}

/// Pushes to one connection.
pub struct Pusher {
    store: Store,
    connection: ConnectionId,
    stock: Arc<dyn ShopStock>,
    locations: Vec<String>,
    settings: StockSettings,
    heard: HeardUntil,
    metrics: Metrics,
}

impl Pusher {
    pub fn new(
        store: Store,
        connection: ConnectionId,
        stock: Arc<dyn ShopStock>,
        locations: Vec<String>,
        settings: StockSettings,
        heard: HeardUntil,
        metrics: Metrics,
    ) -> Self {
        Self { store, connection, stock, locations, settings, heard, metrics }
    }

    /// Until the stop. Of several processes one works at a time.
    pub async fn run(self, stop: CancellationToken) {
        let name = format!("inventory-sync pushes to {}", self.connection);
        let (mut sole, mut pauses, mut pushed_at) = (None, Pauses::default(), Instant::now());
        let mut comparison = Comparison::starting(self.settings.full_comparison_interval);
        while !stop.is_cancelled() {
            let pause = match self.turn(&name, &mut sole, &mut comparison).await {
                Ok(is_more) => {
                    pauses.over(&self.connection);
                    pushed_at = Instant::now();
                    if is_more { Duration::ZERO } else { self.settings.push_interval }
                }
                Err(error) => pauses.next(&self.connection, &error),
            };
            self.metrics.push_age(self.connection.as_str(), pushed_at.elapsed().as_secs_f64());
            if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Whether there is more to do at once.
    async fn turn(&self, name: &str, sole: &mut Option<Sole>, comparison: &mut Comparison) -> Result<bool, PushError> {
        if sole.is_none() {
            *sole = Some(Sole::new(&self.store, name).await?);
        }
        let is_ours = match sole.as_mut().expect("it was just made").is_ours().await {
            Ok(is_ours) => is_ours,
            Err(error) => {
                // The lock went with its connection.
                *sole = None;
                return Err(error.into());
            }
        };
        if !is_ours {
            return Ok(false);
        }
        let more = self.round().await?;
        Ok(comparison.step(self, Instant::now()).await? || more)
    }

    /// Pushes what is due, up to a call's worth of it. Returns whether there may be more.
    pub async fn round(&self) -> Result<bool, PushError> {
        // Should it fail, that is told when the others are pushed.
        let resolved = self.resolve_items().await;
        let limit = self.stock.batch_max();
        let rows = shelves::due(self, limit).await?;
        let more = rows.len() == limit;
        let (mut pushes, mut to_look) = (Vec::new(), Vec::new());
        for row in rows {
            match row.shelf.plan() {
                Plan::Push { expected } => pushes.push(Sent { row, expected, drift: false, missing: Decimal::ZERO }),
                Plan::Look => to_look.push(row),
            }
        }
        pushes.extend(self.look(to_look).await?);
        let stale = self.push(pushes).await?;
        Ok(resolved? || more || stale)
    }

    /// Reads what the shop shows of these, and says what is to be pushed over it. Fails where the shop answers for none of the
    /// locations, or is away.
    async fn look(&self, rows: Vec<Row>) -> Result<Vec<Sent>, PushError> {
        let mut by_location: BTreeMap<String, Vec<Row>> = BTreeMap::new();
        for row in rows {
            by_location.entry(row.location.clone()).or_default().push(row);
        }
        let mut pushes = Vec::new();
        let (mut is_any_answered, mut failed) = (false, None);
        for (location, rows) in by_location {
            let items: BTreeSet<String> = rows.iter().map(|it| it.item.clone()).collect();
            let items: Vec<String> = items.into_iter().collect();
            let levels = match self.stock.levels(&location, &items).await {
                Ok(levels) => levels,
                Err(fault) if is_about_the_rows(&fault) => {
                    is_any_answered = true;
                    self.refuse(&rows.iter().collect::<Vec<_>>(), &fault).await?;
                    continue;
                }
                Err(fault) if is_about_the_call(&fault) => {
                    tracing::warn!(connection = %self.connection, location, error = %fault, "levels can't be read, they are read again later");
                    shelves::later(self, &rows, AGAIN).await?;
                    failed = Some(fault);
                    continue;
                }
                Err(fault) => return Err(fault.into()),
            };
            let levels: BTreeMap<String, i64> = levels.into_iter().map(|it| (it.item, it.available)).collect();
            is_any_answered = true;
            self.judge(rows, &levels, &mut pushes).await?;
        }
        match failed {
            Some(fault) if !is_any_answered => Err(fault.into()),
            _ => Ok(pushes),
        }
    }

    async fn judge(&self, rows: Vec<Row>, levels: &BTreeMap<String, i64>, pushes: &mut Vec<Sent>) -> Result<(), PushError> {
        let (mut right, mut waiting, mut absent, mut drift) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for row in rows {
            let Some(level) = levels.get(&row.item) else {
                absent.push(row);
                continue;
            };
            match row.shelf.judge(*level, &self.heard(&row)) {
                Judged::Right { drift: is_drift } => {
                    drift += usize::from(is_drift);
                    right.push(row);
                }
                Judged::Push { expected, drift } => pushes.push(Sent { row, expected, drift, missing: Decimal::ZERO }),
                Judged::Wait { doubt, missing, until } => {
                    let less = missing.map(|missing| Sent { row: row.clone(), expected: *level, drift: false, missing });
                    pushes.extend(less.filter(|it| it.level() != *level));
                    waiting.push(Waiting { row, doubt, until });
                }
            }
        }
        self.count("right", right.len());
        self.count_drift(drift);
        shelves::settled(self, &right.iter().collect::<Vec<_>>()).await?;
        shelves::waiting(self, &waiting).await?;
        self.not_stocked(&absent.iter().collect::<Vec<_>>()).await
    }

    fn heard(&self, row: &Row) -> Heard {
        let until = *self.heard.borrow();
        Heard { now: row.now, until: until.map(|it| it.min(row.now)), wait: self.settings.drift_wait }
    }

    /// Returns whether some were stale: they are due again at once.
    async fn push(&self, pushes: Vec<Sent>) -> Result<bool, PushError> {
        if pushes.is_empty() {
            return Ok(false);
        }
        shelves::sending(self, &pushes).await?;
        reach(Point::PushNoted);
        let (mut stale, mut is_any_answered, mut in_vain) = (false, false, 0);
        // What the shop refuses as a whole, or fails at, is halved until it is known which one it is about.
        let mut parts: Vec<&[Sent]> = pushes.chunks(self.stock.batch_max().max(1)).rev().collect();
        while let Some(part) = parts.pop() {
            let calls: Vec<StockPush> = part.iter().map(|it| self.call(it)).collect();
            match self.stock.push(&calls).await {
                Ok(results) => {
                    reach(Point::PushAnswered);
                    (is_any_answered, in_vain) = (true, 0);
                    stale |= self.store_results(part, results).await?;
                }
                Err(fault) if part.len() > 1 && (is_about_the_rows(&fault) || is_about_the_call(&fault) && in_vain < IN_VAIN_MAX) => {
                    in_vain += u32::from(is_about_the_call(&fault));
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second, first]);
                }
                Err(fault) if is_about_the_rows(&fault) => {
                    is_any_answered = true;
                    self.refuse(&[&part[0].row], &fault).await?;
                }
                Err(fault) if is_about_the_call(&fault) && in_vain < IN_VAIN_MAX && (is_any_answered || !parts.is_empty()) => {
                    in_vain += 1;
                    let Row { sku, location, .. } = &part[0].row;
                    tracing::warn!(connection = %self.connection, sku, location, error = %fault, "a level can't be set, it is set again later");
                    shelves::later(self, [&part[0].row], AGAIN).await?;
                }
                Err(fault) => {
                    self.count("failed", part.len());
                    // Nothing that is throttled is carried out. Of anything else nobody knows.
                    if fault.class == Class::RateLimited {
                        let unsent: Vec<&Row> = part.iter().chain(parts.into_iter().flatten()).map(|it| &it.row).collect();
                        shelves::unsent(self, &unsent).await?;
                    }
                    return Err(fault.into());
                }
            }
        }
        Ok(stale)
    }

    fn call(&self, sent: &Sent) -> StockPush {
        let Row { item, location, generation, .. } = &sent.row;
        StockPush {
            item: item.clone(),
            location: location.clone(),
            available: sent.level(),
            expected: Some(sent.expected),
            idempotency_key: match sent.is_whole() {
                true => format!("{item}/{location}/{generation}"),
                false => format!("{item}/{location}/{generation}/{}", sent.level()),
            },
        }
    }

    async fn store_results(&self, part: &[Sent], results: Vec<PushResult>) -> Result<bool, PushError> {
        let (mut set, mut kept_back, mut stale, mut absent, mut drift) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), 0);
        let mut refused: BTreeMap<String, Vec<&Row>> = BTreeMap::new();
        for (sent, result) in part.iter().zip(results) {
            match result {
                PushResult::Set if sent.is_whole() => {
                    drift += usize::from(sent.drift);
                    set.push(&sent.row);
                }
                PushResult::Set => kept_back.push(sent),
                PushResult::Stale => stale.push(&sent.row),
                PushResult::NotStocked => absent.push(&sent.row),
                PushResult::Refused(code) => refused.entry(code).or_default().push(&sent.row),
            }
        }
        self.count("set", set.len());
        self.count("kept_back", kept_back.len());
        self.count("stale", stale.len());
        self.count_drift(drift);
        shelves::settled(self, &set).await?;
        shelves::kept_back(self, &kept_back).await?;
        shelves::stale(self, &stale).await?;
        self.not_stocked(&absent).await?;
        for (code, rows) in refused {
            self.give_up(&rows, Problem::Refused, &code).await?;
        }
        Ok(!stale.is_empty())
    }

    /// Or the SKU is another item's by now: it is looked up again.
    async fn not_stocked(&self, rows: &[&Row]) -> Result<(), PushError> {
        self.doubt_items(rows).await?;
        self.give_up(rows, Problem::NotStocked, "stock the item at the location in the shop").await
    }

    async fn refuse(&self, rows: &[&Row], fault: &Fault) -> Result<(), PushError> {
        self.give_up(rows, Problem::Refused, &fault.to_string()).await
    }

    /// For now.
    async fn give_up(&self, rows: &[&Row], problem: Problem, detail: &str) -> Result<(), PushError> {
        self.count(problem.as_str(), rows.len());
        for row in rows.iter().filter(|it| it.problem.as_deref() != Some(problem.as_str())) {
            tracing::warn!(connection = %self.connection, sku = %row.sku, location = row.location, problem = problem.as_str(), detail, "a level can't be pushed");
        }
        shelves::problem(self, rows, problem, detail).await?;
        Ok(())
    }

    fn count(&self, result: &'static str, levels: usize) {
        if levels > 0 {
            self.metrics.pushed(self.connection.as_str(), result, levels);
        }
    }

    fn count_drift(&self, levels: usize) {
        if levels > 0 {
            self.metrics.drift(self.connection.as_str(), levels);
            tracing::warn!(connection = %self.connection, levels, runbook = RUNBOOK, "the shop showed levels that nothing explains, they were replaced");
        }
    }
}

const RUNBOOK: &str = "docs/runbooks/stock-drift.md";

/// The shop answered, and would answer the same again.
fn is_about_the_rows(fault: &Fault) -> bool {
    match fault.class.answer() {
        Answer::Letter | Answer::AwaitThenLetter { .. } => true,
        Answer::OpenCircuit | Answer::SlowDown | Answer::RetryThenLetter { .. } => false,
    }
}

/// So many calls in a row that the shop fails at are of no single level: what is halved so often is one.
const IN_VAIN_MAX: u32 = 9;

/// Until what failed is tried again. It may be about this one SKU, or location.
const AGAIN: Duration = Duration::from_secs(30);

/// The shop is there, and failed this time.
fn is_about_the_call(fault: &Fault) -> bool {
    matches!(fault.class.answer(), Answer::RetryThenLetter { .. })
}

/// Ever longer waits while a shop is away.
#[derive(Debug, Default)]
struct Pauses {
    failures: u32,
}

const PAUSE_FIRST: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(15);

impl Pauses {
    fn next(&mut self, connection: &ConnectionId, error: &PushError) -> Duration {
        if let PushError::Shop(fault) = error
            && fault.class == Class::RateLimited
        {
            return fault.retry_after.unwrap_or(Duration::from_secs(1));
        }
        if self.failures == 0 {
            tracing::warn!(%connection, %error, runbook = RUNBOOK, "levels are not pushed for now");
        }
        let ceiling = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(self.failures)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    fn over(&mut self, connection: &ConnectionId) {
        if self.failures > 0 {
            tracing::info!(%connection, failures = self.failures, "levels are pushed again");
        }
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shop_that_is_away_is_asked_ever_more_rarely_and_one_that_is_busy_when_it_says() {
        let shop = "shop".parse().unwrap();
        let mut pauses = Pauses::default();
        let outage = PushError::Shop(Fault::new(Class::Outage, "away", "away"));
        let waits: Vec<Duration> = (0..20).map(|_| pauses.next(&shop, &outage)).collect();
        assert!(waits[0] <= PAUSE_FIRST && waits[19] >= PAUSE_MAX / 2 && waits.iter().all(|it| *it <= PAUSE_MAX));
        let mut busy = Fault::new(Class::RateLimited, "busy", "busy");
        busy.retry_after = Some(Duration::from_secs(7));
        assert_eq!(pauses.next(&shop, &PushError::Shop(busy)), Duration::from_secs(7));
    }
}
