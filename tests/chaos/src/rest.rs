//! After the last fault: waits until the world is at rest, and does what operators do about letters.

use std::time::{Duration, Instant};

use e2e::Installation;
use futures_util::future::try_join_all;
use serde_json::Value;
use store::account::Account;
use tokio::time::sleep;

/// Patience for all the waits of a run together. Where it ends, the checkers are asked nevertheless.
pub(crate) struct Rest {
    left: Duration,
    /// What was waited for in vain.
    pub(crate) never: Vec<String>,
}

impl Rest {
    pub(crate) fn within(left: Duration) -> Self {
        Self { left, never: Vec::new() }
    }

    /// Until nothing is in flight any more. Returns how things stand then.
    pub(crate) async fn comes(&mut self, it: &Installation) -> anyhow::Result<Account> {
        let begun = Instant::now();
        let account = loop {
            match it.has_settled(0).await {
                Ok(account) => break account,
                Err(why) if begun.elapsed() > self.left => {
                    self.never.push(format!("not settled: {why}"));
                    break it.try_account().await.map_err(|it| anyhow::anyhow!("the account can't be drawn up: {it}"))?;
                }
                Err(_) => sleep(Duration::from_millis(500)).await,
            }
        };
        self.left = self.left.saturating_sub(begun.elapsed());
        Ok(account)
    }

    /// The last levels are pushed a moment after the last event. What they are then is asked of the shop.
    pub(crate) async fn comes_to_stock(&mut self, it: &Installation) {
        self.is_over(async || !e2e::stock_differs(it).is_empty()).await;
    }

    /// Until a look finds nothing.
    pub(crate) async fn comes_when(&mut self, what: &str, is_left: impl AsyncFnMut() -> bool) {
        if !self.is_over(is_left).await {
            self.never.push(what.to_owned());
        }
    }

    /// False where patience ended first.
    async fn is_over(&mut self, mut is_left: impl AsyncFnMut() -> bool) -> bool {
        let begun = Instant::now();
        let is_over = loop {
            if !is_left().await {
                break true;
            }
            if begun.elapsed() > self.left {
                break false;
            }
            sleep(Duration::from_millis(200)).await;
        };
        self.left = self.left.saturating_sub(begun.elapsed());
        is_over
    }
}

/// What is no order is discarded, everything else is tried again, until nothing is left.
pub(crate) async fn give_up_or_replay(it: &Installation, rest: &mut Rest) -> anyhow::Result<()> {
    for _ in 0..ROUNDS_MAX {
        let mut dead = dead_letters(it).await;
        if dead.is_empty() {
            // What was tried again may fail again, and so may what was held behind it.
            rest.comes(it).await?;
            dead = dead_letters(it).await;
        }
        if dead.is_empty() {
            break;
        }
        for some in dead.chunks(AT_ONCE) {
            try_join_all(some.iter().map(|letter| give_up_or_replay_one(it, letter))).await?;
        }
    }
    Ok(())
}

async fn dead_letters(it: &Installation) -> Vec<Value> {
    let listed = it.tradewind(&["--json", "dlq", "list", "--state", "dead"]).await.json();
    listed.as_array().expect("a list of letters").clone()
}

async fn give_up_or_replay_one(it: &Installation, letter: &Value) -> anyhow::Result<()> {
    let text = |field: &str| letter.get(field).and_then(Value::as_str).unwrap_or_default();
    let replay = async |reason| it.tradewind(&["--json", "dlq", "replay", text("id"), "--reason", reason]).await;
    if text("group") != "mapper" {
        let done = replay("all is well again").await;
        anyhow::ensure!(done.code == 0, "{letter}: {done:?}");
        return Ok(());
    }
    let done = it.tradewind(&["--json", "dlq", "discard", text("id"), "--held", "release", "--reason", "not an order"]).await;
    anyhow::ensure!(done.code == 0, "{letter}: {done:?}");
    // Somebody who does not know that: they are told. What comes of it is asked of the audit.
    replay("I did not know that it was discarded").await;
    Ok(())
}

/// A list has at most a hundred letters, and a long run has two thousand. What is held behind them takes its turn afterwards.
const ROUNDS_MAX: usize = 100;
const AT_ONCE: usize = 4;
