use std::sync::Arc;

use contracts::topics::groups;
use contracts::wire::{Entity, OutcomeState, Wire as _};
use contracts::{headers, ids};
use domain::FinancialState::{Paid, Pending};
use domain::{Address, Decimal, ErpCommand, FinancialState, Operation, Order, Sku, StockLevel};
use pipeline::{Next, Turn};
use store::letters;

use super::group::{Group, RULES};
use super::shop::{change_record, customer_record, order, order_record, outcome_record, refund, refund_record};

fn tagged(order: Order, tag: &str) -> Order {
    Order { tags: vec![tag.to_owned()], ..order }
}

fn bound_for(order: Order, country: &str) -> Order {
    Order { shipping_address: Some(Address { country_code: country.to_owned(), ..Address::default() }), ..order }
}

#[tokio::test]
async fn a_command_says_what_it_is_about_and_where_it_comes_from() {
    let group = Group::new().await;
    let record = order_record(1, order("7", Paid));
    let Next::Act(outputs) = group.arrives(&record).await else { panic!("an order is placed") };
    let [place] = outputs.as_slice() else { panic!("by one command") };
    assert_eq!((&*place.topic, &place.key[..]), ("t.tradewind.commands.erp.erp-main.v1", &b"shop/order/7"[..]));
    let text = |name| place.headers.text(name).unwrap_or_default();
    assert_eq!(place.headers.event_id(), Some(ids::derived(record.headers.event_id().unwrap(), groups::ROUTER, 0)));
    assert_eq!(text(headers::CE_TYPE), "tradewind.commands.v1.ErpCommand");
    assert_eq!(text(headers::CE_SUBJECT), "shop/order/7");
    assert_eq!(text(headers::CE_SOURCE), "tradewind/order-router");
    assert_eq!(text(headers::IDEMPOTENCY_KEY), "shop/order/7/place");
    assert_eq!(place.headers.sequence(), Some(1));
    let command = ErpCommand::decode(&place.value).unwrap();
    assert!(matches!(command.operation, Operation::PlaceOrder { confirm: true, .. }));
}

#[tokio::test]
async fn what_a_newer_mapper_says_of_an_order_reaches_the_target_also_when_it_was_remembered_meanwhile() {
    let group = Group::new().await;
    let mut record = order_record(1, order("7", Paid));
    // One more part of the order: field 1999, a text.
    record.value = [&record.value[..], b"\x12\x0f\xfa\x7c\x0cgift wrapped"].concat().into();
    let says_so = |it: &pipeline::OutRecord| it.value.windows(12).any(|it| it == b"gift wrapped");
    let Next::Act(placed) = group.arrives(&record).await else { panic!("an order is placed") };
    assert!(placed.iter().all(says_so));
    group.produced(&record, &placed).await;
    let Next::Act(booked) = Group::over(group.store.clone(), RULES).arrives(&refund_record(1, refund("r1", "7"))).await else {
        panic!("a refund is booked")
    };
    assert!(booked.iter().all(says_so), "with its order");
}

#[tokio::test]
async fn an_orders_life_is_remembered_from_one_record_to_the_next() {
    let group = Group::new().await;
    assert_eq!(group.settle(&order_record(1, order("7", Pending))).await, "place_order");
    assert_eq!(group.settle(&order_record(2, tagged(order("7", Pending), "vip"))).await, "done");
    assert_eq!(group.settle(&order_record(3, bound_for(order("7", Paid), "FR"))).await, "revise_order, confirm_order");
    assert_eq!(group.settle(&refund_record(1, refund("r1", "7"))).await, "book_refund");
    assert_eq!(group.settle(&order_record(2, order("7", Pending))).await, "done", "it comes again");
    let cancelled = Order { cancelled_at: chrono::DateTime::from_timestamp(1, 0), ..order("7", FinancialState::Refunded) };
    assert_eq!(group.settle(&order_record(4, cancelled)).await, "cancel_order");
    let row =
        "select concat_ws(' ', aggregate, sequence, display_number, customer_id, skus, stage, target, rule, place_state, confirm_state,
                   revise_state, revise_sequence, cancel_state) from router.life";
    assert_eq!(group.text(row).await, "shop/order/7 4 #7 9 {MUG} cancelled erp-main germany sent sent sent 3 sent");
    assert_eq!(
        group.text("select concat_ws(' ', aggregate, refund_id, sequence, state) from router.refund").await,
        "shop/order/7 r1 1 sent"
    );
    assert_eq!(
        group.states().await,
        [
            "tradewind.orders.v1 applied",
            "tradewind.orders.v1 applied",
            "tradewind.orders.v1 applied",
            "tradewind.orders.v1 applied nothing_to_do",
            "tradewind.refunds.v1 applied",
        ]
    );
}

#[tokio::test]
async fn what_waits_is_in_flight_until_the_order_is_placed() {
    let group = Group::new().await;
    assert_eq!(group.settle(&refund_record(1, refund("r2", "7"))).await, "done");
    assert_eq!(group.settle(&refund_record(1, refund("r1", "7"))).await, "done");
    assert_eq!(group.settle(&order_record(1, tagged(order("7", Paid), "check"))).await, "done");
    assert_eq!(
        group.states().await,
        [
            "tradewind.orders.v1 in_flight fraud_check",
            "tradewind.refunds.v1 in_flight dependency_missing",
            "tradewind.refunds.v1 in_flight dependency_missing",
        ]
    );

    let released = order_record(2, order("7", Paid));
    let Next::Act(outputs) = group.arrives(&released).await else { panic!("it is placed") };
    let subjects: Vec<_> = outputs.iter().map(|it| it.headers.text(headers::CE_SUBJECT).unwrap()).collect();
    assert_eq!(subjects, ["shop/order/7", "shop/refund/r2", "shop/refund/r1"], "as they came");
    let refund_event = refund_record(1, refund("r2", "7")).headers.event_id().unwrap();
    assert_eq!(outputs[1].headers.event_id(), Some(ids::derived(refund_event, groups::ROUTER, 0)));
    group.produced(&released, &outputs).await;
    assert_eq!(
        group.states().await,
        ["tradewind.orders.v1 applied", "tradewind.orders.v1 superseded", "tradewind.refunds.v1 applied", "tradewind.refunds.v1 applied"]
    );
    assert_eq!(group.count("select count(*) from router.output").await, 3);
}

#[tokio::test]
async fn refunds_of_an_order_that_was_cancelled_in_time_are_discarded() {
    let group = Group::new().await;
    group.settle(&refund_record(1, refund("r1", "7"))).await;
    let cancelled = Order { cancelled_at: chrono::DateTime::from_timestamp(1, 0), ..order("7", Pending) };
    assert_eq!(group.settle(&order_record(1, cancelled)).await, "done");
    assert_eq!(group.settle(&refund_record(1, refund("r2", "7"))).await, "done");
    assert_eq!(
        group.states().await,
        [
            "tradewind.orders.v1 applied cancelled_before_placed",
            "tradewind.refunds.v1 discarded cancelled_before_placed",
            "tradewind.refunds.v1 discarded cancelled_before_placed",
        ]
    );
    assert_eq!(group.count("select count(*) from router.refund where state = 'dropped'").await, 2);
}

#[tokio::test]
async fn what_the_confirmed_order_lacks_is_remembered_until_its_record_comes() {
    let group = Group::new().await;
    let two = |financial_state| {
        let mut two = order("7", financial_state);
        (two.lines[0].quantity, two.lines[0].current_quantity) = (Decimal::TWO, Decimal::TWO);
        two
    };
    let mut edited = two(Paid);
    edited.lines[0].current_quantity = Decimal::ONE;
    assert_eq!(group.settle(&order_record(1, two(Pending))).await, "place_order");
    assert_eq!(group.settle(&order_record(2, edited)).await, "revise_order, confirm_order");
    assert_eq!(group.settle(&refund_record(1, refund("r1", "7"))).await, "done");
    assert_eq!(group.settle(&refund_record(1, refund("r2", "7"))).await, "book_refund", "no other piece is missing");
    assert_eq!(
        group.states().await,
        [
            "tradewind.orders.v1 applied",
            "tradewind.orders.v1 applied",
            "tradewind.refunds.v1 applied",
            "tradewind.refunds.v1 applied taken_out_before",
        ]
    );
}

/// Rules are read at the start: between a crash and the redelivery they may have changed.
#[tokio::test]
async fn a_redelivery_after_a_change_of_rules_produces_the_stored_commands() {
    let group = Group::new().await;
    let record = order_record(1, order("7", Paid));
    let Next::Act(first) = group.arrives(&record).await else { panic!("it is placed") };
    let holding = Group::over(group.store.clone(), &RULES.replace("\"check\" in order.tags", "true"));
    let Next::Act(again) = holding.arrives(&record).await else { panic!("its command may not be out") };
    assert_eq!((&first[0].value, &first[0].headers), (&again[0].value, &again[0].headers));
    assert_eq!(holding.settle(&order_record(2, order("8", Paid))).await, "done", "a new order waits");
}

#[tokio::test]
async fn an_order_without_a_route_waits_as_a_letter_and_its_followers_behind_it() {
    let group = Group::new().await;
    assert_eq!(group.settle(&order_record(1, bound_for(order("7", Pending), "CH"))).await, "letter no_route");
    assert_eq!(group.settle(&order_record(2, bound_for(order("7", Paid), "CH"))).await, "done");
    assert_eq!(group.settle(&refund_record(1, refund("r1", "7"))).await, "done");
    assert_eq!(group.settle(&order_record(1, order("8", Paid))).await, "place_order", "others pass");
    assert_eq!(group.count("select count(*) from letters.letter where state = 'held'").await, 2);
    assert_eq!(group.count("select count(*) from router.life where aggregate = 'shop/order/7'").await, 0);

    let repaired = Group::over(group.store.clone(), &RULES.replace("order.country == \"DE\"", "true"));
    let head = ids::letter(groups::ROUTER, order_record(1, order("7", Pending)).headers.event_id().unwrap());
    letters::replay(&group.store, head, "ada", "a route was added", None, Arc::new(|_| None)).await.unwrap();
    assert_eq!(repaired.drain().await, ["place_order", "confirm_order", "book_refund"]);
    assert_eq!(group.count("select count(*) from letters.parked").await, 0);
}

#[tokio::test]
async fn an_outcome_is_remembered_with_the_order() {
    let group = Group::new().await;
    group.settle(&order_record(1, order("7", Paid))).await;
    assert_eq!(group.settle(&outcome_record(1, "7", "place_order", OutcomeState::Applied)).await, "done");
    assert_eq!(group.settle(&outcome_record(2, "8", "place_order", OutcomeState::Applied)).await, "done");
    let row = "select concat_ws(' ', sequence, place_state, confirm_state, erp_id, erp_number, erp_confirmed) from router.life";
    assert_eq!(group.text(row).await, "1 applied applied 31 S-31 t");
    assert_eq!(
        group.states().await,
        ["tradewind.orders.v1 applied", "tradewind.outcomes.v1 applied", "tradewind.outcomes.v1 applied not_ours"]
    );
    assert_eq!(group.settle(&order_record(2, tagged(order("7", Paid), "vip"))).await, "done", "the order itself is still there");
}

#[tokio::test]
async fn a_customer_is_sent_once_per_version() {
    let group = Group::new().await;
    assert_eq!(group.settle(&customer_record(2, "9")).await, "sync_customer");
    assert_eq!(group.settle(&customer_record(1, "9")).await, "done");
    assert_eq!(group.settle(&customer_record(3, "9")).await, "sync_customer");
    assert_eq!(group.count("select sequence from router.customer").await, 3);
}

#[tokio::test]
async fn what_is_not_for_the_router_is_a_letter() {
    let group = Group::new().await;
    let level = StockLevel {
        sku: Sku::new("MUG").unwrap(),
        location: "WH".to_owned(),
        on_hand: Decimal::ONE,
        reserved: Decimal::ZERO,
        observed_at: chrono::DateTime::from_timestamp(1, 0).unwrap(),
        open_sales: Vec::new(),
    };
    assert_eq!(group.settle(&change_record(1, Entity::Stock(Box::new(level)))).await, "letter wire_unknown_value");
    let mut misplaced = order_record(1, order("7", Paid));
    misplaced.key = "shop/order/8".into();
    assert_eq!(group.settle(&misplaced).await, "letter key_mismatch");
    let mut broken = order_record(1, order("9", Paid));
    broken.value = b"\xff".as_slice().into();
    assert_eq!(group.settle(&broken).await, "letter wire_decode");
    let mut nameless = order_record(1, order("10", Paid));
    nameless.headers = headers::Headers::default();
    assert_eq!(group.settle(&nameless).await, "letter wire_missing_field");
}

/// A failed record leaves nothing behind, and nobody else behind.
#[tokio::test]
async fn a_batch_is_decided_in_one_transaction_each_record_for_itself() {
    let group = Group::new().await;
    group.settle(&order_record(1, order("o3", Pending))).await;
    let mut batch: Vec<_> = (0..200).map(|n| order_record(2, order(&format!("o{n}"), Paid))).collect();
    batch.push(order_record(1, bound_for(order("lost", Paid), "CH")));
    batch.push(refund_record(1, refund("r", "early")));
    batch.push(customer_record(1, "9"));
    batch.push(outcome_record(1, "nobody", "place_order", OutcomeState::Applied));
    let nexts = group.commit(batch.into_iter().map(|it| (it, Turn::Arrived)).collect()).await;
    let names: Vec<_> = nexts
        .iter()
        .map(|next| match next {
            Next::Act(outputs) => ErpCommand::decode(&outputs[0].value).unwrap().operation.name(),
            Next::Done | Next::Lettered => "done",
            Next::Fail(fault) => fault.code,
            Next::Later(_) => "later",
        })
        .collect();
    assert_eq!(names.iter().filter(|it| **it == "place_order").count(), 199);
    assert_eq!(names[3], "confirm_order");
    assert_eq!(names[200..], ["no_route", "done", "sync_customer", "done"]);
    assert_eq!(group.count("select count(*) from router.life").await, 200);
    assert_eq!(group.count("select count(*) from router.decision").await, 204);
}
