//! A server that speaks as Tryton does, and what the cases need to know of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use connector::erp::{Erp, StockSource};
use connector::platform::{ErpConnection, ErpPlatform};
use connector_tryton::Tryton;
use serde_json::{Value, json};

use crate::desk::Desk;

pub(crate) struct Environment {
    /// As in the settings file.
    pub(crate) settings: Value,
    /// Every id of the server, by name.
    pub(crate) ids: Value,
    /// Somebody who works in the ERP.
    pub(crate) desk: Desk,
}

impl Environment {
    /// `ids`: as `deploy/local/tryton.sh` writes them. `password_file` holds the adapter's.
    pub(crate) fn new(url: &str, ids: Value, password_file: PathBuf) -> Self {
        let tax = |rate: &str| json!({"rate": format!("0.{rate}"), "taxes": [ids["taxes"][rate.trim_start_matches('0')]]});
        let settings = json!({
            "url": url, "user": ids["adapter"]["login"], "password_file": password_file, "allow_private": ["127.0.0.1"],
            "company": ids["company"], "warehouse": ids["warehouse"], "stock_location": "WH", "payment_term": ids["payment_term"],
            "carrier": ids["carrier"], "shipping_product": ids["shipping_product"], "rounding_product": ids["rounding_product"],
            "web_shops": {"shop-eu": ids["web_shop"]}, "taxes": [tax("20"), tax("19"), tax("07")],
        });
        let desk = Desk::new(url, &ids);
        Self { settings, ids, desk }
    }

    pub(crate) fn open(&self) -> ErpConnection {
        self.open_with(|_| {})
    }

    pub(crate) fn open_with(&self, change: impl FnOnce(&mut Value)) -> ErpConnection {
        let mut settings = self.settings.clone();
        change(&mut settings);
        Tryton.open(&"erp-main".parse().unwrap(), &settings).unwrap()
    }

    pub(crate) fn erp(&self) -> Arc<dyn Erp> {
        self.open().erp
    }

    pub(crate) fn stock(&self) -> Arc<dyn StockSource> {
        self.open().stock
    }

    /// A client with little patience, by way of `url`.
    pub(crate) fn hasty(&self, url: &str, patience: Duration) -> Arc<dyn Erp> {
        let settings = |it: &mut Value| (it["timeout"], it["url"]) = (json!(format!("{}ms", patience.as_millis())), json!(url));
        self.open_with(settings).erp
    }

    pub(crate) fn product(&self, sku: &str) -> i64 {
        self.ids["products"][sku].as_i64().unwrap()
    }

    pub(crate) fn id(&self, name: &str) -> i64 {
        self.ids[name].as_i64().unwrap()
    }
}
