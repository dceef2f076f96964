//! Rules, each with the least order that shows it. Whole payloads are in `tests/golden`.

use domain::{Order, Refund, RefundAdjustmentKind};
use serde_json::{Value, json};

use super::*;

fn shop() -> ConnectionId {
    "shop".parse().unwrap()
}

/// One mug for 10.00 EUR.
fn mug() -> Value {
    json!({
        "id": 1,
        "name": "#1",
        "updated_at": "2026-05-04T12:00:00+02:00",
        "currency": "EUR",
        "presentment_currency": "EUR",
        "financial_status": "paid",
        "fulfillment_status": null,
        "total_price": "10.00",
        "total_tax": "0.00",
        "line_items": [{ "id": 11, "quantity": 1, "price": "10.00" }],
        "discount_applications": [],
    })
}

fn mapped(change: impl FnOnce(&mut Value)) -> Result<Vec<MappedEntity>, MappingError> {
    let mut body = mug();
    change(&mut body);
    match map(&shop(), "orders/updated", body.to_string().as_bytes())? {
        Mapped::Entities(entities) => Ok(entities),
        other => panic!("{other:?}"),
    }
}

fn order(change: impl FnOnce(&mut Value)) -> Order {
    match mapped(change).unwrap().remove(0).body {
        Entity::Order(order) => *order,
        other => panic!("{other:?}"),
    }
}

fn refused(change: impl FnOnce(&mut Value)) -> String {
    mapped(change).unwrap_err().to_string()
}

#[test]
fn topics_are_mapped_asked_for_or_left_alone() {
    let of = |topic: &str, body: &str| map(&shop(), topic, body.as_bytes()).unwrap();
    let order = |id: &str| EntityRef::new(shop(), EntityKind::Order, id);
    assert_eq!(of("orders/edited", r#"{"order_edit":{"order_id":820982911946154508}}"#), Mapped::ReRead(order("820982911946154508")));
    assert_eq!(of("orders/delete", r#"{"id":7}"#), Mapped::Gone(order("7")));
    for topic in ["inventory_levels/update", "products/update", "app/uninstalled", "customers/delete", "orders/risk_assessment_changed", ""]
    {
        assert_eq!(of(topic, "not even JSON"), Mapped::Unmapped, "{topic}");
    }
}

#[test]
fn sums_that_do_not_add_up_are_refused_with_both_numbers() {
    let wrong = refused(|it| it["total_price"] = json!("10.01"));
    assert!(wrong.contains("10.00 EUR") && wrong.contains("10.01 EUR"), "{wrong}");
    assert!(refused(|it| it["total_tax"] = json!("1.00")).contains("taxes"));
    assert!(refused(|it| it["total_line_items_price"] = json!("9.00")).contains("lines"));
}

#[test]
fn what_is_not_known_is_named() {
    assert_eq!(
        refused(|it| it["financial_status"] = json!("bartered")),
        "`financial_status`: `bartered` is a value that this version does not know; add it to the table of the Shopify connector"
    );
    assert!(refused(|it| it["fulfillment_status"] = json!("Ada Lovelace")).contains("`***`"), "no free text is repeated");
    let error = mapped(|it| it["line_items"][0]["discount_allocations"] = json!([{ "amount": "1.00", "discount_application_index": 3 }]));
    assert_eq!(
        error.unwrap_err().to_string(),
        "`line_items[0].discount_allocations[0].discount_application_index`: expected the index of one of the order's discount applications"
    );
    assert_eq!(refused(|it| it["id"] = Value::Null), "`id`: expected a whole 64-bit id");
    assert_eq!(refused(|it| it["updated_at"] = Value::Null), "`updated_at`: expected the time of the last change");
}

#[test]
fn currencies_are_never_mixed_nor_guessed() {
    let set = |shop: &str, presentment: &str| json!({ "shop_money": { "amount": "10.00", "currency_code": shop }, "presentment_money": { "amount": "11.00", "currency_code": presentment } });
    let foreign = |it: &mut Value| it["line_items"][0]["price_set"] = set("EUR", "USD");
    assert_eq!(refused(foreign), "`line_items[0].price`: it is in other currencies than the order");
    // A plain amount is the shop's; what the buyer paid is not to be computed from it.
    let plain = |it: &mut Value| it["presentment_currency"] = json!("USD");
    assert_eq!(refused(plain), "`line_items[0].price_set`: expected the amount in both currencies");
}

#[track_caller]
fn check_fulfillment(status: Value, shipped: Value, expected: domain::FulfillmentState) {
    let order = order(|it| {
        it["fulfillment_status"] = status.clone();
        it["fulfillments"] = shipped;
    });
    assert_eq!(order.fulfillment_state, expected, "{status}");
}

#[test]
fn what_the_warehouse_is_doing_is_not_what_has_left_it() {
    use domain::FulfillmentState::{Fulfilled, Partial, Restocked, Unfulfilled};
    check_fulfillment(Value::Null, json!([]), Unfulfilled);
    check_fulfillment(json!("partial"), json!([]), Partial);
    check_fulfillment(json!("fulfilled"), json!([]), Fulfilled);
    check_fulfillment(json!("restocked"), json!([]), Restocked);
    check_fulfillment(json!("ON_HOLD"), json!([]), Unfulfilled);
    check_fulfillment(json!("IN_PROGRESS"), json!([{ "status": "SUCCESS" }]), Partial);
    check_fulfillment(json!("IN_PROGRESS"), json!([{ "status": "CANCELLED" }]), Unfulfilled);
}

#[test]
fn a_delivery_line_that_an_edit_removed_counts_only_where_the_total_counts_it() {
    let edit = |total: &'static str| {
        order(move |it| {
            it["total_price"] = json!(total);
            it["shipping_lines"] = json!([{ "id": 1, "price": "5.00", "is_removed": true }, { "id": 2, "price": "3.00" }]);
        })
    };
    assert_eq!((edit("13.00").shipping_lines.len(), edit("13.00").totals.shipping.shop.to_string()), (1, "3.00 EUR".to_owned()));
    assert_eq!((edit("18.00").shipping_lines.len(), edit("18.00").totals.shipping.shop.to_string()), (2, "8.00 EUR".to_owned()));
}

#[test]
fn a_discount_of_the_whole_order_may_be_missing_in_the_discounted_price() {
    let free = order(|it| {
        it["discount_applications"] = json!([{ "type": "discount_code", "code": "FREE", "target_type": "shipping_line" }]);
        let allocations = json!([{ "amount": "5.00", "discount_application_index": 0 }]);
        it["shipping_lines"] = json!([{ "id": 1, "price": "5.00", "discounted_price": "5.00", "discount_allocations": allocations }]);
    });
    assert!(free.totals.shipping.shop.is_zero());
    assert_eq!(free.coupons[0].kind, "shipping");
}

#[test]
fn a_tip_is_no_article() {
    let tipped = order(|it| {
        let tip = json!({ "id": 12, "quantity": 1, "price": "2.00", "tip_payment_gateway": null });
        it["line_items"].as_array_mut().unwrap().push(tip);
        it["total_line_items_price"] = json!("12.00");
        it["total_tip_received"] = json!("2.0");
        it["total_price"] = json!("12.00");
    });
    assert_eq!(tipped.lines.len(), 1);
    assert_eq!((tipped.totals.lines.shop.to_string(), tipped.totals.tip.shop.to_string()), ("10.00 EUR".to_owned(), "2.00 EUR".to_owned()));
}

#[test]
fn a_tip_that_the_api_lists_is_no_article_and_a_line_of_that_name_is_one() {
    let with_line = |product: Value| {
        order(|it| {
            let line = json!({ "id": 12, "title": "Tip", "quantity": 1, "product": product, "originalUnitPriceSet": euros("2.00") });
            it["line_items"].as_array_mut().unwrap().push(line);
            it["total_line_items_price"] = json!(if product.is_null() { "10.00" } else { "12.00" });
            it["totalTipReceivedSet"] = euros("2.00");
            it["total_price"] = json!(if product.is_null() { "12.00" } else { "14.00" });
        })
    };
    assert_eq!(with_line(json!(null)).lines.len(), 1);
    assert_eq!(with_line(json!({ "id": 13 })).lines.len(), 2);
}

#[test]
fn old_bodies_without_what_is_left_tell_it_by_their_refunds() {
    let line = json!({
        "id": 5, "line_item_id": 11, "quantity": 2, "restock_type": "return", "subtotal": 20, "total_tax": 0
    });
    let order = order(|it| {
        it["line_items"][0]["quantity"] = json!(3);
        it["total_price"] = json!("30.00");
        it["refunds"] = json!([{ "id": 4, "created_at": "2026-05-04T12:00:00Z", "refund_line_items": [line] }]);
    });
    assert_eq!(order.lines[0].current_quantity, 1.into());
    assert_eq!(order.totals.current_total, order.totals.total);
}

#[test]
fn old_bodies_list_codes_without_applications() {
    let order = order(|it| {
        it["discount_applications"] = Value::Null;
        it["discount_codes"] = json!([{ "code": "OLD", "amount": "0.00", "type": "fixed_amount" }]);
    });
    assert_eq!((order.coupons[0].code.as_str(), order.coupons[0].kind.as_str()), ("OLD", "fixed_amount"));
}

#[test]
fn an_orders_payments_are_kept_where_it_tells_them() {
    let order = order(|it| {
        it["transactions"] = json!([
            { "id": 1, "kind": "authorization", "status": "success", "gateway": "bank", "amount": "10.00", "authorization": "A1" },
            { "id": 2, "kind": "change", "status": "success", "gateway": "cash", "amount": "3.00" },
            { "id": 3, "kind": "capture", "status": "awaiting_response", "gateway": "bank", "amount": "10.00", "currency": "EUR" },
        ]);
    });
    let shown: Vec<String> =
        order.payments.iter().map(|it| format!("{} {:?} {:?} {} {}", it.id, it.kind, it.status, it.amount, it.reference)).collect();
    assert_eq!(shown, ["1 Authorization Success 10.00 EUR A1", "3 Capture Pending 10.00 EUR "]);
}

fn refund(change: impl FnOnce(&mut Value)) -> Refund {
    let mut body = json!({ "id": 4, "order_id": 1, "created_at": "2026-05-04T12:00:00Z", "transactions": [] });
    change(&mut body);
    match map(&shop(), "refunds/create", body.to_string().as_bytes()).unwrap() {
        Mapped::Entities(mut entities) => match entities.remove(0).body {
            Entity::Refund(refund) => *refund,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn euros(amount: &str) -> Value {
    let money = json!({ "amount": amount, "currency_code": "EUR" });
    json!({ "shop_money": money, "presentment_money": money })
}

#[track_caller]
fn check_adjustment(kind: &str, reason: &str, amount: &str, (status, moved): (&str, &str), expected: (RefundAdjustmentKind, &str)) {
    let refund = refund(|it| {
        it["order_adjustments"] = json!([{ "id": 5, "kind": kind, "reason": reason, "amount_set": euros(amount) }]);
        it["transactions"] = json!([{ "id": 6, "kind": "refund", "status": status, "amount": moved, "currency": null }]);
    });
    let adjustment = &refund.adjustments[0];
    assert_eq!((adjustment.kind, adjustment.amount.shop.amount.to_string().as_str()), expected, "{kind} {reason} {amount}");
    assert_eq!(refund.payments[0].amount.to_string(), format!("{moved} EUR"), "the currency of the refund's other amounts");
}

#[test]
fn what_is_given_back_is_positive_and_what_is_on_its_way_is_told_apart() {
    use RefundAdjustmentKind::{Goodwill, PendingDiscrepancy, Shipping};
    check_adjustment("shipping_refund", "Shipping refund", "-5.95", ("success", "5.95"), (Shipping, "5.95"));
    check_adjustment("refund_discrepancy", "Refund discrepancy", "-1.00", ("success", "1.00"), (Goodwill, "1.00"));
    check_adjustment("refund_discrepancy", "Refund discrepancy", "-1.00", ("pending", "1.00"), (Goodwill, "1.00"));
    check_adjustment("refund_discrepancy", "Refund discrepancy", "99.00", ("pending", "99.00"), (PendingDiscrepancy, "-99.00"));
    check_adjustment("", "PENDING_REFUND_DISCREPANCY", "-99.0", ("success", "99.00"), (PendingDiscrepancy, "99.00"));
    // A restocking fee: less given back than the goods were worth.
    check_adjustment("refund_discrepancy", "Refund discrepancy", "4.00", ("success", "95.00"), (Goodwill, "-4.00"));
}

/// A refund of goods, with discrepancies (reason and amount) and money as Shopify tells them.
fn told(goods: &str, discrepancies: &[(&str, String)], status: &str, money: &[&str]) -> Value {
    let line = json!({ "id": 5, "line_item_id": 11, "quantity": 1, "restock_type": "return", "subtotal_set": euros(goods) });
    let adjustments = discrepancies
        .iter()
        .zip(70..)
        .map(|((reason, amount), id)| json!({ "id": id, "kind": "refund_discrepancy", "reason": reason, "amount_set": euros(amount) }));
    let transactions = money.iter().zip(80..).map(
        |(amount, id)| json!({ "id": id, "kind": "refund", "status": status, "gateway": "bank", "amount": amount, "currency": "EUR" }),
    );
    json!({
        "id": 4, "order_id": 1, "created_at": "2026-05-04T12:00:00Z", "refund_line_items": [line],
        "order_adjustments": adjustments.collect::<Value>(), "transactions": transactions.collect::<Value>(),
    })
}

fn lasting(body: &Value) -> Result<Vec<String>, String> {
    let mapped = map(&shop(), "refunds/create", body.to_string().as_bytes()).map_err(|it| it.to_string())?;
    let Mapped::Entities(mut entities) = mapped else { panic!("{body}") };
    let Entity::Refund(refund) = entities.remove(0).body else { panic!("{body}") };
    let lasting = refund.adjustments.iter().filter(|it| it.kind != RefundAdjustmentKind::PendingDiscrepancy);
    Ok(lasting.map(|it| format!("{} {}", it.id, it.amount.shop.amount)).collect())
}

#[track_caller]
fn check_settling(goods: &str, written: &[&str], money: &[&str], expected: &[&str]) {
    let mut discrepancies: Vec<_> = written.iter().map(|it| ("Refund discrepancy", (*it).to_owned())).collect();
    let expected: Vec<String> = expected.iter().map(|it| (*it).to_owned()).collect();
    assert_eq!(lasting(&told(goods, &discrepancies, "pending", money)).as_ref(), Ok(&expected), "on its way");
    discrepancies.extend(money.iter().map(|it| ("Pending refund discrepancy", format!("-{it}"))));
    assert_eq!(lasting(&told(goods, &discrepancies, "success", money)).as_ref(), Ok(&expected), "moved");
}

#[test]
fn a_refund_is_worth_the_same_before_its_money_moves_and_after() {
    check_settling("277.61", &["277.61"], &["277.61"], &[]);
    check_settling("0.00", &["-664.05", "664.05"], &["664.05"], &["70 664.05"]);
    check_settling("99.00", &["49.00", "50.00"], &["50.00"], &["70 -49.00"]);
    check_settling("99.00", &["50.00", "49.00"], &["50.00"], &["71 -49.00"]);
    check_settling("100.00", &["50.00", "50.00"], &["50.00"], &["70 -50.00"]);
    check_settling("50.00", &["20.00", "30.00"], &["20.00", "30.00"], &[]);
    check_settling("50.00", &["50.00"], &["20.00", "30.00"], &[]);
    let failed = told("99.00", &[("Refund discrepancy", "99.00".to_owned())], "failure", &["99.00"]);
    assert_eq!(lasting(&failed), Ok(vec!["70 -99.00".to_owned()]), "nothing went back");
}

#[test]
fn money_that_moves_in_parts_and_was_taken_back_as_one_changes_nothing() {
    let parts = [("Refund discrepancy", "50.00".to_owned()), ("Pending refund discrepancy", "-20.00".to_owned())];
    let mut body = told("50.00", &parts, "success", &["20.00", "30.00"]);
    body["transactions"][1]["status"] = json!("pending");
    assert_eq!(lasting(&body), Ok(vec![]));
}

#[test]
fn a_fee_is_taken_back_with_its_tax() {
    let mut body = told("119.00", &[("Refund discrepancy", "4.00".to_owned())], "success", &["114.24"]);
    body["order_adjustments"][0]["tax_amount_set"] = euros("0.76");
    assert_eq!(lasting(&body), Ok(vec!["70 -4.00".to_owned()]));
}

#[test]
fn money_on_its_way_is_found_in_the_buyers_currency() {
    let refund = refund(|it| {
        let money = |amount: &str, code: &str| json!({ "amount": amount, "currency_code": code });
        let set = json!({ "shop_money": money("1366.02", "CAD"), "presentment_money": money("1012.70", "USD") });
        it["order_adjustments"] = json!([{ "id": 5, "kind": "refund_discrepancy", "reason": "Refund discrepancy", "amount_set": set }]);
        it["transactions"] = json!([{ "id": 6, "kind": "refund", "status": "pending", "amount": "1012.70", "currency": "USD" }]);
    });
    assert_eq!(refund.adjustments[0].kind, RefundAdjustmentKind::PendingDiscrepancy);
}

#[test]
fn parts_that_come_to_more_than_the_money_are_refused_where_shopify_says_the_difference() {
    let body = told("99.00", &[("Refund discrepancy", "-1.00".to_owned())], "success", &["50.00"]);
    assert_eq!(lasting(&body), Err("its parts come to 100.00 EUR, and 50.00 EUR went back".to_owned()));
    let but = |change: &dyn Fn(&mut Value)| {
        let mut body = body.clone();
        change(&mut body);
        lasting(&body).is_ok()
    };
    assert!(but(&|it| it["return"] = json!({ "id": 1 })), "a return has fees and exchanges");
    assert!(but(&|it| it["transactions"][0]["gateway"] = json!("cash")), "cash is rounded");
    assert!(but(&|it| it["transactions"] = json!([])), "no money moves");
    assert!(but(&|it| it["order_adjustments"] = json!([])), "the rest may never have been paid");
}

#[test]
fn refunded_delivery_that_is_told_twice_is_given_back_once() {
    let refund = refund(|it| {
        it["order_adjustments"] = json!([
            { "id": 5, "kind": "shipping_refund", "amount_set": euros("-5.95"), "tax_amount_set": euros("-0.95") },
            { "id": 6, "kind": "refund_discrepancy", "amount_set": euros("-1.00") },
        ]);
        it["refund_shipping_lines"] = json!([{ "id": 7, "subtotal_amount_set": euros("5.95") }]);
    });
    let ids: Vec<&str> = refund.adjustments.iter().map(|it| it.id.as_str()).collect();
    assert_eq!(ids, ["7", "6"]);
    assert_eq!(refund.adjustments[0].tax.shop.to_string(), "0.95 EUR", "which the line does not say");
}

#[test]
fn a_tip_that_is_given_back_is_money_and_no_line() {
    let given_back = |line_item: Value, order: Value| {
        let refund = refund(|it| {
            let line =
                json!({ "id": 5, "line_item": line_item, "quantity": 1, "restock_type": "no_restock", "subtotal_set": euros("2.00") });
            it["refund_line_items"] = json!([line]);
            it["order"] = order;
        });
        let of_line = refund.lines.iter().map(|it| ("line", it.subtotal));
        let told = of_line.chain(refund.adjustments.iter().map(|it| (it.reason.as_str(), it.amount)));
        told.map(|(what, amount)| format!("{what} {}", amount.shop)).collect::<Vec<_>>()
    };
    let (tipped, untipped) =
        (json!({ "id": 1, "totalTipReceivedSet": euros("2.00") }), json!({ "id": 1, "totalTipReceivedSet": euros("0.00") }));
    assert_eq!(given_back(json!({ "id": 12, "tip_payment_gateway": null }), json!(null)), ["tip 2.00 EUR"], "as a webhook says it");
    assert_eq!(given_back(json!({ "id": 12, "title": "Tip" }), tipped.clone()), ["tip 2.00 EUR"], "as the API says it");
    assert_eq!(given_back(json!({ "id": 12, "title": "Tip", "product": { "id": 13 } }), tipped), ["line 2.00 EUR"]);
    assert_eq!(given_back(json!({ "id": 12, "title": "Tip" }), untipped), ["line 2.00 EUR"]);
}

#[test]
fn the_tax_of_refunded_delivery_is_that_of_its_line() {
    let taxes = |adjustments: &[(&str, &str)], lines: &[Option<&str>]| {
        let refund = refund(|it| {
            let adjustment = |(amount, tax): &(&str, &str)| json!({ "kind": "shipping_refund", "amount_set": euros(amount), "tax_amount_set": euros(tax) });
            it["order_adjustments"] = adjustments.iter().map(adjustment).collect();
            let line = |tax: &Option<&str>| json!({ "subtotal_amount_set": euros("5.00"), "tax_amount_set": tax.map(euros) });
            it["refund_shipping_lines"] = lines.iter().map(line).collect();
        });
        refund.adjustments.iter().map(|it| it.tax.shop.amount.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(taxes(&[("-5.00", "-1.00"), ("-5.00", "-0.50")], &[None, None]), ["1.00", "0.50"]);
    assert_eq!(taxes(&[("-2.00", "-0.40"), ("-3.00", "-0.60")], &[None]), ["1.00"]);
    assert_eq!(taxes(&[("-5.00", "-1.00")], &[Some("0.70")]), ["0.70"], "what the line says counts");
    assert_eq!(taxes(&[], &[None]), ["0.00"]);
}

#[test]
fn a_refund_is_as_new_as_the_latest_thing_in_it() {
    let body = |settled: &str| {
        let transaction = json!({
            "id": 6, "kind": "refund", "status": "success", "amount": "1.00", "currency": "EUR", "processed_at": settled
        });
        json!({ "id": 4, "order_id": 1, "created_at": "2026-05-04T12:00:00Z", "transactions": [transaction] }).to_string()
    };
    let updated_at = |settled: &str| match map(&shop(), "refunds/create", body(settled).as_bytes()).unwrap() {
        Mapped::Entities(entities) => entities[0].updated_at.to_rfc3339(),
        other => panic!("{other:?}"),
    };
    assert_eq!(updated_at("2026-05-09T12:00:00Z"), "2026-05-09T12:00:00+00:00");
    assert_eq!(updated_at("2026-05-01T12:00:00Z"), "2026-05-04T12:00:00+00:00");
}

#[test]
fn an_error_in_a_refund_says_where_it_stands() {
    let error = refused(|it| {
        it["refunds"] = json!([{ "id": 4, "created_at": "2026-05-04T12:00:00Z", "refund_line_items": [{ "id": 5, "line_item_id": 11, "quantity": 1,
            "restock_type": "burnt", "subtotal": 1 }] }]);
    });
    assert!(error.starts_with("`refunds[0].refund_line_items[0].restock_type`: `burnt`"), "{error}");
}

/// Whoever signs may send brackets, or what looks like an order around them.
#[test]
fn json_nested_without_end_is_refused_as_none() {
    for body in [
        "[".repeat(10_000),
        format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{{\"id\":1,\"note_attributes\":{}1{}}}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{{\"id\":1,\"unknown\":{}1{}}}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
    ] {
        for topic in ["orders/create", "refunds/create", "customers/create", "orders/graphql", "orders/edited"] {
            let refused = map(&"shop-eu".parse().unwrap(), topic, body.as_bytes());
            assert!(refused.is_err(), "{topic} {}", &body[..20]);
        }
    }
}

#[test]
fn what_is_beyond_counting_is_named() {
    let error = refused(|it| {
        it["line_items"][0]["price"] = json!("999999999999999999");
        it["line_items"][0]["quantity"] = json!(9);
    });
    assert_eq!(error, "`line_items`: an amount is beyond what can be counted exactly");
}
