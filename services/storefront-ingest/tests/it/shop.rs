//! A shop before the door: everything that happens in it arrives, late and twice and in any order, and the account balances.

use domain::{FinancialState, Order};
use sandbox::payloads::{EditWish, OrderWish, PaymentWish, RefundWish};
use sandbox::shopify::{RawDelivery, Release};
use testkit::{eventually, eventually_eq};

use super::rig::{Rig, SOON};

/// The last content of each order that has a row.
async fn stored(rig: &Rig, id: u64) -> (Order, bool) {
    let sql = "select body, deleted from ingest.entity where kind = 'order' and id = $1";
    let (body, deleted): (Vec<u8>, bool) = sqlx::query_as(sql).bind(id.to_string()).fetch_one(rig.store.pool()).await.unwrap();
    (contracts::wire::Wire::decode(&body).unwrap(), deleted)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shops_life_in_any_order_ends_as_the_shop_shows_it() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    let shop = rig.shop.shop();
    shop.hold();
    let mut sent = Vec::new();
    let mut ids = Vec::new();
    for n in 0..12_u32 {
        let placed = shop.place_order(&OrderWish::default().paid_by(PaymentWish::Pending)).unwrap();
        let line = shop.order(placed.id).unwrap().lines[0].id;
        ids.push(placed.id);
        sent.extend(placed.deliveries);
        sent.extend(shop.pay(placed.id).unwrap().deliveries);
        if n % 3 == 0 {
            let wish = EditWish { add: vec![(shop.articles()[0].sku.clone(), 1)], ..EditWish::default() };
            sent.extend(shop.edit(placed.id, &wish).unwrap().deliveries);
        }
        if n % 4 == 1 {
            sent.extend(shop.refund(placed.id, &RefundWish::line(line, 1)).unwrap().deliveries);
        }
        if n % 5 == 2 {
            sent.extend(shop.cancel(placed.id, "customer", true).unwrap().deliveries);
        }
    }
    let deleted = ids[11];
    sent.extend(shop.delete_order(deleted).unwrap().deliveries);
    shop.create_customer();
    shop.release(Release::Shuffled { seed: 7 });
    shop.send_again(&sent[..20]);
    let counts = shop.settled(SOON).await.unwrap();
    assert_eq!((counts.given_up, counts.failed_attempts), (0, 0));

    eventually(SOON, async || {
        let pending = rig.count("select count(*) from ingest.reread").await;
        if pending == 0 { Ok(()) } else { Err(pending) }
    })
    .await;
    let account = rig.settled().await;
    assert!(account.balances(), "{:?}", account.checks);
    assert_eq!((account.count("dead"), account.count("held"), account.count("missing")), (0, 0, 0), "{:?}", account.lines);
    assert!(account.repeats >= 20, "{}", account.repeats);
    for id in &ids[..11] {
        let (order, is_deleted) = stored(&rig, *id).await;
        let truth = shop.order(*id).unwrap();
        assert!(!is_deleted);
        assert_eq!(order.is_cancelled(), truth.is_cancelled(), "{id}");
        assert_eq!(order.lines.len(), truth.lines.len(), "{id}: the edit has arrived");
        assert_eq!(order.totals.current_total.shop.amount, truth.current_total().shop, "{id}");
        assert_ne!(order.financial_state, FinancialState::Pending, "{id}");
    }
    assert!(stored(&rig, deleted).await.1, "it is gone");
    // Every event of an entity has its place: sequences without a gap, and the last one is the row's.
    let gaps = "select count(*) from (select e.seq, count(o.out_id) as events from ingest.entity e
                  left join ingest.output o on o.topic like '%orders.v1' and exists (
                    select from ingest.decision d where d.ce_id = o.ce_id and d.aggregate = e.source || '/order/' || e.id)
                  where e.kind = 'order' group by e.source, e.kind, e.id, e.seq) c where seq <> events";
    assert_eq!(rig.count(gaps).await, 0);

    // A record that the ledger has lost is noticed.
    let lost = "delete from ingest.raw_record where (partition, \"offset\") in (select partition, \"offset\" from ingest.raw_record
                  where \"offset\" > 0 order by partition, \"offset\" limit 1)";
    sqlx::query(lost).execute(rig.store.pool()).await.unwrap();
    let account = rig.account().await.unwrap();
    assert!(!account.balances());
    assert!(account.checks[0].detail.contains("1 of"), "{:?}", account.checks);
    running.stop().await;
}

/// Two webhooks of one second with different content; the shop's API is asked which one holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_deliveries_dispute_is_read_from_the_shop() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    let shop = rig.shop.shop();
    shop.hold();
    let placed = shop.place_order(&OrderWish::default()).unwrap();
    shop.release(Release::AsHeld);
    rig.shop.settled(SOON).await.unwrap();
    let truth = shop.order(placed.id).unwrap();
    let of_order = placed.deliveries.iter().filter(|it| it.topic.starts_with("orders/"));
    let last = of_order.map(|it| it.triggered_at).max().unwrap();
    let mut other = truth.clone();
    other.note = Some("said in the same moment".to_owned());
    let raw = RawDelivery::new("orders/updated", other.to_rest().to_string()).triggered_at(last);
    shop.send_raw_to(&rig.url, &raw);
    rig.shop.settled(SOON).await.unwrap();
    // Placed, disputed, and as the shop says.
    let sequence = "select coalesce(max(seq), 0) from ingest.entity where kind = 'order'";
    eventually_eq(SOON, 3, async || rig.count(sequence).await).await;
    assert_eq!(stored(&rig, placed.id).await.0.note, truth.note.unwrap_or_default());
    eventually_eq(SOON, 0, async || rig.count("select count(*) from ingest.reread").await).await;
    let reads = shop.log().effects().received("order").count();
    assert!(reads >= 1, "the shop was asked");
    assert!(rig.settled().await.balances());
    running.stop().await;
}

/// While the shop's API is away, what was only told in part is in flight, and nothing else waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_waits_in_flight_while_the_shop_cannot_be_asked() {
    let Some(rig) = Rig::new().await else { return };
    let running = rig.start().await;
    let shop = rig.shop.shop();
    let placed = shop.place_order(&OrderWish::default()).unwrap();
    let other = shop.place_order(&OrderWish::default()).unwrap();
    shop.settled(SOON).await.unwrap();
    rig.settled().await;
    rig.shop.gate().keeper().refuse(None).await;
    let delta = format!("{{\"order_edit\":{{\"order_id\":{}}}}}", placed.id);
    shop.send_raw_to(&rig.url, &RawDelivery::new("orders/edited", delta));
    shop.annotate(other.id, "not held up").unwrap();
    shop.settled(SOON).await.unwrap();
    let failed = "select coalesce(max(attempts), 0)::bigint from ingest.reread";
    eventually(SOON, async || if rig.count(failed).await >= 1 { Ok(()) } else { Err("not asked yet") }).await;
    let sequence = "select max(seq) from ingest.entity where kind = 'order'";
    eventually_eq(SOON, 2, async || rig.count(sequence).await).await;
    let account = rig.account().await.unwrap();
    let waiting: Vec<_> = account.lines.iter().filter(|it| it.reason.as_deref() == Some("reread")).collect();
    assert_eq!(waiting.iter().map(|it| (it.state.as_str(), it.count)).collect::<Vec<_>>(), [("in_flight", 1)]);

    rig.shop.gate().keeper().restore().await;
    assert!(rig.settled().await.balances());
    assert_eq!(rig.count("select count(*) from ingest.reread").await, 0);
    running.stop().await;
}
