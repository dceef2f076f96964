//! Services that die at any moment, and others that join and leave.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use sandbox::payloads::PaymentWish;
use sandbox::shopify::WebhookSettings;

use e2e::{Installation, Program, Setup, assert_in_order, assert_once, order, stock_agrees};

/// An order, and sometimes what follows soon after; sometimes told twice.
fn happen(it: &Installation, draw: &mut StdRng) {
    let pays_later = draw.random_bool(0.3);
    let wish = if pays_later { order().paid_by(PaymentWish::Pending) } else { order() };
    let mut happened = vec![it.shop.place_order(&wish).unwrap()];
    let id = happened[0].id;
    if pays_later && draw.random_bool(0.8) {
        happened.push(it.shop.pay(id).unwrap());
    }
    if draw.random_bool(0.1) {
        happened.push(it.shop.cancel(id, "customer", true).unwrap());
    }
    if draw.random_bool(0.2) {
        happened.iter().for_each(|it_was| it.shop.send_again(&it_was.deliveries));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_are_killed_and_joined_lose_nothing_and_do_nothing_twice() {
    let seed = std::env::var("SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(11);
    eprintln!("SEED={seed}");
    let mut draw = StdRng::seed_from_u64(seed);
    let mut setup = Setup { lease: Duration::from_secs(16), ..Setup::default() };
    // The shop's retries outlast a door that starts again.
    setup.webhooks = WebhookSettings { time_scale: 700.0, ..setup.webhooks };
    let Some(mut it) = Installation::start(setup).await else { return };

    let mut victims = [Program::ALL, Program::ALL].concat();
    victims.shuffle(&mut draw);
    for victim in victims {
        for _ in 0..draw.random_range(3..8) {
            happen(&it, &mut draw);
            // The load's pace.
            tokio::time::sleep(Duration::from_millis(draw.random_range(0..120))).await;
        }
        it.process(victim).kill_and_restart();
    }
    let (router, adapter) = (it.another(Program::Router).await, it.another(Program::Adapter).await);
    (0..15).for_each(|_| happen(&it, &mut draw));
    router.leave().await;
    (0..15).for_each(|_| happen(&it, &mut draw));
    adapter.leave().await;

    let account = it.settled().await;
    assert!(account.balances(), "{account:?}");
    assert_eq!(it.shop.counts().given_up, 0);
    assert_eq!((account.count("dead"), account.count("held"), account.count("missing")), (0, 0, 0), "{:?}", it.letters().await);
    assert_once(&it);
    stock_agrees(&it).await;
    assert_in_order(&it);
}
