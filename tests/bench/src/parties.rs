//! The measured processes. Each prepares itself, says that it is ready, and works or serves until its standard input closes.

pub(crate) mod adapter;
pub(crate) mod floor;
pub(crate) mod groups;
mod http_erp;
pub(crate) mod loops;
pub(crate) mod meter;
pub(crate) mod servers;

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

/// What came of a backlog or a loop.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Work {
    pub(crate) records: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_seconds: f64,
    /// Records that arrived per transaction, where there were any.
    pub(crate) batch: f64,
    pub(crate) peak_mb: f64,
}

impl Work {
    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / self.records as f64
    }

    pub(crate) fn rate(&self) -> f64 {
        self.records as f64 / self.seconds
    }
}

/// What a party without anything to say says when it is ready.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {}

/// Runs the party of this name.
pub(crate) async fn run(name: &str, orders: &str) -> anyhow::Result<()> {
    let stage = Stage::new();
    match name {
        "null" => servers::null(stage).await,
        "door" => servers::door(stage, parsed(orders)?).await,
        "hmac" => loops::hmac(stage, parsed(orders)?).await,
        "produce" => loops::produce(stage, parsed(orders)?).await,
        "mapper" => groups::mapper(stage, parsed(orders)?).await,
        "router" => groups::router(stage, parsed(orders)?).await,
        "pass-through" => groups::pass_through(stage, parsed(orders)?).await,
        "floor" => floor::batches(stage, parsed(orders)?).await,
        "raw-copy" => floor::raw_copy(stage, parsed(orders)?).await,
        "adapter" => adapter::adapter(stage, parsed(orders)?).await,
        "lasting-adapter" => adapter::lasting(stage, parsed(orders)?).await,
        other => bail!("there is no party `{other}`"),
    }
}

fn parsed<'a, O: Deserialize<'a>>(orders: &'a str) -> anyhow::Result<O> {
    serde_json::from_str(orders).context("the orders of a party")
}

/// The other end of [`Party`](crate::process::Party).
pub(crate) struct Stage {
    orders: mpsc::UnboundedReceiver<String>,
}

impl Stage {
    /// A thread of its own listens, which ends with the process.
    fn new() -> Self {
        let (sender, orders) = mpsc::unbounded_channel();
        std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { orders }
    }

    /// `ready`, or an answer.
    pub(crate) fn say(&self, what: &impl Serialize) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string(what)?);
        Ok(())
    }

    /// False: it is over.
    pub(crate) async fn go(&mut self) -> bool {
        self.orders.recv().await.is_some()
    }
}

/// As every service has it.
pub(crate) fn telemetry() -> anyhow::Result<telemetry::Guard> {
    Ok(telemetry::init(&telemetry::Settings::default(), "bench")?)
}
