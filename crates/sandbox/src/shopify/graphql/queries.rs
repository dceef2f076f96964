//! The roots of queries.

use serde_json::{Map, Value, json};

use super::arguments::Request;
use super::error::GraphqlError;
use super::parse::Field;
use super::project::{Position, Spent, connection, project};
use super::search::{Search, Term};
use super::{id_of, views};
use crate::payloads::{Article, ShopCustomer, ShopOrder};
use crate::shopify::settings::ShopSettings;
use crate::shopify::world::World;

type Answer = Result<Value, GraphqlError>;

/// A root field with its arguments, and what is needed to answer it.
struct Root<'a> {
    world: &'a World,
    settings: &'a ShopSettings,
    field: &'a Field,
    arguments: Map<String, Value>,
    request: &'a Request<'a>,
}

pub(super) fn run(world: &World, settings: &ShopSettings, field: &Field, request: &Request<'_>, spent: &mut Spent) -> Answer {
    let root = Root { world, settings, field, arguments: request.arguments(&field.arguments)?, request };
    match field.name.as_str() {
        "orders" => root.orders(spent),
        "customers" => root.customers(spent),
        "productVariants" => root.articles(spent, views::variant, |it| it.variant_id),
        "inventoryItems" => root.articles(spent, views::item, |it| it.inventory_item_id),
        "webhookSubscriptions" => root.subscriptions(spent),
        "locations" => {
            let id = world.generator.location_id();
            root.page(vec![(0, id)], spent, |it| views::location(it.1))
        }
        "nodes" => root.nodes(spent),
        "order" => root.node("Order", spent),
        "refund" => root.node("Refund", spent),
        "customer" => root.node("Customer", spent),
        "productVariant" => root.node("ProductVariant", spent),
        "inventoryItem" => root.node("InventoryItem", spent),
        "inventoryLevel" => root.node("InventoryLevel", spent),
        "location" => root.node("Location", spent),
        "webhookSubscription" => root.node("WebhookSubscription", spent),
        "node" => {
            let gid = root.needed("id")?;
            root.show(&root.find(gid)?, spent)
        }
        "shop" => root.show(&root.shop(), spent),
        other => Err(GraphqlError::undefined(other, "QueryRoot")),
    }
}

impl Root<'_> {
    fn needed(&self, name: &str) -> Result<&Value, GraphqlError> {
        let missing = || GraphqlError::new("missingRequiredArguments", format!("`{name}` is missing on `{}`", self.field.name));
        self.arguments.get(name).filter(|it| !it.is_null()).ok_or_else(missing)
    }

    fn show(&self, value: &Value, spent: &mut Spent) -> Answer {
        if value.is_null() {
            return Ok(Value::Null);
        }
        spent.0 += 1;
        project(value, &self.field.selections, self.request, spent)
    }

    /// One resource of a kind by its id, null where there is none.
    fn node(&self, kind: &str, spent: &mut Spent) -> Answer {
        let gid = self.needed("id")?;
        id_of(gid, kind)?;
        self.show(&self.find(gid)?, spent)
    }

    fn nodes(&self, spent: &mut Spent) -> Answer {
        let ids = self.needed("ids")?.as_array().cloned().unwrap_or_default();
        if ids.len() > super::project::PAGE_MAX {
            return Err(too_many(ids.len()));
        }
        ids.iter().map(|gid| self.show(&self.find(gid)?, spent)).collect()
    }

    /// Whatever has this global id.
    fn find(&self, gid: &Value) -> Answer {
        let kind = gid.as_str().and_then(|it| it.strip_prefix("gid://shopify/")?.split('/').next()).unwrap_or_default();
        let id = id_of(gid, kind)?;
        let world = self.world;
        let article = |of: fn(&Article) -> u64| world.generator.articles().iter().find(|it| of(it) == id);
        let found = match kind {
            "Order" => world.orders.get(&id).map(ShopOrder::to_graphql),
            "Refund" => world.orders.values().find_map(|order| order.refund_of(id).map(|it| order.refund_to_graphql(it))),
            "Customer" => world.generator.customers().iter().find(|it| it.id == id).map(ShopCustomer::to_graphql),
            "ProductVariant" => article(|it| it.variant_id).map(|it| views::variant(it, world)),
            "InventoryItem" => article(|it| it.inventory_item_id).map(|it| views::item(it, world)),
            "InventoryLevel" => self.level(gid, id),
            "Location" => (id == world.generator.location_id()).then(|| views::location(id)),
            "WebhookSubscription" => {
                let found = world.subscriptions.all().iter().find(|it| it.id == id);
                found.map(|it| views::subscription(it, &self.settings.api_version))
            }
            _ => None,
        };
        Ok(found.unwrap_or(Value::Null))
    }

    /// `gid://shopify/InventoryLevel/<location>?inventory_item_id=<item>`
    fn level(&self, gid: &Value, location: u64) -> Option<Value> {
        let item = gid.as_str()?.split_once("?inventory_item_id=")?.1.parse().ok()?;
        self.world.shelves.level(crate::shopify::stock::Spot { item, location }).map(views::level)
    }

    fn shop(&self) -> Value {
        json!({
            "__typename": "Shop",
            "id": "gid://shopify/Shop/1",
            "name": "Sandbox shop",
            "myshopifyDomain": self.settings.shop_domain,
            "currencyCode": self.settings.payloads.currency.code(),
            "ianaTimezone": "Europe/Berlin",
            "timezoneOffsetMinutes": self.settings.payloads.offset.local_minus_utc() / 60,
            "taxesIncluded": true,
            "plan": { "__typename": "ShopPlan", "publicDisplayName": "Shopify Plus", "shopifyPlus": true, "partnerDevelopment": false },
        })
    }

    fn search(&self) -> Result<Search, GraphqlError> {
        Search::parse(self.arguments.get("query").and_then(Value::as_str).unwrap_or_default())
    }

    fn sort_key(&self) -> &str {
        self.arguments.get("sortKey").and_then(Value::as_str).unwrap_or("ID")
    }

    fn orders(&self, spent: &mut Spent) -> Answer {
        let search = self.search()?;
        let key = |order: &ShopOrder| match self.sort_key() {
            "UPDATED_AT" => Ok(order.updated_at.timestamp()),
            "CREATED_AT" | "PROCESSED_AT" => Ok(order.created_at.timestamp()),
            "ID" => Ok(0),
            other => Err(GraphqlError::new("argumentLiteralsIncompatible", format!("the sandbox cannot sort orders by {other}"))),
        };
        let mut positions = Vec::new();
        for order in self.world.orders.values() {
            if search.finds(|term| order_fits(order, term))? {
                positions.push((key(order)?, order.id));
            }
        }
        self.page(positions, spent, |it| self.world.orders[&it.1].to_graphql())
    }

    fn customers(&self, spent: &mut Spent) -> Answer {
        let search = self.search()?;
        let by_update = self.sort_key() == "UPDATED_AT";
        let customers = self.world.generator.customers();
        let mut positions = Vec::new();
        for (index, customer) in customers.iter().enumerate() {
            if search.finds(|term| customer_fits(customer, term))? {
                let key = if by_update { customer.updated_at.timestamp() } else { 0 };
                positions.push(((key, customer.id), index));
            }
        }
        let render = |at: Position| positions.iter().find(|it| it.0 == at).map_or(Value::Null, |it| customers[it.1].to_graphql());
        self.page(positions.iter().map(|it| it.0).collect(), spent, render)
    }

    fn articles(&self, spent: &mut Spent, view: fn(&Article, &World) -> Value, id: fn(&Article) -> u64) -> Answer {
        let search = self.search()?;
        let articles = self.world.generator.articles();
        let mut positions = Vec::new();
        for article in articles {
            let fits = search.finds(|term| match term.field.as_str() {
                "sku" => Ok(term.text(&article.sku)),
                "id" => term.number(id(article)),
                _ => Err(term.unknown()),
            })?;
            if fits {
                positions.push((0, id(article)));
            }
        }
        let render = |at: Position| articles.iter().find(|it| id(it) == at.1).map_or(Value::Null, |it| view(it, self.world));
        self.page(positions, spent, render)
    }

    fn subscriptions(&self, spent: &mut Spent) -> Answer {
        let topics = self.arguments.get("topics").and_then(Value::as_array);
        let address = self.arguments.get("uri").or_else(|| self.arguments.get("callbackUrl")).and_then(Value::as_str);
        let all = self.world.subscriptions.all();
        let wanted = all.iter().filter(|it| {
            topics.is_none_or(|topics| topics.iter().any(|topic| *topic == it.topic_enum())) && address.is_none_or(|uri| uri == it.address)
        });
        let positions = wanted.map(|it| (0, it.id)).collect();
        let version = &self.settings.api_version;
        let render = |at: Position| all.iter().find(|it| it.id == at.1).map_or(Value::Null, |it| views::subscription(it, version));
        self.page(positions, spent, render)
    }

    fn page(&self, mut positions: Vec<Position>, spent: &mut Spent, render: impl Fn(Position) -> Value) -> Answer {
        positions.sort_unstable();
        connection(positions, &self.field.selections, &self.arguments, self.request, spent, render)
    }
}

pub(super) fn too_many(rows: usize) -> GraphqlError {
    let message = format!("the array has {rows} entries, at most {} are taken", super::project::PAGE_MAX);
    GraphqlError::new("MAX_INPUT_SIZE_EXCEEDED", message)
}

fn order_fits(order: &ShopOrder, term: &Term) -> Result<bool, GraphqlError> {
    match term.field.as_str() {
        "updated_at" => term.time(order.updated_at),
        "created_at" | "processed_at" => term.time(order.created_at),
        "id" => term.number(order.id),
        "name" => Ok(term.text(&order.name)),
        "email" => Ok(term.text(&order.email)),
        "financial_status" => Ok(term.text(order.financial_status().as_str())),
        "test" => Ok(term.text(&order.test.to_string())),
        "status" => Ok(match term.value.as_str() {
            "open" => order.closed_at.is_none() && !order.is_cancelled(),
            "closed" => order.closed_at.is_some(),
            "cancelled" => order.is_cancelled(),
            _ => true,
        }),
        _ => Err(term.unknown()),
    }
}

fn customer_fits(customer: &ShopCustomer, term: &Term) -> Result<bool, GraphqlError> {
    match term.field.as_str() {
        "updated_at" | "customer_date" => term.time(customer.updated_at),
        "id" => term.number(customer.id),
        "email" => Ok(term.text(customer.email.as_deref().unwrap_or_default())),
        _ => Err(term.unknown()),
    }
}
