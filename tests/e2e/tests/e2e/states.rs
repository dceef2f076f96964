//! What becomes of an order in the shop becomes of its sale in the ERP.

use sandbox::payloads::{PaymentWish, RefundWish};
use sandbox::shopify::{Release, WebhookSettings};
use testkit::{eventually, eventually_eq};

use e2e::{Installation, SOON, Setup, assert_once, money_back, mugs, refunded_in_erp, stock_agrees};

/// The states of an order's sales: one, unless something is wrong.
fn states(it: &Installation, web_id: &str) -> Vec<&'static str> {
    it.erp.sales_of(web_id).iter().map(|it| it.state).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paying_cancelling_and_giving_back_reach_the_erp() {
    let Some(it) = Installation::start(Setup::default()).await else { return };
    let wait_for = async |order: u64, state: &'static str| {
        eventually_eq(SOON, vec![state], async || states(&it, &order.to_string())).await;
    };

    let [paid_later, cancelled_as_quotation, cancelled_when_sold, refunded] =
        [PaymentWish::Pending, PaymentWish::Pending, PaymentWish::Paid, PaymentWish::Paid]
            .map(|payment| it.shop.place_order(&mugs(payment)).unwrap().id);
    wait_for(paid_later, "quotation").await;
    wait_for(cancelled_as_quotation, "quotation").await;
    wait_for(cancelled_when_sold, "processing").await;
    wait_for(refunded, "processing").await;

    it.shop.pay(paid_later).unwrap();
    it.shop.cancel(cancelled_as_quotation, "customer", true).unwrap();
    it.shop.cancel(cancelled_when_sold, "customer", true).unwrap();
    let line = it.shop.order(refunded).unwrap().lines[0].id;
    it.shop.refund(refunded, &RefundWish::line(line, 1)).unwrap();
    wait_for(paid_later, "processing").await;
    wait_for(cancelled_as_quotation, "cancelled").await;
    it.settled().await;
    assert_once(&it);
    stock_agrees(&it).await;
    // The shop tells a cancellation and a refund of everything, in any order: what comes first does the work.
    let (cancelled, sale) = (it.shop.order(cancelled_when_sold).unwrap(), &it.erp.sales_of(&cancelled_when_sold.to_string())[0]);
    match refunded_in_erp(&it, cancelled.refunds[0].id).as_slice() {
        [] => assert_eq!((sale.state, sale.invoice_state), ("done", "none")),
        refunds => assert_eq!(refunds, [-cancelled.total().shop]),
    }
    assert_eq!(sale.shipment_state, "none");
    let refund = &it.shop.order(refunded).unwrap().refunds[0];
    assert_eq!(refunded_in_erp(&it, refund.id), [-money_back(refund)]);
    assert!(it.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refund_that_overtakes_its_order_waits_for_it() {
    let Some(it) = Installation::start(Setup::default()).await else { return };
    it.shop.hold();
    let placed = it.shop.place_order(&mugs(PaymentWish::Paid)).unwrap();
    let line = it.shop.order(placed.id).unwrap().lines[0].id;
    let refund = it.shop.refund(placed.id, &RefundWish::line(line, 1)).unwrap();
    it.shop.send_again(std::slice::from_ref(refund.delivery("refunds/create").unwrap()));
    let waiting = eventually(SOON, async || {
        let account = it.account().await;
        let found =
            account.lines.iter().find(|it| it.group == "order-router" && it.reason.as_deref() == Some("dependency_missing")).cloned();
        found.ok_or(account.lines)
    });
    let waiting = waiting.await;
    assert_eq!((waiting.kind.as_str(), waiting.state.as_str(), waiting.count), ("refund", "in_flight", 1));
    assert_eq!((it.life(placed.id).await, it.erp.sales()), (None, Vec::new()));

    it.shop.release(Release::AsHeld);
    it.settled().await;
    assert_once(&it);
    stock_agrees(&it).await;
    let refund = &it.shop.order(placed.id).unwrap().refunds[0];
    assert_eq!(refunded_in_erp(&it, refund.id), [-money_back(refund)]);
    assert!(it.letters().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn money_that_goes_back_before_it_was_heard_of_waits_for_the_payment_or_the_cancellation() {
    // One request at a time: otherwise what is sent last may arrive first, and a sale that was confirmed ends otherwise.
    let standard = Setup::default();
    let in_turn = Setup { webhooks: WebhookSettings { concurrency: 1, ..standard.webhooks }, ..standard };
    let Some(it) = Installation::start(in_turn).await else { return };
    let [refunded, cancelled] = [(); 2].map(|()| it.shop.place_order(&mugs(PaymentWish::Pending)).unwrap().id);
    it.settled().await;
    assert!(it.erp.sales().iter().all(|it| it.state == "quotation"));

    // Both are paid; one piece of the one comes back, the other is cancelled. The refunds are told first.
    it.shop.hold();
    it.shop.pay(refunded).unwrap();
    it.shop.pay(cancelled).unwrap();
    let line = it.shop.order(refunded).unwrap().lines[0].id;
    let back = [it.shop.refund(refunded, &RefundWish::line(line, 1)).unwrap(), it.shop.cancel(cancelled, "customer", true).unwrap()];
    for happened in &back {
        it.shop.send_again(std::slice::from_ref(happened.delivery("refunds/create").unwrap()));
    }
    let account = it.settled_but(2).await;
    assert!(account.lines.iter().any(|it| it.reason.as_deref() == Some("dependency_missing") && it.count == 2), "{account:?}");

    // And of the rest the newest first.
    it.shop.release(Release::Reversed);
    it.settled().await;
    assert!(it.letters().await.is_empty(), "{:?}", it.letters().await);
    assert_once(&it);
    let refund = &it.shop.order(refunded).unwrap().refunds[0];
    assert_eq!(refunded_in_erp(&it, refund.id), [-money_back(refund)]);
    assert_eq!(states(&it, &cancelled.to_string()), ["cancelled"]);
    stock_agrees(&it).await;
}
