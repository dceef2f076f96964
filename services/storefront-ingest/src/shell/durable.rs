//! Ready while a delivery can be kept: by Kafka, or else by the spool.

use std::sync::Arc;
use std::time::Duration;

use bus::Producer;
use service_kit::Latch;
use store::Store;
use tokio_util::sync::CancellationToken;

use crate::core::failover::{Failover, Route};
use crate::core::gauge::Gauge;

pub struct Durable {
    pub latch: Latch,
    pub store: Store,
    pub producer: Producer,
    pub failover: Arc<Failover>,
    pub spooled: Arc<Gauge>,
    pub spool_bytes_max: u64,
    /// How long the spool may take, at the door as here.
    pub spool_budget: Duration,
    /// The raw topic's full name.
    pub raw_topic: String,
}

impl Durable {
    pub async fn run(self, stop: CancellationToken) {
        stop.run_until_cancelled(self.work()).await;
    }

    async fn work(self) {
        let mut was_able = true;
        loop {
            let refusal = self.refusal().await;
            match refusal {
                None => self.latch.release(),
                Some(why) => self.latch.take_back(why),
            }
            if was_able && let Some(why) = refusal {
                tracing::error!(
                    runbook = "docs/runbooks/spool-growing.md",
                    "no delivery can be kept, senders are asked to come back: {why}"
                );
            } else if !was_able && refusal.is_none() {
                tracing::warn!("deliveries can be kept again");
            }
            was_able = refusal.is_none();
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Why nothing can be kept.
    async fn refusal(&self) -> Option<&'static str> {
        if self.failover.route() == Route::Kafka && self.producer.warm_up(&self.raw_topic, KAFKA).await.is_ok() {
            return None;
        }
        if self.spooled.bytes() >= self.spool_bytes_max {
            return Some("Kafka is away and the spool is full");
        }
        match tokio::time::timeout(self.spool_budget, store::spool::try_out(&self.store)).await {
            Ok(Ok(())) => None,
            Ok(Err(_)) | Err(_) => Some("neither Kafka nor the database takes any"),
        }
    }
}

const PAUSE: Duration = Duration::from_secs(2);
const KAFKA: Duration = Duration::from_secs(2);
