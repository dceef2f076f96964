//! Doubles of the platforms, close enough to be the tests' oracle: signatures, limits, quirks, scripted faults, and an
//! append-only log of every effect.

pub mod effects;
pub mod erp;
pub mod faults;
pub mod payloads;
pub mod shopify;
