use super::*;
use proptest::prelude::*;

const BODY: &[u8] = br#"{"id":820982911946154508,"note":"two \"quotes\""}"#;
/// HMAC-SHA256 of BODY under "shpss_test", made with another program.
const SIGNED: &str = "rBhLkGmHZkRyPTZC0em8kSVDOAnYs/4Qyx/prM1gAA0=";

fn webhooks(secrets: &[&str]) -> ShopifyWebhooks {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), secrets.join("\n")).unwrap();
    ShopifyWebhooks::new(SecretFiles::open(vec![file.path().to_owned()]).unwrap())
}

fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
    of.iter().map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())).collect()
}

fn facts(of: &[(&'static str, &str)], body: &[u8]) -> DeliveryFacts {
    webhooks(&["s"]).facts(&"shop-eu".parse().unwrap(), &headers(of), body)
}

#[test]
fn only_what_a_secret_signed_passes() {
    let signed = headers(&[("x-shopify-hmac-sha256", SIGNED)]);
    assert_eq!(webhooks(&["shpss_test"]).verify(&signed, BODY), Some(0));
    assert_eq!(webhooks(&["shpss_next", "shpss_test"]).verify(&signed, BODY), Some(1), "the older of two secrets");
    assert_eq!(webhooks(&["shpss_next"]).verify(&signed, BODY), None);
    assert_eq!(webhooks(&["shpss_test"]).verify(&signed, &BODY[1..]), None);
    assert_eq!(webhooks(&["shpss_test"]).verify(&HeaderMap::new(), BODY), None);
}

#[test]
fn what_can_be_no_signature_is_seen_without_the_body() {
    let is_signed = |value: &str| webhooks(&["s"]).is_signed(&headers(&[("x-shopify-hmac-sha256", value)]));
    assert!(is_signed(SIGNED));
    for none in ["", "x", &SIGNED[1..], &SIGNED.replace('k', "*")] {
        assert!(!is_signed(none), "{none}");
    }
    assert!(!webhooks(&["s"]).is_signed(&HeaderMap::new()));
}

#[track_caller]
fn check(topic: &str, body: &str, expected: &str) {
    let facts = facts(&[("x-shopify-topic", topic)], body.as_bytes());
    assert_eq!(facts.aggregate.as_str(), expected, "{topic} {body}");
    assert_eq!(facts.aggregate.as_str().parse::<AggregateKey>().unwrap(), facts.aggregate);
}

#[test]
fn a_delivery_is_keyed_by_the_order_customer_or_product_that_it_is_about() {
    check("orders/create", r#"{"id":820982911946154508,"order_id":1}"#, "shop-eu/order/820982911946154508");
    check("orders/updated", r#"{"customer":{"id":1},"id":2}"#, "shop-eu/order/2");
    check("orders/delete", r#"{"id":3}"#, "shop-eu/order/3");
    check("orders/edited", r#"{"order_edit":{"id":1,"order_id":4}}"#, "shop-eu/order/4");
    check("refunds/create", r#"{"id":1,"order_id":5}"#, "shop-eu/order/5");
    check("order_transactions/create", r#"{"id":1,"order_id":6}"#, "shop-eu/order/6");
    check("fulfillments/update", r#"{"id":1,"order_id":7}"#, "shop-eu/order/7");
    check("returns/approve", r#"{"id":1,"order":{"id":8}}"#, "shop-eu/order/8");
    check("customers/update", r#"{"id":9}"#, "shop-eu/customer/9");
    check("products/update", r#"{"id":"gid://shopify/Product/10"}"#, "shop-eu/product/10");
    check("variants/in_stock", r#"{"id":1,"product_id":11}"#, "shop-eu/product/11");
}

#[test]
fn what_names_nothing_is_keyed_by_its_topic() {
    for body in ["", "{", "[]", "null", "{}", r#"{"id":null}"#, r#"{"id":1.5}"#, r#"{"id":-1}"#, r#"{"id":"x"}"#, r#"{"id":{}}"#, "<html>"]
    {
        check("orders/create", body, "shop-eu/raw/orders/create");
    }
    check("orders/edited", r#"{"order_edit":[]}"#, "shop-eu/raw/orders/edited");
    check("inventory_levels/update", r#"{"id":1}"#, "shop-eu/raw/inventory_levels/update");
    assert_eq!(facts(&[], b"{}").aggregate.as_str(), "shop-eu/raw/unknown");
}

#[test]
fn an_id_never_passes_through_a_float() {
    // The float next to it ends in 500.
    check("orders/create", r#"{"id":820982911946154508.0}"#, "shop-eu/raw/orders/create");
    check("orders/create", r#"{"id":18446744073709551616}"#, "shop-eu/raw/orders/create");
    check("orders/create", r#"{"id":18446744073709551615}"#, "shop-eu/order/18446744073709551615");
}

#[test]
fn reading_ends_at_the_id() {
    check("orders/create", r#"{"id":1,"line_items":[{"#, "shop-eu/order/1");
}

#[test]
fn a_delivery_is_itself_again_when_it_comes_again() {
    let of = [
        ("x-shopify-topic", "orders/create"),
        ("x-shopify-webhook-id", "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043"),
        ("x-shopify-event-id", "one-for-many"),
        ("x-shopify-triggered-at", "2026-03-30T14:30:00.000000001Z"),
        ("x-shopify-api-version", "2026-07"),
    ];
    let first = facts(&of, BODY);
    assert_eq!(first, facts(&of, BODY));
    assert_eq!(first.topic, "orders/create");
    assert_eq!(first.identity, "orders/create/b54557e4-bdd9-4b37-8a5f-bf7d70bcd043");
    assert_eq!(first.triggered_at.unwrap().timestamp_subsec_nanos(), 1);
    assert_eq!(first.api_version.as_deref(), Some("2026-07"));

    let nameless = |body| facts(&of[..1], body).identity;
    assert_eq!(nameless(BODY), nameless(BODY));
    assert_ne!(nameless(BODY), nameless(b"{}"));
}

#[test]
fn endless_headers_are_cut() {
    let long = "x".repeat(5000);
    let facts = facts(&[("x-shopify-topic", &long), ("x-shopify-webhook-id", &long)], b"{}");
    assert!(facts.topic.len() <= 120 && facts.identity.len() <= 250);
    assert!(facts.aggregate.as_str().parse::<AggregateKey>().is_ok());
}

proptest! {
    #[test]
    fn no_bytes_at_all_fail(topic in proptest::collection::vec(any::<u8>(), 0..200), body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut headers = HeaderMap::new();
        if let Ok(value) = http::HeaderValue::from_bytes(&topic) {
            headers.insert("x-shopify-topic", value.clone());
            headers.insert("x-shopify-webhook-id", value.clone());
            headers.insert("x-shopify-hmac-sha256", value);
        }
        let webhooks = webhooks(&["s"]);
        let facts = webhooks.facts(&"shop".parse().unwrap(), &headers, &body);
        prop_assert!(facts.aggregate.as_str().parse::<AggregateKey>().is_ok());
        prop_assert!(webhooks.verify(&headers, &body).is_none());
    }

    #[test]
    fn every_id_is_found_among_other_fields(id in any::<u64>(), before in "[a-z_]{0,9}", text in "\\PC{0,40}") {
        prop_assume!(before != "id");
        let body = format!(r#"{{"{before}":[{},{{"id":1}}],"id":{id}}}"#, serde_json::to_string(&text).unwrap());
        let facts = facts(&[("x-shopify-topic", "orders/updated")], body.as_bytes());
        prop_assert_eq!(facts.aggregate.as_str(), format!("shop-eu/order/{id}"));
    }
}
