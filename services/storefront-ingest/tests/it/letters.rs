use std::sync::Arc;

use contracts::ids;
use contracts::topics::groups;
use pipeline::Next;
use sandbox::payloads::RefundWish;
use serde_json::json;
use sqlx::Row as _;
use store::letters;

use super::group::{Group, at, generator, new_order, order_ref};

#[tokio::test]
async fn what_cannot_be_mapped_becomes_a_letter_with_every_byte() {
    let group = Group::new().await;
    let bodies: [&[u8]; 4] = [b"not json \x00\xff\xfe", b"", b"{\"id\":", b"[1,2,3]"];
    for (n, body) in bodies.into_iter().enumerate() {
        let record = group.webhook("orders/create", &format!("w{n}"), at(0), body);
        assert!(group.settle(&record).await.starts_with("letter "), "{n}");
        let row = sqlx::query("select * from letters.letter where ce_id = $1").bind(record.headers.event_id().unwrap());
        let row = row.fetch_one(group.store.pool()).await.unwrap();
        assert_eq!(row.get::<Vec<u8>, _>("value"), body);
        assert_eq!(row.get::<Vec<u8>, _>("key"), record.key);
        assert_eq!((row.get::<i64, _>("origin_offset"), row.get::<String, _>("state")), (record.offset, "dead".to_owned()));
    }
    assert_eq!(group.states().await, [""; 0]);
}

/// The first keeps its place, the second is an obligation of its own.
#[tokio::test]
async fn an_id_that_comes_back_with_another_body_is_a_letter() {
    let group = Group::new().await;
    let mut order = new_order(&mut generator(), 0);
    let first = group.webhook("orders/create", "w1", at(0), order.to_rest().to_string());
    group.settle(&first).await;
    order.annotate("smuggled in", at(50));
    let second = group.webhook("orders/create", "w1", at(50), order.to_rest().to_string());
    assert_eq!(first.headers.event_id(), second.headers.event_id());
    assert_eq!(group.settle(&second).await, "letter delivery_id_reused");
    assert_eq!(group.entity(&order_ref(&order)).await.0, 1);
    assert_eq!(group.states().await, ["applied"]);
    let kept: Vec<u8> = sqlx::query_scalar("select value from letters.letter").fetch_one(group.store.pool()).await.unwrap();
    assert_eq!(kept, second.value);
}

#[tokio::test]
async fn a_later_good_version_supersedes_a_letter_of_the_same_order() {
    let group = Group::new().await;
    let mut generator = generator();
    let mut order = new_order(&mut generator, 0);
    let broken = |id: u64| json!({ "id": id, "updated_at": "2026-09-21T00:00:00Z" }).to_string();
    assert!(group.settle(&group.webhook("orders/updated", "w1", at(0), broken(order.id))).await.starts_with("letter"));
    assert!(group.settle(&group.webhook("orders/updated", "w2", at(0), broken(order.id + 1))).await.starts_with("letter"));
    let customer = json!({ "id": order.id, "updated_at": 7 }).to_string();
    assert!(group.settle(&group.webhook("customers/update", "w3", at(0), customer)).await.starts_with("letter"));
    order.annotate("good again", at(5));
    group.settle(&group.order("orders/updated", &order)).await;
    let sql = "select concat(aggregate, ' ', state) from letters.letter order by ordinal";
    let letters: Vec<String> = sqlx::query_scalar(sql).fetch_all(group.store.pool()).await.unwrap();
    let (id, other) = (order.id, order.id + 1);
    let expected = [format!("shop-eu/order/{id} superseded"), format!("shop-eu/order/{other} dead"), format!("shop-eu/customer/{id} dead")];
    assert_eq!(letters, expected, "others have nothing to do with it");
}

#[tokio::test]
async fn a_letter_that_is_replayed_is_mapped_and_settled() {
    let group = Group::new().await;
    let order = new_order(&mut generator(), 0);
    let mut record = group.order("orders/create", &order);
    let foreign: Vec<u8> = b"shop-us".to_vec();
    record.headers.set(contracts::headers::CONNECTION, foreign);
    assert_eq!(group.settle(&record).await, "letter unknown_connection");
    let letter = ids::letter(groups::MAPPER, record.headers.event_id().unwrap());
    letters::replay(&group.store, letter, "ada", "the connection is there now", None, Arc::new(|_| None)).await.unwrap();
    let [pipeline::Drained { record: drained, .. }]: [_; 1] = pipeline::Ledger::drain(&group.ledger, 10).await.unwrap().try_into().unwrap();
    assert_eq!(drained.value, record.value);
    assert_eq!(group.settle(&drained).await, "letter unknown_connection", "it is not");
    letters::replay(&group.store, letter, "ada", "now", None, Arc::new(|_| None)).await.unwrap();
    let mut drained = pipeline::Ledger::drain(&group.ledger, 10).await.unwrap().remove(0).record;
    drained.headers.set(contracts::headers::CONNECTION, b"shop-eu".to_vec());
    let next = group.arrives(&drained).await;
    assert!(matches!(next, Next::Act(_)));
    group.follow(&drained, next).await;
    assert_eq!(group.count("select count(*) from letters.letter where state = 'applied'").await, 1);
}

#[tokio::test]
async fn a_refund_that_can_be_read_ends_no_letter_of_another_refund_of_its_order() {
    let group = Group::new().await;
    let mut generator = generator();
    let mut order = new_order(&mut generator, 0);
    group.settle(&group.order("orders/create", &order)).await;
    let broken = json!({ "id": 1, "order_id": order.id, "created_at": "yesterday" }).to_string();
    assert!(group.settle(&group.webhook("refunds/create", "r1", at(1), broken)).await.starts_with("letter "));
    let refund = order.refund(&RefundWish::goodwill(1.into()), generator.ids(), at(2));
    let body = order.refund_to_rest(&refund).to_string();
    assert_eq!(group.settle(&group.webhook("refunds/create", "r2", at(2), body)).await, "Created refund 1");
    assert_eq!(group.count("select count(*) from letters.letter where state = 'dead'").await, 1);
}
