//! What people mend while everything breaks: the ERP gets an item that it lacked, and what waited for it is worked off while the
//! shop goes on changing that very order.

use std::time::Duration;

use e2e::{Installation, key};
use sandbox::payloads::PaymentWish;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::load::{one_more, one_of};
use crate::world::STOCK;

#[derive(Debug, Default)]
pub(crate) struct Mended {
    pub(crate) orders: u64,
    /// Those whose item the ERP got while they waited for it.
    pub(crate) while_it_ran: u64,
    /// The item that the ERP lacks still.
    pub(crate) lacking: Option<String>,
}

/// One order after the other, until it is told to stop.
pub(crate) async fn mend(it: &Installation, stop: CancellationToken) -> Mended {
    let mut mended = Mended::default();
    while !stop.is_cancelled() {
        let sku = format!("CAP-{}", mended.orders);
        it.shop.add_article(&sku, Some(STOCK));
        // What the shop refuses has not happened.
        let Ok(placed) = it.shop.place_order(&one_of(&sku, PaymentWish::Pending)) else { break };
        mended.orders += 1;
        mended.lacking = Some(sku.clone());
        let Some(dead) = letter(it, &key(placed.id), "dead", &stop).await else { break };
        edit(it, placed.id);
        let Some(_held) = letter(it, &key(placed.id), "held", &stop).await else { break };
        add(it, &sku);
        mended.lacking = None;
        if !replay(it, dead, &stop).await {
            break;
        }
        mended.while_it_ran += 1;
        for _ in 0..EDITS {
            sleep(GAP).await;
            edit(it, placed.id);
        }
        it.shop.pay(placed.id).ok();
    }
    mended
}

pub(crate) fn add(it: &Installation, sku: &str) {
    it.erp.add_item(&sandbox::erp::Item::new(sku, "Cap", STOCK)).unwrap_or_else(|error| panic!("the sandbox ERP takes {sku}: {error}"));
}

fn edit(it: &Installation, id: u64) {
    it.shop.edit(id, &one_more("POSTER")).ok();
}

/// The order's letter in this state, as soon as there is one.
async fn letter(it: &Installation, key: &str, state: &str, stop: &CancellationToken) -> Option<Uuid> {
    let sql = "select id from letters.letter where aggregate = $1 and state = $2";
    while stop.run_until_cancelled(sleep(LOOK)).await.is_some() {
        // While the database is away nobody knows.
        if let Ok(Some(id)) = sqlx::query_scalar(sql).bind(key).bind(state).fetch_optional(it.store.pool()).await {
            return Some(id);
        }
    }
    None
}

/// Asked again while it is dead: the replayer, or what it needs, may be away.
async fn replay(it: &Installation, letter: Uuid, stop: &CancellationToken) -> bool {
    let (id, sql) = (letter.to_string(), "select state = 'dead' from letters.letter where id = $1");
    loop {
        if it.tradewind(&["--json", "dlq", "replay", &id, "--reason", "the ERP has the item now"]).await.code == 0 {
            return true;
        }
        // An answer may have been lost.
        if let Ok(false) = sqlx::query_scalar(sql).bind(letter).fetch_one(it.store.pool()).await {
            return true;
        }
        if stop.run_until_cancelled(sleep(LOOK)).await.is_none() {
            return false;
        }
    }
}

const LOOK: Duration = Duration::from_millis(250);
/// Enough that some come between the first letter's start and its end.
const EDITS: u32 = 12;
const GAP: Duration = Duration::from_millis(80);
