//! What a shop's arithmetic promises, checked on the bytes that go out.

use chrono::{DateTime, TimeZone, Utc};
use domain::Currency;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::Value;

use super::*;

fn at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 4, 5, 6, 7).unwrap()
}

fn generator(seed: u64) -> Generator {
    Generator::new(PayloadSettings { seed, foreign_share: 0.4, discount_share: 0.7, tip_share: 0.3, ..PayloadSettings::default() })
}

fn amount(of: &Value) -> Decimal {
    match of {
        Value::String(text) => text.parse().unwrap(),
        Value::Number(number) => number.to_string().parse().unwrap(),
        other => panic!("{other} is no amount"),
    }
}

fn list<'a>(of: &'a Value, field: &str) -> &'a Vec<Value> {
    of[field].as_array().unwrap()
}

/// A field in one of the two currencies.
fn side(of: &Value, field: &str, money: &str) -> Decimal {
    amount(&of[field][money]["amount"])
}

/// Sums of the amounts that a list of parts has under a field.
fn sum(of: &Value, parts: &str, field: &str, money: &str) -> Decimal {
    list(of, parts).iter().map(|it| side(it, field, money)).sum()
}

fn check_sums(order: &Value) {
    for money in ["shop_money", "presentment_money"] {
        let (mut lines, mut allocated, mut tax) = (Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
        for line in list(order, "line_items") {
            lines += side(line, "price_set", money) * Decimal::from(line["quantity"].as_u64().unwrap());
            allocated += sum(line, "discount_allocations", "amount_set", money);
            tax += sum(line, "tax_lines", "price_set", money);
        }
        let (mut delivery, mut free) = (Decimal::ZERO, Decimal::ZERO);
        for line in list(order, "shipping_lines") {
            delivery += side(line, "discounted_price_set", money);
            free += sum(line, "discount_allocations", "amount_set", money);
            tax += sum(line, "tax_lines", "price_set", money);
        }
        assert_eq!(lines, side(order, "total_line_items_price_set", money));
        assert_eq!(lines - allocated, side(order, "subtotal_price_set", money));
        assert_eq!(allocated + free, side(order, "total_discounts_set", money));
        assert_eq!(tax, side(order, "total_tax_set", money));
        assert_eq!(tax, sum(order, "tax_lines", "price_set", money));
        assert_eq!(delivery + free, side(order, "total_shipping_price_set", money));
        if money == "shop_money" {
            let on_top = if order["taxes_included"] == true { Decimal::ZERO } else { tax };
            let total = lines - allocated + delivery + on_top + amount(&order["total_tip_received"]);
            assert_eq!(total, amount(&order["total_price"]));
            assert_eq!(total, side(order, "total_price_set", money));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_drawn_order_adds_up_in_both_currencies(seed: u64) {
        let mut generator = generator(seed);
        for _ in 0..4 {
            let order = generator.order(&OrderWish::default(), at()).unwrap();
            check_sums(&order.to_rest());
            prop_assert!(order.lines.iter().all(|it| it.discounted().shop >= Decimal::ZERO), "no line costs less than nothing");
        }
    }

    #[test]
    fn whatever_happens_to_an_order_its_sums_hold_and_in_the_end_nothing_is_left(seed: u64, shares in prop::collection::vec(1..3_u32, 1..6)) {
        let mut generator = generator(seed);
        let mut order = generator.order(&OrderWish { payment: Some(PaymentWish::Paid), ..OrderWish::default() }, at()).unwrap();
        let added = generator.articles()[0].clone();
        order.edit(&[(added, 2)], &[(order.lines[0].id, 1)], generator.ids(), at());
        order.pay(generator.ids(), at());
        check_sums(&order.to_rest());
        for (index, quantity) in shares.iter().enumerate() {
            let line = order.lines[index % order.lines.len()].id;
            let wish = RefundWish { shipping: index == 1, ..RefundWish::line(line, *quantity) };
            order.refund(&wish, generator.ids(), at());
            check_sums(&order.to_rest());
        }
        order.cancel("customer", true, generator.ids(), at());
        let body = order.to_rest();
        check_sums(&body);
        prop_assert_eq!(amount(&body["current_total_price"]), Decimal::ZERO);
        prop_assert_eq!(amount(&body["current_subtotal_price"]), Decimal::ZERO);
        prop_assert_eq!(amount(&body["current_total_tax"]), Decimal::ZERO);
        prop_assert_eq!(side(&body, "current_shipping_price_set", "presentment_money"), Decimal::ZERO);
        prop_assert_eq!(order.captured().presentment, order.refunded().presentment, "all the money went back");
        prop_assert!(list(&body, "line_items").iter().all(|it| it["current_quantity"] == 0));
    }

    #[test]
    fn what_graphql_shows_is_what_the_webhook_said(seed: u64) {
        let mut generator = generator(seed);
        let mut order = generator.order(&OrderWish::default(), at()).unwrap();
        order.refund(&RefundWish { shipping: true, ..RefundWish::line(order.lines[0].id, 1) }, generator.ids(), at());
        let (webhook, shown) = (order.to_rest(), order.to_graphql());
        for (field, graphql) in [
            ("total_price_set", "totalPriceSet"),
            ("current_total_price_set", "currentTotalPriceSet"),
            ("subtotal_price_set", "subtotalPriceSet"),
            ("total_tax_set", "totalTaxSet"),
            ("total_discounts_set", "totalDiscountsSet"),
        ] {
            prop_assert_eq!(side(&webhook, field, "shop_money"), amount(&shown[graphql]["shopMoney"]["amount"]));
            prop_assert_eq!(side(&webhook, field, "presentment_money"), amount(&shown[graphql]["presentmentMoney"]["amount"]));
        }
        prop_assert_eq!(&webhook["admin_graphql_api_id"], &shown["id"]);
        prop_assert_eq!(list(&webhook, "line_items").len(), list(&shown, "lineItems").len());
        let status = webhook["financial_status"].as_str().unwrap().to_uppercase();
        prop_assert_eq!(shown["displayFinancialStatus"].as_str().unwrap(), status);
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let bytes = |seed| {
        let mut generator = generator(seed);
        (0..20).map(|_| generator.order(&OrderWish::default(), at()).unwrap().to_rest().to_string()).collect::<Vec<_>>()
    };
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
}

#[test]
fn an_order_is_about_six_kilobytes_and_has_the_fields_of_a_whole_one() {
    let mut generator = generator(3);
    let sizes: Vec<usize> = (0..100).map(|_| generator.order(&OrderWish::default(), at()).unwrap().to_rest().to_string().len()).collect();
    let mean = sizes.iter().sum::<usize>() / sizes.len();
    assert!((4_000..12_000).contains(&mean), "{mean} bytes on average");
    let order = generator.order(&OrderWish::default().from(BuyerWish::Company), at()).unwrap().to_rest();
    assert_eq!(order["financial_status"], "pending");
    assert!(order["po_number"].as_str().unwrap().starts_with("PO-"));
    assert_eq!(order["created_at"], "2026-03-04T07:06:07+02:00", "in the shop's zone");
}

#[test]
fn a_stacked_discount_is_listed_in_another_order_than_it_was_applied_in() {
    let mut generator = Generator::new(PayloadSettings { foreign: None, tip_share: 0.0, ..PayloadSettings::default() });
    generator.add_article("MUG").price = Decimal::from(99);
    let wish = OrderWish::of("MUG", 1).discounted_by([
        DiscountWish::Automatic { percent: Decimal::TEN },
        DiscountWish::Code { code: "SAVE15".to_owned(), percent: 15.into() },
    ]);
    let order = generator.order(&wish, at()).unwrap().to_rest();
    assert_eq!(order["discount_applications"][0]["code"], "SAVE15");
    let allocations = list(&order["line_items"][0], "discount_allocations");
    // 10 % of 99.00 first, then 15 % of 89.10.
    assert_eq!((&allocations[0]["amount"], &allocations[0]["discount_application_index"]), (&"9.90".into(), &1.into()));
    assert_eq!((&allocations[1]["amount"], &allocations[1]["discount_application_index"]), (&"13.37".into(), &0.into()));
    assert_eq!(order["discount_codes"], serde_json::json!([{ "code": "SAVE15", "amount": "13.37", "type": "percentage" }]));
    assert_eq!(order["line_items"][0]["total_discount"], "0.00");
}

#[test]
fn some_ids_are_beyond_what_a_float_can_hold_and_none_comes_twice() {
    let mut ids = Ids::new(1, 0.3);
    let drawn: Vec<u64> = (0..1000).map(|_| ids.draw()).collect();
    let lost = drawn.iter().filter(|it| **it as f64 as u64 != **it).count();
    assert!((200..400).contains(&lost), "{lost} of 1000");
    let distinct: std::collections::HashSet<_> = drawn.iter().collect();
    assert_eq!(distinct.len(), drawn.len());
}

#[test]
fn a_pending_refund_has_a_discrepancy_that_is_made_good_when_the_money_moves() {
    let mut generator =
        Generator::new(PayloadSettings { foreign: None, tip_share: 0.0, discount_share: 0.0, ..PayloadSettings::default() });
    let mut order = generator.order(&OrderWish::of("TW-001", 2).paid_by(PaymentWish::Paid), at()).unwrap();
    let wish = RefundWish { pending: true, ..RefundWish::line(order.lines[0].id, 1) };
    let refund = order.refund(&wish, generator.ids(), at());
    let body = order.refund_to_rest(&refund);
    assert_eq!(body["order_adjustments"][0]["kind"], "refund_discrepancy");
    assert_eq!(amount(&body["order_adjustments"][0]["amount"]), amount(&body["transactions"][0]["amount"]));
    assert_eq!(order.financial_status(), FinancialStatus::Paid, "nothing has moved");
    assert!(order.settle_refund(refund.id, generator.ids(), at()));
    assert_eq!(order.financial_status(), FinancialStatus::PartiallyRefunded);
    let settled = order.refund_to_rest(&order.refunds[0]);
    let adjustments = list(&settled, "order_adjustments");
    assert_eq!((adjustments.len(), adjustments.iter().map(|it| amount(&it["amount"])).sum::<Decimal>()), (2, Decimal::ZERO));
}

#[test]
fn a_refund_line_says_its_amounts_as_numbers_and_goodwill_has_no_lines() {
    let mut generator = Generator::new(PayloadSettings { currency: Currency::EUR, ..PayloadSettings::default() });
    let mut order = generator.order(&OrderWish::of("TW-001", 1).paid_by(PaymentWish::Paid), at()).unwrap();
    let refund = order.refund(&RefundWish::goodwill(Decimal::ONE), generator.ids(), at());
    let body = order.refund_to_rest(&refund);
    assert!(list(&body, "refund_line_items").is_empty());
    assert_eq!(body["order_adjustments"][0]["amount"], "-1.00");
    let refund = order.refund(&RefundWish::line(order.lines[0].id, 1), generator.ids(), at());
    assert!(order.refund_to_rest(&refund)["refund_line_items"][0]["subtotal"].is_number());
}

#[test]
fn who_is_nobody_left_no_trace() {
    let mut generator = generator(5);
    let order = generator.order(&OrderWish::default().from(BuyerWish::Nobody), at()).unwrap().to_rest();
    assert_eq!(order["email"], "");
    for field in ["customer", "billing_address", "shipping_address"] {
        assert_eq!(order[field], Value::Null, "{field}");
    }
}

#[test]
fn what_the_shop_does_not_sell_cannot_be_ordered() {
    let refused = generator(1).order(&OrderWish::of("NO-SUCH", 1), at());
    assert_eq!(refused.unwrap_err(), UnknownSku("NO-SUCH".to_owned()));
    let mut empty = Generator::new(PayloadSettings { skus: Vec::new(), ..PayloadSettings::default() });
    assert!(empty.order(&OrderWish::default(), at()).is_err(), "nor anything in an empty shop");
}
