//! Shopify's names of states and kinds. A name that is not here is a schema error, never a guess.

use std::borrow::Cow;

use domain::{DiscountKind, FinancialState, FulfillmentState, PaymentKind, PaymentStatus, Restock};

use crate::error::MappingError;

/// GraphQL shouts what webhooks say.
pub(super) fn lower(value: &str) -> Cow<'_, str> {
    if value.bytes().any(|it| it.is_ascii_uppercase()) { Cow::Owned(value.to_ascii_lowercase()) } else { Cow::Borrowed(value) }
}

pub(super) fn financial(value: &str) -> Result<FinancialState, MappingError> {
    Ok(match &*lower(value) {
        "pending" | "" => FinancialState::Pending,
        "authorized" => FinancialState::Authorized,
        "partially_paid" => FinancialState::PartiallyPaid,
        "paid" => FinancialState::Paid,
        "partially_refunded" => FinancialState::PartiallyRefunded,
        "refunded" => FinancialState::Refunded,
        "voided" => FinancialState::Voided,
        "expired" => FinancialState::Expired,
        _ => return Err(MappingError::unknown_value("financial_status", value)),
    })
}

/// `some_shipped`: GraphQL also says what is going on in the warehouse, where webhooks say only what has been shipped.
pub(super) fn fulfillment(value: &str, some_shipped: bool) -> Result<FulfillmentState, MappingError> {
    Ok(match &*lower(value) {
        "" | "unfulfilled" => FulfillmentState::Unfulfilled,
        "partial" | "partially_fulfilled" => FulfillmentState::Partial,
        "fulfilled" => FulfillmentState::Fulfilled,
        "restocked" => FulfillmentState::Restocked,
        "pending" | "in_progress" | "on_hold" | "open" | "pending_fulfillment" | "request_declined" | "scheduled" => {
            if some_shipped {
                FulfillmentState::Partial
            } else {
                FulfillmentState::Unfulfilled
            }
        }
        _ => return Err(MappingError::unknown_value("fulfillment_status", value)),
    })
}

pub(super) fn discount(value: &str) -> Result<DiscountKind, MappingError> {
    Ok(match value {
        "discount_code" | "DiscountCodeApplication" => DiscountKind::Code,
        "automatic" | "AutomaticDiscountApplication" => DiscountKind::Automatic,
        "manual" | "ManualDiscountApplication" => DiscountKind::Manual,
        "script" | "ScriptDiscountApplication" => DiscountKind::Script,
        _ => return Err(MappingError::unknown_value("type", value)),
    })
}

pub(super) fn restock(value: &str) -> Result<Restock, MappingError> {
    Ok(match &*lower(value) {
        "return" | "legacy_restock" => Restock::Return,
        "cancel" => Restock::Cancel,
        "no_restock" => Restock::NoRestock,
        _ => return Err(MappingError::unknown_value("restock_type", value)),
    })
}

/// `None`: no movement of money of the order's own: cash handed back as change, a refund that Shopify only suggests.
pub(super) fn payment_kind(value: &str) -> Result<Option<PaymentKind>, MappingError> {
    Ok(match &*lower(value) {
        "authorization" | "emv_authorization" => Some(PaymentKind::Authorization),
        "capture" => Some(PaymentKind::Capture),
        "sale" => Some(PaymentKind::Sale),
        "void" => Some(PaymentKind::Void),
        "refund" => Some(PaymentKind::Refund),
        "change" | "suggested_refund" => None,
        _ => return Err(MappingError::unknown_value("kind", value)),
    })
}

/// What is unknown to Shopify itself has not happened yet.
pub(super) fn payment_status(value: &str) -> Result<PaymentStatus, MappingError> {
    Ok(match &*lower(value) {
        "success" => PaymentStatus::Success,
        "pending" | "awaiting_response" | "unknown" => PaymentStatus::Pending,
        "failure" => PaymentStatus::Failure,
        "error" => PaymentStatus::Error,
        _ => return Err(MappingError::unknown_value("status", value)),
    })
}
