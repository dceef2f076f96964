//! Whether a version changed something that the ERP holds.
//!
//! It holds what is sold, for how much, and where it goes. Payments, notes, tags, states and the buyer's profile are not part of
//! that: the order keeps its own addresses, and money has commands of its own.

use domain::{Decimal, MoneyPair, Order, OrderLine, OrderTotals};

/// How far the order has come.
#[derive(Debug, Clone, Copy)]
pub struct Confirmed {
    /// The target was told to confirm it, or is told with this version.
    pub commanded: bool,
    /// Some refund of it was seen.
    pub refunds_known: bool,
}

/// True: the target must be told to rewrite the order.
///
/// A quotation mirrors whatever is left of the order. Once it is confirmed, what a refund takes away is booked by the refund's
/// own command and must not be taken away twice; what is taken away without any sign of a refund is an edit.
pub fn needs_revision(before: &Order, after: &Order, confirmed: Confirmed) -> bool {
    let removals_are_refunds = confirmed.commanded && (confirmed.refunds_known || after.shows_refund());
    !same_lines(before, after, removals_are_refunds)
        || before.shipping_lines != after.shipping_lines
        || before.billing_address != after.billing_address
        || before.shipping_address != after.shipping_address
        || before.company != after.company
        || before.po_number != after.po_number
        || before.taxes_included != after.taxes_included
        || sums(&before.totals) != sums(&after.totals)
}

/// Whatever the order of the lines.
fn same_lines(before: &Order, after: &Order, ignore_removals: bool) -> bool {
    let find = |line: &OrderLine| before.lines.iter().find(|it| it.id == line.id);
    before.lines.len() == after.lines.len()
        && after.lines.iter().all(|line| find(line).is_some_and(|known| same_line(known, line, ignore_removals)))
}

fn same_line(before: &OrderLine, after: &OrderLine, ignore_removals: bool) -> bool {
    let left: Decimal = if ignore_removals { after.current_quantity } else { before.current_quantity };
    OrderLine { current_quantity: left, ..before.clone() } == *after
}

/// Without the total that refunds lower.
fn sums(totals: &OrderTotals) -> [MoneyPair; 6] {
    [totals.lines, totals.discounts, totals.shipping, totals.tax, totals.tip, totals.total]
}
