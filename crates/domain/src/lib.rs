//! What the product is about, as values: money, ids, orders, customers, refunds, stock, commands. No I/O, no clock, no wire
//! format; rules are pure functions.

pub mod command;
pub mod customer;
pub mod ids;
pub mod money;
pub mod order;
pub mod refund;
pub mod stock;

pub use command::{ErpCommand, Operation, OperationFamily};
pub use customer::{Address, Consent, Customer};
pub use ids::{AggregateKey, ConnectionId, EntityKind, EntityRef, IdError, OperationKey, Sku, TargetId};
pub use money::{Currency, Money, MoneyError, MoneyPair};
pub use order::{
    Attribute, Buyer, Company, CouponCode, DiscountAllocation, DiscountKind, FinancialState, FulfillmentState, Order, OrderLine,
    OrderTotals, Payment, PaymentKind, PaymentStatus, ShippingLine, TaxLine,
};
pub use refund::{Refund, RefundAdjustment, RefundAdjustmentKind, RefundLine, Restock};
pub use rust_decimal::Decimal;
pub use stock::{Availability, OpenSale, StockLevel};
