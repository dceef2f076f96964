//! Waiting for the end of everything that is under way.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use dead_letter_replayer::accounting::Accountant;
use domain::Decimal;
use store::account::Account;

use crate::dev::Running;

const LOOK: Duration = Duration::from_millis(250);

/// Until nothing is in flight, twice in a row.
pub(super) async fn quiet(running: &Running, deadline: Duration) -> anyhow::Result<()> {
    running.shop.settled(deadline).await.context("the shop's deliveries")?;
    let accountant = accountant(running)?;
    let (until, mut calm) = (Instant::now() + deadline, 0);
    loop {
        let account = accountant.account().await?;
        calm = if account.count("in_flight") == 0 { calm + 1 } else { 0 };
        if calm == 2 {
            return Ok(());
        }
        if Instant::now() > until {
            anyhow::bail!("after {deadline:?} this is still in flight:\n{}", super::account_text(&account));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Until the shop shows what the ERP's own log gives by the formula. If it never does, the report says where.
pub(super) async fn stock_agrees(running: &Running, deadline: Duration) -> anyhow::Result<()> {
    let until = Instant::now() + deadline;
    while expected(running).iter().any(|(sku, available)| running.shop.available(sku) != Some(*available)) && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

pub(super) fn accountant(running: &Running) -> anyhow::Result<Accountant> {
    Ok(Accountant::new(running.store.clone(), running.settings.bus.clone(), &running.settings.installation.targets())?)
}

pub(super) async fn account(running: &Running) -> anyhow::Result<Account> {
    Ok(accountant(running)?.account().await?)
}

/// available = on hand - reserved - web orders that the ERP has not confirmed, by SKU; recomputed from the doubles' logs alone.
pub(super) fn expected(running: &Running) -> BTreeMap<String, i64> {
    let mut unconfirmed: BTreeMap<String, i64> = BTreeMap::new();
    for order in running.shop.orders().iter().filter(|it| it.cancelled_at.is_none()) {
        let is_confirmed = running.erp.sales_of(&order.id.to_string()).iter().any(|it| !matches!(it.state, "draft" | "quotation"));
        if !is_confirmed {
            for line in &order.lines {
                *unconfirmed.entry(line.article.sku.clone()).or_default() += i64::from(line.current_quantity());
            }
        }
    }
    let available = |sku: &str, on_hand: Decimal, reserved: Decimal| {
        let pending = Decimal::from(unconfirmed.get(sku).copied().unwrap_or(0));
        let free = (on_hand - reserved - pending).floor().max(Decimal::ZERO);
        i64::try_from(free).unwrap_or(i64::MAX)
    };
    running
        .erp
        .effects()
        .stock()
        .into_iter()
        .map(|(sku, held)| {
            let free = available(&sku, held.on_hand, held.reserved);
            (sku, free)
        })
        .collect()
}
