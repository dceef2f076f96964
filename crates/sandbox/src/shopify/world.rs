//! All that the shop knows.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::bucket::Bucket;
use super::delivery::Delivery;
use super::idempotency::Idempotency;
use super::settings::ShopSettings;
use super::stock::{ShelfLevel, Shelves, Spot};
use super::subscriptions::Subscriptions;
use crate::effects::{Draft, Kind, Level, Stock};
use crate::payloads::{Generator, ShopLine, ShopOrder};

#[derive(Debug)]
pub(super) struct World {
    pub(super) generator: Generator,
    pub(super) orders: BTreeMap<u64, ShopOrder>,
    pub(super) shelves: Shelves,
    pub(super) subscriptions: Subscriptions,
    pub(super) idempotency: Idempotency,
    pub(super) bucket: Bucket,
    pub(super) refusals: Vec<Refusal>,
    /// Deliveries that wait for their release.
    pub(super) held: Option<Vec<Delivery>>,
    pub(super) dice: StdRng,
    api_version: String,
}

/// A scripted error of a mutation.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) mutation: String,
    pub(super) code: String,
    pub(super) left: u64,
}

/// What one action causes: webhooks, and lines of the log.
#[derive(Debug)]
pub(super) struct Act {
    pub(super) at: DateTime<Utc>,
    events: Vec<(&'static str, String, Value)>,
    pub(super) drafts: Vec<Draft>,
}

impl Act {
    pub(super) fn now() -> Self {
        Self { at: Utc::now(), events: Vec::new(), drafts: Vec::new() }
    }

    pub(super) fn event(&mut self, topic: &'static str, subject: impl ToString, body: Value) {
        self.events.push((topic, subject.to_string(), body));
    }

    /// An effect on a record of the shop.
    pub(super) fn applied(&mut self, operation: &str, id: u64) -> &mut Draft {
        self.drafts.push(Draft::new(Kind::Applied, operation).id(id));
        self.drafts.last_mut().expect("one was pushed")
    }

    /// A level that changed.
    pub(super) fn moved(&mut self, level: &ShelfLevel, order_offset: chrono::FixedOffset) {
        let shown = Level { sku: level.sku.clone(), location: level.location.to_string(), available: level.available };
        self.drafts.push(Draft::new(Kind::Moved, "inventory_level").id(level.item).stock(Stock::Level(shown)));
        let updated_at = level.updated_at.with_timezone(&order_offset);
        self.event(
            "inventory_levels/update",
            level.item,
            json!({
                "inventory_item_id": level.item,
                "location_id": level.location,
                "available": level.available,
                "updated_at": updated_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, false),
                "admin_graphql_api_id": level_gid(level),
            }),
        );
    }
}

pub(super) fn level_gid(level: &ShelfLevel) -> String {
    format!("gid://shopify/InventoryLevel/{}?inventory_item_id={}", level.location, level.item)
}

impl World {
    pub(super) fn new(settings: &ShopSettings) -> Self {
        let generator = Generator::new(settings.payloads.clone());
        let mut shelves = Shelves::default();
        for article in generator.articles() {
            shelves.stock(article, generator.location_id(), settings.stock, Utc::now());
        }
        Self {
            generator,
            orders: BTreeMap::new(),
            shelves,
            subscriptions: Subscriptions::default(),
            idempotency: Idempotency::default(),
            bucket: Bucket::new(settings.points),
            refusals: Vec::new(),
            held: None,
            dice: StdRng::seed_from_u64(settings.payloads.seed),
            api_version: settings.api_version.clone(),
        }
    }

    /// A new id of a delivery or an event.
    pub(super) fn uuid(&mut self) -> String {
        uuid::Builder::from_random_bytes(self.dice.random()).into_uuid().to_string()
    }

    /// The deliveries that an action causes: one per event and subscription.
    pub(super) fn deliveries(&mut self, act: &Act, event_id: &str) -> Vec<Delivery> {
        let mut deliveries = Vec::new();
        for (topic, subject, body) in &act.events {
            let body = Bytes::from(serde_json::to_vec(body).expect("a JSON value can be written"));
            let wanted: Vec<(u64, String)> = self.subscriptions.of(topic).map(|it| (it.id, it.address.clone())).collect();
            for (id, address) in wanted {
                deliveries.push(Delivery {
                    topic: (*topic).to_owned(),
                    webhook_id: self.uuid(),
                    event_id: event_id.to_owned(),
                    triggered_at: Utc::now(),
                    api_version: self.api_version.clone(),
                    address,
                    body: body.clone(),
                    subject: subject.clone(),
                    subscription: Some(id),
                    secret: None,
                });
            }
        }
        deliveries
    }

    /// Shifts the figures of a line's item, where it is stocked.
    pub(super) fn shift(&mut self, line: &ShopLine, location: u64, available: i64, committed: i64, act: &mut Act) {
        let spot = Spot { item: line.article.inventory_item_id, location };
        if let Some(level) = self.shelves.shift(spot, available, committed, act.at) {
            act.moved(&level, self.generator.settings().offset);
        }
    }

    /// Of webhooks.
    pub(super) fn api_version(&self) -> &str {
        &self.api_version
    }

    /// The scripted error of a mutation, if one is left. Taking it counts.
    pub(super) fn refusal(&mut self, mutation: &str) -> Option<String> {
        let refusal = self.refusals.iter_mut().find(|it| it.left > 0 && it.mutation == mutation)?;
        refusal.left -= 1;
        Some(refusal.code.clone())
    }
}
