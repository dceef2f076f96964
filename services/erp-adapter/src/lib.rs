//! erp-adapter.

pub mod act;
pub mod actor;
pub mod claims;
pub mod clock;
pub mod core;
pub mod ledger;
pub mod outcome;
