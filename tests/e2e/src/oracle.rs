//! What the doubles' own logs say, whatever Tradewind claims.

use std::collections::BTreeMap;

use domain::Decimal;
use sandbox::effects::Kind;
use sandbox::erp::SaleView;
use sandbox::payloads::{FinancialStatus, ShopOrder, ShopRefund};

use testkit::eventually;

use super::{Installation, SOON};

#[track_caller]
pub fn assert_once(installation: &Installation) {
    let wrong = not_once(installation);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Every order of the shop is one sale of the ERP, of the amount and in the state that it has in the shop; one that was
/// cancelled may have ended before it got there. And every refund of it is one of its own. Returns those that are not.
pub fn not_once(installation: &Installation) -> Vec<String> {
    let mut wrong = Vec::new();
    for order in installation.shop.orders() {
        let sales = installation.erp.sales_of(&order.id.to_string());
        let is_right = match sales.as_slice() {
            [] => order.is_cancelled(),
            [sale] if order.is_cancelled() => is_taken_back(installation, &order, sale),
            [sale] => sale.total == amount(&order) && (sale.state == "quotation") != is_paid(&order),
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{} {} of {}, {:?}: {sales:?}", order.id, order.name, amount(&order), order.financial_status()));
        }
        // What was paid for and cancelled goes back by the one or by the other.
        for refund in order.refunds.iter().filter(|_| !order.is_cancelled()) {
            let (given, booked) = (money_back(refund), refunded_in_erp(installation, refund.id));
            if booked != [-given] {
                wrong.push(format!("refund {} of {given} for {}: {booked:?}", refund.id, order.id));
            }
        }
    }
    wrong.extend(installation.erp.effects().repeated("sale.sale.create").into_iter().map(|it| format!("created again: {it:?}")));
    wrong
}

/// It was cancelled, or withdrawn after it had been processed, or all of it was given back.
fn is_taken_back(installation: &Installation, order: &ShopOrder, sale: &SaleView) -> bool {
    let given: Decimal = order.refunds.iter().flat_map(|it| refunded_in_erp(installation, it.id)).sum();
    matches!(sale.state, "cancelled" | "done") || given == -sale.total
}

/// What the ERP's sales for a refund come to: one, unless something is wrong.
pub fn refunded_in_erp(installation: &Installation, refund: u64) -> Vec<Decimal> {
    installation.erp.sales_of(&format!("refund:{refund}")).iter().map(|it| it.total).collect()
}

pub fn money_back(refund: &ShopRefund) -> Decimal {
    refund.transactions.iter().map(|it| it.amount.shop).sum()
}

/// What the sale has to come to. Refunds are sales of their own.
fn amount(order: &ShopOrder) -> Decimal {
    order.total().shop
}

fn is_paid(order: &ShopOrder) -> bool {
    use FinancialStatus::{Authorized, Paid, PartiallyPaid, PartiallyRefunded, Pending, Refunded, Voided};
    match order.financial_status() {
        Paid | PartiallyRefunded | Refunded => true,
        Authorized | Pending | PartiallyPaid | Voided => false,
    }
}

#[track_caller]
pub fn assert_in_order(installation: &Installation) {
    let wrong = out_of_order(installation);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What was done to each sale was done in an order that makes sense: created first, confirmed once, nothing rewritten afterwards.
/// Returns those of which this is not true.
pub fn out_of_order(installation: &Installation) -> Vec<String> {
    let effects = installation.erp.effects();
    let mut wrong = Vec::new();
    for order in installation.shop.orders() {
        let id = order.id.to_string();
        let of_order = effects.entries().iter().filter(|it| it.kind == Kind::Applied && it.external_id.as_deref() == Some(&id));
        let done: Vec<&str> = of_order.filter_map(|it| it.operation.strip_prefix("sale.sale.")).collect();
        let mut after_confirm = done.iter().skip_while(|it| **it != "confirm").skip(1);
        // A cancellation writes, too: what the ERP shall ignore.
        let rewrites: &[&str] = if order.is_cancelled() { &["create", "draft", "quote"] } else { &["create", "draft", "quote", "write"] };
        let is_wrong = done.first().is_some_and(|it| *it != "create")
            || done.iter().filter(|it| **it == "confirm").count() > 1
            || after_confirm.any(|it| rewrites.contains(it));
        if is_wrong {
            wrong.push(format!("{id}: {done:?}"));
        }
    }
    wrong
}

/// Waits until it does.
#[track_caller]
pub fn stock_agrees(installation: &Installation) -> impl Future<Output = ()> {
    eventually(SOON, async || {
        let wrong = stock_differs(installation);
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    })
}

/// The shop shows of every item what the doubles' logs give by the formula: on hand − reserved − web orders that the ERP has not
/// confirmed. Returns the items of which it does not.
pub fn stock_differs(installation: &Installation) -> Vec<String> {
    let shown = |sku: &str| installation.shop.available(sku).map(Decimal::from);
    let expected = available(installation).into_iter().filter(|(sku, free)| shown(sku) != Some(*free));
    expected.map(|(sku, free)| format!("{sku}: {free} by the logs, {:?} in the shop", shown(&sku))).collect()
}

fn available(installation: &Installation) -> BTreeMap<String, Decimal> {
    let mut pending: BTreeMap<String, Decimal> = BTreeMap::new();
    for order in installation.shop.orders().iter().filter(|it| !it.is_cancelled()) {
        let is_confirmed = |state: &str| !matches!(state, "draft" | "quotation");
        if !installation.erp.sales_of(&order.id.to_string()).iter().any(|it| is_confirmed(it.state)) {
            for line in &order.lines {
                *pending.entry(line.article.sku.clone()).or_default() += Decimal::from(line.current_quantity());
            }
        }
    }
    let free = |(sku, held): (String, sandbox::effects::Held)| {
        let pending = pending.get(&sku).copied().unwrap_or_default();
        (sku, held.on_hand - held.reserved - pending)
    };
    installation.erp.effects().stock().into_iter().map(free).collect()
}
