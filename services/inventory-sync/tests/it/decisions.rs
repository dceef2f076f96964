use contracts::headers;
use contracts::wire::OutcomeState::{Applied, Dead, Discarded};
use contracts::wire::{Changed, Entity};
use domain::{Customer, Order};
use pipeline::{Next, Turn};

use super::group::{Group, keeping_back, stock_settings, told};
use super::world::*;

#[tokio::test]
async fn what_may_be_sold_is_published_when_it_changes() {
    let group = Group::with(keeping_back(2)).await;
    let record = observed(1, 10, 3, &[]);
    let Next::Act(outputs) = group.arrives(&record).await else { panic!("it is news") };
    let (sequence, availability) = said(&outputs[0]);
    assert_eq!((sequence, units(&availability)), (1, 5));
    assert_eq!((availability.on_hand, availability.reserved, availability.buffer), (decimal(10), decimal(3), decimal(2)));
    group.produced(&record, &outputs).await;

    let Next::Act(outputs) = group.arrives(&ordered("1", 1, 2)).await else { panic!("it is news") };
    let changed = Changed::decode(outputs[0].headers.text(headers::CE_TYPE).unwrap(), &outputs[0].value).unwrap();
    assert_eq!(changed.change.changed_paths, ["available", "pending"]);
    assert_eq!(told(&outputs), "2: 3");
    assert_eq!(group.settle(&observed(2, 12, 5, &[])).await, "done", "another sum of the same worth");
    assert_eq!(
        group.text("select concat_ws(' ', on_hand, reserved, pending, available, sequence, generation) from stock.desired").await,
        "12 5 2 3 2 2"
    );
}

#[tokio::test]
async fn an_order_is_counted_once_from_its_first_event_to_its_shipment() {
    let group = Group::new().await;
    assert_eq!(group.settle(&observed(1, 10, 0, &[])).await, "1: 10");
    assert_eq!(group.settle(&ordered("1", 1, 3)).await, "2: 7");
    assert_eq!(group.settle(&outcome("1", "place_order", Dead, 1, 15)).await, "done");
    assert_eq!(group.settle(&outcome("1", "place_order", Applied, 1, 20)).await, "done");
    assert_eq!(group.available().await, 7);
    assert_eq!(group.count("select count(*) from stock.line where open").await, 1);
    assert_eq!(group.settle(&observed(3, 10, 3, &[("1", 3)])).await, "done");
    assert_eq!(group.settle(&observed(4, 7, 0, &[])).await, "done");
    assert_eq!(group.available().await, 7);
    assert_eq!(group.count("select count(*) from stock.line where open").await, 0);
    assert_eq!(group.settle(&observed(2, 10, 0, &[])).await, "done", "a late one");
    assert_eq!(group.count("select count(*) from stock.decision where state = 'superseded'").await, 1);
}

/// The ERP shipped before anybody looked: only the confirm tells that its figures have the order.
#[tokio::test]
async fn an_order_that_is_never_listed_counts_until_a_look_after_its_confirm() {
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    group.settle(&ordered("1", 1, 3)).await;
    group.settle(&outcome("1", "place_order", Applied, 1, 20)).await;
    assert_eq!(group.settle(&observed(3, 7, 0, &[])).await, "done", "on hand is less, pending is less");
    assert_eq!(group.available().await, 7);
    assert_eq!(group.count("select count(*) from stock.line where open").await, 0, "it need not be added up again");
}

#[tokio::test]
async fn a_cancel_and_a_discard_give_back_and_an_edit_takes() {
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    group.settle(&ordered("1", 1, 3)).await;
    assert_eq!(group.settle(&ordered("1", 2, 5)).await, "3: 5");
    assert_eq!(group.settle(&cancelled("1", 3)).await, "4: 10");
    group.settle(&ordered("2", 1, 4)).await;
    assert_eq!(group.settle(&outcome("2", "place_order", Discarded, 1, 5)).await, "6: 10");
    assert_eq!(group.text("select concat_ws(' ', taken, given) from stock.desired").await, "9 5", "what the shop itself did");
}

#[tokio::test]
async fn an_order_that_no_rule_takes_counts_until_somebody_gives_it_up() {
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    assert_eq!(group.settle(&ordered("1", 1, 3)).await, "2: 7");
    assert_eq!(group.settle(&given_up("1", 1)).await, "3: 10");
    assert_eq!(group.count("select count(*) from stock.line where open").await, 0);
    assert_eq!(group.settle(&ordered("1", 2, 3)).await, "4: 7", "a later version may find a route");
    assert_eq!(group.settle(&given_up("1", 1)).await, "done");
    assert_eq!(group.available().await, 7);
}

/// The ERP does not change what it has sold: somebody makes a second sale there, and discards the letter.
#[tokio::test]
async fn an_edit_that_is_given_up_counts_until_the_erp_was_looked_at_again() {
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    group.settle(&ordered("1", 1, 3)).await;
    group.settle(&outcome("1", "place_order", Applied, 1, 15)).await;
    group.settle(&observed(2, 10, 3, &[("1", 3)])).await;
    assert_eq!(group.settle(&ordered("1", 2, 5)).await, "3: 5");
    group.settle(&outcome("1", "revise_order", Discarded, 2, 25)).await;
    assert_eq!(group.available().await, 5, "the second sale is not seen yet");
    group.settle(&observed(3, 10, 5, &[("1", 3)])).await;
    assert_eq!(group.available().await, 5);
    assert_eq!(group.count("select count(*) from stock.line where open").await, 0);
}

#[tokio::test]
async fn one_unit_in_three_shops_is_gone_everywhere_once_one_has_sold_it() {
    let mut settings = stock_settings();
    for other in ["shop-b", "shop-c"] {
        settings.location_map.insert(other.to_owned(), settings.location_map["shop"].clone());
    }
    let group = Group::with(settings).await;
    assert_eq!(group.settle(&observed(1, 1, 0, &[])).await, "1: 1, 1: 1, 1: 1");
    assert_eq!(group.settle(&ordered("1", 1, 1)).await, "2: 0, 2: 0, 2: 0");
    let moved = "select string_agg(concat(connection, ' ', taken), ', ' order by connection) from stock.desired";
    assert_eq!(group.text(moved).await, "shop 1, shop-b 0, shop-c 0", "only the shop that sold it has lowered its level itself");
    assert_eq!(group.settle(&observed(2, 1, 1, &[("1", 1)])).await, "done");
    assert_eq!(group.settle(&cancelled("1", 2)).await, "done", "the ERP still holds it");
    assert_eq!(group.settle(&observed(3, 1, 0, &[])).await, "3: 1, 3: 1, 3: 1");
}

#[tokio::test]
async fn outcomes_and_lists_that_come_before_their_order_are_remembered() {
    let group = Group::new().await;
    group.settle(&outcome("1", "place_order", Applied, 1, 5)).await;
    group.settle(&observed(1, 7, 2, &[("2", 2)])).await;
    assert_eq!(group.settle(&ordered("1", 1, 3)).await, "done");
    assert_eq!(group.settle(&ordered("2", 1, 2)).await, "done");
    assert_eq!(group.available().await, 5);
}

#[tokio::test]
async fn a_burst_is_one_event_and_one_push() {
    let group = Group::new().await;
    group.settle(&observed(1, 1000, 0, &[])).await;
    let burst: Vec<_> = (0..200).map(|n| ordered(&format!("o{n}"), 1, 2)).collect();
    let nexts = group.commit(burst.iter().map(|it| (it.clone(), Turn::Arrived)).collect()).await;
    let outputs: Vec<_> = nexts.iter().filter_map(|it| if let Next::Act(outputs) = it { Some(told(outputs)) } else { None }).collect();
    assert_eq!(outputs, ["2: 600"]);
    assert_eq!(group.text("select concat_ws(' ', generation, available, taken) from stock.desired").await, "2 600 400");
    assert_eq!(group.count("select count(*) from stock.decision").await, 201);
}

#[tokio::test]
async fn a_redelivery_produces_what_was_decided_and_decides_nothing() {
    let group = Group::new().await;
    let record = observed(1, 10, 0, &[]);
    let Next::Act(first) = group.arrives(&record).await else { panic!("it is news") };
    let restarted = Group::over(group.store.clone(), keeping_back(3));
    let Next::Act(again) = restarted.arrives(&record).await else { panic!("it may not be out") };
    assert_eq!((&first[0].value, &first[0].headers), (&again[0].value, &again[0].headers));
    restarted.produced(&record, &again).await;
    assert_eq!(restarted.settle(&record).await, "done");
    assert_eq!(group.available().await, 10);
}

#[tokio::test]
async fn lines_without_a_sku_are_no_stock() {
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    assert_eq!(group.settle(&order_record(1, order("1", &[("", 4), ("MUG", 1), ("MUG", 2)]))).await, "2: 7");
    assert_eq!(group.count("select count(*) from stock.line").await, 1);
    assert_eq!(group.settle(&order_record(1, order("2", &[("CAP", 4)]))).await, "done", "no ERP has spoken of it");
    assert_eq!(group.count("select count(*) from stock.desired").await, 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_letter_until_a_good_version_comes() {
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    let mut broken = ordered("1", 1, 3);
    broken.value = b"\xff".as_slice().into();
    assert_eq!(group.settle(&broken).await, "letter wire_decode");
    let customer = Entity::Customer(Box::new(Customer { id: "9".to_owned(), ..Customer::default() }));
    assert_eq!(group.settle(&change_record(&shop(), 1, customer)).await, "letter wire_unknown_value");
    let mut misplaced = ordered("8", 1, 3);
    misplaced.key = "shop/order/9".into();
    assert_eq!(group.settle(&misplaced).await, "letter key_mismatch");
    assert_eq!(group.settle(&ordered("1", 2, 3)).await, "2: 7");
    let state = "select state from letters.letter where aggregate = 'shop/order/1'";
    assert_eq!(group.text(state).await, "superseded");
    assert_eq!(group.count("select count(*) from letters.letter where state = 'dead'").await, 2);
    let mut later = ordered("1", 4, 9);
    later.value = b"\xff".as_slice().into();
    assert_eq!(group.settle(&later).await, "letter wire_decode");
    assert_eq!(group.settle(&ordered("1", 3, 4)).await, "3: 6");
    assert_eq!(group.count("select count(*) from letters.letter where state = 'dead'").await, 3, "an older one is no answer to it");
}

#[tokio::test]
async fn an_order_that_changes_nothing_here_changes_nothing() {
    let group = Group::new().await;
    group.settle(&observed(1, 10, 0, &[])).await;
    group.settle(&ordered("1", 1, 3)).await;
    let noted = Order { note: "a gift".to_owned(), ..order("1", &[("MUG", 3)]) };
    assert_eq!(group.settle(&order_record(2, noted)).await, "done");
    assert_eq!(group.text("select reason from stock.decision where reason is not null").await, "no_change");
    assert_eq!(group.count("select generation from stock.desired").await, 2);
    assert_eq!(group.settle(&ordered("1", 1, 3)).await, "done");
}
