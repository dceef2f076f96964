//! Canonical values as a few lines of text, for snapshots that a person can check against the payload.

use std::fmt::Write;

use domain::{DiscountAllocation, MoneyPair, Order, Payment, Refund, TaxLine};

/// `24.00 EUR`, or both where the buyer saw another amount.
fn money(pair: MoneyPair) -> String {
    if pair.shop == pair.presentment { pair.shop.to_string() } else { format!("{} / {}", pair.shop, pair.presentment) }
}

fn discounts(of: &[DiscountAllocation]) -> String {
    of.iter().fold(String::new(), |text, it| format!("{text}, {} {}{} off {}", it.kind.as_str(), it.code, it.title, money(it.amount)))
}

fn taxes(of: &[TaxLine]) -> String {
    of.iter().fold(String::new(), |text, it| format!("{text}, {} {} is {}", it.title, it.rate, money(it.amount)))
}

fn payments(text: &mut String, of: &[Payment]) {
    for it in of {
        let (kind, status) = (it.kind, it.status);
        writeln!(text, "payment {} {kind:?} {status:?} {} by {} {} ({})", it.id, it.amount, it.gateway, it.brand, it.reference).unwrap();
    }
}

pub(crate) fn order(order: &Order) -> String {
    let mut text = String::new();
    let text = &mut text;
    let (financial, fulfillment) = (order.financial_state, order.fulfillment_state);
    writeln!(text, "{} {} {financial:?} {fulfillment:?} from {}", order.id, order.display_number, order.channel).unwrap();
    if let Some(it) = &order.buyer {
        let line = format!("buyer {} {} {} {} {} {}", it.customer_id, it.email, it.phone, it.first_name, it.last_name, it.locale);
        writeln!(text, "{}", line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
    }
    for (name, address) in [("bill to", &order.billing_address), ("ship to", &order.shipping_address)] {
        if let Some(it) = address {
            let parts =
                [&it.company, &it.line1, &it.line2, &it.postal_code, &it.city, &it.region_code, &it.region, &it.country_code, &it.phone];
            let parts: Vec<_> = parts.into_iter().filter(|it| !it.is_empty()).cloned().collect();
            writeln!(text, "{name} {}: {}", it.name(), parts.join(", ")).unwrap();
        }
    }
    if let Some(it) = &order.company {
        writeln!(text, "company {} at {}, PO {}", it.id, it.location_id, order.po_number).unwrap();
    }
    for it in &order.lines {
        let flags = [(it.gift_card, " gift card"), (!it.requires_shipping, " unshipped")];
        let flags: String = flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, name)| name).collect();
        let (off, tax) = (discounts(&it.discounts), taxes(&it.taxes));
        let ids = format!("{}/{}/{}", it.id, it.product_id, it.variant_id);
        let (price, sku) = (money(it.unit_price), &it.sku);
        writeln!(text, "line {ids} [{sku}] {}{flags}: {} ({} left) at {price}{off}{tax}", it.title, it.quantity, it.current_quantity)
            .unwrap();
    }
    for it in &order.shipping_lines {
        let (off, tax) = (discounts(&it.discounts), taxes(&it.taxes));
        writeln!(text, "delivery {} [{}] {} at {}{off}{tax}", it.id, it.code, it.title, money(it.price)).unwrap();
    }
    for it in &order.coupons {
        writeln!(text, "coupon {} {} {}", it.code, it.kind, money(it.amount)).unwrap();
    }
    payments(text, &order.payments);
    let it = &order.totals;
    let inside = if order.taxes_included { "with" } else { "plus" };
    let (goods, off, tip) = (money(it.lines), money(it.discounts), money(it.tip));
    writeln!(text, "goods {goods}, off {off}, delivery {}, {inside} tax {}, tip {tip}", money(it.shipping), money(it.tax)).unwrap();
    writeln!(text, "total {}, now {}", money(it.total), money(it.current_total)).unwrap();
    let attributes: Vec<_> = order.attributes.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
    writeln!(text, "by {:?} tags {:?} note {:?} attributes {attributes:?} test {}", order.gateways, order.tags, order.note, order.test)
        .unwrap();
    if let Some(at) = order.cancelled_at {
        writeln!(text, "cancelled {} by {}", at.to_rfc3339(), order.cancel_reason).unwrap();
    }
    text.trim_end().to_owned()
}

pub(crate) fn refund(refund: &Refund) -> String {
    let mut text = String::new();
    writeln!(text, "refund {} of {}: {}", refund.id, refund.order_id, refund.note).unwrap();
    for it in &refund.lines {
        let (restock, subtotal, tax) = (it.restock, money(it.subtotal), money(it.tax));
        writeln!(
            text,
            "line {} of {} [{}] {} {restock:?} {} {subtotal} tax {tax}",
            it.id, it.order_line_id, it.sku, it.quantity, it.location_id
        )
        .unwrap();
    }
    for it in &refund.adjustments {
        writeln!(text, "{:?} {} {} {} tax {}", it.kind, it.id, it.reason, money(it.amount), money(it.tax)).unwrap();
    }
    payments(&mut text, &refund.payments);
    text.trim_end().to_owned()
}
