//! A double of Tryton 8.2: the part of its JSON-RPC that a connector uses, with its states, amounts, stock and errors.
//!
//! It is made for tests and the demo: scripted faults ([`crate::faults`]), an effect log that is written before the answer is
//! chosen ([`crate::effects`]), and thousands of sales in memory. One lock is one transaction, so stock is always consistent.

mod admin;
mod auth;
mod cell;
mod countries;
mod desk;
mod domain;
mod effects_of;
mod fail;
mod fields;
mod flow;
mod gauge;
mod links;
mod model;
mod read;
mod rows;
mod rpc;
mod search;
mod seed;
mod server;
mod settings;
mod table;
mod totals;
mod values;
mod world;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::Value;

pub use desk::{DeskError, SaleView};
pub use gauge::Load;
pub use settings::{Dedupe, ErpSettings, Item, Processing, TaxRounding};

use crate::effects::{Draft, EffectLog, Effects, Held, LogError, Source};
use crate::faults::admin::Controls;
use crate::faults::{Gate, GateError, Latency, Pace, Plan, Rule, RuleError, admin as shared};
use auth::Sessions;
use gauge::Gauge;
use server::Erp;

/// A running ERP. Dropping it stops it.
pub struct ErpDouble {
    erp: Arc<Erp>,
    gate: Gate,
}

/// Why a double did not start.
#[derive(Debug, thiserror::Error)]
pub enum ErpError {
    #[error(transparent)]
    Gate(#[from] GateError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the items cannot be seeded: {0}")]
    Items(String),
}

impl ErpDouble {
    /// Must be called inside a Tokio runtime.
    pub fn start(settings: ErpSettings) -> Result<Self, ErpError> {
        let log = match &settings.log {
            Some(path) => EffectLog::open(Source::Erp, path, settings.durability)?,
            None => EffectLog::in_memory(Source::Erp),
        };
        let (world, effects) = desk::new_world(&settings).map_err(|it| ErpError::Items(it.to_string()))?;
        if log.last() > 0 {
            // An older process's world is gone; what it logged must not count for this one.
            log.append([Draft::reset()]);
        }
        log.append(effects);
        let sessions = Sessions::new(settings.login.clone(), settings.password.clone(), world.places.user, settings.login_attempts_max);
        let (plan, pace) = (Plan::new(settings.seed), Pace::new(settings.latency, settings.seed));
        let gauge = Gauge::new(settings.parallel_max);
        let mut shared = None;
        let gate = Gate::open_with(settings.listen, |keeper| {
            let controls = Controls { plan, pace, log, gate: keeper };
            let erp = Arc::new(Erp {
                settings: settings.clone(),
                world: Mutex::new(world),
                sessions: Mutex::new(sessions),
                controls: controls.clone(),
                gauge,
                requests: AtomicU64::new(0),
            });
            shared = Some(erp.clone());
            server::routes(erp.clone()).merge(admin::routes(erp)).merge(shared::routes(controls))
        })?;
        Ok(Self { erp: shared.expect("the router was built"), gate })
    }

    /// Where the JSON-RPC is: `http://127.0.0.1:PORT/<database>/rpc/`.
    pub fn url(&self) -> String {
        format!("{}/{}/rpc/", self.base_url(), self.erp.settings.database)
    }

    /// Where `/_sandbox/` is, without a slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.gate.address())
    }

    /// Resets all connections and frees the port.
    pub async fn stop(self) {
        self.gate.stop().await;
    }

    /// Every id and credential that a connector needs, under the keys that `tryton.sh` writes to `ids.json`.
    pub fn ids(&self) -> Value {
        desk::ids(&self.erp)
    }

    pub fn settings(&self) -> &ErpSettings {
        &self.erp.settings
    }

    /// Scripts a fault; returns the rule's id.
    pub fn fault(&self, rule: Rule) -> Result<u64, RuleError> {
        self.erp.controls.plan.add(rule)
    }

    pub fn plan(&self) -> &Plan {
        &self.erp.controls.plan
    }

    pub fn set_latency(&self, latency: Latency) {
        self.erp.controls.pace.set(latency);
    }

    /// Refuses connections for a time, or until [`ErpDouble::restore`]. Returns when the port is closed.
    pub async fn refuse(&self, time: Option<Duration>) {
        self.gate.keeper().refuse(time).await;
    }

    pub async fn restore(&self) {
        self.gate.keeper().restore().await;
    }

    /// Goes down and up in turns, in the background.
    pub fn flap(&self, down: Duration, up: Duration, times: u32) {
        self.gate.keeper().flap(down, up, times);
    }

    pub fn log(&self) -> &EffectLog {
        &self.erp.controls.log
    }

    pub fn effects(&self) -> Effects {
        self.erp.controls.log.effects()
    }

    /// On hand and reserved by SKU.
    pub fn stock(&self) -> BTreeMap<String, Held> {
        desk::stock(&self.erp)
    }

    pub fn set_stock(&self, sku: &str, on_hand: impl Into<Decimal>) -> Result<(), DeskError> {
        desk::set_stock(&self.erp, sku, on_hand.into())
    }

    /// Returns the product's id.
    pub fn add_item(&self, item: &Item) -> Result<i64, DeskError> {
        desk::add_item(&self.erp, item)
    }

    /// Sends what a sale has to send.
    pub fn ship(&self, web_id: &str) -> Result<(), DeskError> {
        desk::ship(&self.erp, web_id)
    }

    /// Posts a sale's invoices and books their payment.
    pub fn pay(&self, web_id: &str) -> Result<(), DeskError> {
        desk::pay(&self.erp, web_id)
    }

    /// Every sale, oldest first.
    pub fn sales(&self) -> Vec<SaleView> {
        desk::sales(&self.erp, None)
    }

    /// All sales of an external id: one, unless something went wrong.
    pub fn sales_of(&self, web_id: &str) -> Vec<SaleView> {
        desk::sales(&self.erp, Some(web_id))
    }

    /// E-mail addresses that more than one party has, with the parties: none, unless something went wrong.
    pub fn twins(&self) -> BTreeMap<String, BTreeSet<i64>> {
        desk::twins(&self.erp)
    }

    pub fn set_dedupe(&self, dedupe: Dedupe) {
        self.erp.world().conduct.dedupe = dedupe;
    }

    pub fn set_processing(&self, processing: Processing) {
        self.erp.world().conduct.processing = processing;
    }

    /// Look-ups by `web_id` don't see sales that are younger.
    pub fn set_lookup_lag(&self, lag: Duration) {
        self.erp.world().conduct.lookup_lag = chrono::Duration::from_std(lag).unwrap_or(chrono::Duration::MAX);
    }

    /// From now on `method` (such as `sale.sale.confirm`) asks back with a warning of this name, each time it was not skipped.
    pub fn warn_on(&self, method: &str, name: &str) {
        self.erp.world().warnings.insert(method.to_owned(), name.to_owned());
    }

    /// Ends all sessions.
    pub fn expire_sessions(&self) {
        self.erp.sessions().expire();
    }

    pub fn load(&self) -> Load {
        self.erp.gauge.load()
    }

    /// Everything as at the start, without faults. The log goes on.
    pub fn reset(&self) {
        desk::reset(&self.erp);
    }
}
