//! Routing rules as data: a file says which orders wait, and which ERP an order goes to.
//!
//! ```toml
//! # Holds come first: while one of them holds, the order waits inside the router.
//! [[hold]]
//! name = "payment-pending"
//! when = 'order.financial_state == "pending"'
//! reason = "payment_pending"
//!
//! # Routes are tried in order; the first whose condition holds wins.
//! [[route]]
//! name = "eu"
//! when = 'order.country in ["DE", "FR"] && order.currency == "EUR" && !order.b2b'
//! target = "erp-main"
//! ```
//!
//! Conditions are CEL expressions over one variable, `order`, whose fields are those of [`OrderFacts`]. A file is checked
//! whole before the first order is seen ([`Rules::parse`]): what passes can only fail later on arithmetic or on an index.

mod facts;
mod rules;

pub use facts::{FIELDS, Kind, OrderFacts};
pub use rules::{CheckedRules, Decision, EvalError, RuleError, Rules, check_text};
