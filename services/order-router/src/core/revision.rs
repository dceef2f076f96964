//! Whether a version changed something that the ERP holds.
//!
//! It holds what is sold, for how much, and where it goes. Payments, notes, tags, states and the buyer's profile are not part of
//! that: the order keeps its own addresses, and money has commands of its own.

use std::collections::BTreeMap;

use domain::{Decimal, MoneyPair, Order, OrderLine, OrderTotals, Refund};

/// Whether the target must be told to rewrite the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revision {
    Needless,
    Due,
    /// What it would write is not what was paid.
    Tangled,
}

impl Revision {
    fn due(is_due: bool) -> Self {
        if is_due { Self::Due } else { Self::Needless }
    }
}

/// Of a confirmed order. What a refund takes away is booked by the refund's own command and must not be taken away twice; what is
/// taken away without any sign of a refund is an edit.
pub fn of_confirmed(before: &Order, after: &Order, refunds_known: bool) -> Revision {
    let removals_are_refunds = refunds_known || after.shows_refund();
    Revision::due(!same_lines(before, after, removals_are_refunds) || !same_head(before, after))
}

/// Of a quotation. It mirrors whatever is left of the order, or, where money went back, all that was ordered: its refund is booked on
/// its own behind the confirm, and needs what it is about.
///
/// `sent`: refunds that the target was told of, and had nothing to book for. `is_refund_waiting`: one with money is
/// known, and may be of what this version lacks.
pub fn of_quotation(before: &Order, after: &Order, sent: &[Refund], is_refund_waiting: bool) -> Revision {
    if !after.shows_refund() && !is_refund_waiting {
        return Revision::due(!same_lines(before, after, false) || !same_head(before, after));
    }
    let removed = removed_by(sent);
    let paid_for = |line: &OrderLine| line.quantity - removed.get(line.id.as_str()).copied().unwrap_or_default();
    let stands = |line: &OrderLine| before.lines.iter().find(|it| it.id == line.id).map(|it| quoted(before, it));
    let is_quoted = after.lines.iter().all(|it| stands(it) == Some(paid_for(it)));
    if is_quoted && same_lines(before, after, true) && same_head(before, after) {
        return Revision::Needless;
    }
    if after.lines.iter().all(|it| quoted(after, it) == paid_for(it)) { Revision::Due } else { Revision::Tangled }
}

/// Pieces by line that a quotation lacks without a record of it: that one is on its way, and tells the target nothing new.
///
/// `written`: the version that the quotation stands at.
pub fn unrecorded(written: &Order, sent: &[Refund]) -> BTreeMap<String, Decimal> {
    let removed = removed_by(sent);
    let lacks = |line: &OrderLine| line.quantity - quoted(written, line) - removed.get(line.id.as_str()).copied().unwrap_or_default();
    let lines = written.lines.iter().map(|line| (line.id.clone(), lacks(line)));
    lines.filter(|(_, pieces)| *pieces > Decimal::ZERO).collect()
}

/// Pieces of a line in the quotation of such an order.
fn quoted(order: &Order, line: &OrderLine) -> Decimal {
    if order.shows_refund() { line.quantity } else { line.current_quantity }
}

fn removed_by(refunds: &[Refund]) -> BTreeMap<&str, Decimal> {
    let mut removed = BTreeMap::new();
    for line in refunds.iter().flat_map(|it| &it.lines) {
        *removed.entry(line.order_line_id.as_str()).or_default() += line.quantity;
    }
    removed
}

fn same_head(before: &Order, after: &Order) -> bool {
    before.shipping_lines == after.shipping_lines
        && before.billing_address == after.billing_address
        && before.shipping_address == after.shipping_address
        && before.company == after.company
        && before.po_number == after.po_number
        && before.taxes_included == after.taxes_included
        && sums(&before.totals) == sums(&after.totals)
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
