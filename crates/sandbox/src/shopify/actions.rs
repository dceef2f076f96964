//! What happens in the shop, and what it tells the world of it.

use bytes::Bytes;
use chrono::{DateTime, SubsecRound, Utc};
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::Shop;
use super::delivery::{Delivery, RawDelivery};
use super::stock::{ShelfLevel, Spot};
use super::subscriptions::Subscription;
use super::world::{Act, World};
use crate::payloads::{
    Article, EditWish, FinancialStatus, OrderWish, RefundWish, Restock, ShopCustomer, ShopOrder, ShopRefund, ShopTransaction, UnknownSku,
};

/// The shop has no such thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    #[error(transparent)]
    Sku(#[from] UnknownSku),
    #[error("the sandbox shop has no order {0}")]
    Order(u64),
    #[error("the order has no refund {0} whose money has not moved")]
    Refund(u64),
    #[error("the sandbox shop has no customer {0}")]
    Customer(u64),
    #[error("the order is cancelled already")]
    Cancelled,
}

/// An action, and what was sent of it.
#[derive(Debug, Clone)]
pub struct Happened {
    /// Of the order or customer.
    pub id: u64,
    pub event_id: String,
    /// One per topic that somebody subscribed to.
    pub deliveries: Vec<Delivery>,
}

impl Happened {
    pub fn delivery(&self, topic: &str) -> Option<&Delivery> {
        self.deliveries.iter().find(|it| it.topic == topic)
    }
}

impl Shop {
    /// Places an order: `available` goes down by what it takes.
    pub fn place_order(&self, wish: &OrderWish) -> Result<Happened, ActionError> {
        self.act(|world, act| {
            let order = world.generator.order(wish, act.at)?;
            let id = order.id;
            if let Some(customer) = order.customer.as_ref().filter(|it| it.created_at == order.created_at) {
                act.event("customers/create", customer.id, customer.to_rest(order.offset));
            }
            act.event("orders/create", id, order.to_rest());
            tell_of_money(&order, &order.transactions, act);
            if order.financial_status() == FinancialStatus::Paid {
                act.event("orders/paid", id, order.to_rest());
            }
            for line in &order.lines {
                let quantity = i64::from(line.quantity);
                world.shift(line, order.location_id, -quantity, quantity, act);
            }
            note(act, "order.place", &order);
            world.orders.insert(id, order);
            Ok(id)
        })
    }

    /// Places drawn orders at once, as many as told.
    pub fn burst(&self, orders: usize) -> Result<Vec<Happened>, ActionError> {
        (0..orders).map(|_| self.place_order(&OrderWish::default())).collect()
    }

    /// Takes the money that is outstanding.
    pub fn pay(&self, order: u64) -> Result<Happened, ActionError> {
        self.change(order, |order, world, act| {
            let paid = order.pay(world.generator.ids(), act.at.trunc_subsecs(0));
            tell_of_money(order, &paid, act);
            act.event("orders/paid", order.id, order.to_rest());
            note(act, "order.pay", order);
            Ok(())
        })
    }

    /// Cancels an order; money goes back, and with `restock` so do the goods.
    pub fn cancel(&self, order: u64, reason: &str, restock: bool) -> Result<Happened, ActionError> {
        self.change(order, |order, world, act| {
            let before = order.clone();
            let Some(refund) = order.cancel(reason, restock, world.generator.ids(), act.at.trunc_subsecs(0)) else {
                return Err(ActionError::Cancelled);
            };
            act.event("orders/cancelled", order.id, order.to_rest());
            tell_of_refund(order, &refund, act);
            for line in &before.lines {
                let left = i64::from(line.current_quantity());
                world.shift(line, order.location_id, if restock { left } else { 0 }, -left, act);
            }
            note(act, "order.cancel", order);
            Ok(())
        })
    }

    /// Gives goods, delivery or goodwill back.
    pub fn refund(&self, order: u64, wish: &RefundWish) -> Result<Happened, ActionError> {
        self.change(order, |order, world, act| {
            let refund = order.refund(wish, world.generator.ids(), act.at.trunc_subsecs(0));
            tell_of_refund(order, &refund, act);
            for back in &refund.lines {
                let Some(line) = order.line(back.line).cloned() else { continue };
                let quantity = i64::from(back.quantity);
                let (available, committed) = match back.restock {
                    Restock::Return => (quantity, 0),
                    Restock::Cancel => (quantity, -quantity),
                    Restock::NoRestock => (0, if wish.shipped { 0 } else { -quantity }),
                };
                world.shift(&line, order.location_id, available, committed, act);
            }
            note(act, "order.refund", order).external_id = Some(refund.id.to_string());
            Ok(())
        })
    }

    /// The money of a pending refund moves.
    pub fn settle_refund(&self, order: u64, refund: u64) -> Result<Happened, ActionError> {
        self.change(order, |order, world, act| {
            if !order.settle_refund(refund, world.generator.ids(), act.at.trunc_subsecs(0)) {
                return Err(ActionError::Refund(refund));
            }
            let moved = order.refund_of(refund).map(|it| it.transactions.clone()).unwrap_or_default();
            tell_of_money(order, &moved, act);
            note(act, "order.settle_refund", order).external_id = Some(refund.to_string());
            Ok(())
        })
    }

    /// Adds articles and takes quantities away. `orders/edited` tells the delta only.
    pub fn edit(&self, order: u64, wish: &EditWish) -> Result<Happened, ActionError> {
        self.change(order, |order, world, act| {
            let mut add = Vec::new();
            for (sku, quantity) in &wish.add {
                add.push((world.generator.article(sku)?.clone(), *quantity));
            }
            let edit = order.edit(&add, &wish.remove, world.generator.ids(), act.at.trunc_subsecs(0));
            act.event("orders/edited", order.id, edit.to_rest(order.offset));
            let changes = edit.additions.iter().map(|it| (it.0, i64::from(it.1)));
            for (id, more) in changes.chain(edit.removals.iter().map(|it| (it.0, -i64::from(it.1)))) {
                if let Some(line) = order.line(id).cloned() {
                    world.shift(&line, order.location_id, -more, more, act);
                }
            }
            note(act, "order.edit", order);
            Ok(())
        })
    }

    /// Writes a note: the least change that bumps `updated_at`.
    pub fn annotate(&self, order: u64, text: &str) -> Result<Happened, ActionError> {
        self.change(order, |order, _, act| {
            order.annotate(text, act.at.trunc_subsecs(0));
            note(act, "order.annotate", order);
            Ok(())
        })
    }

    /// Any change to the model; `orders/updated` tells of it.
    pub fn update(&self, order: u64, change: impl FnOnce(&mut ShopOrder)) -> Result<Happened, ActionError> {
        self.change(order, |order, _, act| {
            change(order);
            order.updated_at = act.at.trunc_subsecs(0);
            note(act, "order.update", order);
            Ok(())
        })
    }

    /// Gives an order a time of change in the past, and tells nobody: what a sweep has to find.
    pub fn backdate(&self, order: u64, updated_at: DateTime<Utc>) -> Result<(), ActionError> {
        let mut world = self.world();
        let found = world.orders.get_mut(&order).ok_or(ActionError::Order(order))?;
        found.updated_at = updated_at.trunc_subsecs(0);
        Ok(())
    }

    /// Deletes it; only its id is told.
    pub fn delete_order(&self, order: u64) -> Result<Happened, ActionError> {
        self.act(|world, act| {
            world.orders.remove(&order).ok_or(ActionError::Order(order))?;
            act.event("orders/delete", order, json!({ "id": order }));
            act.applied("order.delete", order);
            Ok(order)
        })
    }

    pub fn create_customer(&self) -> Happened {
        let created = self.act(|world, act| {
            let customer = world.generator.customer(act.at);
            act.event("customers/create", customer.id, customer.to_rest(world.generator.settings().offset));
            act.applied("customer.create", customer.id);
            Ok(customer.id)
        });
        created.expect("nothing is looked up")
    }

    pub fn update_customer(&self, customer: u64, change: impl FnOnce(&mut ShopCustomer)) -> Result<Happened, ActionError> {
        self.act(|world, act| {
            let offset = world.generator.settings().offset;
            let found = world.generator.customer_mut(customer).ok_or(ActionError::Customer(customer))?;
            change(found);
            found.updated_at = act.at.trunc_subsecs(0);
            act.event("customers/update", customer, found.to_rest(offset));
            act.applied("customer.update", customer);
            Ok(customer)
        })
    }

    /// Sets a level as the staff does. Every variant of the SKU is set.
    pub fn set_available(&self, sku: &str, available: i64) -> Result<Happened, ActionError> {
        self.act(|world, act| {
            let first = world.generator.article(sku)?.inventory_item_id;
            let spots: Vec<Spot> =
                world.shelves.levels().filter(|it| it.sku == sku).map(|it| Spot { item: it.item, location: it.location }).collect();
            let offset = world.generator.settings().offset;
            for spot in spots {
                if let Some(level) = world.shelves.set(spot, available, act.at) {
                    act.moved(&level, offset);
                }
            }
            Ok(first)
        })
    }

    /// Sells one more variant; `stock` = `None`: it is stocked nowhere.
    pub fn add_article(&self, sku: &str, stock: Option<i64>) -> Article {
        let mut world = self.world();
        let article = world.generator.add_article(sku).clone();
        if let Some(available) = stock {
            let location = world.generator.location_id();
            world.shelves.stock(&article, location, available, Utc::now());
        }
        article
    }

    /// Any bytes under any topic, to everybody who subscribed to it; to nobody's door when nobody did.
    pub fn send_raw(&self, raw: RawDelivery) -> Vec<Delivery> {
        let deliveries = {
            let mut world = self.world();
            let event_id = raw.event_id.clone().unwrap_or_else(|| world.uuid());
            let wanted: Vec<(u64, String)> = world.subscriptions.of(&raw.topic).map(|it| (it.id, it.address.clone())).collect();
            let deliveries =
                wanted.into_iter().map(|(id, address)| raw.to(Some(id), address, &event_id, &self.0.settings.api_version, &mut world));
            deliveries.collect::<Vec<_>>()
        };
        self.dispatch(&deliveries);
        deliveries
    }

    /// The same, to one address, subscribed or not.
    pub fn send_raw_to(&self, address: &str, raw: &RawDelivery) -> Delivery {
        let delivery = {
            let mut world = self.world();
            let event_id = raw.event_id.clone().unwrap_or_else(|| world.uuid());
            raw.to(None, address.to_owned(), &event_id, &self.0.settings.api_version, &mut world)
        };
        self.dispatch(std::slice::from_ref(&delivery));
        delivery
    }

    /// Subscribes an address to topics, as an app does through the API. What it has already stays.
    pub fn subscribe(&self, address: &str, topics: &[&str]) -> Vec<Subscription> {
        let mut world = self.world();
        let mut made = Vec::new();
        for topic in topics {
            let id = world.generator.ids().draw();
            made.extend(world.subscriptions.add(id, topic, address, true, Utc::now()));
        }
        made
    }

    /// Deletes subscriptions, as the platform does with failing ones, and tells nobody. Returns how many there were.
    pub fn unsubscribe(&self, topics: &[&str]) -> usize {
        let mut world = self.world();
        let ids: Vec<u64> = topics.iter().flat_map(|it| world.subscriptions.of(it).map(|it| it.id).collect::<Vec<_>>()).collect();
        ids.into_iter().filter(|it| world.subscriptions.remove(*it)).count()
    }

    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.world().subscriptions.all().to_vec()
    }

    /// How many subscriptions were deleted because their address failed.
    pub fn subscriptions_lost(&self) -> u64 {
        self.world().subscriptions.deleted()
    }

    pub fn order(&self, id: u64) -> Option<ShopOrder> {
        self.world().orders.get(&id).cloned()
    }

    pub fn orders(&self) -> Vec<ShopOrder> {
        self.world().orders.values().cloned().collect()
    }

    pub fn customer(&self, id: u64) -> Option<ShopCustomer> {
        self.world().generator.customers().iter().find(|it| it.id == id).cloned()
    }

    pub fn articles(&self) -> Vec<Article> {
        self.world().generator.articles().to_vec()
    }

    pub fn location_id(&self) -> u64 {
        self.world().generator.location_id()
    }

    pub fn levels(&self) -> Vec<ShelfLevel> {
        self.world().shelves.levels().cloned().collect()
    }

    /// What the shop shows of the first variant of a SKU, at its location.
    pub fn available(&self, sku: &str) -> Option<i64> {
        let world = self.world();
        let item = world.generator.article(sku).ok()?.inventory_item_id;
        world.shelves.level(Spot { item, location: world.generator.location_id() }).map(|it| it.available)
    }

    /// Does something to an order and tells `orders/updated` last.
    fn change(
        &self,
        id: u64,
        change: impl FnOnce(&mut ShopOrder, &mut World, &mut Act) -> Result<(), ActionError>,
    ) -> Result<Happened, ActionError> {
        self.act(|world, act| {
            let mut order = world.orders.get(&id).cloned().ok_or(ActionError::Order(id))?;
            change(&mut order, world, act)?;
            act.event("orders/updated", id, order.to_rest());
            world.orders.insert(id, order);
            Ok(id)
        })
    }

    /// Runs an action, logs it and sends what it caused.
    pub(super) fn act(&self, action: impl FnOnce(&mut World, &mut Act) -> Result<u64, ActionError>) -> Result<Happened, ActionError> {
        let happened = {
            let mut world = self.world();
            let mut act = Act::now();
            let id = action(&mut world, &mut act)?;
            let event_id = world.uuid();
            let deliveries = world.deliveries(&act, &event_id);
            // Under the lock, so that the log has the order in which levels changed.
            self.0.log.append(std::mem::take(&mut act.drafts));
            Happened { id, event_id, deliveries }
        };
        self.dispatch(&happened.deliveries);
        Ok(happened)
    }
}

impl RawDelivery {
    fn to(&self, subscription: Option<u64>, address: String, event_id: &str, version: &str, world: &mut World) -> Delivery {
        let id = self.webhook_id.clone().unwrap_or_else(|| world.uuid());
        Delivery {
            topic: self.topic.clone(),
            webhook_id: id,
            event_id: event_id.to_owned(),
            triggered_at: self.triggered_at.unwrap_or_else(Utc::now),
            api_version: self.api_version.clone().unwrap_or_else(|| version.to_owned()),
            address,
            body: self.body.clone(),
            subject: subject_of(&self.body),
            subscription,
            secret: self.secret.clone(),
        }
    }
}

/// The `id` of a body, where there is one.
fn subject_of(body: &Bytes) -> String {
    let id = serde_json::from_slice::<Value>(body).ok().and_then(|it| it.get("id").cloned());
    id.map(|it| it.as_str().map_or_else(|| it.to_string(), str::to_owned)).unwrap_or_default()
}

fn tell_of_money(order: &ShopOrder, transactions: &[ShopTransaction], act: &mut Act) {
    for transaction in transactions {
        act.event("order_transactions/create", order.id, order.transaction_to_rest(transaction));
    }
}

fn tell_of_refund(order: &ShopOrder, refund: &ShopRefund, act: &mut Act) {
    act.event("refunds/create", order.id, order.refund_to_rest(refund));
    tell_of_money(order, &refund.transactions, act);
}

fn note<'a>(act: &'a mut Act, operation: &str, order: &ShopOrder) -> &'a mut crate::effects::Draft {
    let amounts = [("total", order.total().shop), ("current_total", order.current_total().shop), ("tax", order.tax_total().shop)];
    let draft = act.applied(operation, order.id);
    for (name, amount) in amounts {
        draft.amounts.insert(name.to_owned(), Decimal::normalize(&amount).to_string());
    }
    draft.external_id = Some(order.name.clone());
    draft.detail = Some(order.financial_status().as_str().to_owned());
    draft
}
