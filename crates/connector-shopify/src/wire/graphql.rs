//! The bodies that re-reads put into the raw topic: GraphQL answers, page by page, byte for byte as they came.

use serde::Deserialize;

use super::customer::Customer;
use super::order::{Line, Order};
use super::refund::{Refund, RefundLine};
use super::scalar::List;

/// `orders/graphql`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct OrderAnswer<'a> {
    pub(crate) order: Order<'a>,
    /// The lines that did not fit into the first answer.
    #[serde(default, rename = "moreLineItems")]
    pub(crate) more_lines: Vec<List<Line<'a>>>,
    /// Each refund whole; the order's own list has only their ids.
    #[serde(default)]
    pub(crate) refunds: Vec<RefundAnswer<'a>>,
}

/// `refunds/graphql`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct RefundAnswer<'a> {
    pub(crate) refund: Refund<'a>,
    #[serde(default, rename = "moreRefundLineItems")]
    pub(crate) more_lines: Vec<List<RefundLine<'a>>>,
}

/// `customers/graphql`.
#[derive(Debug, Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(crate) struct CustomerAnswer<'a> {
    pub(crate) customer: Customer<'a>,
}

impl<'a> RefundAnswer<'a> {
    /// The refund with all its lines.
    pub(crate) fn whole(mut self) -> Refund<'a> {
        for page in self.more_lines {
            self.refund.refund_line_items.0.extend(page.0);
        }
        self.refund
    }
}

impl<'a> OrderAnswer<'a> {
    /// The order with all its lines and refunds.
    pub(crate) fn whole(mut self) -> Order<'a> {
        for page in self.more_lines {
            self.order.line_items.0.extend(page.0);
        }
        self.order.refunds.0 = self.refunds.into_iter().map(RefundAnswer::whole).collect();
        self.order
    }
}
