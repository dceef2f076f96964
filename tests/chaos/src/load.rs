//! What happens in the shop and in the ERP while everything breaks: drawn from the seed, at the load's own pace.

use std::time::Duration;

use e2e::{Installation, key, order};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use sandbox::payloads::{DiscountWish, EditWish, OrderWish, PaymentWish, RefundWish};
use sandbox::shopify::{Happened, RawDelivery};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::world::STOCK;

/// The shop sells it, and the ERP does not know it until all is over.
pub(crate) const UNKNOWN_SKU: &str = "CAP-NEW";

/// What was done, beyond what the doubles' logs tell.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) orders: u64,
    pub(crate) refunds: u64,
    pub(crate) repeats: u64,
    /// Signed bodies that are no orders.
    pub(crate) poison: u64,
    /// Webhook ids of deliveries signed with a secret that is not the shop's.
    pub(crate) forgeries: Vec<String>,
    /// Aggregates of orders that cannot be sold before the repair.
    pub(crate) unbookable: Vec<String>,
}

pub(crate) struct Load {
    draw: StdRng,
    /// Neither paid nor cancelled yet.
    open: Vec<u64>,
    /// Nothing of it came back yet.
    paid: Vec<u64>,
    /// SKUs that the ERP has.
    known: Vec<String>,
    done: Done,
}

impl Load {
    pub(crate) fn new(seed: u64, it: &Installation) -> Self {
        let known = it.erp.settings().items.iter().map(|it| it.sku.clone()).collect();
        Self { draw: StdRng::seed_from_u64(seed), open: Vec::new(), paid: Vec::new(), known, done: Done::default() }
    }

    /// So many times a second, until it is told to stop.
    pub(crate) async fn run(mut self, it: &Installation, per_second: f64, stop: CancellationToken) -> Done {
        it.shop.add_article(UNKNOWN_SKU, Some(STOCK));
        let mut pace = interval(Duration::from_secs_f64(1.0 / per_second));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(pace.tick()).await.is_some() {
            self.happen(it);
        }
        self.done
    }

    fn happen(&mut self, it: &Installation) {
        let happened = match self.draw.random_range(0..100) {
            0..45 => self.place(it),
            45..56 => self.pay_an_open_order(it),
            56..58 => self.refund_a_paid_order(it),
            58..60 => self.cancel_a_paid_order(it),
            60..64 => self.with_an_open_order(|id| it.shop.annotate(id, "please wrap it")),
            64..70 => self.with_an_open_order(|id| it.shop.edit(id, &one_more("POSTER"))),
            70..74 => self.cancel_an_open_order(it),
            74..80 => Some(it.shop.create_customer()),
            80..92 => return self.count_stock(it),
            92..95 => return self.send_poison(it),
            95..97 => return self.send_forgery(it),
            _ if self.done.unbookable.len().is_multiple_of(2) => return self.place_unbookable(it),
            _ => return self.edit_unbookably(it),
        };
        if let Some(happened) = happened.filter(|_| self.draw.random_bool(0.1)) {
            it.shop.send_again(&happened.deliveries);
            self.done.repeats += happened.deliveries.len() as u64;
        }
    }

    fn place(&mut self, it: &Installation) -> Option<Happened> {
        let pays_later = self.draw.random_bool(0.4);
        // One that costs nothing counts as paid at once.
        let mut wish = if pays_later { order().discounted_by([]).paid_by(PaymentWish::Pending) } else { order() };
        for _ in 0..self.draw.random_range(1..4) {
            wish = wish.with(self.known.choose(&mut self.draw)?, self.draw.random_range(1..3));
        }
        let placed = it.shop.place_order(&wish).ok()?;
        self.done.orders += 1;
        if pays_later {
            self.open.push(placed.id);
        }
        Some(placed)
    }

    /// From then on its lines stay as they are: an ERP refuses to change what it has sold.
    fn pay_an_open_order(&mut self, it: &Installation) -> Option<Happened> {
        let id = take_one(&mut self.draw, &mut self.open)?;
        self.paid.push(id);
        it.shop.pay(id).ok()
    }

    /// One piece, which goes back to where it lay.
    fn refund_a_paid_order(&mut self, it: &Installation) -> Option<Happened> {
        let id = take_one(&mut self.draw, &mut self.paid)?;
        let line = it.shop.order(id)?.lines.first()?.id;
        let refunded = it.shop.refund(id, &RefundWish::line(line, 1)).ok()?;
        self.done.refunds += 1;
        Some(refunded)
    }

    /// All of it goes back, the money as well.
    fn cancel_a_paid_order(&mut self, it: &Installation) -> Option<Happened> {
        let id = take_one(&mut self.draw, &mut self.paid)?;
        it.shop.cancel(id, "customer", self.draw.random_bool(0.5)).ok()
    }

    fn cancel_an_open_order(&mut self, it: &Installation) -> Option<Happened> {
        let id = take_one(&mut self.draw, &mut self.open)?;
        it.shop.cancel(id, "customer", self.draw.random_bool(0.5)).ok()
    }

    /// What the shop refuses has not happened.
    fn with_an_open_order<E>(&mut self, act: impl FnOnce(u64) -> Result<Happened, E>) -> Option<Happened> {
        let id = *self.open.choose(&mut self.draw)?;
        act(id).ok()
    }

    /// Somebody counts what lies in the ERP's store.
    fn count_stock(&mut self, it: &Installation) {
        if let Some(sku) = self.known.choose(&mut self.draw) {
            let on_hand = self.draw.random_range(STOCK / 2..STOCK);
            it.erp.set_stock(sku, on_hand).unwrap_or_else(|error| panic!("the sandbox ERP knows {sku}: {error}"));
        }
    }

    fn send_poison(&mut self, it: &Installation) {
        let bodies: [&[u8]; 4] = [b"{\"hello\": \"this is no order\"}", b"not even JSON", b"{\"id\": 1e999}", b"\xff\xfe"];
        let body = *bodies.choose(&mut self.draw).expect("there are four");
        self.done.poison += it.shop.send_raw(RawDelivery::new("orders/create", body)).len() as u64;
    }

    fn send_forgery(&mut self, it: &Installation) {
        let forged = RawDelivery::new("orders/create", &b"{}"[..]).signed_with("somebody-else's-secret");
        self.done.forgeries.extend(it.shop.send_raw(forged).into_iter().map(|it| it.webhook_id));
    }

    fn place_unbookable(&mut self, it: &Installation) {
        let wish = one_of(UNKNOWN_SKU, PaymentWish::Paid);
        if let Ok(placed) = it.shop.place_order(&wish) {
            self.done.orders += 1;
            self.done.unbookable.push(key(placed.id));
            // What follows it has to wait behind it.
            if self.draw.random_bool(0.5) {
                it.shop.cancel(placed.id, "customer", true).ok();
            }
        }
    }

    /// The ERP may have its quotation, and can't follow the edit. Were the payment not to wait behind that, it would sell less than
    /// was paid for.
    fn edit_unbookably(&mut self, it: &Installation) {
        let Some(sku) = self.known.choose(&mut self.draw) else { return };
        let wish = one_of(sku, PaymentWish::Pending);
        let Ok(placed) = it.shop.place_order(&wish) else { return };
        self.done.orders += 1;
        self.done.unbookable.push(key(placed.id));
        it.shop.edit(placed.id, &one_more(UNKNOWN_SKU)).ok();
        it.shop.pay(placed.id).ok();
    }
}

/// One of these orders, which is none of them from then on.
fn take_one(draw: &mut StdRng, orders: &mut Vec<u64>) -> Option<u64> {
    let chosen = draw.random_range(0..orders.len().max(1));
    (chosen < orders.len()).then(|| orders.swap_remove(chosen))
}

/// One that costs nothing would count as paid at once: no discounts.
pub(crate) fn one_of(sku: &str, payment: PaymentWish) -> OrderWish {
    order().with(sku, 1).discounted_by(Vec::<DiscountWish>::new()).paid_by(payment)
}

pub(crate) fn one_more(sku: &str) -> EditWish {
    EditWish { add: vec![(sku.to_owned(), 1)], remove: Vec::new() }
}
