//! What may be sold, and how a shop is brought to show it. Nothing here reads a clock, a topic or a table.
//!
//! [`book`] keeps what ERPs and web orders say: each order counts exactly once, either as pending or within an ERP's own figures
//! ([`pending`]). [`availability`] adds it up along the [`feeds`]; [`push`] judges what a shop shows.

pub mod availability;
pub mod book;
pub mod feeds;
pub mod pending;
pub mod push;
#[cfg(test)]
mod tests;
