//! Reads one entity whole by GraphQL. The body that it makes holds Shopify's answers byte for byte; `mapping` reads them under
//! the topics `…/graphql`.
//!
//! It asks for what webhooks of the same entity also say, and for nothing else: an order whose webhook and whose re-read
//! differed in what they tell would look like two versions of it for ever. So payments of an order, and tags, locale and
//! consent of a customer, are not asked for: their webhooks do not carry them.

mod queries;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector::storefront::ReRead;
use domain::{EntityKind, EntityRef};
use fault::Fault;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use crate::client::{GraphQl, PageInfo, read};
use crate::error::CallError;
use crate::mapping::{CUSTOMER_READ, ORDER_READ, REFUND_READ};
use crate::wire::Id;

/// Pages of lines that one order or refund may have: far beyond what Shopify sells in one order.
const PAGES_MAX: usize = 100;

pub(crate) struct ShopifyReRead {
    client: Arc<GraphQl>,
}

impl ShopifyReRead {
    pub(crate) fn new(client: Arc<GraphQl>) -> Self {
        Self { client }
    }
}

#[async_trait]
impl ReRead for ShopifyReRead {
    async fn read(&self, entity: &EntityRef) -> Result<Option<(String, Bytes)>, Fault> {
        let id =
            Id::parse(&entity.id).ok_or(CallError::Request { operation: "a re-read", what: "the entity's id is no id of Shopify's" })?;
        let (topic, body) = match entity.kind {
            EntityKind::Order => (ORDER_READ, self.order(id).await?),
            EntityKind::Refund => (REFUND_READ, self.refund(id).await?),
            EntityKind::Customer => (CUSTOMER_READ, self.customer(id).await?),
            EntityKind::Product
            | EntityKind::Price
            | EntityKind::Stock
            | EntityKind::Availability
            | EntityKind::Shipment
            | EntityKind::Payment => {
                let what = "this connector re-reads orders, refunds and customers only";
                return Err(CallError::Request { operation: "a re-read", what }.into());
            }
        };
        Ok(body.map(|it| (topic.to_owned(), Bytes::from(it))))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Connection {
    page_info: PageInfo,
}

impl Connection {
    /// Lists that no real entity fills are not paged; a cut one must not pass for whole.
    fn whole(&self, operation: &'static str) -> Result<(), CallError> {
        if !self.page_info.has_next_page {
            return Ok(());
        }
        Err(CallError::Request { operation, what: "the entity has more discounts, delivery lines, adjustments or payments than are read" })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderHead {
    line_items: Connection,
    shipping_lines: Connection,
    discount_applications: Connection,
    refunds: Vec<RefundId>,
}

#[derive(Deserialize)]
struct RefundId {
    id: Id,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundHead {
    refund_line_items: Connection,
    refund_shipping_lines: Connection,
    order_adjustments: Connection,
    transactions: Connection,
}

impl ShopifyReRead {
    async fn order(&self, id: Id) -> Result<Option<String>, CallError> {
        let operation = queries::ORDER.operation;
        let variables = json!({ "id": format!("gid://shopify/Order/{id}") });
        let data = self.client.call(&queries::ORDER, &variables).await?;
        let Some(order) = field(operation, &data, "order")? else { return Ok(None) };
        let head: OrderHead = read(operation, order.as_bytes())?;
        head.shipping_lines.whole(operation)?;
        head.discount_applications.whole(operation)?;

        let pages = self.pages(&queries::ORDER_LINES, "order", "lineItems", &variables["id"], head.line_items.page_info).await?;
        let mut refunds = Vec::with_capacity(head.refunds.len());
        for refund in head.refunds {
            // One that is gone between the two questions is as gone as if it had been before both.
            refunds.extend(self.refund(refund.id).await?);
        }
        Ok(Some(format!(r#"{{"order":{order},"moreLineItems":[{}],"refunds":[{}]}}"#, pages.join(","), refunds.join(","))))
    }

    async fn refund(&self, id: Id) -> Result<Option<String>, CallError> {
        let operation = queries::REFUND.operation;
        let variables = json!({ "id": format!("gid://shopify/Refund/{id}") });
        let data = self.client.call(&queries::REFUND, &variables).await?;
        let Some(refund) = field(operation, &data, "refund")? else { return Ok(None) };
        let head: RefundHead = read(operation, refund.as_bytes())?;
        head.refund_shipping_lines.whole(operation)?;
        head.order_adjustments.whole(operation)?;
        head.transactions.whole(operation)?;

        let rest = head.refund_line_items.page_info;
        let pages = self.pages(&queries::REFUND_LINES, "refund", "refundLineItems", &variables["id"], rest).await?;
        Ok(Some(format!(r#"{{"refund":{refund},"moreRefundLineItems":[{}]}}"#, pages.join(","))))
    }

    async fn customer(&self, id: Id) -> Result<Option<String>, CallError> {
        let variables = json!({ "id": format!("gid://shopify/Customer/{id}") });
        let data = self.client.call(&queries::CUSTOMER, &variables).await?;
        let customer = field(queries::CUSTOMER.operation, &data, "customer")?;
        Ok(customer.map(|it| format!(r#"{{"customer":{it}}}"#)))
    }

    /// The pages behind the first, as they came.
    async fn pages(
        &self,
        query: &'static crate::client::Query,
        object: &str,
        list: &str,
        id: &serde_json::Value,
        first: PageInfo,
    ) -> Result<Vec<String>, CallError> {
        let mut pages = Vec::new();
        let mut last = first;
        while last.has_next_page {
            if pages.len() == PAGES_MAX {
                return Err(CallError::Request { operation: query.operation, what: "the entity has more lines than can be read" });
            }
            let data = self.client.call(query, &json!({ "id": id, "after": last.end_cursor })).await?;
            let gone =
                CallError::Shape { operation: query.operation, path: object.to_owned(), expected: "the same entity again".to_owned() };
            let object = field(query.operation, &data, object)?.ok_or(gone)?;
            let expected = || CallError::Shape { operation: query.operation, path: list.to_owned(), expected: "a list".to_owned() };
            let page = field(query.operation, object.as_bytes(), list)?.ok_or_else(expected)?;
            last = read::<Connection>(query.operation, page.as_bytes())?.page_info;
            pages.push(page);
        }
        Ok(pages)
    }
}

/// One field of an object, as it stands there; `None` for `null`.
fn field(operation: &'static str, object: &[u8], name: &str) -> Result<Option<String>, CallError> {
    let mut fields: std::collections::HashMap<&str, Option<&RawValue>> = read(operation, object)?;
    let found = fields.remove(name).ok_or_else(|| CallError::Shape { operation, path: name.to_owned(), expected: "a field".to_owned() })?;
    Ok(found.map(|it| it.get().to_owned()))
}
