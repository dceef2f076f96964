use super::*;
use crate::cart::tests::{Bought, order};
use crate::config::tests::minimal;
use domain::{Currency, MoneyPair};

fn settings() -> Settings {
    Settings::parse(&minimal()).unwrap()
}

fn euro(text: &str) -> MoneyPair {
    MoneyPair::same(Money::new(text.parse().unwrap(), Currency::EUR))
}

fn line(order_line: usize, quantity: i64, subtotal: &str, tax: &str, restock: Restock) -> RefundLine {
    RefundLine {
        id: format!("r{order_line}"),
        order_line_id: order_line.to_string(),
        sku: String::new(),
        quantity: quantity.into(),
        restock,
        location_id: String::new(),
        subtotal: euro(subtotal),
        tax: euro(tax),
    }
}

fn adjustment(kind: RefundAdjustmentKind, amount: &str, tax: &str) -> RefundAdjustment {
    RefundAdjustment { id: "a".to_owned(), kind, reason: String::new(), amount: euro(amount), tax: euro(tax) }
}

fn refund(lines: Vec<RefundLine>, adjustments: Vec<RefundAdjustment>) -> Refund {
    Refund { id: "9".to_owned(), order_id: "1".to_owned(), created_at: None, note: String::new(), lines, adjustments, payments: vec![] }
}

/// Two mugs at 10.00 and three at 5.00, 20 % on top, delivery 4.00.
fn sold() -> Order {
    let mug = |cents, quantity| Bought { cents, quantity, discount: 0, rate: 1 };
    order(&[mug(1000, 2), mug(500, 3)], 400, false)
}

fn check(refund: &Refund, part: Part, expected: &str) {
    check_of(&sold(), refund, part, expected);
}

#[track_caller]
fn check_of(order: &Order, refund: &Refund, part: Part, expected: &str) {
    let cart = cart(refund, order, part, &settings()).unwrap();
    let lines: Vec<String> = cart
        .lines
        .iter()
        .map(|it| {
            let item = match &it.item {
                Item::Sku(sku) => sku.clone(),
                Item::Product(id) => format!("product {id}"),
                Item::Nothing => "amount".to_owned(),
            };
            format!("{item} {}x{} {:?}", it.quantity.normalize(), it.unit_price.normalize(), it.taxes)
        })
        .collect();
    assert_eq!(format!("{} = {}", lines.join(", "), cart.total.amount), expected);
}

#[test]
fn a_return_gives_back_pieces_at_their_price() {
    check(&refund(vec![line(0, 1, "10.00", "2.00", Restock::Return)], vec![]), Part::Main, "SKU-0 -1x10 [1] = -12.00");
}

#[test]
fn goodwill_is_an_amount_and_shipping_is_a_product() {
    let goodwill = adjustment(RefundAdjustmentKind::Goodwill, "3.00", "0");
    let shipping = adjustment(RefundAdjustmentKind::Shipping, "4.00", "0.80");
    check(&refund(vec![], vec![goodwill, shipping]), Part::Main, "amount -1x3 [], product 7 -1x4 [1] = -7.80");
}

#[test]
fn delivery_is_given_back_with_its_tax_where_prices_have_it_in_them_too() {
    let included = order(&[Bought { cents: 1200, quantity: 1, discount: 0, rate: 1 }], 480, true);
    let shipping = adjustment(RefundAdjustmentKind::Shipping, "4.00", "0.80");
    check_of(&included, &refund(vec![], vec![shipping]), Part::Main, "product 7 -1x4 [1] = -4.80");
}

#[test]
fn a_pending_discrepancy_is_not_booked() {
    let pending = adjustment(RefundAdjustmentKind::PendingDiscrepancy, "3.00", "0");
    check(&refund(vec![], vec![pending]), Part::Main, " = 0");
}

#[test]
fn goods_that_stay_get_a_sale_of_their_own_when_others_come_back() {
    let mixed = refund(
        vec![line(0, 1, "10.00", "2.00", Restock::Return), line(1, 2, "10.00", "2.00", Restock::NoRestock)],
        vec![adjustment(RefundAdjustmentKind::Goodwill, "1.00", "0")],
    );
    assert!(is_mixed(&mixed));
    check(&mixed, Part::Main, "SKU-0 -1x10 [1], amount -1x1 [] = -13.00");
    check(&mixed, Part::Kept, "SKU-1 -2x5 [1] = -12.00");
}

#[test]
fn taxes_of_an_adjustment_are_found_by_what_they_come_to() {
    let odd = adjustment(RefundAdjustmentKind::Goodwill, "10.00", "1.00");
    let refusal = Fault::from(cart(&refund(vec![], vec![odd]), &sold(), Part::Main, &settings()).unwrap_err());
    assert_eq!(
        (refusal.code, refusal.message.as_str()),
        ("erp_unmapped_tax", "no tax is set for rate 0.1 in country `DE`; add a rule to `taxes`")
    );
}

fn sale(lines: &[(&str, i64)], total: &str) -> Sale {
    let lines: Vec<serde_json::Value> = lines
        .iter()
        .map(|(sku, quantity)| {
            json!({
                "id": 1, "type": "line", "product": 4, "product.": {"id": 4, "code": sku}, "quantity": quantity,
                "unit_price": {"__class__": "Decimal", "decimal": "10"}, "amount": null, "taxes": [], "moves_ignored": [],
            })
        })
        .collect();
    serde_json::from_value(json!({
        "id": 1, "number": "1", "state": "processing", "party": 3, "currency": 1, "invoice_address": 3, "shipment_address": 3,
        "reference": null, "description": null, "comment": null, "total_amount": {"__class__": "Decimal", "decimal": total},
        "invoices_ignored": [], "lines.": lines,
    }))
    .unwrap()
}

fn check_cap(pieces: i64, others: &[Sale], expected: &str) {
    let subtotal = (10 * pieces).to_string();
    let tax = (2 * pieces).to_string();
    let cart = cart(&refund(vec![line(0, pieces, &subtotal, &tax, Restock::Return)], vec![]), &sold(), Part::Main, &settings()).unwrap();
    let capped = capped(&cart, &sale(&[("SKU-0", 2), ("SKU-1", 3)], "46.80"), others);
    assert_eq!(capped.map_or_else(|it| it.to_string(), |()| "fine".to_owned()), expected);
}

#[test]
fn no_more_is_given_back_than_was_sold() {
    check_cap(2, &[], "fine");
    check_cap(3, &[], "the refund gives back 3 of `SKU-0`, of which 2 are left");
    check_cap(1, &[sale(&[("SKU-0", -1)], "-12.00")], "fine");
    check_cap(2, &[sale(&[("SKU-0", -1)], "-12.00")], "the refund gives back 2 of `SKU-0`, of which 1 are left");
    check_cap(1, &[sale(&[], "-40.00")], "the refund gives back 12 of `money`, of which 6.8 are left");
}
