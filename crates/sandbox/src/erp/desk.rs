//! What a person does in the ERP: ships, takes payments, counts stock, adds items. Each is a transaction like a caller's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::Utc;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::fail::Fail;
use super::model::Model;
use super::seed;
use super::server::Erp;
use super::settings::{ErpSettings, Item};
use super::totals;
use super::world::{Conduct, World};
use crate::effects::{Draft, Held};

/// What was asked for cannot be done in the ERP's present state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    #[error("the ERP has no product `{0}`")]
    NoProduct(String),
    #[error("the ERP has no sale `{0}`")]
    NoSale(String),
    #[error("the ERP refuses: {0}")]
    Refused(String),
}

impl From<Fail> for DeskError {
    fn from(fail: Fail) -> Self {
        Self::Refused(fail.to_string())
    }
}

/// A sale as the ERP has it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SaleView {
    pub id: i64,
    pub number: Option<String>,
    pub web_id: Option<String>,
    pub state: &'static str,
    pub invoice_state: &'static str,
    pub shipment_state: &'static str,
    pub currency: String,
    pub total: Decimal,
}

pub(super) fn conduct(settings: &ErpSettings) -> Conduct {
    Conduct {
        tax_rounding: settings.tax_rounding,
        dedupe: settings.dedupe,
        processing: settings.processing,
        stock_cancellation: settings.stock_cancellation,
        lookup_lag: chrono::Duration::from_std(settings.lookup_lag).unwrap_or(chrono::Duration::MAX),
    }
}

/// A fresh world and the effects of filling it.
pub(super) fn new_world(settings: &ErpSettings) -> Result<(World, Vec<Draft>), Fail> {
    let mut world = World::empty(conduct(settings));
    let ((), committed) = world.transact("sandbox.seed", Utc::now(), |it| seed::plant(it, &settings.items))?;
    Ok((world, committed.effects))
}

pub(super) fn ids(erp: &Erp) -> Value {
    seed::ids(&erp.world(), &erp.settings)
}

/// On hand and reserved by SKU, goods only.
pub(super) fn stock(erp: &Erp) -> BTreeMap<String, Held> {
    let world = erp.world();
    let goods = world.products.iter().filter(|(id, _)| world.is_goods(*id));
    let held = |id| Held { on_hand: world.on_hand(id, &[world.places.warehouse]), reserved: world.reserved(id) };
    goods.filter_map(|(id, it)| Some((it.code.clone()?, held(id)))).collect()
}

/// E-mail addresses that more than one party has, with the parties.
pub(super) fn twins(erp: &Erp) -> BTreeMap<String, BTreeSet<i64>> {
    let world = erp.world();
    let mut parties: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for (_, it) in world.contacts.iter().filter(|(_, it)| it.kind == "email") {
        parties.entry(it.value.to_lowercase()).or_default().insert(it.party);
    }
    parties.retain(|_, parties| parties.len() > 1);
    parties
}

pub(super) fn set_stock(erp: &Arc<Erp>, sku: &str, on_hand: Decimal) -> Result<(), DeskError> {
    transact(erp, "stock.inventory.confirm", |world| {
        let product = world.product_of_code(sku).ok_or_else(|| DeskError::NoProduct(sku.to_owned()))?;
        // What lies at the entrance or the exit is on hand, too, and is not counted in the storage.
        let elsewhere = world.on_hand(product, &[world.places.warehouse]) - world.on_hand(product, &[world.places.storage]);
        Ok(seed::set_stock(world, product, on_hand - elsewhere)?)
    })
}

pub(super) fn add_item(erp: &Arc<Erp>, item: &Item) -> Result<i64, DeskError> {
    transact(erp, "product.template.create", |world| Ok(seed::add_item(world, item, "goods")?))
}

/// Sends everything of a sale that can be sent.
pub(super) fn ship(erp: &Arc<Erp>, web_id: &str) -> Result<(), DeskError> {
    let shipments = {
        let world = erp.world();
        let sale = sale_of(&world, web_id)?;
        world.shipments_of(sale, Model::Shipment)
    };
    for shipment in shipments {
        for button in ["assign_try", "pick", "pack", "do"] {
            let is_over = |world: &World| matches!(world.shipments.row(shipment).state, "done" | "cancelled");
            if is_over(&erp.world()) {
                break;
            }
            // One transaction each, as a person presses one button after the other.
            transact(erp, &format!("stock.shipment.out.{button}"), |world| Ok(world.press(Model::Shipment, button, &[shipment])?))?;
        }
    }
    Ok(())
}

/// Posts the invoices of a sale and books their payment.
pub(super) fn pay(erp: &Arc<Erp>, web_id: &str) -> Result<(), DeskError> {
    transact(erp, "account.invoice.pay", |world| {
        for invoice in world.invoices_of(sale_of(world, web_id)?) {
            if matches!(world.invoices.row(invoice).state, "draft" | "validated") {
                world.press(Model::Invoice, "post", &[invoice])?;
            }
            if world.invoices.row(invoice).state == "posted" {
                let amount = totals::of_invoice(world, invoice).total();
                world.pay(invoice, amount)?;
            }
        }
        Ok(())
    })
}

pub(super) fn sales(erp: &Erp, web_id: Option<&str>) -> Vec<SaleView> {
    let world = erp.world();
    let ids = match web_id {
        Some(web_id) => world.sales.index.by_web_id.get(web_id),
        None => world.sales.ids().collect(),
    };
    ids.into_iter().map(|id| view(&world, id)).collect()
}

fn view(world: &World, id: i64) -> SaleView {
    let sale = world.sales.row(id);
    SaleView {
        id,
        number: sale.number.clone(),
        web_id: sale.web_id.clone(),
        state: sale.state,
        invoice_state: sale.invoice_state,
        shipment_state: sale.shipment_state,
        currency: world.currencies.row(sale.currency).code.clone(),
        total: sale.cached.unwrap_or_else(|| totals::of_sale(world, id)).total(),
    }
}

/// Everything as at the start. The log goes on, with a mark.
pub(super) fn reset(erp: &Erp) {
    let (world, effects) = new_world(&erp.settings).expect("the same seed was planted at the start");
    let mut present = erp.world();
    *present = world;
    erp.sessions().expire();
    erp.controls.plan.clear();
    erp.controls.log.append([Draft::reset()].into_iter().chain(effects));
}

fn sale_of(world: &World, web_id: &str) -> Result<i64, DeskError> {
    world.sales.index.by_web_id.get(web_id).first().copied().ok_or_else(|| DeskError::NoSale(web_id.to_owned()))
}

fn transact<T>(erp: &Arc<Erp>, method: &str, work: impl FnOnce(&mut World) -> Result<T, DeskError>) -> Result<T, DeskError> {
    let mut world = erp.world();
    let mut refused = None;
    let done = world.transact(method, Utc::now(), |world| {
        work(world).map_err(|error| {
            refused = Some(error);
            Fail::Forbidden
        })
    });
    match done {
        Ok((value, committed)) => {
            erp.controls.log.append(committed.effects);
            erp.follow_up(&mut world, committed.to_process);
            Ok(value)
        }
        Err(fail) => Err(refused.unwrap_or_else(|| fail.into())),
    }
}
