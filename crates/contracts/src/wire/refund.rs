use domain::{Refund, RefundAdjustment, RefundAdjustmentKind, RefundLine, Restock};

use super::common::{all, decimal, pair, time, to_decimal, to_pair, to_time_opt};
use super::order::{payment, to_payment};
use super::{Wire, WireError, text_table};
use crate::proto::refunds::v1 as wire;

text_table!(restock, to_restock, Restock, "RefundLine", "restock", {
    Return <=> "return", Cancel <=> "cancel", NoRestock <=> "no_restock",
});

text_table!(adjustment_kind, to_adjustment_kind, RefundAdjustmentKind, "RefundAdjustment", "kind", {
    Shipping <=> "shipping", Goodwill <=> "goodwill", PendingDiscrepancy <=> "pending_discrepancy",
});

fn line(value: &RefundLine) -> wire::RefundLine {
    wire::RefundLine {
        id: value.id.clone(),
        order_line_id: value.order_line_id.clone(),
        sku: value.sku.clone(),
        quantity: Some(decimal(value.quantity)),
        restock: restock(value.restock),
        location_id: value.location_id.clone(),
        subtotal: Some(pair(value.subtotal)),
        tax: Some(pair(value.tax)),
    }
}

fn to_line(value: wire::RefundLine) -> Result<RefundLine, WireError> {
    const NAME: &str = "RefundLine";
    Ok(RefundLine {
        id: value.id,
        order_line_id: value.order_line_id,
        sku: value.sku,
        quantity: to_decimal(value.quantity, NAME, "quantity")?,
        restock: to_restock(&value.restock)?,
        location_id: value.location_id,
        subtotal: to_pair(value.subtotal, NAME, "subtotal")?,
        tax: to_pair(value.tax, NAME, "tax")?,
    })
}

fn adjustment(value: &RefundAdjustment) -> wire::RefundAdjustment {
    wire::RefundAdjustment {
        id: value.id.clone(),
        kind: adjustment_kind(value.kind),
        reason: value.reason.clone(),
        amount: Some(pair(value.amount)),
        tax: Some(pair(value.tax)),
    }
}

fn to_adjustment(value: wire::RefundAdjustment) -> Result<RefundAdjustment, WireError> {
    const NAME: &str = "RefundAdjustment";
    Ok(RefundAdjustment {
        id: value.id,
        kind: to_adjustment_kind(&value.kind)?,
        reason: value.reason,
        amount: to_pair(value.amount, NAME, "amount")?,
        tax: to_pair(value.tax, NAME, "tax")?,
    })
}

impl Wire for Refund {
    type Message = wire::Refund;
    const NAME: &'static str = "tradewind.refunds.v1.Refund";

    fn to_wire(&self) -> wire::Refund {
        wire::Refund {
            id: self.id.clone(),
            order_id: self.order_id.clone(),
            created_at: self.created_at.map(time),
            note: self.note.clone(),
            lines: self.lines.iter().map(line).collect(),
            adjustments: self.adjustments.iter().map(adjustment).collect(),
            payments: self.payments.iter().map(payment).collect(),
        }
    }

    fn from_wire(message: wire::Refund) -> Result<Self, WireError> {
        Ok(Self {
            id: message.id,
            order_id: message.order_id,
            created_at: to_time_opt(message.created_at, "Refund", "created_at")?,
            note: message.note,
            lines: all(message.lines, to_line)?,
            adjustments: all(message.adjustments, to_adjustment)?,
            payments: all(message.payments, to_payment)?,
        })
    }
}
