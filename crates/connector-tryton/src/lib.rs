//! Tryton as an ERP: web orders become sales, refunds become sales with negative lines, stock is read from its moves.
//!
//! # Orders
//! A sale carries the storefront's order id as its `web_id`, which Tryton keeps unique per web shop, and the number that the
//! buyer sees as its `reference`. Each operation is a list of steps (`steps.rs`); each step reads what stands in Tryton before it
//! believes or repeats anything, so it can be resumed wherever it broke off. Totals are compared to the cent before a sale
//! becomes a quotation (`cart.rs`).
//!
//! Steps do what their command says. A `place_order` of an order that was cancelled meanwhile is placed; a `cancel_order` of
//! an order that was never placed waits for it. Whoever sends commands knows the order's life and avoids both.

mod cancel;
mod cart;
mod config;
mod customers;
mod directory;
mod error;
mod holdback;
mod orders;
mod refunds;
mod rpc;
mod steps;
mod stock;
mod taxes;
mod warnings;
mod wire;

use std::sync::Arc;
use std::time::Instant;

use connector::erp::OperationGuarantees;
use connector::platform::{ErpConnection, ErpPlatform, PlatformError};
use domain::TargetId;
use http_kit::Client;
use http_kit::client::Settings as ClientSettings;
use secrecy::SecretString;
use serde_json::Value;

use crate::config::{Settings, SettingsError};
use crate::directory::Directory;
use crate::rpc::Rpc;

/// The platform: opens Tryton targets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tryton;

impl ErpPlatform for Tryton {
    fn name(&self) -> &'static str {
        "tryton"
    }

    fn guarantees(&self) -> Vec<OperationGuarantees> {
        steps::guarantees()
    }

    fn open(&self, id: &TargetId, settings: &Value) -> Result<ErpConnection, PlatformError> {
        let opened = Settings::parse(settings).and_then(Target::open);
        let target = opened.map_err(|error| PlatformError::Settings { connection: id.to_string(), what: error.to_string() })?;
        let target = Arc::new(target);
        Ok(ErpConnection { erp: target.clone(), stock: target })
    }
}

/// One Tryton company, opened.
#[derive(Clone)]
pub(crate) struct Target {
    settings: Arc<Settings>,
    rpc: Rpc,
    directory: Arc<Directory>,
}

impl Target {
    fn open(settings: Settings) -> Result<Self, SettingsError> {
        let path = settings.password_file.clone();
        let password = std::fs::read_to_string(&path).map_err(|source| SettingsError::PasswordFile { path: path.clone(), source })?;
        let password = password.trim_end_matches(['\r', '\n']);
        if password.is_empty() {
            return Err(SettingsError::PasswordEmpty(path));
        }
        let client = Client::new(&ClientSettings {
            read: settings.timeout,
            total: settings.timeout,
            allow_private: settings.allowed()?,
            ..ClientSettings::default()
        })?;
        let rpc = Rpc::new(client, settings.url.clone(), settings.user.clone(), SecretString::from(password), settings.company);
        Ok(Self { settings: Arc::new(settings), rpc, directory: Arc::default() })
    }

    /// The same target, which writes nothing after that.
    fn until(&self, not_after: Instant) -> Self {
        Self { rpc: self.rpc.until(not_after), ..self.clone() }
    }
}
