//! A storefront: signed deliveries in, canonical entities out of them, re-reads, listings of what changed, stock pushes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::{AggregateKey, ConnectionId, Customer, EntityKind, EntityRef, Order, Refund, Sku};
use fault::Fault;
use http::HeaderMap;

/// What the door needs to know of a signed delivery. Everything here is cheap: no full parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryFacts {
    /// The platform's topic, such as `orders/create`; empty when the platform sent none.
    pub topic: String,
    /// What stays the same when the platform sends the same delivery again.
    pub identity: String,
    /// The aggregate that orders it, by a lazy look-up in the body; [`AggregateKey::raw`] where none was found.
    pub aggregate: AggregateKey,
    /// When the platform says that it happened.
    pub triggered_at: Option<DateTime<Utc>>,
    /// The version of the API that shaped the body.
    pub api_version: Option<String>,
}

/// The receiving side of a platform's webhooks.
pub trait Webhooks: Send + Sync + 'static {
    /// False when the headers alone give away that nobody signed it: refused before a byte of the body is read.
    fn is_signed(&self, headers: &HeaderMap) -> bool;

    /// Which of the connection's active secrets signed these bytes, 0 = the newest. Constant time.
    fn verify(&self, headers: &HeaderMap, body: &[u8]) -> Option<usize>;

    /// Never fails: whatever is signed is kept.
    fn facts(&self, connection: &ConnectionId, headers: &HeaderMap, body: &[u8]) -> DeliveryFacts;
}

/// A raw delivery on its way through the mapper: a webhook, a re-read or a sweep.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub connection: ConnectionId,
    pub topic: String,
    pub identity: String,
    pub triggered_at: Option<DateTime<Utc>>,
    pub received_at: DateTime<Utc>,
    /// Set when we asked for it: it shows the entity as it was at this time, whatever its `updated_at`.
    pub read_at: Option<DateTime<Utc>>,
    pub body: Bytes,
}

/// What a delivery says.
#[derive(Debug, Clone, PartialEq)]
pub enum Mapped {
    /// One entity, or several: an order brings its refunds.
    Entities(Vec<MappedEntity>),
    /// A delta without the entity: ask for the whole of it.
    ReRead(EntityRef),
    /// The platform says that it is gone: it is looked for, to be sure.
    Gone(EntityRef),
    /// A topic that we do not map; kept raw and counted.
    Unmapped,
}

/// An entity with the source's version of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MappedEntity {
    pub entity: EntityRef,
    pub aggregate: AggregateKey,
    /// The source's `updated_at` (or what it has of that kind).
    pub updated_at: DateTime<Utc>,
    pub channel: String,
    pub body: Entity,
    /// The entity is gone at the source.
    pub deleted: bool,
}

/// The kinds that storefronts send.
#[derive(Debug, Clone, PartialEq)]
pub enum Entity {
    Order(Box<Order>),
    Customer(Box<Customer>),
    Refund(Box<Refund>),
}

/// From the platform's JSON to canonical entities. Pure.
pub trait Mapper: Send + Sync + 'static {
    fn map(&self, delivery: &Delivery) -> Result<Mapped, Fault>;

    /// Whether the platform may not show this order any more at that time although it is there: that it is missing says nothing then.
    fn may_hide(&self, _order: &Order, _at: DateTime<Utc>) -> bool {
        false
    }
}

/// Reads one entity whole, as the platform would deliver it.
#[async_trait]
pub trait ReRead: Send + Sync + 'static {
    /// Body and topic of a delivery that [`Mapper::map`] understands. `None`: the source has no such entity.
    async fn read(&self, entity: &EntityRef) -> Result<Option<(String, Bytes)>, Fault>;
}

/// An entity as a listing names it: enough to tell whether that version of it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// As in [`EntityRef`].
    pub id: String,
    /// What [`Mapper::map`] would give for it now.
    pub updated_at: DateTime<Utc>,
}

/// Where a listing starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListFrom {
    /// With what changed at this time, by the clock of the source.
    Since(DateTime<Utc>),
    /// Behind a page; made by the same connector, maybe in another process, long ago.
    Cursor(String),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// Oldest change first; of one moment, by id. What changed since it was listed comes once more, further on.
    pub listed: Vec<Listed>,
    /// `None`: that was the last page.
    pub next: Option<String>,
}

/// Lists what changed at the source: ids and times only, so that it costs little.
#[async_trait]
pub trait Listing: Send + Sync + 'static {
    /// The kinds that can be listed.
    fn kinds(&self) -> &'static [EntityKind];

    /// One page. An entity that was changed is on no earlier page than one that was changed before it.
    async fn page(&self, kind: EntityKind, from: &ListFrom) -> Result<ListPage, Fault>;

    /// The share of the platform's budget that nobody has taken, from 0 to 1, by what it last said. `None`: it has said nothing.
    fn spare(&self) -> Option<f64>;
}

/// The webhooks that a platform sends to our address.
#[async_trait]
pub trait Subscriptions: Send + Sync + 'static {
    /// The platform's topics that we want.
    fn wanted(&self) -> &BTreeSet<String>;

    /// Those of the platform's topics that it sends to our address now.
    async fn present(&self) -> Result<BTreeSet<String>, Fault>;

    /// Subscribes to one more. One that is there already is no failure.
    async fn create(&self, topic: &str) -> Result<(), Fault>;
}

/// A level to set: absolute, only if the shop still shows what we think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StockPush {
    pub item: String,
    pub location: String,
    pub available: i64,
    /// What the shop showed when we last knew. `None` = set whatever is there.
    pub expected: Option<i64>,
    /// The same for the same push, for ever: item, location, generation.
    pub idempotency_key: String,
}

/// What became of one push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushResult {
    Set,
    /// The shop shows another level than expected: read it and decide.
    Stale,
    /// The item is not stocked at that location.
    NotStocked,
    Refused(String),
}

/// A level that the shop shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShownLevel {
    pub item: String,
    pub location: String,
    pub available: i64,
}

/// Stock of a storefront.
#[async_trait]
pub trait ShopStock: Send + Sync + 'static {
    /// Most levels that one [`ShopStock::push`] takes.
    fn batch_max(&self) -> usize;

    /// Sets levels; one result per push, in order. A fault is about the call as a whole.
    async fn push(&self, pushes: &[StockPush]) -> Result<Vec<PushResult>, Fault>;

    /// Reads levels of items at a location. Items that the shop does not know are missing from the answer.
    async fn levels(&self, location: &str, items: &[String]) -> Result<Vec<ShownLevel>, Fault>;

    /// The stock items of a SKU: none, one, or (an error of the shop's catalogue) several.
    async fn items_of(&self, sku: &Sku) -> Result<Vec<String>, Fault>;
}
