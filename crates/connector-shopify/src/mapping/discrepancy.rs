//! By how much a refund's money differs from its parts, as Shopify says it.

use domain::{Decimal, Money, Payment, PaymentKind, PaymentStatus, Refund, RefundAdjustment, RefundAdjustmentKind};

use crate::error::MappingError;

/// As long as money is on its way, Shopify takes just as much back, by a discrepancy like any other. Once it has moved, one more, whose
/// reason says so, gives that back, and both stay. Neither changes what the refund is worth. What lasts is written before them.
pub(super) fn set_pending_apart(adjustments: &mut [RefundAdjustment], payments: &[Payment]) {
    use RefundAdjustmentKind::{Goodwill, PendingDiscrepancy};
    let Some(currency) = adjustments.first().map(|it| it.amount.presentment.currency) else { return };
    let on_its_way = payments.iter().filter(|it| it.kind == PaymentKind::Refund && it.status == PaymentStatus::Pending);
    let mut moving: Vec<Money> = on_its_way.map(|it| it.amount).collect();
    for it in adjustments.iter_mut().filter(|it| has_arrived(it)) {
        it.kind = PendingDiscrepancy;
        moving.push(it.amount.presentment);
    }
    let mut take = |amount: Money| {
        let found = adjustments.iter_mut().rev().find(|it| it.kind == Goodwill && it.amount.presentment == amount.negated());
        found.map(|it| it.kind = PendingDiscrepancy).is_some()
    };
    // Several payments may have been taken back as one.
    let alone = Money::sum(currency, moving.into_iter().filter(|it| !take(*it)));
    if let Ok(rest) = alone
        && !rest.is_zero()
    {
        take(rest);
    }
}

/// Whether it says that money which was on its way has moved.
fn has_arrived(it: &RefundAdjustment) -> bool {
    let gives_back = it.amount.presentment.amount > Decimal::ZERO;
    it.kind == RefundAdjustmentKind::Goodwill && gives_back && it.reason.starts_with("pending")
}

/// Where Shopify says by how much a refund differs from its parts, these can't come to more than the money: then we read them wrongly.
/// Without that they may, for reasons that no refund tells: what was never paid, exchanges and fees of a return, rounded cash. Whether
/// prices have the tax in them it does not tell either, so the parts are taken as low as they can be read.
pub(super) fn check_money(refund: &Refund, is_of_return: bool) -> Result<(), MappingError> {
    let goes_back = |it: &&Payment| it.kind == PaymentKind::Refund && matches!(it.status, PaymentStatus::Success | PaymentStatus::Pending);
    let lasting = refund.adjustments.iter().filter(|it| it.kind != RefundAdjustmentKind::PendingDiscrepancy);
    let is_told = lasting.clone().any(|it| it.kind == RefundAdjustmentKind::Goodwill && it.reason != TIP);
    let is_cash = refund.payments.iter().any(|it| it.gateway.eq_ignore_ascii_case("cash"));
    let Some(currency) = refund.payments.iter().find(goes_back).map(|it| it.amount.currency) else { return Ok(()) };
    if !is_told || is_of_return || is_cash {
        return Ok(());
    }
    let moved = Money::sum(currency, refund.payments.iter().filter(goes_back).map(|it| it.amount));
    let parts = refund.lines.iter().map(|it| it.subtotal.presentment).chain(lasting.clone().map(|it| it.amount.presentment));
    // What is taken back takes its tax back, too.
    let taxes = lasting.map(|it| it.tax.presentment).filter(|it| it.amount < Decimal::ZERO);
    match (Money::sum(currency, parts.chain(taxes)), moved) {
        (Ok(parts), Ok(moved)) if parts.amount > moved.amount => Err(MappingError::OverRefund { path: String::new(), parts, moved }),
        _ => Ok(()),
    }
}

/// The reason of a tip that is given back.
pub(super) const TIP: &str = "tip";
