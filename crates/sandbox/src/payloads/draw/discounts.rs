//! Discounts: stacked, spread over lines, and listed in another order than they were applied in.

use rand::Rng;
use rust_decimal::Decimal;

use crate::payloads::money::Pair;
use crate::payloads::order::{DiscountTarget, DiscountValue, ShopAllocation, ShopDiscount, ShopLine, ShopOrder};
use crate::payloads::wish::{DiscountWish, OrderWish};

use super::Generator;

impl Generator {
    pub(super) fn discount(&mut self, order: &mut ShopOrder, wish: &OrderWish) {
        let wishes = match &wish.discounts {
            Some(wishes) => wishes.clone(),
            None if self.chance(self.settings.discount_share) => self.draw_discounts(),
            None => Vec::new(),
        };
        let last = wishes.len().saturating_sub(1);
        for (applied, wish) in wishes.iter().enumerate() {
            apply(order, last - applied, &discount_of(wish));
        }
        // The first applied is listed last: whoever takes the index for the order goes wrong.
        order.discounts = wishes.iter().rev().map(discount_of).collect();
    }

    fn draw_discounts(&mut self) -> Vec<DiscountWish> {
        let code = format!("SAVE{}", self.rng.random_range(10..100));
        let percent = Decimal::from([10, 15, 20, 33][self.rng.random_range(0..4)]);
        match self.rng.random_range(0..20) {
            0..8 => vec![DiscountWish::Code { code, percent }],
            8..11 => vec![DiscountWish::FixedCode { code, amount: Decimal::from(5) }],
            11..14 => vec![DiscountWish::Automatic { percent }, DiscountWish::Code { code, percent: 5.into() }],
            14..16 => vec![DiscountWish::Manual { amount: Decimal::new(250, 2) }, DiscountWish::Code { code, percent }],
            16..19 => vec![DiscountWish::Code { code, percent }, DiscountWish::FreeShipping { code: "FREESHIP".to_owned() }],
            // Everything for nothing: a total of zero.
            _ => vec![
                DiscountWish::Code { code: "ALLFREE".to_owned(), percent: Decimal::ONE_HUNDRED },
                DiscountWish::FreeShipping { code: "FREESHIP".to_owned() },
            ],
        }
    }
}

fn discount_of(wish: &DiscountWish) -> ShopDiscount {
    let lines = |code: Option<&String>, title: &str, manual, value| ShopDiscount {
        code: code.cloned(),
        title: title.to_owned(),
        manual,
        value,
        target: DiscountTarget::Lines,
    };
    match wish {
        DiscountWish::Code { code, percent } => lines(Some(code), code, false, DiscountValue::Percentage(*percent)),
        DiscountWish::FixedCode { code, amount } => lines(Some(code), code, false, DiscountValue::Fixed(*amount)),
        DiscountWish::Automatic { percent } => lines(None, "Season's end", false, DiscountValue::Percentage(*percent)),
        DiscountWish::Manual { amount } => lines(None, "Sorry for the wait", true, DiscountValue::Fixed(*amount)),
        DiscountWish::FreeShipping { code } => ShopDiscount {
            target: DiscountTarget::Shipping,
            ..lines(Some(code), code, false, DiscountValue::Percentage(Decimal::ONE_HUNDRED))
        },
    }
}

/// Takes the discount off what earlier ones left.
fn apply(order: &mut ShopOrder, index: usize, discount: &ShopDiscount) {
    if discount.target == DiscountTarget::Shipping {
        for line in &mut order.shipping {
            let amount = line.discounted();
            if !amount.is_zero() {
                line.allocations.push(ShopAllocation { discount: index, amount });
            }
        }
        return;
    }
    let left: Vec<Pair> = order.lines.iter().map(ShopLine::discounted).collect();
    let all: Pair = left.iter().copied().sum();
    let amount = match discount.value {
        DiscountValue::Percentage(percent) => order.currencies.round(all.map(|it| it * percent / Decimal::ONE_HUNDRED)),
        DiscountValue::Fixed(amount) => {
            let wished = order.currencies.pair(amount);
            Pair { shop: wished.shop.min(all.shop), presentment: wished.presentment.min(all.presentment) }
        }
    };
    let parts = order.currencies.spread(amount, &left);
    for (line, amount) in order.lines.iter_mut().zip(parts) {
        if !amount.is_zero() {
            line.allocations.push(ShopAllocation { discount: index, amount });
        }
    }
}
