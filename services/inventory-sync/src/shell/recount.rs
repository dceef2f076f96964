//! Reckons everything anew when the service starts, because its settings may have changed: feeds and buffers. The events of
//! that follow from no record; each stays in its row until it is produced.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bus::{BusSettings, Producer};
use domain::Sku;
use fault::Fault;
use store::{Error, Store, Tx};
use tokio_util::sync::CancellationToken;

use crate::core::feeds::Feeds;
use crate::shell::outbound;
use crate::shell::reckoner::{self, reckon};
use crate::shell::rows::{self, desired};

/// SKUs of one transaction.
const PAGE: i64 = 500;
const RETRY: Duration = Duration::from_secs(1);

pub struct Recount {
    pub store: Store,
    pub feeds: Arc<Feeds>,
    pub bus: BusSettings,
    pub producer: Producer,
}

impl Recount {
    /// Once, then nothing is left to do until the stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut after = String::new();
        loop {
            match self.step(&after).await {
                Ok(Some(next)) => after = next,
                Ok(None) => break,
                Err(fault) => {
                    tracing::warn!(error = %fault, "availability was not reckoned anew, it is tried again");
                    if stop.run_until_cancelled(tokio::time::sleep(RETRY)).await.is_none() {
                        return;
                    }
                }
            }
            if stop.is_cancelled() {
                return;
            }
        }
        stop.cancelled().await;
    }

    /// Produces what an earlier run has left, reckons the next SKUs, and produces what that led to: a row's next event is made
    /// only when its last is out. Returns where to go on.
    pub async fn step(&self, after: &str) -> Result<Option<String>, Fault> {
        self.announce().await?;
        let skus = rows::skus_after(&self.store, after, PAGE).await?;
        let Some(last) = skus.last().map(Sku::to_string) else { return Ok(None) };
        self.reckon(skus).await?;
        self.announce().await?;
        Ok(Some(last))
    }

    async fn reckon(&self, skus: BTreeSet<Sku>) -> Result<(), Error> {
        let page = Page { feeds: Arc::clone(&self.feeds), skus };
        self.store.transaction(move |tx| Box::pin(page.run(tx))).await
    }

    async fn announce(&self) -> Result<(), Fault> {
        loop {
            let rows = desired::unannounced(&self.store, PAGE).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                let record = outbound::record(&self.bus, &row.place, &row.sku, row.sequence, row.value.clone());
                self.producer.produce(&record).await?;
            }
            desired::announced(&self.store, &rows).await?;
        }
    }
}

/// SKUs on their way through their transaction.
struct Page {
    feeds: Arc<Feeds>,
    skus: BTreeSet<Sku>,
}

impl Page {
    async fn run(self, tx: &mut Tx) -> Result<(), Error> {
        let book = rows::open_skus(tx, &self.skus).await?;
        reckon(tx, &self.feeds, &book, &self.skus, &BTreeMap::new(), reckoner::Producer::Row).await?;
        Ok(())
    }
}
