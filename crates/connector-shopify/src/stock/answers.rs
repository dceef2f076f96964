//! What Shopify answers to stock queries and mutations.

use serde::Deserialize;

use crate::client::{PageInfo, shown};
use crate::wire::Id;

#[derive(Deserialize)]
pub(super) struct Levels {
    nodes: Vec<Option<LevelNode>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LevelNode {
    id: Option<Id>,
    inventory_level: Option<Level>,
}

#[derive(Deserialize)]
struct Level {
    quantities: Vec<Quantity>,
}

#[derive(Deserialize)]
struct Quantity {
    name: String,
    quantity: i64,
}

impl Levels {
    /// Items with what is available; those that are unknown or not stocked there are missing.
    pub(super) fn shown(self) -> impl Iterator<Item = (String, i64)> {
        self.nodes.into_iter().flatten().filter_map(|node| {
            let level = node.inventory_level?;
            let available = level.quantities.iter().find(|it| it.name == "available")?.quantity;
            Some((node.id?.to_string(), available))
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Variants {
    product_variants: VariantPage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VariantPage {
    page_info: PageInfo,
    nodes: Vec<Variant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Variant {
    sku: Option<String>,
    inventory_item: Option<Item>,
}

#[derive(Deserialize)]
struct Item {
    id: Id,
}

impl Variants {
    pub(super) fn items_of<'a>(&'a self, sku: &'a str) -> impl Iterator<Item = u64> + 'a {
        let exact = self.product_variants.nodes.iter().filter(move |it| it.sku.as_deref() == Some(sku));
        exact.filter_map(|it| it.inventory_item.as_ref()).map(|it| it.id.0)
    }

    pub(super) fn next_page(self) -> Option<String> {
        let page = self.product_variants.page_info;
        page.end_cursor.filter(|_| page.has_next_page)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetAnswer {
    pub(super) inventory_set_quantities: Option<SetPayload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SetPayload {
    pub(super) user_errors: Vec<UserError>,
}

#[derive(Debug, Deserialize)]
pub(super) struct UserError {
    code: Option<String>,
    field: Option<Vec<String>>,
}

impl UserError {
    pub(super) fn code(&self) -> String {
        self.code.as_deref().map(shown).filter(|it| !it.is_empty()).unwrap_or_else(|| "UNKNOWN".to_owned())
    }

    /// The row that it is about: `["input", "quantities", "3", …]`.
    pub(super) fn row(&self) -> Option<usize> {
        let field = self.field.as_deref()?;
        let at = field.iter().position(|it| it == "quantities")?;
        field.get(at + 1)?.parse().ok()
    }
}
