//! What an order adds up to: at the time of sale, and now.

use crate::payloads::money::{Currencies, Pair};

use super::{
    AdjustmentKind, FinancialStatus, ShopAdjustment, ShopLine, ShopOrder, ShopRefund, ShopRefundLine, ShopShipping, ShopTax,
    TransactionKind, TransactionStatus,
};

impl ShopLine {
    /// Before discounts.
    pub fn total(&self) -> Pair {
        self.unit_price.times(self.quantity)
    }

    pub fn discount(&self) -> Pair {
        self.allocations.iter().map(|it| it.amount).sum()
    }

    pub fn discounted(&self) -> Pair {
        self.total() - self.discount()
    }

    pub fn tax(&self) -> Pair {
        sum_of(&self.taxes)
    }

    pub(super) fn gone(&self) -> u32 {
        self.removed + self.refunded
    }

    /// The part of an amount of this line that is left after what is gone.
    pub(in crate::payloads) fn left_of(&self, amount: Pair, currencies: &Currencies) -> Pair {
        amount - currencies.share(amount, self.gone(), self.quantity)
    }

    /// The part that the next `quantity` of it take along.
    pub(super) fn next_share(&self, amount: Pair, quantity: u32, currencies: &Currencies) -> Pair {
        let gone = self.gone();
        currencies.share(amount, gone + quantity, self.quantity) - currencies.share(amount, gone, self.quantity)
    }
}

impl ShopShipping {
    pub fn discount(&self) -> Pair {
        self.allocations.iter().map(|it| it.amount).sum()
    }

    pub fn discounted(&self) -> Pair {
        self.price - self.discount()
    }

    pub fn tax(&self) -> Pair {
        sum_of(&self.taxes)
    }
}

impl ShopRefundLine {
    /// What the buyer gets for it.
    fn given_back(&self, taxes_included: bool) -> Pair {
        self.subtotal + if taxes_included { Pair::ZERO } else { self.tax }
    }
}

impl ShopRefund {
    /// What the refund is worth, whether or not the money has moved yet.
    pub fn total(&self, taxes_included: bool) -> Pair {
        let lines: Pair = self.lines.iter().map(|it| it.given_back(taxes_included)).sum();
        let owed = self.adjustments.iter().filter(|it| it.kind != AdjustmentKind::Pending);
        let adjustments: Pair = owed.map(|it| it.amount + if taxes_included { Pair::ZERO } else { it.tax }).sum();
        lines - adjustments
    }
}

impl ShopOrder {
    /// As Shopify tells it: refunded delivery is without tax, also where prices have it in them.
    pub(in crate::payloads) fn net(&self, it: &ShopAdjustment) -> Pair {
        it.amount - if self.taxes_included { it.tax } else { Pair::ZERO }
    }

    pub fn lines_total(&self) -> Pair {
        self.lines.iter().map(ShopLine::total).sum()
    }

    /// On lines and delivery.
    pub fn discounts_total(&self) -> Pair {
        self.lines.iter().map(ShopLine::discount).sum::<Pair>() + self.shipping.iter().map(ShopShipping::discount).sum()
    }

    /// Lines after their discounts.
    pub fn subtotal(&self) -> Pair {
        self.lines.iter().map(ShopLine::discounted).sum()
    }

    /// Before discounts.
    pub fn shipping_price(&self) -> Pair {
        self.shipping.iter().map(|it| it.price).sum()
    }

    pub fn shipping_total(&self) -> Pair {
        self.shipping.iter().map(ShopShipping::discounted).sum()
    }

    pub fn tax_total(&self) -> Pair {
        self.lines.iter().map(ShopLine::tax).sum::<Pair>() + self.shipping.iter().map(ShopShipping::tax).sum()
    }

    /// What the buyer owed at the time of sale.
    pub fn total(&self) -> Pair {
        self.subtotal() + self.shipping_total() + self.added(self.tax_total()) + self.tip
    }

    pub fn current_subtotal(&self) -> Pair {
        self.lines.iter().map(|it| it.left_of(it.discounted(), &self.currencies)).sum()
    }

    pub fn current_discounts(&self) -> Pair {
        let lines = self.lines.iter().map(|it| it.left_of(it.discount(), &self.currencies)).sum::<Pair>();
        lines + self.shipping.iter().map(ShopShipping::discount).sum()
    }

    /// With the tax in it, where taxes are included.
    pub fn current_shipping(&self) -> Pair {
        self.shipping_total() + self.adjustments(AdjustmentKind::Shipping).map(|it| it.amount).sum()
    }

    pub fn current_tax(&self) -> Pair {
        let lines = self.lines.iter().map(|it| it.left_of(it.tax(), &self.currencies)).sum::<Pair>();
        lines + self.shipping.iter().map(ShopShipping::tax).sum() + self.adjustments(AdjustmentKind::Shipping).map(|it| it.tax).sum()
    }

    /// What the buyer owes after edits, refunds and cancellation.
    pub fn current_total(&self) -> Pair {
        if self.is_cancelled() {
            return Pair::ZERO;
        }
        let goodwill: Pair = self.adjustments(AdjustmentKind::Goodwill).map(|it| it.amount).sum();
        self.current_subtotal() + self.current_shipping() + self.added(self.current_tax()) + self.tip + goodwill
    }

    /// Taxes of all lines and deliveries, by title and rate.
    pub fn taxes(&self) -> Vec<ShopTax> {
        let mut merged: Vec<ShopTax> = Vec::new();
        for tax in self.lines.iter().flat_map(|it| &it.taxes).chain(self.shipping.iter().flat_map(|it| &it.taxes)) {
            match merged.iter_mut().find(|it| it.title == tax.title && it.rate == tax.rate) {
                Some(same) => same.amount += tax.amount,
                None => merged.push(tax.clone()),
            }
        }
        merged
    }

    pub fn captured(&self) -> Pair {
        self.moved(|kind| matches!(kind, TransactionKind::Sale | TransactionKind::Capture))
    }

    pub fn refunded(&self) -> Pair {
        self.moved(|kind| kind == TransactionKind::Refund)
    }

    pub fn outstanding(&self) -> Pair {
        self.current_total() - (self.captured() - self.refunded())
    }

    pub fn financial_status(&self) -> FinancialStatus {
        let (captured, refunded) = (self.captured().presentment, self.refunded().presentment);
        let has = |kind| self.transactions.iter().any(|it| it.kind == kind);
        if captured.is_zero() {
            return match () {
                () if has(TransactionKind::Void) || self.is_cancelled() => FinancialStatus::Voided,
                () if has(TransactionKind::Authorization) => FinancialStatus::Authorized,
                () if self.total().presentment.is_zero() => FinancialStatus::Paid,
                () => FinancialStatus::Pending,
            };
        }
        match () {
            () if refunded >= captured => FinancialStatus::Refunded,
            () if !refunded.is_zero() => FinancialStatus::PartiallyRefunded,
            () if captured < self.current_total().presentment => FinancialStatus::PartiallyPaid,
            () => FinancialStatus::Paid,
        }
    }

    /// Tax that comes on top of prices.
    fn added(&self, tax: Pair) -> Pair {
        if self.taxes_included { Pair::ZERO } else { tax }
    }

    fn adjustments(&self, kind: AdjustmentKind) -> impl Iterator<Item = &super::ShopAdjustment> {
        self.refunds.iter().flat_map(|it| &it.adjustments).filter(move |it| it.kind == kind)
    }

    fn moved(&self, of: impl Fn(TransactionKind) -> bool) -> Pair {
        let own = self.transactions.iter();
        let all = own.chain(self.refunds.iter().flat_map(|it| &it.transactions));
        all.filter(|it| it.status == TransactionStatus::Success && of(it.kind)).map(|it| it.amount).sum()
    }
}

fn sum_of(taxes: &[ShopTax]) -> Pair {
    taxes.iter().map(|it| it.amount).sum()
}
