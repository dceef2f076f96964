//! Shopify's JSON, as far as it is mapped; everything else is skipped unread.
//!
//! Webhooks spell fields `like_this` and use numbers as ids; GraphQL answers spell them `likeThis`, use `gid://` ids and wrap
//! lists as `{"nodes": []}`. Both are read by the same types, so that a webhook and a re-read of one order cannot be mapped in
//! two ways. Nothing is copied that can be borrowed, and no number passes through a float.

mod customer;
mod graphql;
mod order;
mod parse;
mod refund;
mod scalar;

pub(crate) use customer::{Address, Customer};
pub(crate) use graphql::{CustomerAnswer, OrderAnswer, RefundAnswer};
pub(crate) use order::{Allocation, Application, ApplicationValue, Deleted, Edited, Line, Order, Reference, ShippingLine, TaxLine};
pub(crate) use parse::{expected, parse};
pub(crate) use refund::{Adjustment, Refund, RefundDuty, RefundLine, RefundShipping, Transaction};
pub(crate) use scalar::{Amount, Id, List, MoneySet, Stamp, exact};
