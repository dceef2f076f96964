//! Records that others are made of, found by their codes: currencies, countries, products.

use std::collections::BTreeMap;

use domain::Currency;
use fault::Fault;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Mutex, OnceCell};

use crate::cart::{Item, Line};
use crate::error::Refusal;
use crate::rpc::{Rpc, Search};
use crate::wire::{self, Coded};

/// What rarely changes is read once and kept. Products are not: a new SKU must be found as soon as it is there.
#[derive(Default)]
pub(crate) struct Directory {
    currencies: Mutex<BTreeMap<&'static str, i64>>,
    countries: OnceCell<BTreeMap<String, i64>>,
    subdivisions: Mutex<BTreeMap<String, Option<i64>>>,
    /// Units of the settings' own products.
    units: Mutex<BTreeMap<i64, i64>>,
}

/// A line with Tryton's ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Booked {
    pub(crate) product: Option<i64>,
    pub(crate) unit: Option<i64>,
    pub(crate) line: Line,
}

#[derive(Deserialize)]
struct Product {
    id: i64,
    code: Option<String>,
    default_uom: i64,
}

impl Directory {
    pub(crate) async fn currency(&self, rpc: &Rpc, currency: Currency) -> Result<i64, Fault> {
        let code = currency.code();
        let mut known = self.currencies.lock().await;
        if let Some(id) = known.get(code) {
            return Ok(*id);
        }
        let search = Search::of("currency.currency", json!([["code", "=", code]]), &["code"]).limit(2);
        let rows: Vec<Coded> = rpc.search(search).await?;
        let found = rows.first().ok_or_else(|| Refusal::UnknownCurrency(code.to_owned()))?;
        known.insert(code, found.id);
        Ok(found.id)
    }

    /// `None` when no country was given.
    pub(crate) async fn country(&self, rpc: &Rpc, code: &str) -> Result<Option<i64>, Fault> {
        if code.is_empty() {
            return Ok(None);
        }
        let known = self.countries.get_or_try_init(|| countries(rpc)).await?;
        if let Some(id) = known.get(code) {
            return Ok(Some(*id));
        }
        // Loaded since we looked?
        match countries(rpc).await?.get(code) {
            Some(id) => Ok(Some(*id)),
            None => Err(Refusal::UnknownCountry(code.to_owned()).into()),
        }
    }

    /// `None` when Tryton has no such subdivision: many are not loaded, and an address is fine without.
    pub(crate) async fn subdivision(&self, rpc: &Rpc, country: &str, region: &str) -> Result<Option<i64>, Fault> {
        if country.is_empty() || region.is_empty() {
            return Ok(None);
        }
        let code = if region.starts_with(&format!("{country}-")) { region.to_owned() } else { format!("{country}-{region}") };
        let mut known = self.subdivisions.lock().await;
        if let Some(id) = known.get(&code) {
            return Ok(*id);
        }
        let search = Search::of("country.subdivision", json!([["code", "=", code]]), &["code"]).limit(1);
        let rows: Vec<Coded> = rpc.search(search).await?;
        let found = rows.first().map(|it| it.id);
        known.insert(code, found);
        Ok(found)
    }

    /// Finds the products of lines, each SKU by its exact code. All unknown ones are found before anything is written.
    pub(crate) async fn book(&self, rpc: &Rpc, lines: &[Line]) -> Result<Vec<Booked>, Fault> {
        let mut skus: Vec<&str> =
            lines.iter().filter_map(|it| if let Item::Sku(sku) = &it.item { Some(sku.as_str()) } else { None }).collect();
        skus.sort_unstable();
        skus.dedup();
        let found = products(rpc, &skus).await?;
        let mut booked = Vec::with_capacity(lines.len());
        for line in lines {
            let (product, unit) = match &line.item {
                Item::Sku(sku) => {
                    let (product, unit) = of_sku(&found, sku)?;
                    (Some(product), Some(unit))
                }
                Item::Product(id) => (Some(*id), Some(self.unit(rpc, *id).await?)),
                Item::Nothing => (None, None),
            };
            booked.push(Booked { product, unit, line: line.clone() });
        }
        Ok(booked)
    }

    /// The unit in which a product of the settings is counted.
    pub(crate) async fn unit(&self, rpc: &Rpc, product: i64) -> Result<i64, Fault> {
        let mut known = self.units.lock().await;
        if let Some(unit) = known.get(&product) {
            return Ok(*unit);
        }
        let search = Search::of("product.product", json!([["id", "in", [product]]]), &["code", "default_uom"]);
        let rows: Vec<Product> = rpc.search(search).await?;
        let found = rows.first().ok_or(Refusal::UnknownProduct(product))?;
        known.insert(product, found.default_uom);
        Ok(found.default_uom)
    }
}

async fn countries(rpc: &Rpc) -> Result<BTreeMap<String, i64>, Fault> {
    let rows: Vec<Coded> = rpc.search(Search::of("country.country", json!([]), &["code"])).await?;
    Ok(rows.into_iter().filter_map(|it| Some((it.code?, it.id))).collect())
}

async fn products(rpc: &Rpc, skus: &[&str]) -> Result<Vec<Product>, Fault> {
    if skus.is_empty() {
        return Ok(Vec::new());
    }
    let search = Search::of("product.product", json!([["code", "in", skus]]), &["code", "default_uom"]);
    Ok(rpc.search(search).await?)
}

fn of_sku(products: &[Product], sku: &str) -> Result<(i64, i64), Refusal> {
    let found: Vec<&Product> = products.iter().filter(|it| it.code.as_deref() == Some(sku)).collect();
    match found[..] {
        [product] => Ok((product.id, product.default_uom)),
        [] => Err(Refusal::UnknownItem(sku.to_owned())),
        _ => Err(Refusal::ItemTwice { sku: sku.to_owned(), count: found.len() }),
    }
}

impl Booked {
    /// As `sale.sale.create` takes it.
    pub(crate) fn values(&self) -> serde_json::Value {
        let mut values = json!({
            "type": "line", "quantity": wire::quantity(self.line.quantity), "unit_price": wire::decimal(self.line.unit_price),
            "description": self.line.description,
        });
        if let (Some(product), Some(unit)) = (self.product, self.unit) {
            (values["product"], values["unit"]) = (json!(product), json!(unit));
        }
        if !self.line.taxes.is_empty() {
            values["taxes"] = json!([["add", self.line.taxes]]);
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sku_is_one_product_or_none() {
        let product = |id, code: &str| Product { id, code: Some(code.to_owned()), default_uom: 1 };
        let products = [product(4, "MUG"), product(5, "TS"), product(6, "TS")];
        assert_eq!(of_sku(&products, "MUG").unwrap(), (4, 1));
        assert_eq!(fault::Fault::from(of_sku(&products, "mug").unwrap_err()).missing.as_deref(), Some("item:mug"));
        assert_eq!(fault::Fault::from(of_sku(&products, "TS").unwrap_err()).code, "erp_item_twice");
    }
}
