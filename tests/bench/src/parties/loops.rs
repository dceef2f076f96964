//! Single parts of a job in a loop: what a door can't do without.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use http_kit::Encoding;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use super::{Ready, Stage, Work};
use crate::process::{cpu_seconds, memory_mb};
use crate::{kafka, orders};

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LoopOrders {
    pub(crate) brokers: String,
    /// The full name.
    pub(crate) topic: String,
    pub(crate) millis: u64,
    pub(crate) in_flight: usize,
    /// Different bodies.
    pub(crate) bodies: usize,
}

/// Checks the signature of bodies.
pub(crate) async fn hmac(mut stage: Stage, orders: LoopOrders) -> anyhow::Result<()> {
    let secrets = orders::secrets();
    let signed: Vec<_> = orders::created(orders.bodies).into_iter().map(|it| (orders::sign(&it.body), it.body)).collect();
    stage.say(&Ready {})?;
    while stage.go().await {
        let until = Instant::now() + Duration::from_millis(orders.millis);
        let clock = Clock::start()?;
        let mut checked = 0;
        while Instant::now() < until {
            for (signature, body) in &signed {
                ensure!(secrets.verify(signature.as_bytes(), Encoding::Base64, &[body]).is_some(), "a good signature was refused");
                checked += 1;
            }
        }
        stage.say(&clock.stop(checked)?)?;
    }
    Ok(())
}

/// Produces bodies with librdkafka alone, as many at once as the door has senders.
pub(crate) async fn produce(mut stage: Stage, orders: LoopOrders) -> anyhow::Result<()> {
    let bodies = Arc::new(orders::created(orders.bodies));
    let producer: FutureProducer = kafka::raw_producer(&orders.brokers, 0).create()?;
    producer.client().fetch_metadata(Some(&orders.topic), kafka::WAIT).context("Kafka is not there")?;
    stage.say(&Ready {})?;
    while stage.go().await {
        let until = Instant::now() + Duration::from_millis(orders.millis);
        let (next, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        let clock = Clock::start()?;
        for _ in 0..orders.in_flight {
            let (producer, bodies, next, topic) = (producer.clone(), Arc::clone(&bodies), Arc::clone(&next), orders.topic.clone());
            tasks.spawn(async move {
                while Instant::now() < until {
                    let index = usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap_or(0) % bodies.len();
                    let record = FutureRecord::to(&topic).key(&bodies[index].order).payload(bodies[index].body.as_ref());
                    let confirmed = producer.send_result(record).map_err(|(error, _)| error)?;
                    confirmed.await?.map_err(|(error, _)| error)?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.context("a loop panicked")??;
        }
        stage.say(&clock.stop(next.load(Ordering::Relaxed))?)?;
    }
    Ok(())
}

struct Clock {
    at: Instant,
    cpu: f64,
}

impl Clock {
    fn start() -> anyhow::Result<Self> {
        Ok(Self { at: Instant::now(), cpu: cpu_seconds(std::process::id())? })
    }

    fn stop(self, records: u64) -> anyhow::Result<Work> {
        let pid = std::process::id();
        let cpu_seconds = cpu_seconds(pid)? - self.cpu;
        Ok(Work { records, seconds: self.at.elapsed().as_secs_f64(), cpu_seconds, batch: 0.0, peak_mb: memory_mb(pid, "VmHWM")? })
    }
}
