//! Stock levels against what was last said of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use contracts::ids;
use contracts::topics::groups;
use contracts::wire::{Change, ChangeKind, Changed, Entity, Wire as _, changed_paths, entity_hash};
use domain::{ConnectionId, Decimal, EntityKind, StockLevel, TargetId};
use pipeline::OutRecord;
use pipeline::outgoing::Event;
use store::effects::captures::{self, Captured};
use store::{Error, Tx, letters, outbox};
use tracing::Span;
use uuid::Uuid;

/// A level as it is compared and sent.
struct Seen {
    level: StockLevel,
    /// Without the time of the observation: looking again is no change.
    body: Vec<u8>,
    hash: Vec<u8>,
}

/// Whose levels they are, and where they are told.
pub(super) struct Telling<'a> {
    pub(super) target: &'a TargetId,
    pub(super) topic: &'a str,
    pub(super) span: &'a Span,
}

const KIND: &str = EntityKind::Stock.as_str();

/// Stores the events of those that are news; returns how many. A comparison of everything also notes that it came by the others.
/// `None`: one of them says something else than what was said last, and is older: nothing is told.
pub(super) async fn store(
    tx: &mut Tx,
    telling: &Telling<'_>,
    levels: Vec<StockLevel>,
    is_comparison: bool,
) -> Result<Option<usize>, Error> {
    let seen = latest(levels);
    if seen.is_empty() {
        return Ok(Some(0));
    }
    let ids: Vec<_> = seen.keys().map(String::as_str).collect();
    let known = captures::known(tx, telling.target.as_str(), KIND, &ids).await?;
    if seen.iter().any(|(id, seen)| known.get(id).is_some_and(|known| is_behind(seen, known))) {
        return Ok(None);
    }
    if is_comparison {
        captures::seen(tx, telling.target.as_str(), KIND, &ids).await?;
    }
    tell(tx, telling, &seen, &known, false).await.map(Some)
}

/// Whether it says something else than what was said last, and is older.
fn is_behind(seen: &Seen, known: &Captured) -> bool {
    (known.hash != seen.hash || known.gone) && is_older(seen, known)
}

/// By the target's own clock, and by so little that it is worth a wait. Of one that was set back for longer the new time counts.
fn is_older(seen: &Seen, known: &Captured) -> bool {
    (known.observed_at - seen.level.observed_at).to_std().is_ok_and(|behind| !behind.is_zero() && behind < BEHIND_MAX)
}

pub(super) const BEHIND_MAX: Duration = Duration::from_secs(300);

/// Of what a comparison of everything, which began then, did not come by, nothing is left. `None`: that would be more than may be
/// missing.
pub(super) async fn bury(
    tx: &mut Tx,
    telling: &Telling<'_>,
    begun_at: DateTime<Utc>,
    observed_at: DateTime<Utc>,
    missing_max: i64,
) -> Result<Option<usize>, Error> {
    let gone = captures::unseen(tx, telling.target.as_str(), KIND, begun_at, missing_max + 1).await?;
    if i64::try_from(gone.len()).unwrap_or(i64::MAX) > missing_max {
        return Ok(None);
    }
    let mut levels = Vec::with_capacity(gone.len());
    for captured in gone.values() {
        let level = StockLevel::decode(&captured.body);
        let level = level.map_err(|error| Error::Corrupt { what: "a captured level", source: error.into() })?;
        levels.push(StockLevel { on_hand: Decimal::ZERO, reserved: Decimal::ZERO, open_sales: Vec::new(), observed_at, ..level });
    }
    Ok(Some(tell(tx, telling, &latest(levels), &gone, true).await?))
}

async fn tell(
    tx: &mut Tx,
    Telling { target, topic, span }: &Telling<'_>,
    seen: &BTreeMap<String, Seen>,
    known: &HashMap<String, Captured>,
    gone: bool,
) -> Result<usize, Error> {
    let news: Vec<_> = seen.iter().filter_map(|(id, seen)| Some((id.as_str(), seen, next(seen, known.get(id), gone)?))).collect();
    let records: Vec<_> = news.iter().map(|(id, seen, now)| span.in_scope(|| record(target, topic, seen, now, known.get(*id)))).collect();
    let rows: Vec<_> = news.iter().map(|(id, _, now)| (*id, now)).collect();
    captures::write(tx, target.as_str(), KIND, &rows).await?;
    // A level that was never seen may be of an item that somebody has just added: commands wait for such.
    let added: BTreeSet<String> =
        news.iter().filter(|(id, ..)| !known.contains_key(*id)).map(|(_, seen, _)| format!("item:{}", seen.level.sku)).collect();
    letters::appeared(tx, &groups::erp(target), &added.into_iter().collect::<Vec<_>>()).await?;
    outbox::insert_captured(tx, target.as_str(), &records).await?;
    Ok(news.len())
}

/// One per place and SKU, the latest observation, in canonical form.
fn latest(levels: Vec<StockLevel>) -> BTreeMap<String, Seen> {
    let mut latest: BTreeMap<String, StockLevel> = BTreeMap::new();
    for mut level in levels {
        level.open_sales.sort_by(|a, b| a.order.cmp(&b.order).then(a.quantity.cmp(&b.quantity)));
        let id = format!("{}/{}", level.location, level.sku);
        if latest.get(&id).is_none_or(|it| it.observed_at <= level.observed_at) {
            latest.insert(id, level);
        }
    }
    let seen = |level: StockLevel| {
        let body = StockLevel { observed_at: DateTime::UNIX_EPOCH, ..level.clone() }.encode();
        Seen { level, hash: entity_hash(&body).to_vec(), body: body.to_vec() }
    };
    latest.into_iter().map(|(id, level)| (id, seen(level))).collect()
}

/// What is said now; `None` where it is no news, or older than what was said.
fn next(seen: &Seen, known: Option<&Captured>, gone: bool) -> Option<Captured> {
    let is_news = known.is_none_or(|it| (it.hash != seen.hash || it.gone != gone) && !is_older(seen, it));
    is_news.then(|| Captured {
        sequence: known.map_or(1, |it| it.sequence + 1),
        hash: seen.hash.clone(),
        body: seen.body.clone(),
        observed_at: seen.level.observed_at,
        gone,
    })
}

fn record(target: &TargetId, topic: &str, seen: &Seen, now: &Captured, before: Option<&Captured>) -> (Uuid, OutRecord) {
    let source: ConnectionId = target.as_str().parse().expect("targets and connections are named alike");
    let entity = Entity::Stock(Box::new(seen.level.clone()));
    let (subject, key) = (entity.subject(&source), entity.aggregate(&source));
    let observed_at = seen.level.observed_at;
    let changed = Changed {
        change: Change {
            kind: match before {
                _ if now.gone => ChangeKind::Deleted,
                Some(_) => ChangeKind::Updated,
                None => ChangeKind::Created,
            },
            sequence: now.sequence,
            source: target.to_string(),
            source_version: observed_at.to_rfc3339_opts(SecondsFormat::Micros, true),
            source_time: Some(observed_at),
            channel: String::new(),
            changed_paths: before.map(|it| changed_paths(EntityKind::Stock, &it.body, &now.body)).unwrap_or_default(),
        },
        entity,
    };
    let id = ids::change(&subject, now.sequence);
    let event = Event {
        topic,
        id,
        key: key.as_str(),
        type_name: changed.type_name(),
        source: target.as_str(),
        subject: &subject.to_string(),
        sequence: Some(now.sequence),
        idempotency_key: None,
        value: changed.encode(),
    };
    (id, event.into_record())
}
