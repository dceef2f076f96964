//! Many orders at once, with repeats, in any order, changed while they are on their way.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sandbox::payloads::{EditWish, PaymentWish};
use sandbox::shopify::{Delivery, Release};

use e2e::{Installation, Program, Setup, assert_in_order, assert_once, order, stock_agrees};

const ORDERS: u32 = 200;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_hundred_orders_with_repeats_in_any_order_each_is_booked_once() {
    let Some(mut it) = Installation::start(Setup::default()).await else { return };
    let mut draw = StdRng::seed_from_u64(7);
    let mut sent: Vec<Delivery> = Vec::new();
    // Half of it in the order in which it happens, half shuffled across all orders.
    for number in 0..ORDERS {
        if number == ORDERS / 2 {
            it.shop.hold();
        }
        let pays_later = draw.random_bool(0.2);
        let wish = if pays_later { order().paid_by(PaymentWish::Pending) } else { order() };
        let placed = it.shop.place_order(&wish).unwrap();
        sent.extend(placed.deliveries);
        if pays_later && draw.random_bool(0.5) {
            let edit = EditWish { add: vec![("POSTER".to_owned(), 1)], remove: Vec::new() };
            sent.extend(it.shop.edit(placed.id, &edit).unwrap().deliveries);
        }
        if pays_later && draw.random_bool(0.7) {
            sent.extend(it.shop.pay(placed.id).unwrap().deliveries);
        }
        if draw.random_bool(0.3) {
            sent.extend(it.shop.annotate(placed.id, "please wrap it").unwrap().deliveries);
        }
    }
    let again: Vec<Delivery> = sent.iter().filter(|_| draw.random_bool(0.15)).cloned().collect();
    it.shop.send_again(&again);
    it.shop.release(Release::Shuffled { seed: 7 });

    let account = it.settled().await;
    assert!(account.balances(), "{account:?}");
    assert_eq!((account.count("dead"), account.count("held"), account.count("missing")), (0, 0, 0), "{:?}", it.letters().await);
    // A delivery whose answer came too late was sent again as well; one that Kafka took without confirming it in time came from the
    // spool a second time.
    let repeats = usize::try_from(account.repeats).unwrap();
    let late = usize::try_from(it.shop.counts().failed_attempts).unwrap();
    let spooled = it.process(Program::Ingest).metric("tradewind_door_spooled_total").await;
    assert!((again.len()..=again.len() + late + spooled).contains(&repeats), "{repeats} of {}, {late} and {spooled}", again.len());
    assert_once(&it);
    stock_agrees(&it).await;
    assert_in_order(&it);
}
