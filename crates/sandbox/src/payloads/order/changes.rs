//! What can happen to an order after it was placed.

use chrono::{DateTime, Utc};

use crate::payloads::articles::Article;
use crate::payloads::ids::Ids;
use crate::payloads::money::Pair;
use crate::payloads::people::Country;
use crate::payloads::wish::RefundWish;

use super::{
    AdjustmentKind, Restock, ShopAdjustment, ShopEdit, ShopLine, ShopOrder, ShopRefund, ShopRefundLine, ShopTax, ShopTransaction,
    TransactionKind, TransactionStatus,
};

impl ShopOrder {
    /// Takes the outstanding money: by capture where it was authorized, else by sale. The transactions are returned.
    pub fn pay(&mut self, ids: &mut Ids, at: DateTime<Utc>) -> Vec<ShopTransaction> {
        let outstanding = self.outstanding();
        if outstanding.presentment <= 0.into() {
            return Vec::new();
        }
        let authorized = self.transactions.iter().find(|it| it.kind == TransactionKind::Authorization);
        let payment = ShopTransaction {
            id: ids.draw(),
            kind: if authorized.is_some() { TransactionKind::Capture } else { TransactionKind::Sale },
            status: TransactionStatus::Success,
            gateway: self.gateways.first().cloned().unwrap_or_else(|| "manual".to_owned()),
            amount: outstanding,
            parent: authorized.map(|it| it.id),
            at,
            brand: authorized.and_then(|it| it.brand.clone()),
            authorization: authorized.and_then(|it| it.authorization.clone()),
        };
        self.transactions.push(payment.clone());
        self.updated_at = at;
        vec![payment]
    }

    /// Cancels what is left of the order; money that was taken goes back. The refund, if there is one, is returned.
    pub fn cancel(&mut self, reason: &str, restock: bool, ids: &mut Ids, at: DateTime<Utc>) -> Option<ShopRefund> {
        if self.is_cancelled() {
            return None;
        }
        let restock = if restock { Restock::Cancel } else { Restock::NoRestock };
        let lines = self.lines.iter().map(|it| (it.id, it.current_quantity())).filter(|it| it.1 > 0).collect();
        let shipping = self.current_shipping().presentment > 0.into();
        let wish = RefundWish { lines, shipping, note: Some("Order cancelled".to_owned()), ..RefundWish::default() };
        // Money first: afterwards the order is worth nothing, and nobody could tell how much there was to give back.
        let (taken, is_authorized) = (self.captured() - self.refunded(), self.has_authorization());
        let mut refund = self.goods_back(&wish, restock, ids, at);
        if taken.presentment > 0.into() {
            // Tips and what was never refunded for are given back as well: more than goods and delivery are worth.
            let more = taken - refund.total(self.taxes_included);
            if more.presentment > 0.into() {
                refund.adjustments.push(discrepancy(ids, more));
            }
            refund.transactions.push(self.money_back(taken, TransactionStatus::Success, ids, at));
        } else if is_authorized {
            let void =
                ShopTransaction { kind: TransactionKind::Void, ..self.money_back(self.total(), TransactionStatus::Success, ids, at) };
            self.transactions.push(void);
        }
        self.cancelled_at = Some(at);
        self.closed_at = Some(at);
        self.cancel_reason = Some(reason.to_owned());
        self.updated_at = at;
        self.refunds.push(refund.clone());
        Some(refund)
    }

    /// Gives goods, delivery or goodwill back.
    pub fn refund(&mut self, wish: &RefundWish, ids: &mut Ids, at: DateTime<Utc>) -> ShopRefund {
        let restock = match (wish.restock, wish.shipped) {
            (true, true) => Restock::Return,
            (true, false) => Restock::Cancel,
            (false, _) => Restock::NoRestock,
        };
        let mut refund = self.goods_back(wish, restock, ids, at);
        let taken = self.captured() - self.refunded();
        let worth = refund.total(self.taxes_included);
        // Never more than there is; an order that was not paid gives no money back.
        let amount = Pair { shop: worth.shop.min(taken.shop), presentment: worth.presentment.min(taken.presentment) };
        if amount.presentment > 0.into() {
            let status = if wish.pending { TransactionStatus::Pending } else { TransactionStatus::Success };
            refund.transactions.push(self.money_back(amount, status, ids, at));
            if wish.pending {
                refund.adjustments.push(on_its_way(ids, amount, "Refund discrepancy"));
            }
        }
        self.updated_at = at;
        self.refunds.push(refund.clone());
        refund
    }

    /// A pending refund's money moves. False: there is none.
    pub fn settle_refund(&mut self, refund: u64, ids: &mut Ids, at: DateTime<Utc>) -> bool {
        let Some(refund) = self.refunds.iter_mut().find(|it| it.id == refund) else { return false };
        let Some(pending) = refund.transactions.iter_mut().find(|it| it.status == TransactionStatus::Pending) else { return false };
        pending.status = TransactionStatus::Success;
        pending.at = at;
        let moved = pending.amount;
        refund.adjustments.push(on_its_way(ids, -moved, "Pending refund discrepancy"));
        self.updated_at = at;
        true
    }

    /// Adds articles and takes quantities away. Lines that are unknown or not left are skipped.
    pub fn edit(&mut self, add: &[(Article, u32)], remove: &[(u64, u32)], ids: &mut Ids, at: DateTime<Utc>) -> ShopEdit {
        let (mut additions, mut removals) = (Vec::new(), Vec::new());
        for (article, quantity) in add {
            let line = self.added_line(article, *quantity, ids.draw());
            additions.push((line.id, *quantity));
            self.lines.push(line);
        }
        for (id, quantity) in remove {
            if let Some(line) = self.lines.iter_mut().find(|it| it.id == *id) {
                let quantity = (*quantity).min(line.current_quantity());
                line.removed += quantity;
                removals.push((*id, quantity));
            }
        }
        self.updated_at = at;
        ShopEdit { id: ids.draw(), order: self.id, at, additions, removals }
    }

    /// A note of the staff: the least change that shows.
    pub fn annotate(&mut self, note: &str, at: DateTime<Utc>) {
        self.note = Some(note.to_owned());
        self.updated_at = at;
    }

    fn has_authorization(&self) -> bool {
        self.transactions.iter().any(|it| it.kind == TransactionKind::Authorization)
    }

    /// Lines, delivery and goodwill of a refund, without the money; what it takes of the lines is noted on them.
    fn goods_back(&mut self, wish: &RefundWish, restock: Restock, ids: &mut Ids, at: DateTime<Utc>) -> ShopRefund {
        let mut refund = ShopRefund {
            id: ids.draw(),
            at,
            note: wish.note.clone(),
            lines: Vec::new(),
            adjustments: Vec::new(),
            transactions: Vec::new(),
        };
        if wish.shipping {
            refund.adjustments.extend(self.shipping_back(ids));
        }
        if let Some(goodwill) = wish.goodwill {
            refund.adjustments.push(discrepancy(ids, self.currencies.pair(goodwill)));
        }
        for (id, quantity) in &wish.lines {
            let Some(line) = self.lines.iter_mut().find(|it| it.id == *id) else { continue };
            let quantity = (*quantity).min(line.current_quantity());
            let subtotal = line.next_share(line.discounted(), quantity, &self.currencies);
            let tax = line.next_share(line.tax(), quantity, &self.currencies);
            line.refunded += quantity;
            refund.lines.push(ShopRefundLine { id: ids.draw(), line: *id, quantity, restock, subtotal, tax });
        }
        refund
    }

    /// What is left of the delivery and its tax.
    fn shipping_back(&self, ids: &mut Ids) -> Option<ShopAdjustment> {
        let left = self.current_shipping();
        if left.is_zero() {
            return None;
        }
        let tax = self.current_tax() - self.lines.iter().map(|it| it.left_of(it.tax(), &self.currencies)).sum();
        Some(ShopAdjustment {
            id: ids.draw(),
            kind: AdjustmentKind::Shipping,
            reason: "Shipping refund".to_owned(),
            amount: -left,
            tax: -tax,
        })
    }

    fn money_back(&self, amount: Pair, status: TransactionStatus, ids: &mut Ids, at: DateTime<Utc>) -> ShopTransaction {
        let paid = self.transactions.iter().find(|it| it.kind != TransactionKind::Void);
        ShopTransaction {
            id: ids.draw(),
            kind: TransactionKind::Refund,
            status,
            gateway: paid.map(|it| it.gateway.clone()).or_else(|| self.gateways.first().cloned()).unwrap_or_else(|| "manual".to_owned()),
            amount,
            parent: paid.map(|it| it.id),
            at,
            brand: paid.and_then(|it| it.brand.clone()),
            authorization: None,
        }
    }

    fn added_line(&self, article: &Article, quantity: u32, id: u64) -> ShopLine {
        let unit_price = self.currencies.pair(article.price);
        let mut line = ShopLine {
            id,
            article: article.clone(),
            quantity,
            removed: 0,
            refunded: 0,
            unit_price,
            allocations: Vec::new(),
            taxes: Vec::new(),
            properties: Vec::new(),
        };
        if let Some(country) = Country::of(&self.tax_country) {
            line.taxes = self.taxes_on(line.total(), article.reduced_tax, country);
        }
        line
    }

    /// The tax of a country on an amount of this order: out of it where taxes are included, else on top.
    pub(in crate::payloads) fn taxes_on(&self, amount: Pair, reduced: bool, country: &Country) -> Vec<ShopTax> {
        if self.tax_exempt {
            return Vec::new();
        }
        let rate = country.rate(reduced);
        let divisor = if self.taxes_included { rust_decimal::Decimal::ONE + rate } else { rust_decimal::Decimal::ONE };
        let amount = self.currencies.round(amount.map(|it| it * rate / divisor));
        vec![ShopTax { title: country.tax_title.to_owned(), rate, amount }]
    }
}

/// Of money that is on its way: taken back, or given back once it has moved.
fn on_its_way(ids: &mut Ids, amount: Pair, reason: &str) -> ShopAdjustment {
    ShopAdjustment { id: ids.draw(), kind: AdjustmentKind::Pending, reason: reason.to_owned(), amount, tax: Pair::ZERO }
}

/// What is given back beyond goods and delivery.
fn discrepancy(ids: &mut Ids, more: Pair) -> ShopAdjustment {
    let (kind, reason) = (AdjustmentKind::Goodwill, "Refund discrepancy".to_owned());
    ShopAdjustment { id: ids.draw(), kind, reason, amount: -more, tax: Pair::ZERO }
}
