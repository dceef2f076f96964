//! What the shop sells.

use rand::Rng;
use rand::rngs::StdRng;
use rust_decimal::Decimal;

use super::ids::Ids;

/// A variant of a product. Nothing keeps two variants from having one SKU: shops do that, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Article {
    pub sku: String,
    pub title: String,
    pub variant_title: Option<String>,
    pub vendor: String,
    pub product_id: u64,
    pub variant_id: u64,
    pub inventory_item_id: u64,
    /// Of one, in shop currency; gross or net as the order that it is sold in.
    pub price: Decimal,
    pub grams: u32,
    /// Books and food, where the country has a lower rate for them.
    pub reduced_tax: bool,
    pub requires_shipping: bool,
    pub gift_card: bool,
}

const THINGS: [&str; 12] =
    ["Mug", "Teapot", "Notebook", "Lantern", "Blanket", "Kettle", "Whisk", "Cushion", "Apron", "Cookbook", "Honey Jar", "Candle"];
const STYLES: [&str; 6] = ["Plain", "Striped", "Dotted", "Glazed", "Woven", "Bare"];
const COLOURS: [&str; 6] = ["Slate", "Moss", "Chalk", "Rust", "Ink", "Straw"];
const MAKERS: [&str; 4] = ["Harbour Works", "Fernhill", "Quarry & Pine", "Tidewater"];

impl Article {
    /// An article for a SKU; what the SKU does not say is drawn.
    pub(super) fn invent(sku: &str, ids: &mut Ids, rng: &mut StdRng) -> Self {
        let thing = THINGS[rng.random_range(0..THINGS.len())];
        let cents = rng.random_range(3..150) * 100 + [0, 49, 90, 95, 99][rng.random_range(0..5)];
        Self {
            sku: sku.to_owned(),
            title: format!("{} {thing}", STYLES[rng.random_range(0..STYLES.len())]),
            variant_title: rng.random_bool(0.6).then(|| COLOURS[rng.random_range(0..COLOURS.len())].to_owned()),
            vendor: MAKERS[rng.random_range(0..MAKERS.len())].to_owned(),
            product_id: ids.draw(),
            variant_id: ids.draw(),
            inventory_item_id: ids.draw(),
            price: Decimal::new(cents, 2),
            grams: rng.random_range(5..150) * 10,
            reduced_tax: matches!(thing, "Notebook" | "Cookbook" | "Honey Jar"),
            requires_shipping: true,
            gift_card: false,
        }
    }

    pub(super) fn name(&self) -> String {
        match &self.variant_title {
            Some(variant) => format!("{} - {variant}", self.title),
            None => self.title.clone(),
        }
    }
}
