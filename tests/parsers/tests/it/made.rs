//! Seeds, drawn from our own payloads: the same at every draw.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, TimeZone as _, Utc};
use connector::StorefrontPlatform as _;
use connector::storefront::{Delivery, Entity, Mapped};
use contracts::headers;
use contracts::wire::{self, Change, ChangeKind, Changed, Outcome, OutcomeState, Wire};
use domain::{AggregateKey, ErpCommand, Operation, OperationKey};
use http_kit::{Encoding, Secrets};
use sandbox::payloads::{Generator, OrderWish, PayloadSettings, PaymentWish, RefundWish, ShopOrder};
use serde_json::{Value, json};

type Seeds = BTreeMap<String, Vec<u8>>;

pub(super) fn seeds(target: &str) -> Seeds {
    match target {
        "envelope" => envelope(),
        "retry_after" => retry_after(),
        "rules" => rules(),
        "signature" => signature(),
        "webhook" => webhook(),
        other => panic!("{other} has no seeds"),
    }
}

fn at() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 3, 4, 5, 6, 7).unwrap()
}

fn generator() -> Generator {
    Generator::new(PayloadSettings { seed: 7, foreign_share: 0.4, discount_share: 0.7, tip_share: 0.3, ..PayloadSettings::default() })
}

/// A paid order, the same after an edit and a refund, and its bodies by topic.
fn bodies() -> Vec<(&'static str, Value)> {
    let mut generator = generator();
    let mut order = generator.order(&OrderWish { payment: Some(PaymentWish::Pending), ..OrderWish::default() }, at()).unwrap();
    let created = order.to_rest();
    order.pay(generator.ids(), at());
    let (paid, article) = (order.to_rest(), generator.articles()[0].clone());
    let edit = order.edit(&[(article, 2)], &[], generator.ids(), at());
    let refund = order.refund(&RefundWish { shipping: true, ..RefundWish::line(order.lines[0].id, 1) }, generator.ids(), at());
    let (told, read) = (order.refund_to_rest(&refund), order.refund_to_graphql(&refund));
    let (updated, order_read) = (order.to_rest(), order_read(&order));
    order.cancel("customer", true, generator.ids(), at());
    let customer = generator.customer(at());
    vec![
        ("orders/create", created),
        ("orders/paid", paid),
        ("orders/edited", edit.to_rest(order.offset)),
        ("orders/updated", updated),
        ("orders/graphql", order_read),
        ("orders/cancelled", order.to_rest()),
        ("orders/delete", json!({"id": order.id})),
        ("refunds/create", told),
        ("refunds/graphql", json!({"refund": read})),
        ("customers/create", customer.to_rest(order.offset)),
        ("customers/graphql", json!({"customer": customer.to_graphql()})),
    ]
}

/// As a re-read puts it together.
fn order_read(order: &ShopOrder) -> Value {
    let refunds: Vec<_> = order.refunds.iter().map(|it| json!({"refund": order.refund_to_graphql(it)})).collect();
    json!({"order": order.to_graphql(), "refunds": refunds})
}

fn webhook() -> Seeds {
    let of = |(topic, body): (&str, Value)| (topic.replace('/', "-"), format!("{topic}\n{body}").into_bytes());
    let odd = [
        ("no-json", "orders/create\n<html>"),
        ("numbers", "orders/create\n{\"id\":18446744073709551616,\"total_price\":1e400}"),
        ("unmapped", "app/uninstalled\n{\"id\":1}"),
    ];
    let odd = odd.map(|(name, seed)| (name.to_owned(), seed.as_bytes().to_vec()));
    bodies().into_iter().map(of).chain(odd).collect()
}

fn signature() -> Seeds {
    let body = br#"{"id":820982911946154508}"#;
    let secrets = Secrets::new(["a secret of the fuzzer".into()]).unwrap();
    let signed = |claimed: &str| [claimed.as_bytes(), b"\n", body].concat();
    [
        ("base64", signed(&secrets.sign(Encoding::Base64, &[body]))),
        ("hex", signed(&secrets.sign(Encoding::Hex, &[body]))),
        ("foreign", signed(&Secrets::new(["another".into()]).unwrap().sign(Encoding::Base64, &[body]))),
        ("none", signed("")),
        ("short", signed("W9zBRr9g")),
        ("of-nothing", secrets.sign(Encoding::Base64, &[b""]).into_bytes()),
    ]
    .map(|(name, seed)| (name.to_owned(), seed))
    .into()
}

fn retry_after() -> Seeds {
    [
        ("seconds", "120"),
        ("fraction", "2.0"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("date-old", "Sunday, 06-Nov-94 08:49:37 GMT"),
        ("date-c", "Sun Nov  6 08:49:37 1994"),
        ("far", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ("huge", "99999999999999999999999999999999999999999999"),
        ("exponent", "1e300"),
        ("negative", "-1"),
    ]
    .map(|(name, seed)| (name.to_owned(), seed.as_bytes().to_vec()))
    .into()
}

fn rules() -> Seeds {
    let route = |when: &str| format!("[[route]]\nname = \"a\"\nwhen = '{when}'\ntarget = \"erp-main\"\n");
    let holds = "[[hold]]\nname = \"pending\"\nwhen = 'order.financial_state == \"pending\"'\nreason = \"payment_pending\"\n\n";
    [
        ("all", holds.to_owned() + &route("order.country in [\"DE\", \"FR\"] && order.currency == \"EUR\" && !order.b2b")),
        ("lists", route("order.skus.exists(s, s.startsWith(\"M-\")) || order.total >= 100000")),
        ("macros", route("order.tags.filter(t, t.matches(\"^vip.*$\")).map(t, size(t)).all(n, n > 3 && n % 2 == 0)")),
        ("arithmetic", route("order.total / (order.total - 5) + 1 > -9223372036854775807")),
        ("mistakes", route("order.contry == DE") + &route("size(order.tags) &")),
        ("no-toml", "[[route]\nname = 'a".to_owned()),
        ("empty", String::new()),
    ]
    .map(|(name, seed)| (name.to_owned(), seed.into_bytes()))
    .into()
}

fn envelope() -> Seeds {
    let mut seeds = Seeds::new();
    for (name, changed) in changes() {
        let source = "shop-eu".parse().unwrap();
        let key = changed.entity.aggregate(&source);
        seeds.insert(name.to_owned(), record(changed.type_name(), &key, &changed.encode()));
    }
    let (command, outcome) = (command(), outcome());
    seeds.insert("command".to_owned(), record(ErpCommand::NAME, &command.aggregate, &command.encode()));
    seeds.insert("outcome".to_owned(), record(Outcome::NAME, &command.aggregate, &outcome.encode()));
    let letter = "ce_id: 1\ndlq.error.code: old\ndlq.error.code: older\ndlq.attempts: \u{0}\u{0}\u{0}\u{3}\ncontent-type: x\n\n{}";
    seeds.insert("letter-of-a-letter".to_owned(), letter.as_bytes().to_vec());
    seeds.insert("nameless".to_owned(), b"\n\xff\xff".to_vec());
    seeds
}

fn record(type_name: &str, key: &AggregateKey, value: &[u8]) -> Vec<u8> {
    let head = [
        (headers::CE_ID, "6f9619ff-8b86-5d01-b42d-00cf4fc964ff"),
        (headers::CE_TYPE, type_name),
        (headers::CE_SUBJECT, key.as_str()),
        (headers::ENTITY_SEQ, "3"),
        (headers::TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let head: String = head.map(|(name, value)| format!("{name}: {value}\n")).concat();
    [head.as_bytes(), b"\n", value].concat()
}

/// What our connector maps from the bodies above.
fn changes() -> Vec<(&'static str, Changed)> {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, name).unwrap();
        path
    };
    let settings = json!({"shop": "example.myshopify.com", "access_token_file": file("token"), "webhook_secret_files": [file("secret")]});
    let opened = connector_shopify::Shopify.open(&"shop-eu".parse().unwrap(), &settings).unwrap();
    let wanted = [("orders/updated", "order"), ("refunds/create", "refund"), ("customers/create", "customer")];
    let map = |(topic, name): (&str, &'static str)| {
        let (_, body) = bodies().into_iter().find(|it| it.0 == topic).unwrap();
        let delivery = Delivery {
            connection: "shop-eu".parse().unwrap(),
            topic: topic.to_owned(),
            identity: String::new(),
            triggered_at: None,
            received_at: at(),
            read_at: None,
            body: Bytes::from(body.to_string()),
        };
        let Ok(Mapped::Entities(entities)) = opened.mapper.map(&delivery) else { panic!("{topic} is mapped") };
        let entity = match entities.into_iter().next().unwrap().body {
            Entity::Order(it) => wire::Entity::Order(it),
            Entity::Customer(it) => wire::Entity::Customer(it),
            Entity::Refund(it) => wire::Entity::Refund(it),
        };
        (name, Changed { change: change(), entity })
    };
    wanted.map(map).into()
}

fn change() -> Change {
    Change {
        kind: ChangeKind::Updated,
        sequence: 3,
        source: "shop-eu".to_owned(),
        source_version: "2026-03-04T05:06:07Z".to_owned(),
        source_time: Some(at()),
        channel: "web".to_owned(),
        changed_paths: vec!["lines".to_owned()],
    }
}

fn command() -> ErpCommand {
    let Some((_, Changed { entity: wire::Entity::Order(order), .. })) = changes().into_iter().next() else {
        panic!("the first is an order")
    };
    let connection = "shop-eu".parse().unwrap();
    let aggregate = AggregateKey::order(&connection, &order.id);
    ErpCommand {
        target: "erp-main".parse().unwrap(),
        connection,
        operation_key: OperationKey::from_wire(format!("{aggregate}/place")).unwrap(),
        aggregate,
        sequence: 3,
        operation: Operation::PlaceOrder { order, confirm: true },
    }
}

fn outcome() -> Outcome {
    Outcome {
        command_id: "6f9619ff-8b86-5d01-b42d-00cf4fc964ff".parse().unwrap(),
        target: Some("erp-main".parse().unwrap()),
        operation_key: "shop-eu/order/1/place".to_owned(),
        operation: "place".to_owned(),
        sequence: 3,
        state: OutcomeState::Dead,
        references: vec![wire::Reference { kind: "sale".to_owned(), id: "7".to_owned(), number: "S7".to_owned() }],
        failure: Some(wire::Failure { class: "validation".to_owned(), code: "erp_unknown_item".to_owned(), message: "no".to_owned() }),
        completed_at: at(),
        reason: String::new(),
        confirmed: false,
    }
}
