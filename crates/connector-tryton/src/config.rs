//! The settings of one Tryton target.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use domain::{ConnectionId, IdError};
use http_kit::client::{Allowed, AllowedError};
use rust_decimal::Decimal;
use serde::Deserialize;

/// As in the settings file. Ids are those of Tryton's records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where JSON-RPC is served: `https://erp.example.com/<database>/rpc/`.
    pub(crate) url: String,
    /// Login of a user of the connector's own. It needs the groups Sales Administrator (only they may mark moves and invoices
    /// of a cancelled order as ignored), Stock and Accounting, and must not have Stock Cancellation: that group could take
    /// back goods that have left.
    pub(crate) user: String,
    /// A file with nothing but the password.
    pub(crate) password_file: PathBuf,
    pub(crate) company: i64,
    /// Where goods leave from, and whose stock is published.
    pub(crate) warehouse: i64,
    /// What the warehouse is called in stock levels; its id unless given.
    pub(crate) stock_location: Option<String>,
    pub(crate) payment_term: i64,
    /// Tryton's web shop for each storefront. A web shop keeps order ids unique, so none may serve two storefronts.
    pub(crate) web_shops: BTreeMap<String, i64>,
    #[serde(default)]
    pub(crate) taxes: Vec<TaxRule>,
    /// Sold for delivery, unless a rule of `shipping_methods` names another.
    pub(crate) shipping_product: i64,
    pub(crate) carrier: Option<i64>,
    #[serde(default)]
    pub(crate) shipping_methods: Vec<ShippingRule>,
    /// What becomes of a method that no rule names.
    #[serde(default)]
    pub(crate) unmapped_shipping: UnmappedShipping,
    /// Takes the cents by which Tryton's total differs from the shop's. Its category decides the account.
    pub(crate) rounding_product: i64,
    /// Sold for lines without a SKU. Without it they are refused.
    pub(crate) unlisted_product: Option<i64>,
    /// Without it, a line without product.
    pub(crate) tip_product: Option<i64>,
    /// Given back for goodwill. Without it, a line without product.
    pub(crate) goodwill_product: Option<i64>,
    /// The most by which a line may differ, in a currency with cents; in others as many of their smallest units.
    #[serde(default = "tolerance_line")]
    pub(crate) tolerance_line: Decimal,
    /// The same for an order.
    #[serde(default = "tolerance_total")]
    pub(crate) tolerance_total: Decimal,
    #[serde(default)]
    pub(crate) guest: Guest,
    /// Changes are read again for this long, because Tryton stamps them with the start of their transaction.
    #[serde(default = "stock_overlap", with = "humantime_serde")]
    pub(crate) stock_overlap: Duration,
    /// For one whole call. Confirming a large order takes seconds.
    #[serde(default = "timeout", with = "humantime_serde")]
    pub(crate) timeout: Duration,
    /// Hosts and networks that may be private and spoken to without TLS.
    #[serde(default)]
    pub(crate) allow_private: Vec<String>,
}

/// A rate of the shop, and the taxes of Tryton that it stands for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaxRule {
    /// 0.2 = 20 %.
    pub(crate) rate: Decimal,
    /// Only for goods that go there (ISO 3166-1 alpha-2). A rule with the country goes before one without.
    pub(crate) country: Option<String>,
    pub(crate) taxes: Vec<i64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShippingRule {
    /// The shop's code of the method, or its title, whatever their case.
    pub(crate) method: String,
    pub(crate) product: Option<i64>,
    pub(crate) carrier: Option<i64>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UnmappedShipping {
    #[default]
    Default,
    Refuse,
}

/// Who buys when the buyer has no account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(crate) enum Guest {
    /// A party of their own, found by e-mail.
    #[default]
    Create,
    /// One party for all of them.
    Party(i64),
}

impl TryFrom<serde_json::Value> for Guest {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        match (value.as_str(), value.as_i64()) {
            (Some("create"), _) => Ok(Self::Create),
            (_, Some(party)) => Ok(Self::Party(party)),
            _ => Err("`guest` is \"create\" or the id of a party"),
        }
    }
}

/// Settings that nobody can mean.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    /// It is not repeated: a password may stand in it.
    #[error("`url` must end in /<database>/rpc/, as Tryton 8 serves it")]
    Url,
    #[error("`web_shops` names no storefront")]
    NoWebShop,
    #[error("`web_shops`: {0}")]
    Connection(#[from] IdError),
    #[error("`web_shops` gives web shop {0} to two storefronts; their order ids could collide")]
    SharedWebShop(i64),
    #[error("`taxes` has two rules for rate {rate} and country `{country}`")]
    TaxTwice { rate: Decimal, country: String },
    #[error("`tolerance_line` and `tolerance_total` can't be negative")]
    Tolerance,
    #[error(transparent)]
    Allowed(#[from] AllowedError),
    #[error("could not read `{path}`; it must hold the password of the Tryton user")]
    PasswordFile { path: PathBuf, source: std::io::Error },
    #[error("`{0}` is empty; it must hold the password of the Tryton user")]
    PasswordEmpty(PathBuf),
    #[error(transparent)]
    Client(#[from] http_kit::client::ClientError),
}

impl Settings {
    pub(crate) fn parse(value: &serde_json::Value) -> Result<Self, SettingsError> {
        let settings: Self = serde::Deserialize::deserialize(value)?;
        settings.validate()?;
        Ok(settings)
    }

    fn validate(&self) -> Result<(), SettingsError> {
        let path: Vec<&str> = self.url.splitn(4, '/').nth(3).unwrap_or_default().trim_end_matches('/').split('/').collect();
        if !matches!(path[..], [.., database, "rpc"] if !database.is_empty()) {
            return Err(SettingsError::Url);
        }
        if self.web_shops.is_empty() {
            return Err(SettingsError::NoWebShop);
        }
        let mut seen = Vec::new();
        for (connection, shop) in &self.web_shops {
            connection.parse::<ConnectionId>()?;
            if seen.contains(shop) {
                return Err(SettingsError::SharedWebShop(*shop));
            }
            seen.push(*shop);
        }
        for (position, rule) in self.taxes.iter().enumerate() {
            if self.taxes[..position].iter().any(|it| it.rate == rule.rate && it.country == rule.country) {
                return Err(SettingsError::TaxTwice { rate: rule.rate, country: rule.country.clone().unwrap_or_default() });
            }
        }
        if self.tolerance_line.is_sign_negative() || self.tolerance_total.is_sign_negative() {
            return Err(SettingsError::Tolerance);
        }
        self.allowed().map(drop)
    }

    pub(crate) fn allowed(&self) -> Result<Vec<Allowed>, SettingsError> {
        self.allow_private.iter().map(|it| Ok(it.parse()?)).collect()
    }

    pub(crate) fn location(&self) -> String {
        self.stock_location.clone().unwrap_or_else(|| self.warehouse.to_string())
    }
}

fn tolerance_line() -> Decimal {
    Decimal::new(1, 2)
}

fn tolerance_total() -> Decimal {
    Decimal::new(5, 2)
}

fn stock_overlap() -> Duration {
    Duration::from_secs(120)
}

fn timeout() -> Duration {
    Duration::from_secs(30)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{Value, json};

    pub(crate) fn minimal() -> Value {
        json!({
            "url": "http://127.0.0.1:8000/erp/rpc/", "user": "adapter", "password_file": "/dev/null", "company": 1, "warehouse": 5,
            "payment_term": 10, "web_shops": {"shop-eu": 1}, "shipping_product": 7, "rounding_product": 8, "carrier": 1,
            "taxes": [{"rate": "0.20", "taxes": [1]}, {"rate": "0.19", "taxes": [2]}, {"rate": "0.07", "taxes": [3]}],
            "allow_private": ["127.0.0.1"],
        })
    }

    fn refused(change: impl FnOnce(&mut Value)) -> String {
        let mut settings = minimal();
        change(&mut settings);
        Settings::parse(&settings).unwrap_err().to_string()
    }

    #[test]
    fn what_has_a_default_may_be_left_out() {
        let settings = Settings::parse(&minimal()).unwrap();
        assert_eq!((settings.tolerance_line, settings.tolerance_total), (Decimal::new(1, 2), Decimal::new(5, 2)));
        assert_eq!((settings.guest, settings.location()), (Guest::Create, "5".to_owned()));
    }

    #[test]
    fn a_guest_is_a_party_or_gets_one() {
        let mut settings = minimal();
        settings["guest"] = json!(17);
        assert_eq!(Settings::parse(&settings).unwrap().guest, Guest::Party(17));
        assert!(refused(|it| it["guest"] = json!("nobody")).contains("`guest` is"));
    }

    #[test]
    fn a_slip_of_the_pen_is_named() {
        assert!(refused(|it| it["ware_house"] = json!(5)).contains("unknown field `ware_house`"));
        assert!(refused(|it| it["url"] = json!("http://127.0.0.1:8000/erp/")).contains("must end in /<database>/rpc/"));
        assert!(!refused(|it| it["url"] = json!("https://user:word@erp.example.com/rpc/")).contains("word"));
        assert!(refused(|it| it["url"] = json!("http://127.0.0.1:8000/rpc/")).contains("must end in /<database>/rpc/"));
        assert!(refused(|it| it["web_shops"] = json!({"shop-eu": 1, "shop-us": 1})).contains("two storefronts"));
        assert!(refused(|it| it["web_shops"] = json!({})).contains("no storefront"));
        assert!(refused(|it| it["web_shops"] = json!({"Shop": 1})).contains("`Shop`"));
        assert!(refused(|it| it["taxes"] = json!([{"rate": 0.2, "taxes": [1]}, {"rate": "0.20", "taxes": [2]}])).contains("two rules"));
        assert!(refused(|it| it["tolerance_line"] = json!("-0.01")).contains("negative"));
        assert!(refused(|it| it["allow_private"] = json!(["10.0"])).contains("`10.0`"));
    }
}
