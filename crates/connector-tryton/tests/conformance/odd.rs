//! What only the double can be told to do: sessions that end, warnings, servers that are away, guests' parties.

use fault::Class;
use sandbox::effects::Kind;
use sandbox::erp::Processing;
use serde_json::json;

use crate::double;
use crate::orders::{self, Cart};
use crate::run::{code, run};

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_is_opened_again() {
    let double = double::start();
    let erp = double.environment().erp();
    erp.ping().await.unwrap();
    double.erp.expire_sessions();
    let order = Cart::default().order();
    run(&*erp, &orders::place(&order)).await.unwrap();
    double.erp.expire_sessions();
    let (one, other) = tokio::join!(erp.ping(), erp.ping());
    one.unwrap();
    other.unwrap();
    assert_eq!(double.erp.sales_of(&order.id).len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_no_letter() {
    let double = double::start();
    let environment = double.environment();
    std::fs::write(environment.settings["password_file"].as_str().unwrap(), "guess\n").unwrap();
    let fault = environment.erp().ping().await.unwrap_err();
    assert_eq!((fault.class, fault.code), (Class::Auth, "erp_unauthorized"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_an_outage_and_comes_back() {
    let double = double::start();
    let erp = double.environment().erp();
    double.erp.refuse(None).await;
    let fault = erp.ping().await.unwrap_err();
    assert_eq!((fault.class, fault.code), (Class::Outage, "erp_unreachable"));
    double.erp.restore().await;
    erp.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_warning_is_acknowledged_and_another_is_not() {
    let double = double::start();
    let erp = double.environment().erp();
    let order = Cart::default().order();
    double.erp.warn_on("sale.sale.quote", "invoice_taxes");
    run(&*erp, &orders::place_unpaid(&order)).await.unwrap();
    assert_eq!(double.erp.sales_of(&order.id)[0].state, "quotation");

    double.erp.warn_on("sale.sale.confirm", "check_move_quantity");
    let fault = run(&*erp, &orders::confirm(&order)).await.unwrap_err();
    assert_eq!((fault.class, fault.code), (Class::BusinessRejected, "erp_warning"));
    assert!(fault.message.contains("check_move_quantity"), "{}", fault.message);
    assert_eq!(double.erp.sales_of(&order.id)[0].state, "quotation");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_does_not_come_is_not_waited_for() {
    let double = double::start();
    double.erp.set_processing(Processing::Never);
    let order = Cart::default().order();
    let found = run(&*double.environment().erp(), &orders::place(&order)).await.unwrap();
    assert_eq!(found["state"], "processing");
}

#[tokio::test(flavor = "multi_thread")]
async fn guests_share_the_party_of_the_settings_and_keep_their_addresses() {
    let double = double::start();
    let environment = double.environment();
    let guests = environment.desk.call("model.party.party.create", vec![json!([{"name": "Guests"}])]).await[0].clone();
    let erp = environment.open_with(|it| it["guest"] = guests.clone()).erp;
    let (first, mut second) = (Cart::default().order(), Cart::default().order());
    second.shipping_address.as_mut().unwrap().city = "Paris".to_owned();
    run(&*erp, &orders::place_unpaid(&first)).await.unwrap();
    run(&*erp, &orders::place_unpaid(&second)).await.unwrap();
    let (first, second) = (environment.desk.sale(&first.id).await, environment.desk.sale(&second.id).await);
    assert_eq!((&first["party"], &second["party"]), (&guests, &guests));
    assert_ne!(first["shipment_address"], second["shipment_address"]);
    assert_eq!(first["invoice_address"], second["invoice_address"]);

    let mut known = Cart::default().order();
    known.buyer.as_mut().unwrap().customer_id = "77".to_owned();
    run(&*erp, &orders::place_unpaid(&known)).await.unwrap();
    assert_ne!(environment.desk.sale(&known.id).await["party"], guests, "a buyer with an account is no guest");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_buyer_without_any_contact_still_gets_a_party() {
    let double = double::start();
    let environment = double.environment();
    let mut order = Cart::default().order();
    (order.buyer, order.billing_address, order.shipping_address) = (None, None, None);
    let command = orders::place(&order);
    let found = run(&*environment.erp(), &command).await.unwrap();
    assert_eq!(run(&*environment.erp(), &command).await.unwrap()["party"], found["party"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_not_ours_is_not_taken_for_ours() {
    let double = double::start();
    let erp = double.environment().erp();
    let order = Cart::default().order();
    run(&*erp, &orders::place_unpaid(&order)).await.unwrap();
    let mut other = Cart { goods: &[("MUG-RED", "9.50", 4)], ..Cart::default() }.order();
    (other.id, other.buyer) = (order.id.clone(), order.buyer.clone());
    assert_eq!(code(run(&*erp, &orders::place_unpaid(&other)).await), "erp_sale_differs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_before_the_first_call_calls_nothing() {
    let double = double::start();
    let environment = double.environment();
    let order = Cart { rate: "0.055", ..Cart::default() }.order();
    assert_eq!(code(run(&*environment.erp(), &orders::place(&order)).await), "erp_unmapped_tax");
    let other = environment.open_with(|it| it["web_shops"] = json!({"shop-us": 1})).erp;
    assert_eq!(code(run(&*other, &orders::place(&Cart::default().order())).await), "erp_unknown_storefront");
    assert!(double.erp.effects().entries().iter().all(|it| it.kind != Kind::Received), "no call was made");
}
