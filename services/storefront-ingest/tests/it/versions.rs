use bytes::Bytes;
use chrono::{DateTime, Utc};
use contracts::headers;
use contracts::ids;
use contracts::wire::Entity;
use pipeline::Next;
use sandbox::payloads::{RefundWish, ShopOrder};
use storefront_ingest::core::raw;

use super::group::{Group, at, changed, generator, new_order, order_ref, shop};

/// An order and three later versions of it, under the topics that tell of them.
fn life(seconds: i64) -> Vec<(&'static str, ShopOrder)> {
    let mut generator = generator();
    let placed = new_order(&mut generator, seconds);
    let mut noted = placed.clone();
    noted.annotate("leave it at the door", at(seconds + 5));
    let mut paid = noted.clone();
    paid.pay(generator.ids(), at(seconds + 9));
    let mut cancelled = paid.clone();
    cancelled.cancel("customer", true, generator.ids(), at(seconds + 12)).unwrap();
    vec![("orders/create", placed), ("orders/updated", noted), ("orders/paid", paid), ("orders/cancelled", cancelled)]
}

#[tokio::test]
async fn an_event_says_what_it_is_about_and_what_changed() {
    let group = Group::new().await;
    let life = life(0);
    let record = group.order("orders/create", &life[0].1);
    let Next::Act(outputs) = group.arrives(&record).await else { panic!("it is new") };
    let (created, key) = (&outputs[0], format!("shop-eu/order/{}", life[0].1.id));
    let text = |name| created.headers.text(name).unwrap_or_default();
    assert_eq!((&*created.topic, &created.key[..]), ("t.tradewind.orders.v1", key.as_bytes()));
    assert_eq!((text(headers::CE_TYPE), text(headers::CE_SUBJECT)), ("tradewind.orders.v1.OrderChanged", key.as_str()));
    assert_eq!(text(headers::CE_SOURCE), "tradewind/shop-eu");
    assert_eq!(created.headers.event_id(), Some(ids::change(&order_ref(&life[0].1), 1)));
    group.follow(&record, Next::Act(outputs)).await;

    let Next::Act(outputs) = group.arrives(&group.order("orders/updated", &life[1].1)).await else { panic!("it has a note") };
    let updated = changed(&outputs[0]);
    assert_eq!(updated.change.changed_paths, ["note"]);
    assert_eq!(updated.change.source_time, Some(life[1].1.updated_at));
    let Entity::Order(order) = updated.entity else { panic!("it is an order") };
    assert_eq!((order.note.as_str(), order.id), ("leave it at the door", life[0].1.id.to_string()));
}

#[tokio::test]
async fn in_whatever_order_versions_arrive_the_newest_wins_and_sequences_have_no_gap() {
    let group = Group::new().await;
    for (round, order) in permutations(4).into_iter().enumerate() {
        // Another order each time: ids are drawn from a seed, so the times differ and the ids are made to.
        let mut life = life(i64::try_from(round).unwrap() * 100);
        life.iter_mut().for_each(|(_, it)| it.id = 1_000_000 + round as u64);
        let mut sequences = Vec::new();
        for index in &order {
            let (topic, version) = &life[*index];
            let record = group.order(topic, version);
            let next = group.arrives(&record).await;
            if let Next::Act(outputs) = &next {
                let events = outputs.iter().map(changed).filter(|it| matches!(it.entity, Entity::Order(_)));
                sequences.extend(events.map(|it| it.change.sequence));
            }
            group.follow(&record, next).await;
        }
        let newest = &life[3].1;
        let (sequence, version, is_deleted) = group.entity(&order_ref(newest)).await;
        let text = newest.updated_at.format("%Y-%m-%dT%H:%M:%S").to_string();
        assert!(version.starts_with(&text), "{order:?}: {version} instead of {text}");
        assert!(!is_deleted);
        assert_eq!(sequences, (1..=u64::try_from(sequence).unwrap()).collect::<Vec<_>>(), "{order:?}");
    }
    assert_eq!(group.count("select count(*) from letters.letter").await, 0);
    assert_eq!(group.count("select count(*) from ingest.reread").await, 0);
}

fn permutations(of: usize) -> Vec<Vec<usize>> {
    if of == 0 {
        return vec![Vec::new()];
    }
    let shorter = permutations(of - 1);
    shorter.iter().flat_map(|it| (0..of).map(move |place| [&it[..place], &[of - 1], &it[place..]].concat())).collect()
}

#[tokio::test]
async fn a_repeat_is_seen_and_not_counted_twice() {
    let group = Group::new().await;
    let record = group.order("orders/create", &life(0)[0].1);
    assert!(group.settle(&record).await.starts_with("Created order 1"));
    assert_eq!(group.settle(&group.again(&record)).await, "done");
    assert_eq!(group.settle(&group.again(&record)).await, "done");
    assert_eq!(group.states().await, ["applied"]);
    assert_eq!(group.count("select count(*) from ingest.raw_record").await, 3);
    assert_eq!(group.count("select count(distinct ce_id) from ingest.raw_record").await, 1);
}

/// Shopify tells the same change under several topics.
#[tokio::test]
async fn another_delivery_of_the_same_content_makes_no_event_and_moves_the_version() {
    let group = Group::new().await;
    let (_, order) = &life(0)[0];
    group.settle(&group.order("orders/create", order)).await;
    let body = order.to_rest().to_string();
    assert_eq!(group.settle(&group.webhook("orders/paid", "w2", at(3), body.clone())).await, "done");
    assert_eq!(group.settle(&group.webhook("orders/updated", "w3", at(1), body)).await, "done");
    assert_eq!(group.states().await, ["applied", "applied no_change", "superseded"]);
    let (sequence, version, _) = group.entity(&order_ref(order)).await;
    assert_eq!(sequence, 1);
    assert!(version.ends_with(&at(3).format("%H:%M:%S.000000000Z").to_string()), "{version}");
}

/// Times have whole seconds. The later arrival holds until the source has been asked.
#[tokio::test]
async fn two_bodies_of_one_version_are_settled_by_the_source() {
    let group = Group::new().await;
    let (_, order) = &life(0)[0];
    let mut other = order.clone();
    other.note = Some("of the same second".to_owned());
    group.settle(&group.webhook("orders/create", "w1", at(0), order.to_rest().to_string())).await;
    assert_eq!(group.settle(&group.webhook("orders/updated", "w2", at(0), other.to_rest().to_string())).await, "Updated order 2");
    assert_eq!(group.rereads().await, [format!("{}: two bodies claim one version", order_ref(order))]);
    assert_eq!(group.states().await, ["applied", "applied"]);

    let read = |seconds, order: &ShopOrder| read_of(&group, order, at(seconds));
    assert_eq!(group.settle(&read(2, order)).await, "Updated order 3", "the source says it was the first");
    assert_eq!(group.settle(&read(3, order)).await, "done");
    assert_eq!(group.settle(&read(4, &other)).await, "Updated order 4", "and back again");
    assert_eq!(group.settle(&read(5, order)).await, "Updated order 5", "an answer of before is no repeat of it");
}

/// What a re-read of the order brings; its body is a webhook's, which says the same.
fn read_of(group: &Group, order: &ShopOrder, read_at: DateTime<Utc>) -> pipeline::Record {
    let body = Bytes::from(order.to_rest().to_string());
    group.record(raw::of_reread("t.tradewind.raw.v1", &order_ref(order), "orders/updated", body, read_at))
}

#[tokio::test]
async fn a_refund_in_its_order_and_a_refund_by_itself_are_one() {
    let group = Group::new().await;
    let mut generator = generator();
    let mut order = new_order(&mut generator, 0);
    order.pay(generator.ids(), at(1));
    let wish = RefundWish::line(order.lines[0].id, 1);
    let refund = order.refund(&wish, generator.ids(), at(2));
    let alone = group.webhook("refunds/create", "r", at(2), order.refund_to_rest(&refund).to_string());
    assert_eq!(group.settle(&group.order("orders/updated", &order)).await, "Created order 1, Created refund 1");
    assert_eq!(group.settle(&alone).await, "done");

    let mut second = order.clone();
    let refund = second.refund(&RefundWish::goodwill(1.into()), generator.ids(), at(4));
    let alone = group.webhook("refunds/create", "r2", at(4), second.refund_to_rest(&refund).to_string());
    assert_eq!(group.settle(&alone).await, "Created refund 1");
    assert_eq!(group.settle(&group.order("orders/updated", &second)).await, "Updated order 2", "with nothing new of the refund");
    let keys = "select count(distinct aggregate) from ingest.decision";
    assert_eq!(group.count(keys).await, 1, "all of them under the order's key");
}

/// Only whole aggregates can be read again under their own key.
#[tokio::test]
async fn a_disputed_refund_is_read_with_its_order() {
    let group = Group::new().await;
    let mut generator = generator();
    let mut order = new_order(&mut generator, 0);
    let refund = order.refund(&RefundWish::goodwill(1.into()), generator.ids(), at(2));
    let mut body = order.refund_to_rest(&refund);
    group.settle(&group.webhook("refunds/create", "r1", at(2), body.to_string())).await;
    body["note"] = "another reason".into();
    assert_eq!(group.settle(&group.webhook("refunds/create", "r2", at(2), body.to_string())).await, "Updated refund 2");
    assert_eq!(group.rereads().await, [format!("{}: two bodies claim one version", order_ref(&order))]);
}

#[tokio::test]
async fn customers_have_versions_of_their_own() {
    let group = Group::new().await;
    let mut generator = generator();
    let mut customer = generator.customer(at(0));
    let offset = generator.settings().offset;
    let created = group.webhook("customers/create", "c1", at(0), customer.to_rest(offset).to_string());
    assert_eq!(group.settle(&created).await, "Created customer 1");
    customer.updated_at = at(7);
    customer.first_name = "Renée".into();
    let updated = group.webhook("customers/update", "c2", at(7), customer.to_rest(offset).to_string());
    assert_eq!(group.settle(&updated).await, "Updated customer 2");
    assert_eq!(updated.key_text(), format!("{}/customer/{}", shop(), customer.id));
}

#[tokio::test]
async fn topics_that_nobody_maps_are_discarded_with_their_reason() {
    let group = Group::new().await;
    for (n, topic) in ["app/uninstalled", "customers/redact", "orders/invented", "inventory_levels/update"].into_iter().enumerate() {
        assert_eq!(group.settle(&group.webhook(topic, &format!("w{n}"), at(0), "{\"id\":1}")).await, "done");
    }
    assert_eq!(group.states().await, ["discarded unmapped"; 4]);
}
