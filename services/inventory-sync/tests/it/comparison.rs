use std::time::Duration;

use inventory_sync::config::StockSettings;
use inventory_sync::shell::pusher::Compared;
use testkit::eventually_eq;
use tokio_util::sync::CancellationToken;

use super::fake_shop::FakeShop;
use super::group::{Group, stock_settings};
use super::world::*;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn everything_is_compared_in_pages_and_what_differs_is_pushed_again() {
    let (group, shop) = (Group::new().await, FakeShop::showing(0));
    group.stock(&shop, 600).await;
    let pusher = group.pusher(&shop);
    while pusher.round().await.unwrap() {}
    assert_eq!(group.dirty().await, 0);
    assert_eq!(pusher.compare().await.unwrap(), Compared { levels: 600, differences: 0 });

    // Twice the same: what the shop remembers of the first repair must not pass for the second.
    for _ in 0..2 {
        for n in [3, 300, 599] {
            shop.state().levels.insert((format!("1{n}"), "1".to_owned()), 99);
        }
        assert_eq!(pusher.compare().await.unwrap(), Compared { levels: 600, differences: 3 });
        while pusher.round().await.unwrap() {}
        assert!(shop.state().levels.iter().all(|((item, _), level)| item == "7" || *level == 10));
    }
}

#[tokio::test]
async fn a_page_that_the_shop_refuses_keeps_none_behind_it_from_being_compared() {
    let (group, shop) = (Group::new().await, FakeShop::showing(0));
    group.stock(&shop, 300).await;
    let pusher = group.pusher(&shop);
    while pusher.round().await.unwrap() {}
    shop.state().unreadable = Some("13".to_owned());
    // By name it is the last one.
    shop.state().levels.insert(("199".to_owned(), "1".to_owned()), 99);
    assert_eq!(pusher.compare().await.unwrap(), Compared { levels: 300, differences: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shop_is_compared_by_itself_and_an_order_that_we_have_not_heard_of_is_no_drift() {
    let settings = StockSettings { full_comparison_interval: Duration::from_millis(50), ..stock_settings() };
    let (group, shop) = (Group::with(settings).await, FakeShop::showing(0));
    let stop = CancellationToken::new();
    let running = tokio::spawn(group.pusher(&shop).run(stop.clone()));
    group.settle(&observed(1, 10, 0, &[])).await;
    eventually_eq(SOON, 10, async || shop.mugs()).await;
    shop.sell(2);
    let waits = "select count(*) from stock.desired where drift_since is not null";
    eventually_eq(SOON, 1, async || group.count(waits).await).await;
    assert_eq!(shop.mugs(), 8, "the buyer's two are not put back");
    group.settle(&ordered("1", 1, 2)).await;
    eventually_eq(SOON, (8, 0), async || (shop.mugs(), group.dirty().await)).await;
    shop.sell(-30);
    eventually_eq(SOON, 8, async || shop.mugs()).await;
    stop.cancel();
    running.await.unwrap();
}
