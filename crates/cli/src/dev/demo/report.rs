//! What came out of the day, from the doubles' logs and the account.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use sandbox::effects::Kind;
use serde::Serialize;
use store::account::Account;

use super::settle;
use crate::dev::Running;

#[derive(Serialize)]
pub(super) struct Report {
    orders: usize,
    /// Cancelled before the ERP had them: rightly absent there.
    dropped: usize,
    deliveries: u64,
    /// Orders that are not in the ERP exactly once.
    wrong: Vec<String>,
    /// From the first send of orders/create to the booked sale, in milliseconds.
    latency_ms: Percentiles,
    stock: Vec<Shelf>,
    account: Account,
    seconds: f64,
}

#[derive(Serialize, Default)]
struct Percentiles {
    p50: i64,
    p99: i64,
    max: i64,
}

#[derive(Serialize)]
struct Shelf {
    sku: String,
    expected: i64,
    shown: Option<i64>,
}

impl Report {
    pub(super) async fn draw(running: &Running, elapsed: Duration) -> anyhow::Result<Self> {
        let orders = running.shop.orders();
        let (mut wrong, mut dropped) = (Vec::new(), 0);
        for order in &orders {
            let booked = running.erp.sales_of(&order.id.to_string()).len();
            match (booked, order.cancelled_at) {
                (1, _) => {}
                (0, Some(_)) => dropped += 1,
                (count, _) => wrong.push(format!("{} is in the ERP {count} times", order.id)),
            }
        }
        wrong.extend(running.erp.effects().repeated("sale.sale.create").into_keys().map(|it| format!("{it} was created more than once")));
        let shown = |(sku, expected): (String, i64)| Shelf { shown: running.shop.available(&sku), sku, expected };
        Ok(Self {
            orders: orders.len(),
            dropped,
            deliveries: running.shop.counts().acked,
            wrong,
            latency_ms: latency(running),
            stock: settle::expected(running).into_iter().map(shown).collect(),
            account: settle::account(running).await?,
            seconds: elapsed.as_secs_f64(),
        })
    }

    pub(super) fn is_good(&self) -> bool {
        let is_settled = ["in_flight", "dead", "held", "missing"].iter().all(|state| self.account.count(state) == 0);
        self.account.balances() && is_settled && self.wrong.is_empty() && self.stock.iter().all(|it| it.shown == Some(it.expected))
    }

    pub(super) fn text(it: &Self) -> String {
        let mut out = super::account_text(&it.account);
        let Percentiles { p50, p99, max } = it.latency_ms;
        out += &format!("\nwebhook to ERP: p50 {p50} ms, p99 {p99} ms, longest {max} ms (the outage is in it)\n");
        for shelf in it.stock.iter().filter(|it| it.shown != Some(it.expected)) {
            out += &format!("stock of {}: the shop shows {:?}, the ERP's log gives {}\n", shelf.sku, shelf.shown, shelf.expected);
        }
        let agreeing = it.stock.iter().filter(|it| it.shown == Some(it.expected)).count();
        out += &format!("stock: {agreeing} of {} SKUs agree with the formula over the ERP's log\n", it.stock.len());
        for wrong in &it.wrong {
            out += &format!("wrong: {wrong}\n");
        }
        let once = it.orders - it.dropped - it.wrong.len();
        out += &format!(
            "{} deliveries acked, {} orders: {once} in the ERP exactly once, {} cancelled before they got there; {:.0} s\n",
            it.deliveries, it.orders, it.dropped, it.seconds
        );
        out += if it.is_good() { "everything balances\n" } else { "NOT GOOD: see above\n" };
        out
    }
}

fn latency(running: &Running) -> Percentiles {
    let mut sent = HashMap::new();
    for entry in running.shop.log().effects().entries() {
        if entry.kind == Kind::Sending && entry.operation == "webhook orders/create" {
            sent.entry(entry.external_id.clone().unwrap_or_default()).or_insert(entry.at);
        }
    }
    let mut first: BTreeMap<&str, i64> = BTreeMap::new();
    let effects = running.erp.effects();
    for sale in effects.sales() {
        if let Some((id, at)) = sale.external_id.as_deref().and_then(|id| Some((id, sent.get(id)?))) {
            first.entry(id).or_insert((sale.at - *at).num_milliseconds());
        }
    }
    let mut all: Vec<i64> = first.into_values().collect();
    all.sort_unstable();
    let at = |share: f64| all.get(((all.len() as f64 * share) as usize).min(all.len().saturating_sub(1))).copied().unwrap_or(0);
    Percentiles { p50: at(0.5), p99: at(0.99), max: all.last().copied().unwrap_or(0) }
}
