//! What the mapper makes of deltas, of the answers to them, and of entities that are gone.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use contracts::wire::{ChangeKind, Entity};
use pipeline::{Next, Record};
use sandbox::payloads::{EditWish, RefundWish, ShopOrder};
use serde_json::json;
use storefront_ingest::core::raw;

use super::group::{Group, at, changed, generator, new_order, order_ref};

const RAW: &str = "t.tradewind.raw.v1";

fn read_of(group: &Group, order: &ShopOrder, read_at: DateTime<Utc>) -> Record {
    let body = Bytes::from(order.to_rest().to_string());
    group.record(raw::of_reread(RAW, &order_ref(order), "orders/updated", body, read_at))
}

fn gone(group: &Group, order: &ShopOrder, read_at: DateTime<Utc>) -> Record {
    group.record(raw::of_gone(RAW, &order_ref(order), read_at, true))
}

/// Later than any decision of the test, by the database's clock.
fn later() -> DateTime<Utc> {
    Utc::now() + chrono::TimeDelta::seconds(60)
}

#[tokio::test]
async fn a_delta_is_in_flight_until_the_whole_was_read() {
    let group = Group::new().await;
    let mut generator = generator();
    let mut order = new_order(&mut generator, 0);
    group.settle(&group.order("orders/create", &order)).await;
    let article = generator.articles()[0].clone();
    let edit = order.edit(&[(article, 2)], &EditWish::default().remove, generator.ids(), at(3));
    let edited = group.webhook("orders/edited", "e1", at(3), edit.to_rest(order.offset).to_string());
    assert_eq!(group.settle(&edited).await, "done");
    assert_eq!(group.settle(&group.again(&edited)).await, "done");
    assert_eq!(group.states().await, ["applied", "in_flight reread"]);
    assert_eq!(group.rereads().await, [format!("{}: the delivery was a delta", order_ref(&order))]);

    assert_eq!(group.settle(&read_of(&group, &order, at(4))).await, "Updated order 2");
    assert_eq!(group.states().await, ["applied", "in_flight reread", "applied"], "that read began before the delta came");
    assert_eq!(group.settle(&read_of(&group, &order, later())).await, "done");
    assert_eq!(group.states().await, ["applied", "applied reread", "applied", "applied no_change"]);
}

/// Its re-read may have become a letter.
#[tokio::test]
async fn a_later_webhook_answers_a_delta_as_well_as_its_re_read() {
    let group = Group::new().await;
    let mut generator = generator();
    let mut order = new_order(&mut generator, 0);
    let delta = json!({ "order_edit": { "order_id": order.id } }).to_string();
    group.settle(&group.webhook("orders/edited", "e1", at(0), delta)).await;
    group.settle(&group.order("orders/updated", &order)).await;
    let refund = order.refund(&RefundWish::goodwill(1.into()), generator.ids(), at(2));
    let refund = order.refund_to_rest(&refund).to_string();
    group.settle(&group.webhook("refunds/create", "r1", later(), refund)).await;
    assert_eq!(group.states().await[0], "in_flight reread", "one came too early, one does not show the order");
    group.settle(&group.webhook("orders/updated", "u1", later(), order.to_rest().to_string())).await;
    assert_eq!(group.states().await[0], "applied reread");
}

/// A delta says nothing that could replace what was lost.
#[tokio::test]
async fn a_delta_supersedes_no_letter_and_the_read_does() {
    let group = Group::new().await;
    let order = new_order(&mut generator(), 0);
    let broken = json!({ "id": order.id, "updated_at": "yesterday" }).to_string();
    assert!(group.settle(&group.webhook("orders/updated", "w1", at(0), broken)).await.starts_with("letter "));
    let delta = json!({ "order_edit": { "order_id": order.id } }).to_string();
    assert_eq!(group.settle(&group.webhook("orders/edited", "w2", at(1), delta)).await, "done");
    assert_eq!(group.count("select count(*) from letters.letter where state = 'dead'").await, 1);
    group.settle(&read_of(&group, &order, later())).await;
    assert_eq!(group.count("select count(*) from letters.letter where state = 'superseded'").await, 1);
}

#[tokio::test]
async fn an_order_that_the_platform_may_hide_is_gone_only_if_it_says_so() {
    let group = Group::new().await;
    let order = new_order(&mut generator(), 0);
    group.settle(&group.order("orders/create", &order)).await;
    let hidden = group.record(raw::of_gone(RAW, &order_ref(&order), later(), false));
    assert_eq!(group.settle(&hidden).await, "done", "it was placed more than sixty days ago");
    assert!(!group.entity(&order_ref(&order)).await.2);

    group.settle(&group.webhook("orders/delete", "d", at(9), json!({ "id": order.id }).to_string())).await;
    group.settle(&group.webhook("orders/edited", "e", at(9), json!({ "order_edit": { "order_id": order.id } }).to_string())).await;
    let asked = "select count(*) from ingest.reread where reason = 'its source says that it is gone' and generation = 2";
    assert_eq!(group.count(asked).await, 1, "a late delta does not unsay it");
    group.settle(&gone(&group, &order, later())).await;
    assert!(group.entity(&order_ref(&order)).await.2);
}

#[tokio::test]
async fn what_is_gone_goes_out_once_more_as_deleted() {
    let group = Group::new().await;
    let order = new_order(&mut generator(), 0);
    group.settle(&group.order("orders/create", &order)).await;
    assert_eq!(group.settle(&group.webhook("orders/delete", "d", at(9), json!({ "id": order.id }).to_string())).await, "done");

    let record = gone(&group, &order, later());
    let next = group.arrives(&record).await;
    let Next::Act(outputs) = &next else { panic!("others have to know") };
    let deleted = changed(&outputs[0]);
    assert_eq!((deleted.change.kind, deleted.change.sequence), (ChangeKind::Deleted, 2));
    let Entity::Order(last) = deleted.entity else { panic!("it was an order") };
    assert_eq!(last.display_number, order.name, "with what was known of it");
    assert_eq!(record.key, outputs[0].key);
    group.follow(&record, next).await;
    assert_eq!(group.states().await, ["applied", "applied reread", "applied"]);
    let (sequence, _, is_deleted) = group.entity(&order_ref(&order)).await;
    assert_eq!((sequence, is_deleted), (2, true));
    assert_eq!(group.settle(&gone(&group, &order, later())).await, "done", "it is gone once");
}

#[tokio::test]
async fn what_happened_before_it_was_gone_stays_out_and_what_happens_after_is_a_new_life() {
    let group = Group::new().await;
    let mut order = new_order(&mut generator(), 0);
    group.settle(&group.order("orders/create", &order)).await;
    group.settle(&gone(&group, &order, at(100))).await;
    order.annotate("late", at(99));
    assert_eq!(group.settle(&group.order("orders/updated", &order)).await, "done");
    order.annotate("restored", at(101));
    assert_eq!(group.settle(&group.order("orders/updated", &order)).await, "Created order 3");
    assert_eq!(group.states().await, ["applied", "applied", "superseded", "applied"]);
}

#[tokio::test]
async fn what_was_gone_before_anything_of_it_arrived_stays_out() {
    let group = Group::new().await;
    let mut order = new_order(&mut generator(), 0);
    assert_eq!(group.settle(&gone(&group, &order, at(100))).await, "done");
    assert_eq!(group.settle(&group.order("orders/create", &order)).await, "done");
    assert_eq!(group.states().await, ["applied not_known", "superseded"]);
    order.annotate("restored", at(101));
    assert_eq!(group.settle(&group.order("orders/updated", &order)).await, "Created order 1");
}

/// A replica that is behind, or a platform that hides what is old: its delivery may be older than the look, and is its first.
#[tokio::test]
async fn what_a_look_did_not_find_and_nobody_said_to_be_gone_is_taken_when_it_comes() {
    let group = Group::new().await;
    let order = new_order(&mut generator(), 0);
    let not_found = group.record(raw::of_gone(RAW, &order_ref(&order), at(100), false));
    assert_eq!(group.settle(&not_found).await, "done");
    assert_eq!(group.settle(&group.order("orders/create", &order)).await, "Created order 1");
    assert_eq!(group.states().await, ["applied not_known", "applied"]);
}

#[tokio::test]
async fn a_delta_of_what_is_not_found_is_answered_and_leaves_no_grave() {
    let group = Group::new().await;
    let order = new_order(&mut generator(), 0);
    let delta = json!({ "order_edit": { "order_id": order.id } }).to_string();
    group.settle(&group.webhook("orders/edited", "e1", at(0), delta)).await;
    assert_eq!(group.settle(&group.record(raw::of_gone(RAW, &order_ref(&order), later(), false))).await, "done");
    assert_eq!(group.states().await, ["applied reread", "applied not_known"]);
    assert_eq!(group.settle(&group.order("orders/create", &order)).await, "Created order 1");
}

#[tokio::test]
async fn a_newer_version_survives_a_read_that_did_not_see_it() {
    let group = Group::new().await;
    let mut order = new_order(&mut generator(), 0);
    order.annotate("newer", at(50));
    group.settle(&group.order("orders/updated", &order)).await;
    assert_eq!(group.settle(&gone(&group, &order, at(49))).await, "done");
    assert_eq!(group.states().await, ["applied", "superseded"]);
    assert!(!group.entity(&order_ref(&order)).await.2);
}
