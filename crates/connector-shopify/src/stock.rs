//! Stock levels: set by compare-and-set, read, and SKUs resolved to inventory items. Item and location ids are plain digits on
//! our side, and `gid://` ids on the wire.

mod answers;
mod push;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use connector::storefront::{PushResult, ShopStock, ShownLevel, StockPush};
use domain::Sku;
use fault::Fault;
use serde_json::json;

use crate::client::{GraphQl, Query};
use crate::config::StockConfig;
use crate::error::CallError;
use crate::wire::Id;
use answers::{Levels, Variants};

/// Shopify's limit of an input list.
const BATCH_MAX: usize = 250;
/// Items whose levels one query reads.
const LEVELS_MAX: usize = 100;
/// Pages of a search for a SKU. The search finds what merely resembles it, too.
const SEARCH_PAGES_MAX: usize = 10;

const LEVELS: Query = Query {
    operation: "TradewindLevels",
    cost: 300,
    text: "query TradewindLevels($ids: [ID!]!, $location: ID!) { nodes(ids: $ids) { ... on InventoryItem { id \
           inventoryLevel(locationId: $location) { quantities(names: [\"available\"]) { name quantity } } } } }",
};

const VARIANTS: Query = Query {
    operation: "TradewindVariants",
    cost: 60,
    text: "query TradewindVariants($query: String!, $after: String) { productVariants(first: 50, query: $query, after: $after) { \
           pageInfo { hasNextPage endCursor } nodes { sku inventoryItem { id } } } }",
};

pub(crate) struct ShopifyStock {
    client: Arc<GraphQl>,
    config: StockConfig,
}

impl ShopifyStock {
    pub(crate) fn new(client: Arc<GraphQl>, config: StockConfig) -> Self {
        Self { client, config }
    }
}

#[async_trait]
impl ShopStock for ShopifyStock {
    fn batch_max(&self) -> usize {
        BATCH_MAX
    }

    /// Shopify sets all levels of a call or none. What it refuses is answered as such and the others are sent again without it,
    /// so each push has the result that it would have had alone.
    async fn push(&self, pushes: &[StockPush]) -> Result<Vec<PushResult>, Fault> {
        Ok(push::push(&self.client, &self.config, pushes).await?)
    }

    async fn levels(&self, location: &str, items: &[String]) -> Result<Vec<ShownLevel>, Fault> {
        let not_an_id = |what| CallError::Request { operation: LEVELS.operation, what };
        let location_id = Id::parse(location).ok_or(not_an_id("the location is no id of Shopify's"))?;
        let mut shown = Vec::with_capacity(items.len());
        for chunk in items.chunks(LEVELS_MAX) {
            let ids: Option<Vec<String>> = chunk.iter().map(|it| Some(item_gid(Id::parse(it)?))).collect();
            let ids = ids.ok_or(not_an_id("an item is no id of Shopify's"))?;
            let answer: Levels = self.client.ask(&LEVELS, &json!({ "ids": ids, "location": location_gid(location_id) })).await?;
            shown.extend(answer.shown().map(|(item, available)| ShownLevel { item, location: location_id.to_string(), available }));
        }
        Ok(shown)
    }

    async fn items_of(&self, sku: &Sku) -> Result<Vec<String>, Fault> {
        let query = format!("sku:'{}'", quoted(sku.as_str()));
        // Two variants may share one item; that is one item.
        let mut items = BTreeSet::new();
        let mut after = None;
        for _ in 0..SEARCH_PAGES_MAX {
            let answer: Variants = self.client.ask(&VARIANTS, &json!({ "query": query, "after": after })).await?;
            items.extend(answer.items_of(sku.as_str()));
            after = answer.next_page();
            if after.is_none() {
                return Ok(items.into_iter().map(|it| it.to_string()).collect());
            }
        }
        let what = "the shop finds so many variants for a SKU that the list has no end; give the article a SKU of its own";
        Err(CallError::Request { operation: VARIANTS.operation, what }.into())
    }
}

fn item_gid(id: Id) -> String {
    format!("gid://shopify/InventoryItem/{id}")
}

fn location_gid(id: Id) -> String {
    format!("gid://shopify/Location/{id}")
}

/// For use between single quotes of the search syntax.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for it in text.chars() {
        if matches!(it, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(it);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_cannot_leave_its_quotes() {
        assert_eq!(quoted("MUG-RED 11oz"), "MUG-RED 11oz");
        assert_eq!(quoted(r"x' OR title:*\"), r"x\' OR title:*\\");
    }
}
