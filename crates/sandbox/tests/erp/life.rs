//! A sale from its draft to its end, by every way there is.

use sandbox::erp::{Dedupe, ErpSettings, Item, Processing};
use serde_json::{Value, json};

use crate::client::{MUG_BLUE, MUG_RED, decimal, erp, erp_with, id, line, usual_lines};

#[tokio::test]
async fn a_sale_is_quoted_confirmed_processed_shipped_and_paid() {
    let erp = erp().await;
    let sale = erp.draft("1001", usual_lines()).await;
    let draft = erp.sale(sale).await;
    assert_eq!((&draft["state"], &draft["number"]), (&json!("draft"), &Value::Null));
    assert_eq!(
        [&draft["untaxed_amount"], &draft["tax_amount"], &draft["total_amount"]],
        [&decimal("24.00"), &decimal("4.80"), &decimal("28.80")]
    );

    erp.press("sale.sale", "quote", sale).await;
    assert_eq!(erp.sale(sale).await["number"], "1");
    assert_eq!(erp.states(sale).await, ["quotation", "none", "none"]);
    erp.press("sale.sale", "confirm", sale).await;
    assert_eq!(erp.states(sale).await, ["processing", "pending", "waiting"]);
    let booked = erp.sale(sale).await;
    assert_eq!((booked["invoices"].as_array().unwrap().len(), booked["moves"].as_array().unwrap().len()), (1, 1));

    let shipment = booked["shipments"][0].as_i64().unwrap();
    for (button, state) in [("assign_try", "assigned"), ("pick", "picked"), ("pack", "packed"), ("ship", "shipped"), ("do", "done")] {
        erp.press("stock.shipment.out", button, shipment).await;
        let read = erp.call("stock.shipment.out.read", json!([[shipment], ["state"]])).await;
        assert_eq!(read[0]["state"], state);
    }
    assert_eq!(erp.states(sale).await, ["processing", "pending", "sent"]);

    let invoice = booked["invoices"][0].as_i64().unwrap();
    erp.press("account.invoice", "post", invoice).await;
    assert_eq!(erp.states(sale).await, ["processing", "awaiting payment", "sent"]);
    let posted = erp.call("account.invoice.read", json!([[invoice], ["number", "state", "total_amount", "amount_to_pay"]])).await;
    assert_eq!(posted[0]["state"], "posted");
    assert_eq!((&posted[0]["total_amount"], &posted[0]["amount_to_pay"]), (&decimal("28.80"), &decimal("28.80")));
    assert!(posted[0]["number"].as_str().unwrap().ends_with("-1"));
    erp.double.pay("1001").unwrap();
    assert_eq!(erp.states(sale).await, ["done", "paid", "sent"]);

    erp.press("sale.sale", "process", sale).await;
    assert_eq!(erp.states(sale).await, ["done", "paid", "sent"], "processing again changes nothing");
    assert_eq!(erp.sale(sale).await["invoices"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn buttons_refuse_in_other_states() {
    let erp = erp().await;
    let sale = erp.draft("1001", usual_lines()).await;
    for button in ["confirm", "draft"] {
        let message = erp.refused(&format!("sale.sale.{button}"), json!([[sale]])).await;
        assert_eq!(message, format!("You can not call \"{button}\" on \"[#1001]\" of \"Sale\"."));
    }
    erp.press("sale.sale", "quote", sale).await;
    erp.refused("sale.sale.quote", json!([[sale]])).await;
    erp.press("sale.sale", "draft", sale).await;
    erp.press("sale.sale", "quote", sale).await;
    assert_eq!(erp.sale(sale).await["number"], "1", "a number is kept");
    erp.press("sale.sale", "confirm", sale).await;
    for button in ["quote", "confirm", "cancel", "draft"] {
        let message = erp.refused(&format!("sale.sale.{button}"), json!([[sale]])).await;
        assert_eq!(message, format!("You can not call \"{button}\" on \"1 [#1001]\" of \"Sale\"."));
    }
    let shipment = erp.sale(sale).await["shipments"][0].as_i64().unwrap();
    for button in ["pick", "pack", "ship", "do"] {
        erp.refused(&format!("stock.shipment.out.{button}"), json!([[shipment]])).await;
    }
    let empty = erp.draft("1002", json!([])).await;
    erp.refused("sale.sale.quote", json!([[empty]])).await;
}

#[tokio::test]
async fn a_button_that_refuses_one_record_changes_none() {
    let erp = erp().await;
    let good = erp.draft("1001", usual_lines()).await;
    let bad = erp.draft("1002", json!([])).await;
    erp.refused("sale.sale.quote", json!([[good, bad]])).await;
    assert_eq!(erp.states(good).await[0], "draft");
}

#[tokio::test]
async fn a_second_sale_of_a_web_id_is_refused_as_long_as_the_first_exists() {
    let erp = erp().await;
    let sale = erp.draft("1001", usual_lines()).await;
    let twin = erp.sale_values("1001", usual_lines()).await;
    let other = erp.sale_values("1002", usual_lines()).await;
    let unique = "The web ID on the sale must be unique per shop.";
    assert_eq!(erp.refused("sale.sale.create", json!([[twin]])).await, unique);
    assert_eq!(erp.refused("sale.sale.create", json!([[other, twin]])).await, unique);
    assert_eq!(erp.double.sales_of("1002"), [], "a batch is all or nothing");
    erp.press("sale.sale", "cancel", sale).await;
    assert_eq!(erp.refused("sale.sale.create", json!([[twin]])).await, unique);
    erp.call("sale.sale.delete", json!([[sale]])).await;
    erp.call("sale.sale.create", json!([[twin]])).await;
    assert_eq!(erp.double.effects().count_applied("sale.sale.create", "1001"), 2, "both were booked, one after the other");
    let nameless = {
        let mut values = twin.clone();
        values["web_id"] = Value::Null;
        values
    };
    assert!(erp.refused("sale.sale.create", json!([[nameless]])).await.contains("\"Web ID\""));
}

#[tokio::test]
async fn without_its_unique_key_the_erp_books_twice_and_the_log_shows_it() {
    for (dedupe, seen) in [(Dedupe::LookupOnly, 2), (Dedupe::Off, 0)] {
        let erp = erp_with(ErpSettings { dedupe, ..ErpSettings::default() }).await;
        for _ in 0..2 {
            erp.draft("1001", usual_lines()).await;
        }
        assert_eq!(erp.double.effects().repeated("sale.sale.create").get("1001"), Some(&2));
        let domain = json!([["web_shop", "=", 1], ["web_id", "=", "1001"]]);
        let found = erp.call("sale.sale.search", json!([domain, 0, null, null])).await;
        assert_eq!(found.as_array().unwrap().len(), seen, "{dedupe:?}");
    }
}

#[tokio::test]
async fn a_draft_may_be_rewritten_and_a_quotation_may_not() {
    let erp = erp().await;
    let sale = erp.draft("1001", usual_lines()).await;
    let lines = erp.sale(sale).await["lines"].clone();
    let rewrite = json!({"lines": [["delete", lines], ["create", [line(MUG_BLUE, 3, "9.50")]]], "comment": "gift"});
    erp.call("sale.sale.write", json!([[sale], rewrite])).await;
    assert_eq!(erp.sale(sale).await["total_amount"], decimal("34.20"));
    let kept = erp.sale(sale).await["lines"][0].as_i64().unwrap();
    erp.call("sale.sale.write", json!([[sale], {"lines": [["write", [kept], {"unit_price": decimal("9.5002")}]]}])).await;

    erp.press("sale.sale", "quote", sale).await;
    for values in [json!({"lines": [["create", [line(MUG_RED, 1, "1")]]]}), json!({"party": 1}), json!({"description": "x"})] {
        let message = erp.refused("sale.sale.write", json!([[sale], values])).await;
        assert!(message.starts_with("You are not allowed to modify the field"), "{message}");
    }
    erp.refused("sale.line.write", json!([[kept], {"quantity": 1}])).await;
    erp.press("sale.sale", "confirm", sale).await;
    erp.call("sale.sale.write", json!([[sale], {"comment": "late", "reference": "other"}])).await;
    assert!(erp.refused("sale.sale.delete", json!([[sale]])).await.ends_with("you must cancel it."));
}

#[tokio::test]
async fn what_a_line_may_not_be_is_refused() {
    let erp = erp().await;
    let mut priceless = line(MUG_RED, 1, "1");
    priceless["unit_price"] = Value::Null;
    let mut half = line(MUG_RED, 1, "1");
    half["quantity"] = json!(1.5);
    let mut float = line(MUG_RED, 1, "1");
    float["unit_price"] = json!(7.5);
    for (bad, expected) in [
        (line(MUG_RED, 1, "7.983193"), "exceeds the limit of \"(None, 4)\""),
        (float, "exceeds the limit"),
        (half, "\"Quantity\""),
        (priceless, "\"Unit Price\""),
        (line(999, 1, "1"), "does not exist"),
    ] {
        let sale = erp.sale_values("1001", json!([bad])).await;
        let message = erp.refused("sale.sale.create", json!([[sale]])).await;
        assert!(message.contains(expected), "{message}");
    }
    assert_eq!(erp.double.sales(), []);
    let unknown = json!({"name": "x", "nosuch": 1});
    assert_eq!(erp.fails("party.party.create", json!([[unknown]])).await, json!(["'nosuch'", ""]));
    erp.draft("1002", json!([line(MUG_RED, 0, "1")])).await;
}

#[tokio::test]
async fn an_order_in_processing_is_cancelled_by_giving_up_its_moves_and_invoices() {
    let erp = erp().await;
    let sale = erp.booked("1001", usual_lines()).await;
    let read = erp.sale(sale).await;
    let (shipment, invoice) = (read["shipments"][0].clone(), read["invoices"][0].clone());
    let (goods, moves) = (read["lines"][0].clone(), read["moves"].clone());

    let ignore = json!([[goods], {"moves_ignored": [["add", moves]]}]);
    erp.refused("sale.line.write", ignore.clone()).await;
    erp.call("stock.shipment.out.cancel", json!([[shipment]])).await;
    assert_eq!(erp.states(sale).await, ["processing", "pending", "exception"]);
    assert_eq!(erp.double.stock()["MUG-RED"].reserved, 0.into());
    erp.refused("stock.shipment.out.cancel", json!([[shipment]])).await;
    for _ in 0..2 {
        erp.call("sale.line.write", ignore.clone()).await;
    }
    erp.call("account.invoice.cancel", json!([[invoice]])).await;
    assert_eq!(erp.states(sale).await[1], "exception");
    erp.call("sale.sale.write", json!([[sale], {"invoices_ignored": [["add", [invoice]]]}])).await;
    erp.press("sale.sale", "process", sale).await;
    assert_eq!(erp.states(sale).await, ["done", "none", "none"]);
    let line = erp.call("sale.line.read", json!([[goods], ["actual_quantity", "quantity"]])).await;
    assert_eq!((&line[0]["actual_quantity"], &line[0]["quantity"]), (&json!(0.0), &json!(2.0)));
    assert_eq!(erp.sale(sale).await["total_amount"], decimal("28.80"));
}

#[tokio::test]
async fn a_deleted_draft_invoice_comes_back() {
    let erp = erp().await;
    let sale = erp.booked("1001", usual_lines()).await;
    let invoice = erp.sale(sale).await["invoices"][0].clone();
    erp.call("account.invoice.delete", json!([[invoice]])).await;
    let again = erp.sale(sale).await["invoices"].clone();
    assert_eq!(again.as_array().unwrap().len(), 1);
    assert_ne!(again[0], invoice);

    // One that the sale ignored is forgotten with it.
    erp.call("account.invoice.cancel", json!([again])).await;
    erp.call("sale.sale.write", json!([[sale], {"invoices_ignored": [["add", again]]}])).await;
    erp.call("account.invoice.delete", json!([again])).await;
    assert_eq!(erp.sale(sale).await["invoices_ignored"], json!([]));
}

#[tokio::test]
async fn goods_that_left_cannot_be_cancelled_but_by_who_may() {
    let erp = erp().await;
    let sale = erp.booked("1001", usual_lines()).await;
    let shipment = erp.sale(sale).await["shipments"][0].clone();
    erp.double.ship("1001").unwrap();
    erp.refused("stock.shipment.out.cancel", json!([[shipment]])).await;
    assert_eq!(erp.double.stock()["MUG-RED"].on_hand, 998.into());

    let erp = erp_with(ErpSettings { stock_cancellation: true, ..ErpSettings::default() }).await;
    let sale = erp.booked("1001", usual_lines()).await;
    let shipment = erp.sale(sale).await["shipments"][0].clone();
    erp.double.ship("1001").unwrap();
    erp.call("stock.shipment.out.cancel", json!([[shipment]])).await;
    assert_eq!(erp.double.stock()["MUG-RED"].on_hand, 1000.into());
}

#[tokio::test]
async fn a_refund_is_a_sale_of_less_than_nothing() {
    let erp = erp().await;
    let order = erp.booked("1001", usual_lines()).await;
    erp.double.ship("1001").unwrap();
    let mut refund = erp.sale_values("refund:77", json!([line(MUG_RED, -1, "9.50")])).await;
    refund["origin"] = json!(format!("sale.sale,{order}"));
    let refund = id(&erp.call("sale.sale.create", json!([[refund]])).await);
    for button in ["quote", "confirm"] {
        erp.press("sale.sale", button, refund).await;
    }
    let read = erp.sale(refund).await;
    assert_eq!(read["total_amount"], decimal("-11.40"));
    assert_eq!((read["shipments"].as_array().unwrap().len(), read["shipment_returns"].as_array().unwrap().len()), (0, 1));
    let found = erp.call("sale.sale.search", json!([[["origin", "=", format!("sale.sale,{order}")]], 0, null, null])).await;
    assert_eq!(found, json!([refund]));

    let back = read["shipment_returns"][0].as_i64().unwrap();
    assert_eq!(erp.double.stock()["MUG-RED"].on_hand, 998.into());
    erp.press("stock.shipment.out.return", "receive", back).await;
    assert_eq!(erp.double.stock()["MUG-RED"].on_hand, 999.into());
    erp.press("stock.shipment.out.return", "do", back).await;
    erp.double.pay("refund:77").unwrap();
    assert_eq!(erp.states(refund).await, ["done", "paid", "sent"]);
}

#[tokio::test]
async fn money_alone_is_refunded_without_a_shipment() {
    let erp = erp().await;
    let mut goods = erp.sale_values("refund:1", json!([line(MUG_RED, -1, "9.50")])).await;
    goods["shipment_method"] = json!("manual");
    let mut free = line(MUG_RED, -1, "3.00");
    free.as_object_mut().unwrap().retain(|name, _| !matches!(name.as_str(), "product" | "unit"));
    let goodwill = erp.sale_values("refund:2", json!([free])).await;
    for values in [goods, goodwill] {
        let sale = id(&erp.call("sale.sale.create", json!([[values]])).await);
        for button in ["quote", "confirm"] {
            erp.press("sale.sale", button, sale).await;
        }
        let read = erp.sale(sale).await;
        assert_eq!((&read["shipment_returns"], &read["shipment_state"]), (&json!([]), &json!("none")));
        assert_eq!(read["invoices"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn with_a_dead_worker_a_sale_stays_confirmed_until_somebody_processes_it() {
    let erp = erp_with(ErpSettings { processing: Processing::Never, ..ErpSettings::default() }).await;
    let sale = erp.booked("1001", usual_lines()).await;
    assert_eq!(erp.states(sale).await, ["confirmed", "none", "none"]);
    erp.press("sale.sale", "process", sale).await;
    assert_eq!(erp.states(sale).await, ["processing", "pending", "waiting"]);
}

#[tokio::test]
async fn a_slow_worker_processes_later() {
    let erp = erp_with(ErpSettings { processing: Processing::After { ms: 30 }, ..ErpSettings::default() }).await;
    let sale = erp.booked("1001", usual_lines()).await;
    let processed = async { while erp.states(sale).await[0] != "processing" {} };
    tokio::time::timeout(std::time::Duration::from_secs(10), processed).await.unwrap();
}

#[tokio::test]
async fn a_failure_in_processing_shows_only_when_asked_for() {
    let erp = erp().await;
    let broken = Item { accounted: false, ..Item::new("BROKEN", "Broken", 10) };
    let product = erp.double.add_item(&broken).unwrap();
    let sale = erp.booked("1001", json!([line(product, 1, "1.00")])).await;
    assert_eq!(erp.states(sale).await, ["confirmed", "none", "none"]);
    erp.refused("sale.sale.process", json!([[sale]])).await;
    erp.press("sale.sale", "draft", sale).await;
    assert_eq!(erp.states(sale).await[0], "draft");
}

#[tokio::test]
async fn a_warning_is_raised_until_it_is_skipped() {
    let erp = erp().await;
    let sale = erp.draft("1001", usual_lines()).await;
    erp.double.warn_on("sale.sale.quote", "6a14.unusual");
    for _ in 0..2 {
        let error = erp.fails("sale.sale.quote", json!([[sale]])).await;
        assert_eq!((&error[0], &error[1][0]), (&json!("UserWarning"), &json!("6a14.unusual")));
    }
    assert_eq!(erp.states(sale).await[0], "draft");
    erp.call("res.user.warning.skip", json!(["6a14.unusual", false])).await;
    erp.press("sale.sale", "quote", sale).await;
}

#[tokio::test]
async fn a_shortened_shipment_gets_a_second_one_for_the_rest() {
    let erp = erp().await;
    let sale = erp.booked("1001", json!([line(MUG_RED, 3, "9.50"), line(MUG_BLUE, 1, "9.50")])).await;
    let shipment = erp.sale(sale).await["shipments"][0].clone();
    let read = erp.call("stock.shipment.out.read", json!([[shipment], ["outgoing_moves"]])).await;
    let (red, blue) = (read[0]["outgoing_moves"][0].clone(), read[0]["outgoing_moves"][1].clone());
    let shorter = json!([[shipment], {"outgoing_moves": [["write", [red], {"quantity": 2}], ["delete", [blue]]]}]);
    let message = erp.refused("stock.shipment.out.write", shorter.clone()).await;
    assert!(message.starts_with("You are not allowed to modify the field \"Outgoing Moves\""), "{message}");

    erp.call("stock.shipment.out.draft", json!([[shipment]])).await;
    erp.call("stock.shipment.out.write", shorter).await;
    erp.call("stock.shipment.out.wait", json!([[shipment]])).await;
    erp.press("sale.sale", "process", sale).await;
    let shipments = erp.sale(sale).await["shipments"].clone();
    assert_eq!(shipments.as_array().unwrap().len(), 2);
    let rest = erp.call("stock.shipment.out.read", json!([[shipments[1]], ["state", "outgoing_moves.quantity", "inventory_moves"]])).await;
    let quantities: Vec<_> = rest[0]["outgoing_moves."].as_array().unwrap().iter().map(|it| it["quantity"].as_f64().unwrap()).collect();
    assert_eq!((&rest[0]["state"], quantities), (&json!("waiting"), vec![1.0, 1.0]));
    let stock = erp.double.stock();
    assert_eq!((stock["MUG-RED"].reserved, stock["MUG-BLUE"].reserved), (3.into(), 1.into()));

    erp.call("stock.shipment.out.cancel", json!([[shipments[1]]])).await;
    assert_eq!(erp.states(sale).await[2], "exception");
    for (line, moved) in [(0, red), (1, blue)] {
        let line = erp.sale(sale).await["lines"][line].clone();
        let moves = erp.call("sale.line.read", json!([[line], ["moves.state"]])).await[0]["moves."].clone();
        let cancelled: Vec<_> = moves.as_array().unwrap().iter().filter(|it| it["state"] == "cancelled").map(|it| &it["id"]).collect();
        assert!(!cancelled.contains(&&moved));
        erp.call("sale.line.write", json!([[line], {"moves_ignored": [["add", cancelled]]}])).await;
    }
    erp.press("sale.sale", "process", sale).await;
    // What is given up counts as if it had left.
    assert_eq!(erp.states(sale).await, ["processing", "pending", "partially shipped"]);
    erp.double.ship("1001").unwrap();
    assert_eq!(erp.states(sale).await[2], "sent");
    assert_eq!(erp.double.stock()["MUG-RED"].on_hand, 998.into());
    assert_eq!(erp.double.effects().stock()["MUG-RED"], erp.double.stock()["MUG-RED"]);
}
