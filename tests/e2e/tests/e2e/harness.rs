//! An installation of one shop and one ERP, and what tests ask of it.

mod installation;
mod oracle;
mod programs;

pub(super) use installation::{ERP, Installation, Program, SHOP, Setup, configure, doubles, key};
pub(super) use oracle::{assert_in_order, assert_once, stock_agrees};

use std::time::Duration;

use sandbox::payloads::{OrderWish, PaymentWish};

/// For whatever must happen soon. Two cores and a debug build are slow when six processes start at once.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// Any order that the ERP can book: to Germany, whose tax rates it knows. All that is not said is drawn.
pub(super) fn order() -> OrderWish {
    OrderWish { country: Some("DE".to_owned()), ..OrderWish::default() }
}

/// Two mugs and a shirt at their price.
pub(super) fn mugs(payment: PaymentWish) -> OrderWish {
    order().with("MUG-RED", 2).with("TS-M", 1).discounted_by([]).paid_by(payment)
}
