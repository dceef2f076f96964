//! One order, from the shop into the ERP and back, and what an operator sees of it.

use sandbox::payloads::{DiscountWish, PaymentWish};
use testkit::eventually;

use e2e::{Installation, SOON, Setup, assert_once, key, mugs, stock_agrees};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_becomes_a_sale_whose_number_comes_back() {
    let Some(it) = Installation::start(Setup::default()).await else { return };
    let discount = DiscountWish::Code { code: "TENTH".to_owned(), percent: 10.into() };
    let wish = mugs(PaymentWish::Paid).discounted_by([discount]);
    let placed = it.shop.place_order(&wish).unwrap();
    let number = eventually(SOON, async || it.life(placed.id).await.and_then(|life| life.erp_number).ok_or("the ERP gave no number")).await;

    it.settled().await;
    assert_once(&it);
    stock_agrees(&it).await;
    let sale = &it.erp.sales_of(&placed.id.to_string())[0];
    assert_eq!((sale.number.as_deref(), sale.state), (Some(number.as_str()), "processing"));
    assert!(sale.total > 0.into());
    let life = it.life(placed.id).await.unwrap();
    assert_eq!((life.stage.as_str(), life.erp_confirmed, life.erp_id), ("placed", true, Some(sale.id.to_string())));

    // By the shop's id, by what the buyer sees, by the ERP's number: one way, from the delivery to the effect.
    for name in [placed.id.to_string(), life.display_number.trim_start_matches('#').to_owned(), number.clone()] {
        let traced = it.tradewind(&["--json", "trace", &name]).await.json();
        assert_eq!((&traced[0]["key"], &traced[0]["erp_number"]), (&key(placed.id).into(), &number.as_str().into()), "{name}");
        let steps: Vec<&str> = traced[0]["steps"].as_array().unwrap().iter().filter_map(|it| it["what"].as_str()).collect();
        let places = ["delivery", "order event", "place_order / create", "place_order / confirm"]
            .map(|it| steps.iter().position(|step| *step == it));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{steps:?}");
    }
    assert_eq!(it.tradewind(&["trace", "no-such-order"]).await.code, 1);

    let account = it.tradewind(&["--json", "account"]).await.json();
    let checks = account["checks"].as_array().unwrap();
    assert!(checks.len() == 2 && checks.iter().all(|it| it["holds"] == true), "{account}");
    assert!(it.letters().await.is_empty());
    assert_eq!(it.tradewind(&["dlq", "list"]).await.out, "no letters\n");
}
