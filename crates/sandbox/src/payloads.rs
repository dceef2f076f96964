//! Shopify-shaped payloads of our own making, drawn from a seed: the same seed gives the same bytes.
//!
//! An order is a model ([`ShopOrder`]) that lives on: it is paid, edited, refunded, cancelled. The webhook bodies and the
//! answers to GraphQL queries are both written from it, so they agree. Sums are exact: what a shop's own arithmetic promises
//! (lines minus discounts plus delivery plus tax = total, and so on) holds to the last cent in both currencies.
//! Names are invented, addresses end in example.com.

mod articles;
mod customer;
mod draw;
mod graphql;
mod ids;
mod money;
mod order;
mod people;
mod rest;
mod wish;

#[cfg(test)]
mod tests;

pub use articles::Article;
pub use customer::{ShopAddress, ShopCustomer};
pub use draw::{Generator, PayloadSettings, UnknownSku};
pub use ids::Ids;
pub use money::{Currencies, Pair};
pub use order::{
    AdjustmentKind, DiscountTarget, DiscountValue, FinancialStatus, Restock, ShopAdjustment, ShopAllocation, ShopCompany, ShopDiscount,
    ShopEdit, ShopLine, ShopOrder, ShopRefund, ShopRefundLine, ShopShipping, ShopTax, ShopTransaction, TransactionKind, TransactionStatus,
};
pub use wish::{BuyerWish, DiscountWish, EditWish, OrderWish, PaymentWish, RefundWish};
