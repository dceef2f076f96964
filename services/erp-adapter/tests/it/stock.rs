//! A stock source from a script.

use std::collections::BTreeSet;
use std::sync::Mutex;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use connector::erp::{Cursor, StockPage, StockSource};
use domain::{Decimal, OpenSale, Sku, StockLevel};
use fault::{Class, Fault};

/// Every level ever set, in order; a cursor is how many were read.
#[derive(Default)]
pub(crate) struct FakeStock {
    history: Mutex<Vec<StockLevel>>,
    failures: Mutex<usize>,
    reads: Mutex<usize>,
    archived: Mutex<BTreeSet<String>>,
    /// How many seconds its changes were observed earlier than they are read.
    late: Mutex<usize>,
}

impl FakeStock {
    pub(crate) fn set(&self, sku: &str, on_hand: i64) {
        self.set_with(sku, on_hand, &[]);
    }

    pub(crate) fn set_with(&self, sku: &str, on_hand: i64, open_sales: &[&str]) {
        let mut history = self.history.lock().unwrap();
        let sale = |it: &&str| OpenSale { order: it.parse().unwrap(), quantity: Decimal::ONE };
        history.push(StockLevel {
            sku: Sku::new(sku).unwrap(),
            location: "main".to_owned(),
            on_hand: on_hand.into(),
            reserved: open_sales.len().into(),
            observed_at: DateTime::UNIX_EPOCH,
            open_sales: open_sales.iter().map(sale).collect(),
        });
    }

    /// It was archived, or is called something else: it is listed no more, and is no change.
    pub(crate) fn archive(&self, sku: &str) {
        self.archived.lock().unwrap().insert(sku.to_owned());
    }

    pub(crate) fn restore(&self, sku: &str) {
        self.archived.lock().unwrap().remove(sku);
    }

    pub(crate) fn fail(&self, times: usize) {
        *self.failures.lock().unwrap() = times;
    }

    pub(crate) fn set_late(&self, seconds: usize) {
        *self.late.lock().unwrap() = seconds;
    }

    pub(crate) fn reads(&self) -> usize {
        *self.reads.lock().unwrap()
    }

    fn read(&self) -> Result<(), Fault> {
        *self.reads.lock().unwrap() += 1;
        let mut failures = self.failures.lock().unwrap();
        let failed = *failures > 0;
        *failures = failures.saturating_sub(1);
        if failed { Err(Fault::new(Class::Outage, "erp_away", "connection refused")) } else { Ok(()) }
    }
}

fn at(second: usize) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(i64::try_from(second).unwrap())
}

#[async_trait]
impl StockSource for FakeStock {
    async fn changed(&self, since: Option<&Cursor>) -> Result<StockPage, Fault> {
        self.read()?;
        let history = self.history.lock().unwrap();
        let read = since.map_or(history.len(), |it| usize::try_from(it.0.as_u64().unwrap()).unwrap());
        // Pages overlap: the last one comes again.
        let from = if since.is_some() { read.saturating_sub(1) } else { read };
        let next = (read + 2).min(history.len());
        let observed_at = at(1_000 + self.reads() - *self.late.lock().unwrap());
        let levels = history[from..next].iter().map(|it| StockLevel { observed_at, ..it.clone() }).collect();
        Ok(StockPage { levels, next: Cursor(next.into()), more: next < history.len() })
    }

    async fn all(&self, after: Option<&str>, limit: usize) -> Result<Vec<StockLevel>, Fault> {
        self.read()?;
        let history = self.history.lock().unwrap();
        let mut latest = std::collections::BTreeMap::new();
        for level in history.iter() {
            latest.insert(level.sku.to_string(), StockLevel { observed_at: at(1_000 + self.reads()), ..level.clone() });
        }
        let archived = self.archived.lock().unwrap();
        latest.retain(|sku, _| !archived.contains(sku));
        Ok(latest.into_iter().filter(|(sku, _)| after.is_none_or(|it| sku.as_str() > it)).map(|it| it.1).take(limit).collect())
    }

    async fn now(&self) -> Result<DateTime<Utc>, Fault> {
        Ok(at(1_000 + self.reads()))
    }
}
