//! The whole system as processes, for tests: one shop, one ERP, every service, and oracles that believe only the doubles' logs.

mod installation;
mod oracle;
mod process;
mod programs;

pub use installation::{ERP, Installation, Life, Parts, Program, SHOP, Said, Setup, Sweeps, configure, doubles, key};
pub use oracle::{assert_in_order, assert_once, money_back, not_once, out_of_order, refunded_in_erp, stock_agrees, stock_differs};
pub use process::Process;
pub use programs::{program, take_programs_from};

use std::time::Duration;

use sandbox::payloads::{OrderWish, PaymentWish};

/// For whatever must happen soon. Two cores and a debug build are slow when six processes start at once.
pub const SOON: Duration = Duration::from_secs(60);

/// Any order that the ERP can book: to Germany, whose tax rates it knows. All that is not said is drawn.
pub fn order() -> OrderWish {
    OrderWish { country: Some("DE".to_owned()), ..OrderWish::default() }
}

/// Two mugs and a shirt at their price.
pub fn mugs(payment: PaymentWish) -> OrderWish {
    order().with("MUG-RED", 2).with("TS-M", 1).discounted_by([]).paid_by(payment)
}
