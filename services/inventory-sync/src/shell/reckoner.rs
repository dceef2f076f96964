//! The rules of the group, as the ledger asks for them: notes what a batch says, and reckons each SKU that it touched once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use bus::BusSettings;
use bytes::Bytes;
use contracts::headers::{CE_SUBJECT, CE_TYPE};
use contracts::wire::{Outcome, Wire as _};
use domain::{Availability, ConnectionId, Sku};
use fault::Fault;
use pipeline::{OutRecord, Record};
use store::decisions::{Decide, Decided, Input, State};
use store::letters::Subject;
use store::{Error, Tx};

use crate::core::availability;
use crate::core::book::{Book, Effect, Noted};
use crate::core::feeds::{Feeds, Place};
use crate::core::pending::Sold;
use crate::metrics::Metrics;
use crate::shell::inbound::{self, Event, What};
use crate::shell::rows::desired::{self, Desired};
use crate::shell::{outbound, rows};

/// Decides what the group's records lead to.
pub struct Reckoner {
    feeds: Arc<Feeds>,
    bus: BusSettings,
    metrics: Metrics,
}

/// An event to produce.
pub(super) struct Announcement {
    pub(super) place: Place,
    pub(super) sku: Sku,
    pub(super) sequence: u64,
    pub(super) value: Bytes,
}

/// Who produces the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Producer {
    /// The record that they follow from.
    Record,
    /// Nobody yet: they are kept in their rows.
    Row,
}

impl Reckoner {
    pub fn new(feeds: Arc<Feeds>, bus: BusSettings, metrics: Metrics) -> Self {
        Self { feeds, bus, metrics }
    }

    fn note(&self, book: &mut Book, event: &Event) -> Noted {
        match &event.what {
            What::Order(connection, takes) => {
                if takes.nameless > 0 {
                    self.metrics.nameless(connection.as_str(), takes.nameless);
                }
                book.order(&event.key, connection, takes)
            }
            What::Outcome(connection, outcome) => book.outcome(&event.key, connection, outcome),
            What::Level(source, sku, level) => book.level(sku, source, level.clone()),
        }
    }

    fn records(&self, announcements: &[Announcement]) -> Vec<OutRecord> {
        announcements.iter().map(|it| outbound::record(&self.bus, &it.place, &it.sku, it.sequence, it.value.clone())).collect()
    }
}

#[async_trait]
impl Decide for Reckoner {
    async fn decide(&self, tx: &mut Tx, batch: &[Input<'_>]) -> Result<Vec<Decided>, Error> {
        let events: Vec<Result<Event, Fault>> = batch.iter().map(inbound::read).collect();
        let mut book = rows::open(tx, events.iter().flatten()).await?;
        let mut pages = Pages::default();
        let mut decided = Vec::with_capacity(batch.len());
        for (index, event) in events.into_iter().enumerate() {
            let (kind, one) = match event {
                Ok(event) => (event.what.kind(), pages.settle(index, self.note(&mut book, &event))),
                Err(fault) => ("unreadable", Decided::Fail(fault)),
            };
            self.metrics.decided(kind, state_of(&one));
            decided.push(one);
        }
        rows::save(tx, &book, &self.feeds).await?;
        let skus: BTreeSet<Sku> = pages.last.keys().cloned().collect();
        for (sku, announcements) in reckon(tx, &self.feeds, &book, &skus, &pages.sold, Producer::Record).await? {
            let index = pages.last[&sku];
            let Decided::Settled { outputs, .. } = &mut decided[index] else { continue };
            outputs.extend(batch[index].span.in_scope(|| self.records(&announcements)));
        }
        Ok(decided)
    }

    /// A later good version of the same entity ends a dead one. Outcomes are not versions of anything.
    fn subject(&self, record: &Record) -> Option<Subject> {
        let is_outcome = record.headers.text(CE_TYPE) == Some(Outcome::NAME);
        let name = record.headers.text(CE_SUBJECT).filter(|_| !is_outcome)?;
        let sequence = record.headers.sequence()?;
        Some(Subject { name: name.to_owned(), version: format!("{sequence:020}") })
    }
}

/// What a batch touched.
#[derive(Default)]
struct Pages {
    /// The last record that touched the SKU: what is reckoned once for all of them goes out with it.
    last: BTreeMap<Sku, usize>,
    sold: BTreeMap<(ConnectionId, Sku), Sold>,
}

impl Pages {
    fn settle(&mut self, index: usize, noted: Noted) -> Decided {
        let Effect { skus, sold } = match noted {
            Noted::Superseded => return Decided::superseded(),
            Noted::Needless(reason) => return Decided::Settled { state: State::Applied, reason: Some(reason), outputs: Vec::new() },
            Noted::Changed(effect) => effect,
        };
        for (connection, sku, sold) in sold {
            *self.sold.entry((connection, sku)).or_default() += sold;
        }
        let reason = skus.is_empty().then_some("no_change");
        self.last.extend(skus.into_iter().map(|sku| (sku, index)));
        Decided::Settled { state: State::Applied, reason, outputs: Vec::new() }
    }
}

/// Works out what may be sold of these SKUs and stores it. The SKUs are locked and their levels are in the book.
pub(super) async fn reckon(
    tx: &mut Tx,
    feeds: &Feeds,
    book: &Book,
    skus: &BTreeSet<Sku>,
    sold: &BTreeMap<(ConnectionId, Sku), Sold>,
    producer: Producer,
) -> Result<BTreeMap<Sku, Vec<Announcement>>, Error> {
    if skus.is_empty() {
        return Ok(BTreeMap::new());
    }
    let groups = rows::groups(tx, skus).await?;
    let known = desired::load(tx, skus).await?;
    let (mut changes, mut over) = (Vec::new(), Vec::new());
    let mut announcements: BTreeMap<Sku, Vec<Announcement>> = BTreeMap::new();
    for sku in skus {
        let Some(levels) = book.levels.get(sku) else { continue };
        let groups = groups.get(sku).map(Vec::as_slice).unwrap_or_default();
        over.extend(groups.iter().filter(|it| availability::is_over(feeds, it, levels)).map(|it| (sku, it)));
        for (place, _) in feeds.places() {
            let before = known.get(&(place.clone(), sku.clone()));
            let now = availability::reckon(feeds, place, sku, levels, groups);
            let Some(now) = now.or_else(|| before.map(|it| availability::nothing(&it.availability))) else { continue };
            let sold = sold.get(&(place.connection.clone(), sku.clone())).copied().unwrap_or_default();
            let said = announcements.entry(sku.clone()).or_default();
            changes.extend(step(before, place, now, sold, producer, said));
        }
    }
    desired::save(tx, &changes).await?;
    rows::close(tx, &over).await?;
    Ok(announcements)
}

/// From what was desired to what is desired now. `None`: nothing is to be stored.
fn step(
    before: Option<&Desired>,
    place: &Place,
    now: Availability,
    sold: Sold,
    producer: Producer,
    said: &mut Vec<Announcement>,
) -> Option<Desired> {
    let announcement = |sequence, value| Announcement { place: place.clone(), sku: now.sku.clone(), sequence, value };
    let is_news = before.is_none_or(|it| it.availability.available() != now.available());
    if !is_news && sold == Sold::default() && before.is_some_and(|it| it.availability == now) {
        return None;
    }
    let known = before.map_or(0, |it| it.sequence);
    let sequence = known + u64::from(is_news);
    let mut unannounced = before.and_then(|it| it.unannounced.clone());
    if is_news {
        let value = outbound::encode(before.map(|it| &it.availability), &now, sequence);
        match producer {
            Producer::Record => {
                // Perhaps it is out, perhaps not: once more is harmless, a gap would not be.
                said.extend(unannounced.take().map(|value| announcement(known, value)));
                said.push(announcement(sequence, value));
            }
            // Those of before are out: see `recount`.
            Producer::Row => unannounced = Some(value),
        }
    }
    Some(Desired { place: place.clone(), availability: now, sequence, unannounced, sold })
}

fn state_of(decided: &Decided) -> &'static str {
    match decided {
        Decided::Settled { state, .. } => state.as_str(),
        Decided::Waiting { .. } => "waiting",
        Decided::Fail(fault) => fault.code,
    }
}
