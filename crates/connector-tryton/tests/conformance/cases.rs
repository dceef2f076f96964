//! The cases. Each brings its own order, so they can share a server.

use std::time::Duration;

use connector::erp::{Findings, Guarantee, Probe, StepCall, StepError, StockPage};
use domain::refund::Restock;
use domain::{Address, Customer};
use fault::Class;
use rust_decimal::Decimal;
use serde_json::json;

use crate::desk::amount;
use crate::environment::Environment;
use crate::orders::{self, Cart, decimal, euro};
use crate::run::{all_done, code, run, settle, soon};
use crate::thief::Thief;

pub(crate) async fn a_paid_order_is_placed_exactly_and_once(on: &Environment) {
    let erp = on.erp();
    let mut order = Cart { goods: &[("MUG-RED", "9.50", 2), ("TS-M", "19.90", 1)], discount: "1.90", ..Cart::default() }.order();
    order.po_number = "4711".to_owned();
    let command = orders::place(&order);
    let found = run(&*erp, &command).await.unwrap();
    let sale = on.desk.sale(&order.id).await;
    assert_eq!((sale["state"].as_str(), amount(&sale["total_amount"])), (Some("processing"), "50.40".to_owned()));
    assert_eq!(
        (sale["number"].as_str(), sale["reference"].as_str()),
        (found["number"].as_str().into(), order.display_number.as_str().into())
    );
    assert_eq!(sale["description"], "PO 4711");
    assert_eq!(sale["lines."][0]["description"], "A MUG-RED\nDiscount SUMMER10 (code): -1.90 EUR");
    assert_eq!(sale["invoices."][0]["id"].to_string(), found["invoices"]);
    assert_eq!(sale["shipments."][0]["id"].to_string(), found["shipments"]);

    all_done(&*erp, &command, &found).await;
    let again = run(&*erp, &command).await.unwrap();
    assert_eq!(again["sale"], found["sale"], "the same sale");
    assert_eq!(on.desk.sales(&order.id).await.len(), 1);
    assert_eq!(code(run(&*erp, &orders::revise(&orders::edited(&order, 1))).await), "erp_order_confirmed");
}

pub(crate) async fn a_gross_order_reaches_its_total_by_a_rounding_line(on: &Environment) {
    // 0.03 with 20 % in it cannot be reached by any net price: 0.02 + 0.00, or 0.03 + 0.01.
    let order =
        Cart { goods: &[("MUG-BLUE", "0.03", 1), ("TS-S", "19.99", 3)], included: true, shipping: "4.90", ..Cart::default() }.order();
    run(&*on.erp(), &orders::place(&order)).await.unwrap();
    let sale = on.desk.sale(&order.id).await;
    assert_eq!(amount(&sale["total_amount"]), "64.90");
    let rounding: Vec<_> = sale["lines."].as_array().unwrap().iter().filter(|it| it["product"] == on.ids["rounding_product"]).collect();
    // How many cents it has depends on how the company rounds taxes.
    let booked = decimal(rounding[0]["unit_price"]["decimal"].as_str().unwrap());
    assert!(rounding.len() == 1 && booked > Decimal::ZERO && booked <= decimal("0.02"), "{booked}");
}

pub(crate) async fn a_total_that_is_off_leaves_no_sale(on: &Environment) {
    let mut order = Cart::default().order();
    order.totals.total = euro(decimal("29.80"));
    let fault = run(&*on.erp(), &orders::place(&order)).await.unwrap_err();
    assert_eq!((fault.class, fault.code), (Class::Validation, "erp_total_mismatch"));
    assert!(fault.message.contains("28.80 EUR") && fault.message.contains("29.80 EUR"), "{}", fault.message);
    assert!(on.desk.sales(&order.id).await.is_empty(), "the draft is deleted");
}

pub(crate) async fn an_unknown_sku_waits_for_its_item(on: &Environment) {
    let order = Cart { goods: &[("MUG-RED", "1.00", 1), ("NO-SUCH-SKU", "1.00", 1)], ..Cart::default() }.order();
    let fault = run(&*on.erp(), &orders::place(&order)).await.unwrap_err();
    assert_eq!((fault.class, fault.code), (Class::DependencyMissing, "erp_unknown_item"));
    assert_eq!(fault.missing.as_deref(), Some("item:NO-SUCH-SKU"));
    assert!(on.desk.sales(&order.id).await.is_empty());
}

pub(crate) async fn an_unpaid_order_is_a_quotation_until_it_is_paid(on: &Environment) {
    let erp = on.erp();
    let order = Cart::default().order();
    let placed = run(&*erp, &orders::place_unpaid(&order)).await.unwrap();
    assert_eq!(placed["state"], "quotation");
    let confirmed = run(&*erp, &orders::confirm(&order)).await.unwrap();
    assert_eq!((&confirmed["sale"], confirmed["state"].as_str()), (&placed["sale"], "processing"));
    assert_eq!(confirmed["number"], placed["number"]);
    run(&*erp, &orders::confirm(&order)).await.unwrap();

    let unknown = Cart::default().order();
    let fault = run(&*erp, &orders::confirm(&unknown)).await.unwrap_err();
    assert_eq!((fault.class, fault.missing), (Class::DependencyMissing, Some(format!("order:{}", unknown.id))));
}

/// Its removals are told by no refund that would be booked: nobody has paid.
pub(crate) async fn an_order_that_was_edited_before_we_heard_of_it_is_what_is_left(on: &Environment) {
    let erp = on.erp();
    let edited = orders::edited(&Cart { goods: &[("MUG-RED", "9.50", 3)], ..Cart::default() }.order(), 1);
    run(&*erp, &orders::place_unpaid(&edited)).await.unwrap();
    run(&*erp, &orders::confirm(&edited)).await.unwrap();
    let sale = on.desk.sale(&edited.id).await;
    assert_eq!((sale["state"].as_str(), amount(&sale["total_amount"])), (Some("processing"), "17.40".to_owned()));

    // Paid, and a part given back, before we heard of either: the refund is booked on its own, and finds what it is about.
    let order = Cart { goods: &[("MUG-RED", "9.50", 3)], ..Cart::default() }.order();
    let mut refunded = orders::edited(&order, 1);
    refunded.payments.push(orders::paid_back(&order));
    let mut first = Cart::default().order();
    first.id.clone_from(&order.id);
    run(&*erp, &orders::place_unpaid(&first)).await.unwrap();
    run(&*erp, &orders::revise(&refunded)).await.unwrap();
    run(&*erp, &orders::confirm(&refunded)).await.unwrap();
    assert_eq!(amount(&on.desk.sale(&order.id).await["total_amount"]), "40.20");
    let found = run(&*erp, &orders::book(&orders::refund(&order, 2, Restock::Cancel), &refunded)).await.unwrap();
    assert!(!found.contains_key("nothing_due"), "{found:?}");
}

pub(crate) async fn a_quotation_is_revised_and_cancelled(on: &Environment) {
    let erp = on.erp();
    let order = Cart { goods: &[("MUG-RED", "9.50", 3)], ..Cart::default() }.order();
    let placed = run(&*erp, &orders::place_unpaid(&order)).await.unwrap();
    let mut edited = orders::edited(&order, 1);
    edited.shipping_address.as_mut().unwrap().line1 = "1 Somewhere Else".to_owned();
    let command = orders::revise(&edited);
    let revised = run(&*erp, &command).await.unwrap();
    assert_eq!((&revised["sale"], &revised["number"]), (&placed["sale"], &placed["number"]));
    let sale = on.desk.sale(&order.id).await;
    assert_eq!((sale["state"].as_str(), amount(&sale["total_amount"])), (Some("quotation"), "17.40".to_owned()));
    assert_ne!(sale["shipment_address"], sale["invoice_address"]);
    run(&*erp, &command).await.unwrap();

    // Taken out before anybody paid: nothing is given back. Money that went back says that the payment is still to come.
    let mut refund = orders::refund(&order, 1, Restock::Cancel);
    let found = run(&*erp, &orders::book(&refund, &order)).await.unwrap();
    assert!(found.contains_key("nothing_due") && on.desk.sales(&format!("refund:{}", refund.id)).await.is_empty());
    refund.payments = vec![orders::paid_back(&order)];
    assert_eq!(code(run(&*erp, &orders::book(&refund, &order)).await), "erp_not_yet_sold");

    run(&*erp, &orders::cancel(&order)).await.unwrap();
    assert_eq!(on.desk.sale(&order.id).await["state"], "cancelled");
    run(&*erp, &orders::cancel(&order)).await.unwrap();
    assert_eq!(code(run(&*erp, &orders::place(&order)).await), "erp_order_cancelled");
}

pub(crate) async fn a_confirmed_order_is_cancelled_until_it_has_left(on: &Environment) {
    let erp = on.erp();
    let order = Cart { goods: &[("TS-L", "10.00", 2), ("MUG-RED", "9.50", 1)], ..Cart::default() }.order();
    run(&*erp, &orders::place(&order)).await.unwrap();
    let command = orders::cancel(&order);
    let found = run(&*erp, &command).await.unwrap();
    let sale = on.desk.sale(&order.id).await;
    assert_eq!(
        (sale["state"].as_str(), sale["shipment_state"].as_str(), sale["invoice_state"].as_str()),
        (Some("done"), Some("none"), Some("none"))
    );
    all_done(&*erp, &command, &found).await;
    // Its money was never invoiced: nothing to give back.
    let refund = orders::refund(&order, 1, Restock::Cancel);
    let found = run(&*erp, &orders::book(&refund, &order)).await.unwrap();
    assert!(found.contains_key("nothing_due") && on.desk.sales(&format!("refund:{}", refund.id)).await.is_empty());
}

/// Support pays everything back without a word about the goods, and then the order is cancelled.
pub(crate) async fn goods_whose_money_went_back_do_not_leave(on: &Environment) {
    let erp = on.erp();
    let order = Cart { goods: &[("TS-L", "10.00", 2)], ..Cart::default() }.order();
    run(&*erp, &orders::place(&order)).await.unwrap();
    let everything = orders::goodwill(&order, &order.totals.total.shop.amount.to_string());
    run(&*erp, &orders::book(&everything, &order)).await.unwrap();
    let command = orders::cancel(&order);
    let found = run(&*erp, &command).await.unwrap();
    let sale = on.desk.sale(&order.id).await;
    let states: Vec<_> = sale["shipments."].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["cancelled"]);
    assert_ne!(sale["shipment_state"], "exception");
    all_done(&*erp, &command, &found).await;
    run(&*erp, &command).await.unwrap();
}

pub(crate) async fn refunds_are_booked_once_and_never_too_much(on: &Environment) {
    let erp = on.erp();
    let order = Cart { goods: &[("POSTER", "14.00", 3)], discount: "4.20", ..Cart::default() }.order();
    let refund = orders::refund(&order, 1, Restock::Return);
    assert_eq!(code(run(&*erp, &orders::book(&refund, &order)).await), "erp_unknown_order");
    run(&*erp, &orders::place(&order)).await.unwrap();
    on.desk.ship(&on.desk.sale(&order.id).await).await;
    assert_eq!(code(run(&*erp, &orders::cancel(&order)).await), "erp_order_shipped");

    let command = orders::book(&refund, &order);
    let found = run(&*erp, &command).await.unwrap();
    let booked = on.desk.sale(&format!("refund:{}", refund.id)).await;
    assert_eq!(
        (amount(&booked["total_amount"]), booked["origin"].as_str().unwrap()),
        ("-15.12".to_owned(), format!("sale.sale,{}", on.desk.sale(&order.id).await["id"]).as_str())
    );
    assert_eq!(booked["shipment_returns."].as_array().unwrap().len(), 1, "goods come back");
    all_done(&*erp, &command, &found).await;
    assert_eq!(run(&*erp, &command).await.unwrap()["sale"], found["sale"]);

    let goodwill = orders::goodwill(&order, "2.50");
    run(&*erp, &orders::book(&goodwill, &order)).await.unwrap();
    let booked = on.desk.sale(&format!("refund:{}", goodwill.id)).await;
    assert_eq!((amount(&booked["total_amount"]), booked["shipment_returns."].as_array().unwrap().len()), ("-2.50".to_owned(), 0));

    let kept = orders::refund(&order, 3, Restock::NoRestock);
    let fault = run(&*erp, &orders::book(&kept, &order)).await.unwrap_err();
    assert_eq!((fault.class, fault.code), (Class::BusinessRejected, "erp_over_refund"));
    assert!(on.desk.sales(&format!("refund:{}", kept.id)).await.is_empty());

    let mut mixed = orders::refund(&order, 1, Restock::Return);
    mixed.lines.extend(orders::refund(&order, 1, Restock::NoRestock).lines);
    let found = run(&*erp, &orders::book(&mixed, &order)).await.unwrap();
    let back = on.desk.sale(&format!("refund:{}", mixed.id)).await;
    let stays = on.desk.sale(&format!("refund:{}:kept", mixed.id)).await;
    assert_eq!((stays["id"].to_string(), back["id"].to_string()), (found["kept_sale"].clone(), found["sale"].clone()));
    assert_eq!((back["shipment_returns."].as_array().unwrap().len(), stays["shipment_returns."].as_array().unwrap().len()), (1, 0));
}

/// Three of a cart are taken back before they leave: one of three, all of one line; another line stays.
pub(crate) async fn goods_that_never_left_are_held_back(on: &Environment) {
    let erp = on.erp();
    let order = Cart { goods: &[("MUG-BLUE", "10.00", 3), ("TS-M", "10.00", 1), ("TS-L", "10.00", 2)], ..Cart::default() }.order();
    run(&*erp, &orders::place(&order)).await.unwrap();
    on.desk.press("stock.shipment.out", "assign_try", &on.desk.sale(&order.id).await["shipments."][0]["id"]).await;
    let mut refund = orders::refund(&order, 1, Restock::Cancel);
    refund.lines.push(orders::refund_line(&order, 1, 1, Restock::Cancel));
    let command = orders::book(&refund, &order);
    let found = run(&*erp, &command).await.unwrap();
    all_done(&*erp, &command, &found).await;
    run(&*erp, &command).await.unwrap();

    let moves = ["lines.product.code", "lines.moves.quantity", "lines.moves.state", "shipment_state"];
    let sale = on.desk.read("sale.sale", json!([["web_id", "=", order.id]]), &moves).await.remove(0);
    let open = |sku: &str| {
        let lines = sale["lines."].as_array().unwrap().iter().filter(|it| it["product."]["code"] == sku);
        let moves = lines.flat_map(|it| it["moves."].as_array().unwrap()).filter(|it| it["state"] != "cancelled");
        moves.map(|it| it["quantity"].as_f64().unwrap()).sum::<f64>()
    };
    assert_eq!((open("MUG-BLUE"), open("TS-M"), open("TS-L")), (2.0, 0.0, 2.0));
    assert_ne!(sale["shipment_state"], "exception");
    let booked = on.desk.sale(&format!("refund:{}", refund.id)).await;
    assert_eq!((amount(&booked["total_amount"]), booked["shipment_returns."].as_array().unwrap().len()), ("-24.00".to_owned(), 0));

    // The shop cancels the order: it sends a refund of the goods that are left, and the cancel itself. It keeps the delivery's price.
    assert_eq!(code(run(&*erp, &orders::cancel(&order)).await), "erp_order_refunded");
    let mut rest = orders::refund(&order, 2, Restock::Cancel);
    rest.lines.push(orders::refund_line(&order, 2, 2, Restock::Cancel));
    run(&*erp, &orders::book(&rest, &order)).await.unwrap();
    assert!(run(&*erp, &orders::cancel(&order)).await.unwrap().contains_key("nothing_due"));
    let sale = on.desk.sale(&order.id).await;
    assert!(sale["shipments."].as_array().unwrap().iter().all(|it| it["state"] == "cancelled"), "{sale}");
}

/// Of two lines one is taken back before they leave. A move that is gone is not among those that changed; what Tryton makes in
/// its place tells of the item.
pub(crate) async fn a_line_that_is_held_back_frees_its_stock(on: &Environment) {
    let (erp, stock) = (on.erp(), on.stock());
    let order = Cart { goods: &[("TS-M", "10.00", 1), ("TS-L", "10.00", 2)], ..Cart::default() }.order();
    run(&*erp, &orders::place(&order)).await.unwrap();
    let start = stock.changed(None).await.unwrap();
    let before = stock.changed(Some(&start.next)).await.unwrap();
    let command = orders::book(&orders::refund(&order, 1, Restock::Cancel), &order);
    let found = run(&*erp, &command).await.unwrap();
    all_done(&*erp, &command, &found).await;

    let after = stock.changed(Some(&before.next)).await.unwrap();
    let reserved = |page: &StockPage| page.levels.iter().find(|it| it.sku.as_str() == "TS-M").map(|it| it.reserved);
    assert_eq!(reserved(&after), reserved(&before).map(|it| it - Decimal::ONE));
    let sale = on.desk.sale(&order.id).await;
    let states: Vec<_> = sale["shipments."].as_array().unwrap().iter().map(|it| it["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["waiting", "cancelled"]);
    assert_ne!(sale["shipment_state"], "exception");
}

pub(crate) async fn a_customer_is_one_party_whatever_the_case(on: &Environment) {
    let erp = on.erp();
    let first = Cart::default().order();
    let mut second = Cart::default().order();
    second.buyer = first.buyer.clone();
    let buyer = second.buyer.as_mut().unwrap();
    buyer.email = buyer.email.to_uppercase();
    let found = run(&*erp, &orders::place_unpaid(&first)).await.unwrap();
    let again = run(&*erp, &orders::place_unpaid(&second)).await.unwrap();
    assert_eq!(found["party"], again["party"]);
    let party: i64 = found["party"].parse().unwrap();
    let rows = on.desk.read("party.party", json!([["id", "=", party]]), &["name", "addresses.city"]).await;
    assert_eq!((rows[0]["name"].as_str(), rows[0]["addresses."].as_array().unwrap().len()), (Some("Ada Lovelace"), 1));
}

/// A letter is tried again after people have corrected its customer in Tryton: neither is what the order says any more.
pub(crate) async fn what_was_found_before_is_it_as_long_as_it_is_there(on: &Environment) {
    let erp = on.erp();
    let mut order = Cart::default().order();
    order.buyer.as_mut().unwrap().customer_id.clear();
    let found = run(&*erp, &orders::place_unpaid(&order)).await.unwrap();
    order.buyer.as_mut().unwrap().email = format!("corrected-{}@example.com", orders::fresh_id());
    for address in [&mut order.billing_address, &mut order.shipping_address].into_iter().flatten() {
        "Elsewhere".clone_into(&mut address.city);
    }
    let command = orders::place_unpaid(&order);
    let probe = async |step: &str, findings: &Findings| {
        let call = StepCall { command: &command, step, idempotency_key: "k", findings, not_after: soon() };
        erp.probe(&call).await.unwrap()
    };
    let Probe::Done(party) = probe("customer", &found).await else { panic!("it is there") };
    assert_eq!(party["party"], found["party"]);
    let Probe::Done(addresses) = probe("addresses", &found).await else { panic!("they are there") };
    assert_eq!(addresses["invoice_address"], found["invoice_address"]);

    let gone = Findings::from(["party", "invoice_address", "shipment_address"].map(|it| (it.to_owned(), "999999999".to_owned())));
    assert_eq!(probe("customer", &gone).await, Probe::Missing, "nobody has the corrected e-mail address");
    let of_party = Findings::from([("party".to_owned(), found["party"].clone())]);
    assert_eq!(probe("addresses", &of_party).await, Probe::Missing);
    assert_eq!(probe("addresses", &gone.into_iter().chain(of_party).collect()).await, Probe::Missing);
}

pub(crate) async fn a_profile_changes_its_party(on: &Environment) {
    let erp = on.erp();
    let id = orders::fresh_id();
    let mut customer = Customer {
        id: id.clone(),
        email: format!("profile-{id}@example.com"),
        first_name: "Grace".to_owned(),
        last_name: "Hopper".to_owned(),
        phone: "+1 202 5550100".to_owned(),
        enabled: true,
        ..Customer::default()
    };
    let found = run(&*erp, &orders::sync(&customer)).await.unwrap();
    customer.email = format!("new-{id}@example.com");
    customer.last_name = "Hopper-Murray".to_owned();
    customer.addresses = vec![Address {
        line1: "1 Navy Yard".to_owned(),
        city: "Washington".to_owned(),
        country_code: "US".to_owned(),
        ..Address::default()
    }];
    let command = orders::sync(&customer);
    let changed = run(&*erp, &command).await.unwrap();
    assert_eq!(found["party"], changed["party"], "a new address is no new customer");
    all_done(&*erp, &command, &changed).await;
    let party: i64 = found["party"].parse().unwrap();
    let fields = ["name", "contact_mechanisms.type", "contact_mechanisms.value", "addresses.city"];
    let rows = on.desk.read("party.party", json!([["id", "=", party]]), &fields).await;
    assert_eq!((rows[0]["name"].as_str(), rows[0]["addresses."][0]["city"].as_str()), (Some("Grace Hopper-Murray"), Some("Washington")));
    let emails: Vec<_> = rows[0]["contact_mechanisms."].as_array().unwrap().iter().filter(|it| it["type"] == "email").collect();
    assert_eq!((emails.len(), emails[0]["value"].as_str()), (1, Some(customer.email.as_str())));
}

/// Two workers, of which each believes that the order is its own.
pub(crate) async fn two_creates_at_once_are_one_sale(on: &Environment) {
    let erp = on.erp();
    let order = Cart::default().order();
    let command = orders::place_unpaid(&order);
    let mut findings = Findings::new();
    for step in erp.steps(&command).unwrap().iter().take_while(|it| it.name != "create") {
        findings.extend(settle(&*erp, &command, step, &findings).await.map_err(|it| it.fault).unwrap());
    }
    let call = StepCall { command: &command, step: "create", idempotency_key: "k", findings: &findings, not_after: soon() };
    let (one, other) = tokio::join!(erp.perform(&call), erp.perform(&call));
    let sale = |found: Result<Findings, StepError>| found.map_err(|it| it.fault).unwrap()["sale"].clone();
    assert_eq!(sale(one), sale(other));
    assert_eq!(on.desk.sales(&order.id).await.len(), 1);
}

/// The client gives up, the server does not: every step's write in turn.
pub(crate) async fn a_lost_answer_is_found_out(on: &Environment) {
    let erp = on.erp();
    let order = Cart { goods: &[("MUG-BLUE", "0.03", 1)], included: true, ..Cart::default() }.order();
    let command = orders::place(&order);
    let mut findings = Findings::new();
    for step in erp.steps(&command).unwrap() {
        let method = match step.name {
            "customer" => "model.party.party.create",
            "addresses" => "model.party.address.create",
            "create" => "model.sale.sale.create",
            "adjust" => "model.sale.sale.write",
            "quote" => "model.sale.sale.quote",
            "confirm" => "model.sale.sale.confirm",
            _ => "model.sale.sale.process",
        };
        let thief = Thief::of(on.settings["url"].as_str().unwrap(), method).await;
        let hasty = on.hasty(&thief.url, Duration::from_secs(2));
        let call = StepCall { command: &command, step: step.name, idempotency_key: "k", findings: &findings, not_after: soon() };
        let found = match settle(&*hasty, &command, &step, &findings).await {
            Ok(found) => found,
            Err(error) => {
                assert_eq!((error.fault.code, error.maybe_applied), ("erp_no_answer", true), "{}", step.name);
                thief.has_stolen(1).await;
                let Probe::Done(found) = erp.probe(&call).await.unwrap() else { panic!("{} was carried out", step.name) };
                // Sent once more, as after a probe that came too early: nothing happens twice.
                if step.guarantee == Guarantee::Unique {
                    erp.perform(&call).await.map_err(|it| it.fault).unwrap();
                }
                found
            }
        };
        let expected = if step.name == "process" { 0 } else { 1 };
        assert_eq!(thief.stolen(), expected, "{}", step.name);
        findings.extend(found);
    }
    assert_eq!(on.desk.sales(&order.id).await.len(), 1);
    assert_eq!(findings["state"], "processing");
}

pub(crate) async fn stock_shows_its_open_orders(on: &Environment) {
    let (erp, stock) = (on.erp(), on.stock());
    let sku = "TS-S";
    let level = async || {
        let all = stock.all(None, 100).await.unwrap();
        all.into_iter().find(|it| it.sku.as_str() == sku).unwrap()
    };
    let start = stock.changed(None).await.unwrap();
    assert!(start.levels.is_empty() && !start.more);
    let before = level().await;
    assert_eq!(before.location, "WH");

    let order = Cart { goods: &[(sku, "10.00", 2)], ..Cart::default() }.order();
    let command = orders::place(&order);
    run(&*erp, &command).await.unwrap();
    let page = stock.changed(Some(&start.next)).await.unwrap();
    let after = page.levels.into_iter().find(|it| it.sku.as_str() == sku).unwrap();
    assert_eq!((after.on_hand, after.reserved), (before.on_hand, before.reserved + Decimal::TWO));
    let own = after.open_sales.iter().find(|it| it.order == command.aggregate).unwrap();
    assert_eq!(own.quantity, Decimal::TWO);
    let now = stock.now().await.unwrap();
    assert!(after.observed_at <= now && (now - after.observed_at).num_seconds() < 30, "{} {now}", after.observed_at);

    let page = stock.changed(Some(&page.next)).await.unwrap();
    assert!(page.levels.is_empty(), "what was seen is no news");
    on.desk.set_stock(&on.ids, on.product(sku), 500).await;
    let page = stock.changed(Some(&page.next)).await.unwrap();
    assert_eq!(page.levels.len(), 1);
    // What is picked for an order has left the shelf: the count is of the shelf.
    assert_eq!((page.levels[0].on_hand, page.levels[0].sku.as_str()), (Decimal::from(500), sku));

    run(&*erp, &orders::cancel(&order)).await.unwrap();
    let page = stock.changed(Some(&page.next)).await.unwrap();
    assert_eq!((page.levels[0].on_hand, page.levels[0].reserved), (Decimal::from(500), before.reserved));
    assert!(page.levels[0].open_sales.iter().all(|it| it.order != command.aggregate));

    pages_are_whole(on).await;
}

async fn pages_are_whole(on: &Environment) {
    let stock = on.stock();
    let whole = stock.all(None, 100).await.unwrap();
    let (mut paged, mut after) = (Vec::new(), None::<String>);
    loop {
        let page = stock.all(after.as_deref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.sku.as_str().to_owned());
        paged.extend(page);
    }
    let skus = |levels: &[domain::StockLevel]| levels.iter().map(|it| it.sku.clone()).collect::<Vec<_>>();
    assert_eq!(skus(&paged), skus(&whole));
    assert_eq!(whole.len(), on.ids["products"].as_object().unwrap().len());
}

/// A product without an account can be sold, and then not invoiced. `confirm` says nothing about it.
pub(crate) async fn a_failed_processing_tells_why(on: &Environment) {
    let erp = on.erp();
    let sku = format!("NOACCOUNT-{}", orders::fresh_id());
    let template = json!([{
        "name": "No account", "code": sku, "type": "goods", "default_uom": on.id("unit"), "salable": true, "sale_uom": on.id("unit"),
        "list_price": {"__class__": "Decimal", "decimal": "1"}, "products": [["create", [{}]]],
    }]);
    on.desk.call("model.product.template.create", vec![template]).await;
    let order = Cart { goods: &[(sku.as_str(), "1.00", 1)], ..Cart::default() }.order();
    let command = orders::place(&order);
    let fault = run(&*erp, &command).await.unwrap_err();
    assert_eq!((fault.class, fault.code), (Class::BusinessRejected, "erp_refused"));
    assert!(fault.message.to_lowercase().contains("account"), "{}", fault.message);
    assert_eq!(on.desk.sale(&order.id).await["state"], "confirmed");
    run(&*erp, &orders::cancel(&order)).await.unwrap();
    assert_eq!(on.desk.sale(&order.id).await["state"], "cancelled");
}
