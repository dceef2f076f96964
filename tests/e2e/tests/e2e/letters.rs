//! What can't be applied becomes a letter; people decide, and what waited follows in order.

use sandbox::erp::Item;
use sandbox::payloads::PaymentWish;
use sandbox::shopify::RawDelivery;
use testkit::{eventually, eventually_eq};

use e2e::{Installation, SOON, Setup, assert_in_order, assert_once, key, mugs, order, stock_agrees};

/// The shop sells it, and nobody told the ERP.
const NEW: &str = "CAP-NEW";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_of_an_unknown_item_waits_with_all_that_follows_until_it_is_replayed() {
    let Some(it) = Installation::start(Setup::default()).await else { return };
    it.shop.add_article(NEW, Some(50));
    let parked = it.shop.place_order(&order().with(NEW, 1).discounted_by([]).paid_by(PaymentWish::Pending)).unwrap().id;
    let letter = it.dead("erp_unknown_item").await;
    assert_eq!((&letter["key"], &letter["group"]), (&key(parked).into(), &"erp-adapter-erp-main".into()));

    // Its payment is held behind it; other orders pass.
    it.shop.pay(parked).unwrap();
    let other = it.shop.place_order(&mugs(PaymentWish::Paid)).unwrap().id;
    let account = it.settled().await;
    assert_eq!((account.balances(), account.count("dead"), account.count("held")), (true, 1, 1), "{account:?}");
    assert_eq!(it.erp.sales_of(&other.to_string()).len(), 1);
    assert_eq!(it.erp.sales_of(&parked.to_string()).len(), 0);
    let id = letter["id"].as_str().unwrap();
    assert_eq!(it.letters().await.iter().find(|it| it["id"] == id).unwrap()["held_behind_it"], 1);
    let first = it.tradewind(&["--json", "dlq", "list", "--limit", "1"]).await;
    assert!(first.json().as_array().unwrap().len() == 1 && first.err.contains("there are more than 1"), "{first:?}");
    assert!(!it.tradewind(&["dlq", "list"]).await.err.contains("there are more"));
    let shown = it.tradewind(&["dlq", "show", id]).await;
    assert!(shown.out.contains("erp_unknown_item") && shown.out.contains(NEW), "{shown:?}");

    it.erp.add_item(&Item::new(NEW, "Cap", 50)).unwrap();
    let replayed = it.tradewind(&["--json", "dlq", "replay", id, "--reason", "the item was added"]).await.json();
    assert!(replayed["state"] == "replaying" || replayed["state"] == "applied", "{replayed}");
    eventually_eq(SOON, Vec::new(), async || it.letters().await).await;
    let account = it.settled().await;
    assert_eq!((account.balances(), account.count("dead"), account.count("held")), (true, 0, 0), "{account:?}");
    assert_eq!(it.erp.sales_of(&parked.to_string())[0].state, "processing");
    assert_once(&it);
    stock_agrees(&it).await;
    assert_in_order(&it);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_is_discarded_with_a_reason_and_heard_of() {
    let Some(it) = Installation::start(Setup::default()).await else { return };
    it.shop.send_raw(RawDelivery::new("orders/create", &b"{\"hello\": \"this is no order\"}"[..]));
    it.shop.add_article(NEW, Some(50));
    let order = it.shop.place_order(&order().with(NEW, 1).paid_by(PaymentWish::Pending)).unwrap().id;
    let of_adapter = it.dead("erp_unknown_item").await;
    let of_mapper = eventually(SOON, async || {
        let letters = it.letters().await;
        letters.iter().find(|it| it["group"] == "mapper").cloned().ok_or(letters)
    });
    let of_mapper = of_mapper.await;
    assert_eq!((&of_mapper["code"], &of_mapper["state"]), (&"shopify_shape".into(), &"dead".into()));
    it.shop.pay(order).unwrap();
    let account = it.settled().await;
    assert_eq!((account.balances(), account.count("dead"), account.count("held")), (true, 2, 1), "{account:?}");

    for (letter, held) in [(&of_mapper, "release"), (&of_adapter, "discard")] {
        let id = letter["id"].as_str().unwrap();
        assert_eq!(it.tradewind(&["dlq", "discard", id, "--held", held]).await.code, 2, "without a reason");
        let discarded = it.tradewind(&["--json", "dlq", "discard", id, "--reason", "a test of the sender's", "--held", held]).await.json();
        assert_eq!(discarded["state"], "discarded");
        assert!(it.tradewind(&["dlq", "show", id]).await.out.contains("a test of the sender's"));
    }
    // The router hears that its command came to nothing.
    eventually_eq(SOON, "discarded".to_owned(), async || it.text("select coalesce(place_state, '') from router.life").await).await;
    let account = it.settled().await;
    assert_eq!((account.balances(), account.count("dead"), account.count("held")), (true, 0, 0), "{account:?}");
    assert_eq!(
        account.lines.iter().filter(|it| it.state == "discarded" && it.group != "mapper").map(|it| it.count).sum::<i64>(),
        2,
        "{account:?}"
    );
    assert!(it.erp.sales().is_empty());
}
