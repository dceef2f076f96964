//! Refunds and movements of money.

use serde::Deserialize;

use super::order::{Reference, present};
use super::scalar::{Amount, Code, Id, List, MoneySet, Stamp, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Refund<'a> {
    pub(crate) id: Option<Id>,
    pub(crate) order_id: Option<Id>,
    pub(crate) order: Option<RefundedOrder>,
    #[serde(alias = "createdAt")]
    pub(crate) created_at: Option<Stamp>,
    #[serde(alias = "processedAt")]
    pub(crate) processed_at: Option<Stamp>,
    pub(crate) note: Text<'a>,
    #[serde(alias = "refundLineItems")]
    pub(crate) refund_line_items: List<RefundLine<'a>>,
    #[serde(alias = "refundShippingLines")]
    pub(crate) refund_shipping_lines: List<RefundShipping>,
    #[serde(alias = "orderAdjustments")]
    pub(crate) order_adjustments: List<Adjustment<'a>>,
    pub(crate) duties: List<RefundDuty>,
    #[serde(alias = "totalDutiesSet")]
    pub(crate) total_duties_set: Option<MoneySet>,
    pub(crate) transactions: List<Transaction<'a>>,
    /// The return that it is of: a return has fees and exchanges of its own.
    #[serde(rename = "return")]
    pub(crate) of_return: Option<serde::de::IgnoredAny>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct RefundLine<'a> {
    pub(crate) id: Option<Id>,
    pub(crate) line_item_id: Option<Id>,
    #[serde(alias = "lineItem")]
    pub(crate) line_item: Option<RefundedLine<'a>>,
    pub(crate) quantity: Option<Amount>,
    #[serde(alias = "restockType")]
    pub(crate) restock_type: Text<'a>,
    pub(crate) location_id: Option<Id>,
    pub(crate) location: Option<Reference>,
    #[serde(alias = "subtotalSet")]
    pub(crate) subtotal_set: Option<MoneySet>,
    #[serde(alias = "totalTaxSet")]
    pub(crate) total_tax_set: Option<MoneySet>,
    /// Numbers, not text; what very old bodies have instead of the sets.
    pub(crate) subtotal: Option<Amount>,
    pub(crate) total_tax: Option<Amount>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct RefundedLine<'a> {
    pub(crate) id: Option<Id>,
    pub(crate) product_id: Option<Id>,
    pub(crate) product: Option<Reference>,
    pub(crate) sku: Text<'a>,
    pub(crate) title: Text<'a>,
    /// As on the lines of orders.
    #[serde(deserialize_with = "present")]
    pub(crate) tip_payment_gateway: bool,
}

/// What only the API says of a refund's order.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RefundedOrder {
    pub(crate) id: Option<Id>,
    #[serde(alias = "totalTipReceivedSet")]
    pub(crate) total_tip_received_set: Option<MoneySet>,
}

/// Delivery given back, since API version 2024-10; before, an adjustment of kind `shipping_refund` said it, and in webhooks such a one
/// still says its tax.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RefundShipping {
    pub(crate) id: Option<Id>,
    #[serde(alias = "subtotalAmountSet")]
    pub(crate) subtotal_amount_set: Option<MoneySet>,
    #[serde(alias = "taxAmountSet")]
    pub(crate) tax_amount_set: Option<MoneySet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Adjustment<'a> {
    pub(crate) id: Option<Id>,
    /// GraphQL has none: what it lists as adjustments are discrepancies.
    pub(crate) kind: Text<'a>,
    pub(crate) reason: Text<'a>,
    pub(crate) amount: Option<Amount>,
    #[serde(alias = "amountSet")]
    pub(crate) amount_set: Option<MoneySet>,
    pub(crate) tax_amount: Option<Amount>,
    #[serde(alias = "taxAmountSet")]
    pub(crate) tax_amount_set: Option<MoneySet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RefundDuty {
    #[serde(alias = "amountSet")]
    pub(crate) amount_set: Option<MoneySet>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Transaction<'a> {
    pub(crate) id: Option<Id>,
    pub(crate) kind: Text<'a>,
    pub(crate) status: Text<'a>,
    pub(crate) gateway: Text<'a>,
    pub(crate) amount: Option<Amount>,
    pub(crate) currency: Option<Code>,
    #[serde(rename = "amountSet")]
    pub(crate) amount_set: Option<MoneySet>,
    #[serde(alias = "authorizationCode")]
    pub(crate) authorization: Text<'a>,
    #[serde(alias = "paymentId")]
    pub(crate) payment_id: Text<'a>,
    #[serde(alias = "paymentDetails")]
    pub(crate) payment_details: Option<PaymentDetails<'a>>,
    #[serde(alias = "createdAt")]
    pub(crate) created_at: Option<Stamp>,
    #[serde(alias = "processedAt")]
    pub(crate) processed_at: Option<Stamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct PaymentDetails<'a> {
    #[serde(alias = "company")]
    pub(crate) credit_card_company: Text<'a>,
}
