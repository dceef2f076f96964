//! The shop's webhook subscriptions to our address. Shopify deletes those of the API whose deliveries failed too long, and tells
//! nobody but an address for mails.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use connector::storefront::Subscriptions;
use fault::Fault;
use serde::Deserialize;
use serde_json::json;

use crate::client::{GraphQl, PageInfo, Query, shown};
use crate::config::Wanted;
use crate::error::CallError;

/// More subscriptions than any app has; a list without an end is an error.
const PAGES_MAX: usize = 20;

const LIST: Query = Query {
    operation: "TradewindSubscriptions",
    cost: 120,
    text: "query TradewindSubscriptions($after: String) { webhookSubscriptions(first: 100, after: $after) { \
           pageInfo { hasNextPage endCursor } nodes { topic uri } } }",
};

const CREATE: Query = Query {
    operation: "TradewindSubscribe",
    cost: 10,
    text: "mutation TradewindSubscribe($topic: WebhookSubscriptionTopic!, $uri: String!) { \
           webhookSubscriptionCreate(topic: $topic, webhookSubscription: { uri: $uri, format: JSON }) { \
           webhookSubscription { id } userErrors { field message } } }",
};

pub(crate) struct ShopifySubscriptions {
    client: Arc<GraphQl>,
    wanted: Wanted,
}

impl ShopifySubscriptions {
    pub(crate) fn new(client: Arc<GraphQl>, wanted: Wanted) -> Self {
        Self { client, wanted }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListAnswer {
    webhook_subscriptions: List,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List {
    page_info: PageInfo,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    topic: String,
    uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateAnswer {
    webhook_subscription_create: Option<Created>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    webhook_subscription: Option<Made>,
    #[serde(default)]
    user_errors: Vec<UserError>,
}

#[derive(Deserialize)]
struct Made {}

#[derive(Deserialize)]
struct UserError {
    field: Option<Vec<String>>,
    message: String,
}

#[async_trait]
impl Subscriptions for ShopifySubscriptions {
    fn wanted(&self) -> &BTreeSet<String> {
        &self.wanted.topics
    }

    async fn present(&self) -> Result<BTreeSet<String>, Fault> {
        let mut names = BTreeSet::new();
        let mut after = None;
        for _ in 0..PAGES_MAX {
            let answer: ListAnswer = self.client.ask(&LIST, &json!({ "after": after })).await?;
            let list = answer.webhook_subscriptions;
            names.extend(list.nodes.into_iter().filter(|it| it.uri.as_ref() == Some(&self.wanted.url)).map(|it| it.topic));
            if !list.page_info.has_next_page {
                // Shopify's names can't be turned back without knowing where their slash was.
                return Ok(self.wanted.topics.iter().filter(|it| names.contains(&name_of(it))).cloned().collect());
            }
            after = list.page_info.end_cursor;
        }
        Err(CallError::Request { operation: LIST.operation, what: "the app's list of subscriptions has no end" }.into())
    }

    async fn create(&self, topic: &str) -> Result<(), Fault> {
        let operation = CREATE.operation;
        let answer: CreateAnswer = self.client.ask(&CREATE, &json!({ "topic": name_of(topic), "uri": self.wanted.url })).await?;
        let Some(created) = answer.webhook_subscription_create else {
            let path = "webhookSubscriptionCreate".to_owned();
            return Err(CallError::Shape { operation, path, expected: "a payload".to_owned() }.into());
        };
        // These errors have no codes. That it is there already is what we want, whoever made it.
        if created.user_errors.iter().any(|it| it.message.to_lowercase().contains("taken")) {
            return Ok(());
        }
        if created.user_errors.is_empty() && created.webhook_subscription.is_some() {
            return Ok(());
        }
        let fields = created.user_errors.iter().map(|it| it.field.iter().flatten().map(|it| shown(it)).collect::<Vec<_>>().join("."));
        let codes = format!("{topic}: {}", fields.collect::<Vec<_>>().join(", "));
        Err(CallError::Refused { operation, codes }.into())
    }
}

/// `orders/create` is `ORDERS_CREATE` in GraphQL.
fn name_of(topic: &str) -> String {
    topic.replace('/', "_").to_uppercase()
}
