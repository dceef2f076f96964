//! Whatever is done to a payload: an answer or a classified fault, never a panic, and no text of the payload in a message.

use connector::storefront::Mapped;
use fault::Class;
use proptest::prelude::*;
use serde_json::Value;

use super::shop::{golden, map};

const PAYLOADS: [(&str, &str); 8] = [
    ("orders/create", "order_discounts"),
    ("orders/cancelled", "order_cancelled"),
    ("orders/updated", "order_pair_webhook"),
    ("orders/graphql", "order_pair_graphql"),
    ("orders/create", "order_duties"),
    ("refunds/create", "refund_of_cancelled"),
    ("customers/update", "customer_webhook"),
    ("customers/graphql", "customer_graphql"),
];

/// Every value in it, by the way to it.
fn paths(value: &Value, path: String, found: &mut Vec<String>) {
    found.push(path.clone());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, value)| paths(value, format!("{path}/{key}"), found)),
        Value::Array(items) => items.iter().enumerate().for_each(|(index, value)| paths(value, format!("{path}/{index}"), found)),
        _ => {}
    }
}

fn replacement() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        Just(Value::Bool(true)),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!([[]])),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::from("SECRET-79228162514264337593543950335")),
        Just(Value::from("79228162514264337593543950335")),
        Just(Value::from("-0.0000000000000000000000000001")),
        Just(Value::from("gid://shopify/Order/")),
        Just(Value::from("XXX")),
        "\\PC{0,12}".prop_map(|it| Value::from(format!("SECRET-{it}"))),
    ]
}

fn check(topic: &str, body: Vec<u8>) -> Result<(), TestCaseError> {
    match map(topic, body) {
        Ok(Mapped::Entities(entities)) => prop_assert!(!entities.is_empty()),
        Ok(other) => prop_assert!(false, "{:?}", other),
        Err(fault) => {
            prop_assert!(matches!(fault.class, Class::Decode | Class::Schema | Class::Validation), "{}", fault);
            prop_assert!(!fault.message.contains("SECRET"), "{}", fault);
            prop_assert!(fault.causes().iter().all(|it| !it.contains("SECRET")), "{:?}", fault.causes());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_value_may_become_any_other(
        payload in 0..PAYLOADS.len(),
        places in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
        values in proptest::collection::vec(replacement(), 4),
    ) {
        let (topic, name) = PAYLOADS[payload];
        let mut body: Value = serde_json::from_slice(&golden(name)).unwrap();
        for (place, value) in places.iter().zip(values) {
            let mut found = Vec::new();
            paths(&body, String::new(), &mut found);
            let path = place.get(&found);
            *body.pointer_mut(path).unwrap() = value;
        }
        check(topic, body.to_string().into_bytes())?;
    }

    #[test]
    fn bytes_may_be_lost_or_changed(
        payload in 0..PAYLOADS.len(),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let (topic, name) = PAYLOADS[payload];
        let mut body = golden(name).to_vec();
        for (at, byte) in changes {
            let at = at.index(body.len());
            body[at] = byte;
        }
        if cut {
            body.truncate(keep.index(body.len()));
        }
        check(topic, body)?;
    }

    #[test]
    fn bytes_may_be_anything(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        for (topic, _) in PAYLOADS {
            check(topic, body.clone())?;
        }
    }
}
