//! Payloads that real shops sent, where the machine has them. They are others' data and no part of this repository.

use std::path::PathBuf;

use bytes::Bytes;
use connector::storefront::Mapped;
use fault::Class;

use super::shop::{entities, map, order, refund};

fn folder() -> Option<PathBuf> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures/shopify");
    if !folder.is_dir() {
        println!("skipped: no recorded payloads at {}", folder.display());
        return None;
    }
    Some(folder)
}

fn payload(name: &str) -> Option<Bytes> {
    Some(Bytes::from(std::fs::read(folder()?.join(name)).unwrap()))
}

#[test]
fn every_recorded_order_adds_up() {
    let Some(folder) = folder() else { return };
    let names = std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap());
    let orders: Vec<String> = names.filter(|it| it.starts_with("real_") && it.contains("order")).collect();
    assert!(!orders.is_empty());
    for name in orders {
        order("orders/updated", payload(&name).unwrap()).check_totals().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn an_order_in_two_currencies_keeps_both() {
    let Some(body) = payload("real_order_multicurrency_aud_usd.json") else { return };
    let order = order("orders/create", body);
    assert_eq!(order.totals.total.shop.to_string(), "60.33 AUD");
    assert_eq!(order.totals.total.presentment.to_string(), "45.85 USD");
    assert_eq!(order.display_number, "#1029");
    assert!(order.test);
}

#[test]
fn a_cancelled_order_brings_its_refund() {
    let Some(body) = payload("real_webhook_orders_cancelled_refunded_hkd.json") else { return };
    let entities = entities("orders/cancelled", body.clone());
    assert_eq!(entities.len(), 2);
    assert_eq!(refund(&entities[1]).lines[0].subtotal.shop.to_string(), "99.00 HKD");
    assert_eq!(entities[0].aggregate, entities[1].aggregate);
    let order = order("orders/cancelled", body);
    assert_eq!((order.lines[0].quantity, order.lines[0].current_quantity), (1.into(), 0.into()));
    assert_eq!(order.totals.current_total.shop.to_string(), "0.00 HKD");
}

#[test]
fn a_goodwill_refund_has_no_lines() {
    let Some(body) = payload("real_webhook_refund_goodwill_no_lines.json") else { return };
    let entities = entities("refunds/create", body);
    let refund = refund(&entities[0]);
    assert!(refund.lines.is_empty());
    assert_eq!(refund.adjustments[0].amount.shop.to_string(), "1.00 INR");
    assert_eq!(refund.payments[0].amount.to_string(), "1.00 INR");
}

/// Their shapes are right and their sums are invented.
#[test]
fn documented_samples_are_understood_and_do_not_add_up() {
    let Some(body) = payload("webhook_orders_create_2026-07.json") else { return };
    assert_eq!(map("orders/create", body).unwrap_err().class, Class::Validation);
    for (topic, name) in
        [("refunds/create", "webhook_refunds_create_2026-07.json"), ("customers/create", "webhook_customers_create_2026-07.json")]
    {
        assert_eq!(entities(topic, payload(name).unwrap()).len(), 1, "{name}");
    }
    for (topic, name) in [("orders/edited", "webhook_orders_edited_2026-07.json"), ("orders/delete", "webhook_orders_delete_2026-07.json")]
    {
        assert!(matches!(map(topic, payload(name).unwrap()).unwrap(), Mapped::ReRead(_) | Mapped::Gone(_)), "{name}");
    }
    let anonymised = map("orders/updated", payload("shape_orders_2024-01_12lines.json").unwrap()).unwrap_err();
    assert_eq!(anonymised.class, Class::Schema, "{anonymised}");
}
