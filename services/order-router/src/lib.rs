//! The router: what the shops say about orders, customers and refunds becomes what the ERPs are asked to do.
//!
//! [`core`] decides and does no I/O: given what is known of an order and one event, it says what is known afterwards, which
//! commands follow, and which earlier obligations end. The shell loads, stores and produces.

pub mod core;
