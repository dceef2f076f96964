use std::sync::Arc;
use std::time::Duration;

use domain::StockLevel;
use fault::Class;
use inventory_sync::config::StockSettings;
use inventory_sync::shell::pusher::PushError;
use testkit::eventually_eq;
use tokio_util::sync::CancellationToken;

use super::fake_shop::{FakeShop, Script};
use super::group::{Group, stock_settings};
use super::world::*;

const SOON: Duration = Duration::from_secs(30);

/// Rounds until nothing is due.
async fn push_all(group: &Group, shop: &Arc<FakeShop>) {
    let pusher = group.pusher(shop);
    while pusher.round().await.unwrap() {}
}

/// Ten mugs in the ERP, and the shop shows them.
async fn shown() -> (Group, Arc<FakeShop>) {
    shown_with(stock_settings()).await
}

async fn shown_with(settings: StockSettings) -> (Group, Arc<FakeShop>) {
    let (group, shop) = (Group::with(settings).await, FakeShop::showing(3));
    group.settle(&observed(1, 10, 0, &[])).await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), group.dirty().await), (10, 0));
    (group, shop)
}

#[tokio::test]
async fn a_first_push_looks_before_it_sets_and_the_next_need_not() {
    let (group, shop) = shown().await;
    assert_eq!(shop.pushed(), [[(3, 10)]]);
    assert_eq!(shop.state().pushes[0][0].idempotency_key, "7/1/1");
    assert_eq!(group.text("select item from stock.item").await, "7");
    group.settle(&observed(2, 12, 0, &[])).await;
    push_all(&group, &shop).await;
    assert_eq!(shop.pushed()[1..], [[(10, 12)]]);
    let state = shop.state();
    assert_eq!((state.looks, state.lookups), (1, 1));
}

#[tokio::test]
async fn a_burst_is_one_push_of_the_latest() {
    let (group, shop) = shown().await;
    for sequence in 2..40 {
        group.settle(&observed(sequence, i64::try_from(sequence).unwrap(), 0, &[])).await;
    }
    push_all(&group, &shop).await;
    assert_eq!(shop.pushed()[1..], [[(10, 39)]]);
}

#[tokio::test]
async fn an_order_that_the_shop_has_taken_off_already_is_not_taken_off_twice() {
    let (group, shop) = shown().await;
    shop.sell(3);
    group.settle(&ordered("1", 1, 3)).await;
    push_all(&group, &shop).await;
    assert_eq!(shop.mugs(), 7);
    assert_eq!(shop.pushed()[1..], [[(7, 7)]], "the shop lowered it itself, and was believed to");
    shop.sell(-3);
    group.settle(&cancelled("1", 2)).await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), shop.state().looks), (10, 1));
}

#[tokio::test]
async fn an_order_and_a_delivery_that_cancel_out_are_pushed_all_the_same() {
    let (group, shop) = shown().await;
    shop.sell(2);
    let batch = [observed(2, 12, 0, &[]), ordered("1", 1, 2)].map(|it| (it, pipeline::Turn::Arrived));
    group.commit(batch.into()).await;
    assert_eq!(group.available().await, 10);
    push_all(&group, &shop).await;
    assert_eq!(shop.mugs(), 10);
}

#[tokio::test]
async fn a_level_that_an_unknown_order_has_lowered_waits_for_that_order() {
    let (group, shop) = shown().await;
    shop.sell(3);
    group.settle(&observed(2, 20, 0, &[])).await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), group.dirty().await), (17, 1), "twenty would sell three twice");
    group.settle(&ordered("1", 1, 3)).await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), group.dirty().await), (17, 0));
}

/// Three pieces are gone, twenty are there by now, and seventeen are sold meanwhile.
async fn doubted() -> (Group, Arc<FakeShop>) {
    let (group, shop) = shown_with(StockSettings { drift_wait: Duration::from_millis(300), ..stock_settings() }).await;
    shop.sell(3);
    group.settle(&observed(2, 20, 0, &[])).await;
    push_all(&group, &shop).await;
    assert_eq!(shop.mugs(), 17);
    (group, shop)
}

#[tokio::test]
async fn a_level_that_nothing_explains_is_replaced_after_the_wait() {
    let (group, shop) = doubted().await;
    assert_eq!(group.count("select count(*) from stock.desired where drift_taken = 3 and due_at > now()").await, 1);
    eventually_eq(SOON, 20, async || {
        push_all(&group, &shop).await;
        shop.mugs()
    })
    .await;
    assert_eq!(group.count("select count(*) from stock.desired where drift_since is null").await, 1);
}

/// What was doubted before it was pushed over is no doubt about what comes after.
#[tokio::test]
async fn a_whole_level_that_is_sent_leaves_no_doubt_behind() {
    let (group, shop) = doubted().await;
    assert_eq!(group.count("select count(*) from stock.desired where drift_since is not null").await, 1);
    shop.next_push(Script::SetThenFail);
    eventually_eq(SOON, 20, async || {
        drop(group.pusher(&shop).round().await);
        shop.mugs()
    })
    .await;
    assert_eq!(group.count("select count(*) from stock.desired where drift_since is null and sent is not null").await, 1);
}

#[tokio::test]
async fn a_level_that_somebody_has_raised_is_replaced_at_once() {
    let (group, shop) = shown().await;
    shop.sell(-5);
    group.settle(&observed(2, 9, 0, &[])).await;
    push_all(&group, &shop).await;
    assert_eq!(shop.mugs(), 9, "no order makes a level rise");
}

/// An order says nothing of the location that the shop takes it from.
#[tokio::test]
async fn of_two_locations_only_one_was_lowered_by_an_order_and_both_are_set_right() {
    let mut settings = stock_settings();
    settings.location_map.get_mut("shop").unwrap().get_mut("erp-main").unwrap().insert("B".to_owned(), "2".to_owned());
    let (group, shop) = (Group::with(settings).await, FakeShop::showing(0));
    shop.state().levels.insert(("7".to_owned(), "2".to_owned()), 0);
    let second = domain::StockLevel { location: "B".to_owned(), ..level_of("MUG", 5, 0, 0, &[]) };
    group.settle(&observed(1, 10, 0, &[])).await;
    group.settle(&level_record(1, second)).await;
    push_all(&group, &shop).await;
    shop.sell(3);
    group.settle(&ordered("1", 1, 3)).await;
    push_all(&group, &shop).await;
    let there = shop.state().levels[&("7".to_owned(), "2".to_owned())];
    assert_eq!((shop.mugs(), there), (7, 2), "nobody knows yet where the three will come from");
    group.settle(&observed(2, 10, 3, &[("1", 3)])).await;
    push_all(&group, &shop).await;
    let there = shop.state().levels[&("7".to_owned(), "2".to_owned())];
    assert_eq!((shop.mugs(), there, group.dirty().await), (7, 5, 0));
}

#[tokio::test]
async fn a_level_that_the_shop_chokes_on_keeps_no_others_back() {
    let settings = StockSettings { drift_wait: Duration::from_millis(300), ..stock_settings() };
    let (group, shop) = (Group::with(settings).await, FakeShop::showing(0));
    group.stock(&shop, 20).await;
    shop.state().choking = Some("13".to_owned());
    push_all(&group, &shop).await;
    let level = |item: &str| shop.state().levels[&(item.to_owned(), "1".to_owned())];
    assert_eq!((level("12"), level("13"), level("119"), group.dirty().await), (10, 0, 10, 1));
    shop.state().choking = None;
    group.execute("update stock.desired set due_at = now()").await;
    eventually_eq(SOON, (10, 0), async || {
        push_all(&group, &shop).await;
        (level("13"), group.dirty().await)
    })
    .await;
}

#[tokio::test]
async fn a_busy_shop_is_obeyed_and_nothing_is_lost() {
    let (group, shop) = shown().await;
    let wait = Duration::from_secs(7);
    shop.next_push(Script::Fail(Class::RateLimited, Some(wait)));
    group.settle(&observed(2, 12, 0, &[])).await;
    let Err(PushError::Shop(fault)) = group.pusher(&shop).round().await else { panic!("it was told to wait") };
    assert_eq!(fault.retry_after, Some(wait));
    assert_eq!(group.dirty().await, 1);
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), shop.state().looks), (12, 1), "what was throttled was certainly not set: no need to look");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_pauses_and_the_latest_is_pushed_when_it_is_over() {
    let (group, shop) = shown().await;
    (0..3).for_each(|_| shop.next_push(Script::Fail(Class::Outage, None)));
    group.settle(&observed(2, 9, 0, &[])).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(group.pusher(&shop).run(stop.clone()));
    eventually_eq(SOON, true, async || shop.state().pushes.len() > 1).await;
    group.settle(&observed(3, 8, 0, &[])).await;
    eventually_eq(SOON, (8, 0), async || (shop.mugs(), group.dirty().await)).await;
    stop.cancel();
    running.await.unwrap();
}

/// The task dies between the shop's act and our note of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_after_the_push_is_found_out_and_nothing_is_pushed_twice() {
    let (group, shop) = shown().await;
    shop.next_push(Script::SetThenHang);
    group.settle(&observed(2, 12, 0, &[])).await;
    let stop = CancellationToken::new();
    let running = tokio::spawn(group.pusher(&shop).run(stop.clone()));
    eventually_eq(SOON, 12, async || shop.mugs()).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    assert_eq!(group.dirty().await, 1);
    shop.sell(2);
    group.settle(&ordered("1", 1, 2)).await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), group.dirty().await), (10, 0));
}

/// It dies before the shop has done anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_before_the_push_forgets_nothing() {
    let (group, shop) = shown().await;
    group.settle(&observed(2, 9, 0, &[])).await;
    // What a pusher notes before it sends.
    group.execute("update stock.desired set sent = 9, sent_taken = 0, sent_given = 0").await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), group.dirty().await), (9, 0));
}

#[tokio::test]
async fn an_answer_that_was_lost_is_found_in_the_shop() {
    let (group, shop) = shown().await;
    shop.next_push(Script::SetThenFail);
    group.settle(&observed(2, 12, 0, &[])).await;
    assert!(matches!(group.pusher(&shop).round().await, Err(PushError::Shop(_))));
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), group.dirty().await, shop.state().pushes.len()), (12, 0, 2));
}

#[tokio::test]
async fn what_became_dirty_while_it_was_pushed_stays_dirty() {
    let (group, shop) = shown().await;
    group.settle(&observed(2, 12, 0, &[])).await;
    shop.next_push(Script::SetThenFail);
    assert!(group.pusher(&shop).round().await.is_err());
    group.settle(&observed(3, 14, 0, &[])).await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), group.dirty().await), (14, 0));
}

#[tokio::test]
async fn a_sku_that_is_not_one_item_is_an_error_and_not_a_guess() {
    let settings = StockSettings { problem_retry: Duration::from_millis(1), ..stock_settings() };
    let (group, shop) = (Group::with(settings).await, FakeShop::showing(3));
    shop.stock("TWIN", "8", 1);
    shop.stock("TWIN", "9", 1);
    for (sku, record) in [("MUG", 1), ("TWIN", 1), ("GHOST", 1)] {
        group.settle(&level_record(record, level_of(sku, 10, 0, 0, &[]))).await;
    }
    group.pusher(&shop).round().await.unwrap();
    let problems = "select string_agg(concat(sku, ' ', problem), ', ' order by sku) from stock.desired where problem is not null";
    assert_eq!(group.text(problems).await, "GHOST unknown_sku, TWIN ambiguous_sku");
    assert_eq!((shop.mugs(), group.dirty().await), (10, 2), "others are not kept waiting");

    shop.stock("GHOST", "11", 0);
    shop.state().items.get_mut("TWIN").unwrap().pop();
    eventually_eq(SOON, 0, async || {
        push_all(&group, &shop).await;
        group.dirty().await
    })
    .await;
    assert_eq!(shop.state().levels[&("11".to_owned(), "1".to_owned())], 10, "once the catalogue is in order they follow");
}

#[tokio::test]
async fn a_sku_that_the_shop_fails_to_look_up_keeps_no_other_back() {
    let (group, shop) = shown().await;
    shop.state().unanswered = Some("GHOST".to_owned());
    group.settle(&level_record(1, level_of("GHOST", 10, 0, 0, &[]))).await;
    group.settle(&observed(2, 12, 0, &[])).await;
    let told = group.pusher(&shop).round().await.unwrap_err();
    assert!(matches!(told, PushError::Shop(fault) if fault.class == Class::Transient), "nothing else was to be looked up");
    assert_eq!((shop.mugs(), group.dirty().await), (12, 1));
    shop.stock("CAP", "8", 0);
    group.settle(&level_record(1, level_of("CAP", 4, 0, 0, &[]))).await;
    push_all(&group, &shop).await;
    assert_eq!((group.dirty().await, shop.state().lookups), (1, 3), "it waits for a while");
    shop.state().unanswered = None;
    shop.stock("GHOST", "9", 0);
    group.execute("update stock.desired set due_at = now()").await;
    push_all(&group, &shop).await;
    assert_eq!(group.dirty().await, 0);
}

#[tokio::test]
async fn a_location_that_can_not_be_read_keeps_no_other_back() {
    let mut settings = stock_settings();
    // It is read before location 1.
    let second = ("EAST".to_owned(), "0".to_owned());
    settings.location_map.get_mut("shop").unwrap().get_mut("erp-main").unwrap().insert(second.0, second.1);
    let (group, shop) = shown_with(settings).await;
    shop.state().levels.insert(("7".to_owned(), "0".to_owned()), 0);
    shop.state().silent = Some("0".to_owned());
    group.stock(&shop, 1).await;
    group.settle(&level_record(1, StockLevel { location: "EAST".to_owned(), ..level_of("MUG", 5, 0, 0, &[]) })).await;
    group.settle(&observed(2, 12, 0, &[])).await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), group.dirty().await), (12, 1), "what needs no look, and what could be read, is pushed");
    assert_eq!(group.count("select count(*) from stock.desired where due_at > now()").await, 1, "it takes no place of another");
    shop.state().silent = None;
    group.execute("update stock.desired set due_at = now()").await;
    push_all(&group, &shop).await;
    assert_eq!(group.dirty().await, 0);
    assert_eq!(shop.state().levels[&("7".to_owned(), "0".to_owned())], 5);

    shop.state().silent = Some("0".to_owned());
    shop.sell(1);
    assert_eq!(group.pusher(&shop).compare().await.unwrap().differences, 1, "the other one is compared all the same");
}

#[tokio::test]
async fn a_sku_whose_item_is_another_ones_now_pushes_to_it_no_more() {
    let (group, shop) = shown().await;
    shop.state().items.clear();
    shop.state().items.insert("CUP".to_owned(), vec!["7".to_owned()]);
    group.settle(&level_record(1, level_of("CUP", 4, 0, 0, &[]))).await;
    push_all(&group, &shop).await;
    assert_eq!(shop.mugs(), 4);
    for _ in 0..2 {
        group.pusher(&shop).compare().await.unwrap();
        push_all(&group, &shop).await;
        assert_eq!(shop.mugs(), 4, "what it was called before has no say");
    }
    assert_eq!(group.text("select problem from stock.desired where sku = 'MUG'").await, "unknown_sku");
}

#[tokio::test]
async fn what_is_not_stocked_is_an_error_until_it_is_stocked() {
    let settings = StockSettings { problem_retry: Duration::from_millis(1), ..stock_settings() };
    let (group, shop) = (Group::with(settings).await, FakeShop::showing(3));
    shop.state().levels.clear();
    group.settle(&observed(1, 10, 0, &[])).await;
    group.pusher(&shop).round().await.unwrap();
    assert_eq!(group.text("select problem from stock.desired").await, "not_stocked");
    shop.state().levels.insert(("7".to_owned(), "1".to_owned()), 0);
    eventually_eq(SOON, 10, async || {
        push_all(&group, &shop).await;
        shop.mugs()
    })
    .await;
    assert_eq!(group.count("select count(*) from stock.desired where problem is null").await, 1);
}

#[tokio::test]
async fn one_level_that_makes_the_shop_refuse_all_is_found_and_the_others_pass() {
    let (group, shop) = (Group::new().await, FakeShop::showing(3));
    group.stock(&shop, 20).await;
    shop.state().poison = Some("113".to_owned());
    push_all(&group, &shop).await;
    assert_eq!(group.dirty().await, 1);
    let problem = "select concat_ws(' ', sku, problem, problem_detail) from stock.desired where problem is not null";
    assert_eq!(group.text(problem).await, "S13 refused scripted_refusal: one of them");
}

#[tokio::test]
async fn a_sku_that_moved_to_another_item_is_pushed_there() {
    let (group, shop) = shown().await;
    shop.state().items.insert("MUG".to_owned(), vec!["70".to_owned()]);
    shop.state().levels.insert(("70".to_owned(), "1".to_owned()), 55);
    group.settle(&observed(2, 11, 0, &[])).await;
    group.execute("update stock.item set resolved_at = now() - interval '2 days'").await;
    push_all(&group, &shop).await;
    assert_eq!((shop.mugs(), shop.state().levels[&("70".to_owned(), "1".to_owned())]), (10, 11));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_processes_one_pushes() {
    let (group, shop) = shown().await;
    let stop = CancellationToken::new();
    let pushers = [tokio::spawn(group.pusher(&shop).run(stop.clone())), tokio::spawn(group.pusher(&shop).run(stop.clone()))];
    for sequence in 2..20 {
        group.settle(&observed(sequence, 10 + i64::try_from(sequence).unwrap(), 0, &[])).await;
    }
    eventually_eq(SOON, (29, 0), async || (shop.mugs(), group.dirty().await)).await;
    let keys: Vec<_> = shop.state().pushes.iter().flatten().map(|it| it.idempotency_key.clone()).collect();
    let mut once = keys.clone();
    once.dedup();
    assert_eq!(keys, once, "no push is made by both");
    stop.cancel();
    for pusher in pushers {
        pusher.await.unwrap();
    }
}
