//! What the router asks of an ERP.

use crate::customer::Customer;
use crate::ids::{AggregateKey, ConnectionId, OperationKey, TargetId};
use crate::order::Order;
use crate::refund::Refund;

/// One operation on one target, done once for its key, for ever.
#[derive(Debug, Clone, PartialEq)]
pub struct ErpCommand {
    pub target: TargetId,
    /// The storefront that the order or customer came from.
    pub connection: ConnectionId,
    pub aggregate: AggregateKey,
    pub operation_key: OperationKey,
    /// The entity's sequence that this command follows from.
    pub sequence: u64,
    pub operation: Operation,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// Create the order; unless `confirm` it stays a quotation, of what edits have left of it: nothing tells of them any more.
    PlaceOrder {
        order: Box<Order>,
        confirm: bool,
    },
    /// The order was paid: confirm what stands as a quotation.
    ConfirmOrder {
        order: Box<Order>,
    },
    /// The order changed after it was placed. A confirmed order refuses it.
    ReviseOrder {
        order: Box<Order>,
    },
    CancelOrder {
        order: Box<Order>,
    },
    /// Against an order: for prices and the cap.
    BookRefund {
        refund: Box<Refund>,
        order: Box<Order>,
    },
    /// Create or update the customer.
    SyncCustomer {
        customer: Box<Customer>,
    },
}

/// Operations that a target grants or refuses together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationFamily {
    Orders,
    Refunds,
    Customers,
}

impl OperationFamily {
    /// In the order of the variants.
    pub const NAMES: [&'static str; 3] = ["orders", "refunds", "customers"];
}

impl Operation {
    pub const NAMES: [&'static str; 6] = ["place_order", "confirm_order", "revise_order", "cancel_order", "book_refund", "sync_customer"];

    /// As in outcomes, metrics and the printed matrix.
    pub fn name(&self) -> &'static str {
        match self {
            Self::PlaceOrder { .. } => Self::NAMES[0],
            Self::ConfirmOrder { .. } => Self::NAMES[1],
            Self::ReviseOrder { .. } => Self::NAMES[2],
            Self::CancelOrder { .. } => Self::NAMES[3],
            Self::BookRefund { .. } => Self::NAMES[4],
            Self::SyncCustomer { .. } => Self::NAMES[5],
        }
    }

    pub fn family(&self) -> OperationFamily {
        match self {
            Self::PlaceOrder { .. } | Self::ConfirmOrder { .. } | Self::ReviseOrder { .. } | Self::CancelOrder { .. } => {
                OperationFamily::Orders
            }
            Self::BookRefund { .. } => OperationFamily::Refunds,
            Self::SyncCustomer { .. } => OperationFamily::Customers,
        }
    }

    /// The order that it is about.
    pub fn order(&self) -> Option<&Order> {
        match self {
            Self::PlaceOrder { order, .. }
            | Self::ConfirmOrder { order }
            | Self::ReviseOrder { order }
            | Self::CancelOrder { order }
            | Self::BookRefund { order, .. } => Some(order),
            Self::SyncCustomer { .. } => None,
        }
    }
}
