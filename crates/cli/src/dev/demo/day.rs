//! The day itself, drawn from a seed.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::ProgressBar;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use sandbox::payloads::{OrderWish, PaymentWish, RefundWish};
use sandbox::shopify::{Delivery, RawDelivery, Release};

use super::MISSING_SKU;
use crate::args::Dev;
use crate::dev::Running;

/// Between two orders: what a debug build on two cores keeps up with, so that the times in the report are not those of a queue.
const PACE: Duration = Duration::from_millis(80);
/// Orders whose deliveries leave in the wrong order.
const SHUFFLED: u32 = 20;

pub(super) async fn play(running: &Running, args: &Dev, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut draw = StdRng::seed_from_u64(args.seed);
    let skus: Vec<String> = running.erp.stock().into_keys().collect();
    running.shop.add_article(MISSING_SKU, Some(50));
    let (orders, middle) = (args.orders, args.orders / 2);
    open(running, &skus, &mut draw, bar).await?;
    let mut away_until = None;
    for number in 0..orders {
        if away_until.take_if(|it| *it <= Instant::now()).is_some() {
            bar.set_message("");
        }
        if number == orders / 4 {
            bar.set_message("deliveries overtake each other");
            running.shop.hold();
        }
        if number == orders / 4 + SHUFFLED {
            running.shop.release(Release::Shuffled { seed: args.seed });
            bar.set_message("");
        }
        if number == middle && args.outage > 0 {
            bar.set_message("the ERP is away");
            let outage = Duration::from_secs(args.outage);
            running.erp.refuse(Some(outage)).await;
            away_until = Some(Instant::now() + outage);
        }
        if number == middle + 1 {
            running.shop.place_order(&at_home(OrderWish::of(MISSING_SKU, 1).paid_by(PaymentWish::Paid)))?;
            running.shop.send_raw(RawDelivery::new("orders/create", &b"{\"hello\": \"this is no order\"}"[..]));
        }
        one_order(running, &skus, &mut draw)?;
        if number % 50 == 25 {
            count_stock(running, &skus[draw.random_range(0..skus.len())], &mut draw)?;
        }
        bar.inc(1);
        tokio::time::sleep(PACE).await;
    }
    Ok(())
}

/// The sandbox ERP knows the taxes of one country.
fn at_home(wish: OrderWish) -> OrderWish {
    OrderWish { country: Some("DE".to_owned()), ..wish }
}

/// One order and what its buyer does next.
fn one_order(running: &Running, skus: &[String], draw: &mut StdRng) -> anyhow::Result<()> {
    let shop = &running.shop;
    let next = draw.random_range(0..100);
    let mut wish = at_home(wish(skus, draw));
    if REFUNDED.contains(&next) {
        // What was never paid, or cost nothing, is no matter for a refund.
        (wish.payment, wish.discounts) = (Some(PaymentWish::Paid), Some(Vec::new()));
    }
    let placed = shop.place_order(&wish)?;
    again_sometimes(running, &placed.deliveries, draw);
    match next {
        0..8 => drop(shop.cancel(placed.id, "customer", true)?),
        it if REFUNDED.contains(&it) => {
            let line = shop.order(placed.id).and_then(|it| it.lines.first().map(|line| line.id)).context("an order has lines")?;
            let refund = shop.refund(placed.id, &RefundWish::line(line, 1))?;
            again_sometimes(running, &refund.deliveries, draw);
        }
        14..24 => {
            // Several within one second.
            shop.annotate(placed.id, "please wrap it")?;
            shop.annotate(placed.id, "please wrap it twice")?;
        }
        24..34 => {
            // Most are paid already.
            if let Ok(paid) = shop.pay(placed.id) {
                again_sometimes(running, &paid.deliveries, draw);
            }
        }
        _ => {}
    }
    Ok(())
}

/// Of a hundred orders.
const REFUNDED: std::ops::Range<u32> = 8..14;

/// One to three different articles that the ERP has.
fn wish(skus: &[String], draw: &mut StdRng) -> OrderWish {
    let mut wish = OrderWish::default();
    let first = draw.random_range(0..skus.len());
    for step in 0..draw.random_range(1..=3) {
        wish = wish.with(&skus[(first + step) % skus.len()], draw.random_range(1..=3));
    }
    wish
}

/// A tenth of all deliveries come twice.
fn again_sometimes(running: &Running, deliveries: &[Delivery], draw: &mut StdRng) {
    if draw.random_bool(0.1) {
        running.shop.send_again(deliveries);
    }
}

/// The shop takes over what lies in the ERP's warehouse, then the first buyer comes.
async fn open(running: &Running, skus: &[String], draw: &mut StdRng, bar: &ProgressBar) -> anyhow::Result<()> {
    bar.set_message("the shop takes over the ERP's stock");
    for sku in skus {
        count_stock(running, sku, draw)?;
    }
    super::settle::stock_agrees(running, super::SETTLE).await?;
    bar.set_message("");
    Ok(())
}

/// Somebody counts a shelf in the ERP.
fn count_stock(running: &Running, sku: &str, draw: &mut StdRng) -> anyhow::Result<()> {
    running.erp.set_stock(sku, draw.random_range(900..1_500))?;
    Ok(())
}
