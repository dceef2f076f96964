//! From Shopify's bodies to canonical entities. Pure.
//!
//! | topic | becomes |
//! |---|---|
//! | `orders/create`, `updated`, `paid`, `cancelled`, `fulfilled`, `partially_fulfilled`, `graphql` | the order and each refund in it |
//! | `orders/edited` | a re-read: it says what changed, without the order |
//! | `orders/delete` | a re-read: it says an id, and the re-read finds nothing |
//! | `refunds/create`, `graphql` | the refund |
//! | `customers/create`, `update`, `enable`, `disable`, `graphql` | the customer |
//! | all others | nothing: kept raw and counted |
//!
//! `…/graphql` are our own: bodies that [`crate::reread`] made.

mod address;
mod customer;
mod discount;
mod discrepancy;
mod money;
mod order;
mod payment;
mod refund;
mod shipping;
mod tables;

use chrono::{DateTime, TimeDelta, Utc};
use connector::storefront::{Delivery, Entity, Mapped, MappedEntity, Mapper};
use domain::{AggregateKey, ConnectionId, EntityKind, EntityRef, Order};
use fault::Fault;

use crate::error::MappingError;
use crate::wire;

pub(crate) const ORDER_READ: &str = "orders/graphql";
pub(crate) const REFUND_READ: &str = "refunds/graphql";
pub(crate) const CUSTOMER_READ: &str = "customers/graphql";

pub(crate) struct ShopifyMapper;

impl Mapper for ShopifyMapper {
    fn map(&self, delivery: &Delivery) -> Result<Mapped, Fault> {
        Ok(map(&delivery.connection, &delivery.topic, &delivery.body)?)
    }

    fn may_hide(&self, order: &Order, at: DateTime<Utc>) -> bool {
        order.placed_at.is_some_and(|it| it < at - SHOWN)
    }
}

/// Apps without the scope `read_all_orders` see the orders of the last sixty days, <https://shopify.dev/docs/api/usage/access-scopes>.
/// A day less, because clocks and days differ.
const SHOWN: TimeDelta = TimeDelta::days(59);

fn map(connection: &ConnectionId, topic: &str, body: &[u8]) -> Result<Mapped, MappingError> {
    match topic {
        "orders/create" | "orders/updated" | "orders/paid" | "orders/cancelled" | "orders/fulfilled" | "orders/partially_fulfilled" => {
            entities_of_order(connection, &wire::parse(body)?)
        }
        ORDER_READ => entities_of_order(connection, &wire::parse::<wire::OrderAnswer<'_>>(body)?.whole()),
        "orders/edited" => {
            let edited: wire::Edited = wire::parse(body)?;
            Ok(Mapped::ReRead(order_of(connection, edited.order_edit.order_id, "order_edit.order_id")?))
        }
        "orders/delete" => Ok(Mapped::Gone(order_of(connection, wire::parse::<wire::Deleted>(body)?.id, "id")?)),
        "refunds/create" => Ok(Mapped::Entities(vec![refund_entity(connection, &wire::parse(body)?, None)?])),
        REFUND_READ => {
            let refund = wire::parse::<wire::RefundAnswer<'_>>(body)?.whole();
            Ok(Mapped::Entities(vec![refund_entity(connection, &refund, None)?]))
        }
        "customers/create" | "customers/update" | "customers/enable" | "customers/disable" => {
            customer_entity(connection, &wire::parse(body)?)
        }
        CUSTOMER_READ => customer_entity(connection, &wire::parse::<wire::CustomerAnswer<'_>>(body)?.customer),
        _ => Ok(Mapped::Unmapped),
    }
}

fn order_of(connection: &ConnectionId, id: Option<wire::Id>, path: &str) -> Result<EntityRef, MappingError> {
    let id = money::need(id, path, "the order's id")?;
    Ok(EntityRef::new(connection.clone(), EntityKind::Order, id.to_string()))
}

fn entities_of_order(connection: &ConnectionId, body: &wire::Order<'_>) -> Result<Mapped, MappingError> {
    let order = order::order(body)?;
    let updated_at = money::need(body.updated_at, "updated_at", "the time of the last change")?.0;
    let of_order = refund::OfOrder { id: &order.id, shop: order.shop_currency, presentment: order.presentment_currency };

    let mut refunds = Vec::with_capacity(body.refunds.len());
    for (index, it) in body.refunds.iter().enumerate() {
        refunds.push(refund_entity(connection, it, Some(of_order)).map_err(|error| error.within("refunds", index))?);
    }
    // The order comes first: its refunds need it.
    let mut entities = Vec::with_capacity(1 + refunds.len());
    entities.push(MappedEntity {
        entity: EntityRef::new(connection.clone(), EntityKind::Order, order.id.clone()),
        aggregate: AggregateKey::order(connection, &order.id),
        updated_at,
        channel: order.channel.clone(),
        body: Entity::Order(Box::new(order)),
        deleted: false,
    });
    entities.append(&mut refunds);
    Ok(Mapped::Entities(entities))
}

fn refund_entity(
    connection: &ConnectionId,
    body: &wire::Refund<'_>,
    order: Option<refund::OfOrder<'_>>,
) -> Result<MappedEntity, MappingError> {
    let refund = refund::refund(body, order)?;
    Ok(MappedEntity {
        entity: EntityRef::new(connection.clone(), EntityKind::Refund, refund.id.clone()),
        aggregate: AggregateKey::order(connection, &refund.order_id),
        updated_at: refund::updated_at(body)?,
        // `refunds/create` does not know the order's.
        channel: String::new(),
        body: Entity::Refund(Box::new(refund)),
        deleted: false,
    })
}

fn customer_entity(connection: &ConnectionId, body: &wire::Customer<'_>) -> Result<Mapped, MappingError> {
    let customer = customer::customer(body)?;
    let updated_at = money::need(body.updated_at.or(body.created_at), "updated_at", "the time of the last change")?.0;
    Ok(Mapped::Entities(vec![MappedEntity {
        entity: EntityRef::new(connection.clone(), EntityKind::Customer, customer.id.clone()),
        aggregate: AggregateKey::customer(connection, &customer.id),
        updated_at,
        channel: String::new(),
        body: Entity::Customer(Box::new(customer)),
        deleted: false,
    }]))
}

#[cfg(test)]
mod tests;
