//! What our own payloads become. Read each snapshot against its payload: they are the connector's specification.

use super::shop::{customer, entities, golden, order, refund, time};
use super::sketch;

#[track_caller]
fn check(topic: &str, name: &str, expected: &str) {
    let actual = sketch::order(&order(topic, golden(name)));
    let expected: Vec<&str> = expected.trim().lines().map(str::trim).collect();
    assert_eq!(actual.lines().collect::<Vec<_>>(), expected, "{name}:\n{actual}");
}

#[test]
fn codes_and_automatic_discounts_are_taken_from_the_lines() {
    check(
        "orders/create",
        "order_discounts",
        r#"
        9007199254740993001 HG-1952-W Paid Unfulfilled from web
        buyer 6110000000000000101 mira@shop.test Mira Okafor de
        bill to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        ship to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        line 7210000000000000011/81000000000011/41000000000011 [MUG-SEA] Sea Mug: 2 (2 left) at 24.00 EUR, code AHOY10 off 4.75 EUR, automatic Spring off 5.00 EUR, VAT 0.19 is 7.27 EUR
        line 7210000000000000012/81000000000012/41000000000012 [MAT-ROPE] Rope Mat: 1 (1 left) at 31.50 EUR, code AHOY10 off 3.15 EUR, VAT 0.19 is 5.39 EUR
        delivery 5310000000000000011 [DHL-PAKET] DHL Paket at 6.00 EUR, VAT 0.19 is 1.14 EUR
        coupon AHOY10 percentage 7.90 EUR
        goods 79.50 EUR, off 12.90 EUR, delivery 6.00 EUR, plus tax 13.80 EUR, tip 0.00 EUR
        total 86.40 EUR, now 86.40 EUR
        by ["shopify_payments"] tags ["early-bird", "wholesale"] note "Please ring twice" attributes ["gift=yes", "floor=2"] test false
        "#,
    );
}

#[test]
fn prices_with_tax_in_them_stay_gross() {
    check(
        "orders/updated",
        "order_tax_included",
        r#"
        9007199254740993002 HG-1953-W Authorized Partial from web
        buyer 6110000000000000101 mira@shop.test Mira Okafor de
        bill to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        ship to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        line 7210000000000000021/81000000000021/41000000000021 [LAMP-OIL] Oil Lamp: 1 (1 left) at 119.00 EUR, MwSt 0.19 is 19.00 EUR
        line 7210000000000000022/81000000000022/41000000000022 [BOOK-TIDE] Tide Almanac: 3 (3 left) at 21.40 EUR, MwSt 0.07 is 4.20 EUR
        delivery 5310000000000000021 [STD] Standard at 5.95 EUR, MwSt 0.19 is 0.95 EUR
        goods 183.20 EUR, off 0.00 EUR, delivery 5.95 EUR, with tax 24.15 EUR, tip 0.00 EUR
        total 189.15 EUR, now 189.15 EUR
        by ["shopify_payments"] tags [] note "" attributes [] test false
        "#,
    );
}

#[test]
fn both_currencies_are_kept_and_the_tip_is_split_off() {
    check(
        "orders/paid",
        "order_two_currencies",
        r#"
        9007199254740993003 HG-1954-W Paid Unfulfilled from shopify_draft_order
        buyer 6110000000000000102 sol@shop.test Sol Hart en-US
        bill to Sol Hart: Hart & Daughters, 77 Pier Road, 97201, Portland, OR, Oregon, US
        ship to Sol Hart: Hart & Daughters, 77 Pier Road, 97201, Portland, OR, Oregon, US
        line 7210000000000000031/81000000000011/41000000000011 [MUG-SEA] Sea Mug: 2 (2 left) at 24.00 EUR / 25.92 USD, manual Regulars off 4.80 EUR / 5.18 USD, Sales tax 0.05 is 2.15 EUR / 2.33 USD
        delivery 5310000000000000031 [INTL] Worldwide at 12.00 EUR / 12.95 USD
        goods 48.00 EUR / 51.84 USD, off 4.80 EUR / 5.18 USD, delivery 12.00 EUR / 12.95 USD, plus tax 2.15 EUR / 2.33 USD, tip 3.00 EUR / 3.24 USD
        total 60.35 EUR / 65.18 USD, now 60.35 EUR / 65.18 USD
        by ["shopify_payments"] tags [] note "" attributes [] test false
        "#,
    );
}

#[test]
fn a_cancelled_order_keeps_what_was_sold_and_says_what_is_left() {
    check(
        "orders/cancelled",
        "order_cancelled",
        r#"
        9007199254740993004 HG-1955-W Refunded Unfulfilled from web
        buyer 6110000000000000101 mira@shop.test Mira Okafor de
        bill to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        ship to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        line 7210000000000000041/81000000000021/41000000000021 [LAMP-OIL] Oil Lamp: 1 (0 left) at 119.00 EUR, MwSt 0.19 is 19.00 EUR
        delivery 5310000000000000041 [STD] Standard at 5.95 EUR, MwSt 0.19 is 0.95 EUR
        goods 119.00 EUR, off 0.00 EUR, delivery 5.95 EUR, with tax 19.95 EUR, tip 0.00 EUR
        total 124.95 EUR, now 0.00 EUR
        by ["shopify_payments"] tags [] note "" attributes [] test false
        cancelled 2026-05-06T06:30:00+00:00 by customer
        "#,
    );
}

#[test]
fn an_order_of_a_company_names_it_and_its_purchase_order() {
    check(
        "orders/create",
        "order_company",
        r#"
        9007199254740993005 HG-1956-W Pending Unfulfilled from web
        buyer 6110000000000000101 mira@shop.test Mira Okafor de
        bill to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        ship to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        company 4410000000000000001 at 4510000000000000001, PO PO-2026-118
        line 7210000000000000051/81000000000012/41000000000012 [MAT-ROPE] Rope Mat: 40 (40 left) at 27.00 EUR
        delivery 5310000000000000051 [PALLET] Spedition at 90.00 EUR
        goods 1080.00 EUR, off 0.00 EUR, delivery 90.00 EUR, plus tax 0.00 EUR, tip 0.00 EUR
        total 1170.00 EUR, now 1170.00 EUR
        by [] tags [] note "" attributes [] test false
        "#,
    );
}

#[test]
fn an_order_may_cost_nothing() {
    check(
        "orders/create",
        "order_zero_total",
        r#"
        9007199254740993006 HG-1957-W Paid Unfulfilled from web
        buyer 6110000000000000101 mira@shop.test Mira Okafor de
        bill to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        ship to Mira Okafor: Hafenweg 4, 2. Stock, 28199, Bremen, DE, +49 30 5550100
        line 7210000000000000061/81000000000061/41000000000061 [STK-SET] Sticker Set: 1 (1 left) at 4.00 EUR, code PRESS off 4.00 EUR
        delivery 5310000000000000061 [STD] Standard at 3.50 EUR, code FREESHIP off 3.50 EUR
        coupon PRESS percentage 4.00 EUR
        coupon FREESHIP shipping 3.50 EUR
        goods 4.00 EUR, off 7.50 EUR, delivery 0.00 EUR, plus tax 0.00 EUR, tip 0.00 EUR
        total 0.00 EUR, now 0.00 EUR
        by ["free"] tags [] note "" attributes [] test false
        "#,
    );
}

#[test]
fn a_gift_card_sold_to_nobody_in_particular() {
    check(
        "orders/create",
        "order_gift_card_without_customer",
        r#"
        9007199254740993007 HG-1958-W Paid Unfulfilled from pos
        line 7210000000000000071/81000000000071/41000000000071 [] Gift card gift card unshipped: 1 (1 left) at 50.00 EUR
        goods 50.00 EUR, off 0.00 EUR, delivery 0.00 EUR, plus tax 0.00 EUR, tip 0.00 EUR
        total 50.00 EUR, now 50.00 EUR
        by ["cash"] tags [] note "" attributes [] test true
        "#,
    );
}

#[test]
fn duties_and_fees_are_delivery_lines_of_their_own() {
    check(
        "orders/create",
        "order_duties",
        r#"
        9007199254740993008 HG-1959-W Paid Unfulfilled from web
        buyer 6110000000000000102 mira@shop.test Sol Hart de
        bill to Sol Hart: Hart & Daughters, 77 Pier Road, 97201, Portland, OR, Oregon, US
        ship to Sol Hart: Hart & Daughters, 77 Pier Road, 97201, Portland, OR, Oregon, US
        line 7210000000000000081/81000000000011/41000000000011 [MUG-SEA] Sea Mug: 1 (1 left) at 24.00 EUR / 25.92 USD, GST 0.05 is 1.20 EUR / 1.30 USD
        delivery 5310000000000000081 [INTL] Worldwide at 12.00 EUR / 12.95 USD
        delivery duties [duties] Duties at 6.50 EUR / 7.02 USD, GST 0.05 is 0.33 EUR / 0.35 USD
        delivery fees [fees] Fees at 2.00 EUR / 2.16 USD
        goods 24.00 EUR / 25.92 USD, off 0.00 EUR / 0.00 USD, delivery 20.50 EUR / 22.13 USD, plus tax 1.53 EUR / 1.65 USD, tip 0.00 EUR / 0.00 USD
        total 46.03 EUR / 49.70 USD, now 46.03 EUR / 49.70 USD
        by ["shopify_payments"] tags [] note "" attributes [] test false
        "#,
    );
}

#[test]
fn a_refund_maps_alike_wherever_it_stands() {
    let of_order = entities("orders/cancelled", golden("order_cancelled"));
    let alone = entities("refunds/create", golden("refund_of_cancelled"));
    assert_eq!(of_order.len(), 2);
    assert_eq!(of_order[1], alone[0]);
    assert_eq!(of_order[0].aggregate, alone[0].aggregate);
    // When its money moved, not when it was noted.
    assert_eq!(alone[0].updated_at, time("2026-05-06T06:30:00Z"));
    let expected = [
        "refund 3310000000000000041 of 9007199254740993004: Changed their mind",
        "line 6010000000000000041 of 7210000000000000041 [LAMP-OIL] 1 Cancel 72000000001 119.00 EUR tax 19.00 EUR",
        "Shipping 1710000000000000041 shipping_refund 5.00 EUR tax 0.95 EUR",
        "payment 2210000000000000041 Refund Success 124.95 EUR by shopify_payments Visa (HG-1955-W.2)",
    ];
    assert_eq!(sketch::refund(refund(&alone[0])), expected.join("\n"));
}

#[test]
fn a_customer_has_the_default_address_first_and_once() {
    let customer = customer("customers/update", golden("customer_webhook"));
    assert_eq!(customer.id, "6110000000000000101");
    assert_eq!(customer.name(), "Mira Okafor");
    assert_eq!((customer.email.as_str(), customer.phone.as_str()), ("mira@shop.test", "+4930555010"));
    let lines: Vec<&str> = customer.addresses.iter().map(|it| it.line1.as_str()).collect();
    assert_eq!(lines, ["Hafenweg 4", "Am Deich 9"]);
    assert!(customer.enabled && customer.tax_exempt);
    assert_eq!((customer.tags.len(), customer.email_consent), (0, None));
}
