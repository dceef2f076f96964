//! What the ERP holds at its start: the company of the local stack, with the same kinds of records and the same keys.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::countries;
use super::fail::Fail;
use super::model::Model;
use super::rows::{Country, Currency, Inventory, InventoryLine, Location, Named, Product, Subdivision, Tax, Template, Unit};
use super::settings::{ErpSettings, Item, TaxRounding};
use super::world::World;

/// Records that the flows need by name.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Places {
    pub(super) company: i64,
    pub(super) user: i64,
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) storage: i64,
    pub(super) lost_found: i64,
    pub(super) warehouse: i64,
    pub(super) customer: i64,
    pub(super) unit: i64,
}

const CURRENCIES: [&str; 4] = ["EUR", "USD", "GBP", "CHF"];
const TAX_RATES: [&str; 3] = ["20", "19", "7"];
const SUBDIVISIONS: [(&str, &str); 4] = [("US-CA", "US"), ("US-NY", "US"), ("CA-ON", "CA"), ("DE-BE", "DE")];

/// Fills an empty world. Runs inside a transaction.
pub(super) fn plant(world: &mut World, items: &[Item]) -> Result<(), Fail> {
    places(world);
    for code in CURRENCIES {
        world.currencies.insert(Currency { code: code.to_owned(), digits: 2 });
    }
    for code in countries::CODES.split_whitespace() {
        world.countries.insert(Country { code: code.to_owned() });
    }
    for (code, country) in SUBDIVISIONS {
        let country = country_of(world, country).expect("its country is in the list");
        world.subdivisions.insert(Subdivision { code: code.to_owned(), country });
    }
    for rate in TAX_RATES {
        let percent: Decimal = rate.parse().expect("a literal number");
        world.taxes.insert(Tax { name: format!("VAT {rate} %"), rate: percent / Decimal::ONE_HUNDRED });
    }
    world.payment_terms.insert(Named { name: "Paid in the shop".to_owned() });
    for item in items {
        add_item(world, item, "goods")?;
    }
    for (sku, name, price) in [("SHIPPING", "Shipping", Decimal::new(41_667, 4)), ("ROUNDING", "Rounding", Decimal::ZERO)] {
        let item = Item { list_price: price, ..Item::new(sku, name, Decimal::ZERO) };
        add_item(world, &item, "service")?;
    }
    world.carriers.insert(Named { name: "Parcel carrier".to_owned() });
    world.web_shops.insert(Named { name: "Tradewind shop".to_owned() });
    Ok(())
}

/// Adds a product with a template of its own and puts it into the storage.
pub(super) fn add_item(world: &mut World, item: &Item, kind: &'static str) -> Result<i64, Fail> {
    if world.product_of_code(&item.sku).is_some() {
        return Err(Fail::User(format!("There is a product \"{}\" already.", item.sku)));
    }
    let taxes = if item.sku == "ROUNDING" { Vec::new() } else { world.taxes.ids().take(1).collect() };
    let template = world.templates.insert(Template {
        name: item.name.clone(),
        kind,
        list_price: item.list_price,
        unit: world.places.unit,
        salable: true,
        taxes,
        accounted: item.accounted,
    });
    let product = world.products.insert(Product { template, code: Some(item.sku.clone()), active: true });
    if !item.on_hand.is_zero() {
        set_stock(world, product, item.on_hand)?;
    }
    Ok(product)
}

/// Counts a product in the storage. What is on its way through the warehouse stays where it is.
pub(super) fn set_stock(world: &mut World, product: i64, quantity: Decimal) -> Result<(), Fail> {
    let inventory = world.inventories.insert(Inventory {
        location: world.places.storage,
        date: world.today(),
        state: "draft",
        empty_quantity: Some("keep".to_owned()),
    });
    world.inventory_lines.insert(InventoryLine { inventory, product, quantity: Some(quantity) });
    world.press(Model::Inventory, "confirm", &[inventory])
}

/// The locations in the order in which Tryton's stock module makes them, so that they have the ids of a real one.
fn places(world: &mut World) {
    let mut location = |code: Option<&str>, name: &str, kind| {
        world.locations.insert(Location { code: code.map(str::to_owned), name: name.to_owned(), kind, parent: None })
    };
    let input = location(Some("IN"), "Input Zone", "storage");
    let output = location(Some("OUT"), "Output Zone", "storage");
    let storage = location(Some("STO"), "Storage Zone", "storage");
    let lost_found = location(None, "Lost and Found", "lost_found");
    let warehouse = location(Some("WH"), "Warehouse", "warehouse");
    location(Some("SUP"), "Supplier", "supplier");
    let customer = location(Some("CUS"), "Customer", "customer");
    for id in [input, output, storage] {
        world.locations.update(id, |it| it.parent = Some(warehouse));
    }
    let company = world.companies.insert(Named { name: "Tradewind Trading Company".to_owned() });
    let unit = world.units.insert(Unit { symbol: "u".to_owned(), digits: 0 });
    world.places = Places { company, user: 2, input, output, storage, lost_found, warehouse, customer, unit };
}

fn country_of(world: &World, code: &str) -> Option<i64> {
    world.countries.iter().find(|(_, it)| it.code == code).map(|(id, _)| id)
}

/// Every id and credential that a connector needs, under the keys that the local stack's seed uses.
pub(super) fn ids(world: &World, settings: &ErpSettings) -> Value {
    let places = world.places;
    let goods: BTreeMap<_, _> =
        world.products.iter().filter(|(id, _)| world.is_goods(*id)).filter_map(|(id, it)| Some((it.code.clone()?, id))).collect();
    let user = json!({ "user": places.user, "login": settings.login, "password": settings.password.expose_secret() });
    json!({
        "tax_rounding": match settings.tax_rounding { TaxRounding::Line => "line", TaxRounding::Document => "document" },
        "currencies": world.currencies.iter().map(|(id, it)| (it.code.clone(), id)).collect::<BTreeMap<_, _>>(),
        "countries": world.countries.iter().map(|(id, it)| (it.code.clone(), id)).collect::<BTreeMap<_, _>>(),
        "company": places.company,
        "taxes": TAX_RATES.iter().zip(world.taxes.ids()).collect::<BTreeMap<_, _>>(),
        "payment_term": 1,
        "products": goods,
        "shipping_product": world.product_of_code("SHIPPING"),
        "rounding_product": world.product_of_code("ROUNDING"),
        "unit": places.unit,
        "carrier": 1,
        "warehouse": places.warehouse,
        "storage_location": places.storage,
        "output_location": places.output,
        "customer_location": places.customer,
        "web_shop": 1,
        "adapter": user,
        "clerk": user,
    })
}
