use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rust_decimal::Decimal;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::effects::Durability;
use crate::faults::Latency;

/// How a double behaves. The default is a well-behaved Tryton 8.2 with the local stack's seed.
#[derive(Debug, Clone)]
pub struct ErpSettings {
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// The database's name, part of the URL.
    pub database: String,
    pub login: String,
    pub password: SecretString,
    /// Goods and what lies of each of them.
    pub items: Vec<Item>,
    pub dedupe: Dedupe,
    pub processing: Processing,
    pub tax_rounding: TaxRounding,
    /// Look-ups by `web_id` don't see sales that are younger.
    pub lookup_lag: Duration,
    /// The user may cancel shipments that are done, by which goods come back.
    pub stock_cancellation: bool,
    pub latency: Latency,
    /// Requests carried out at once; one more is answered 429. `None`: any number.
    pub parallel_max: Option<usize>,
    /// Wrong passwords in a row after which logins are answered 429.
    pub login_attempts_max: u32,
    /// Of latencies and shares of faults.
    pub seed: u64,
    /// The effect log's file; `None` keeps it in memory.
    pub log: Option<PathBuf>,
    pub durability: Durability,
    /// Also log that reads were received and answered.
    pub log_reads: bool,
}

impl Default for ErpSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            database: "erp".to_owned(),
            login: "adapter".to_owned(),
            password: SecretString::from("adapter-of-the-sandbox"),
            items: Item::of_the_demo(),
            dedupe: Dedupe::On,
            processing: Processing::InRequest,
            tax_rounding: TaxRounding::Line,
            lookup_lag: Duration::ZERO,
            stock_cancellation: false,
            latency: Latency::None,
            parallel_max: None,
            login_attempts_max: 5,
            seed: 1,
            log: None,
            durability: Durability::Written,
            log_reads: false,
        }
    }
}

/// What the ERP does about a second sale with the same `web_shop` and `web_id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dedupe {
    /// Refuses it, as Tryton does.
    #[default]
    On,
    /// Takes it; looking by `web_id` finds all there are. Here only our own care prevents duplicates.
    LookupOnly,
    /// Takes it, and looking by `web_id` finds nothing.
    Off,
}

/// When a confirmed sale is processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Processing {
    /// In the request that confirms it, as Tryton without a worker does.
    #[default]
    InRequest,
    /// By a worker, so long after.
    After { ms: u64 },
    /// Not before somebody calls `process`: the worker is dead.
    Never,
}

/// Tryton's `account.configuration` field of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaxRounding {
    /// Tryton's default.
    Document,
    /// As the local stack is seeded.
    #[default]
    Line,
}

/// A product that can be sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub sku: String,
    pub name: String,
    /// Net.
    #[serde(default)]
    pub list_price: Decimal,
    #[serde(default)]
    pub on_hand: Decimal,
    /// False: it lacks an accounting category, so that sales of it cannot be processed.
    #[serde(default = "yes")]
    pub accounted: bool,
}

fn yes() -> bool {
    true
}

impl Item {
    pub fn new(sku: impl Into<String>, name: impl Into<String>, on_hand: impl Into<Decimal>) -> Self {
        Self { sku: sku.into(), name: name.into(), list_price: Decimal::TEN, on_hand: on_hand.into(), accounted: true }
    }

    /// What the local stack's ERP is seeded with: a thousand of each.
    pub fn of_the_demo() -> Vec<Self> {
        let items = [
            ("TS-S", "T-Shirt", 165_833),
            ("TS-M", "T-Shirt", 165_833),
            ("TS-L", "T-Shirt", 165_833),
            ("MUG-RED", "Mug", 79_167),
            ("MUG-BLUE", "Mug", 79_167),
            ("POSTER", "Poster", 116_667),
        ];
        let item = |(sku, name, price): (&str, &str, i64)| Self { list_price: Decimal::new(price, 4), ..Self::new(sku, name, 1000) };
        items.into_iter().map(item).collect()
    }
}
