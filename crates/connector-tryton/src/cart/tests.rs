use super::*;
use crate::config::tests::minimal;
use domain::order::{CouponCode, DiscountKind, FinancialState, FulfillmentState, OrderTotals, TaxLine};
use domain::{Address, MoneyPair};
use proptest::prelude::*;

fn settings() -> Settings {
    Settings::parse(&minimal()).unwrap()
}

fn amount(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn euro(amount: Decimal) -> MoneyPair {
    MoneyPair::same(Money::new(amount, Currency::EUR))
}

/// What Tryton makes of lines: untaxed amount and tax. `per_line`: how the company rounds taxes.
fn tryton(lines: &[Line], rates: &dyn Fn(i64) -> Decimal, per_line: bool) -> Decimal {
    let untaxed: Decimal = lines.iter().map(|it| round(it.quantity * it.unit_price, 2)).sum();
    let tax_of = |line: &Line, id: i64| line.quantity * line.unit_price * rates(id);
    let mut taxes: std::collections::BTreeMap<i64, Decimal> = std::collections::BTreeMap::new();
    for line in lines {
        for id in &line.taxes {
            let tax = tax_of(line, *id);
            *taxes.entry(*id).or_default() += if per_line { round(tax, 2) } else { tax };
        }
    }
    untaxed + taxes.values().map(|it| round(*it, 2)).sum::<Decimal>()
}

fn rate_of(id: i64) -> Decimal {
    [amount("0.20"), amount("0.19"), amount("0.07")][usize::try_from(id - 1).unwrap()]
}

/// Like a shop: half up.
fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

#[derive(Debug, Clone)]
pub(crate) struct Bought {
    pub(crate) cents: i64,
    pub(crate) quantity: i64,
    /// Percent of the line.
    pub(crate) discount: i64,
    pub(crate) rate: i64,
}

fn bought(quantity_max: i64) -> impl Strategy<Value = Bought> {
    (1..=50_000_i64, 1..=quantity_max, prop_oneof![3 => Just(0_i64), 1 => 1..=100_i64], 1..=3_i64)
        .prop_map(|(cents, quantity, discount, rate)| Bought { cents, quantity, discount, rate })
}

fn taxed(net_or_gross: Decimal, rate: Decimal, included: bool) -> Decimal {
    if included { cents(net_or_gross * rate / (Decimal::ONE + rate)) } else { cents(net_or_gross * rate) }
}

pub(crate) fn order(goods: &[Bought], shipping: i64, included: bool) -> Order {
    let (mut lines, mut sum, mut off, mut tax) = (Vec::new(), Decimal::ZERO, Decimal::ZERO, Decimal::ZERO);
    for (position, it) in goods.iter().enumerate() {
        let full = Decimal::new(it.cents, 2) * Decimal::from(it.quantity);
        let discount = cents(full * Decimal::new(it.discount, 2));
        let line_tax = taxed(full - discount, rate_of(it.rate), included);
        (sum, off, tax) = (sum + full, off + discount, tax + line_tax);
        let allocation =
            DiscountAllocation { code: "SUMMER10".to_owned(), title: String::new(), kind: DiscountKind::Code, amount: euro(discount) };
        lines.push(OrderLine {
            id: position.to_string(),
            product_id: String::new(),
            variant_id: String::new(),
            sku: format!("SKU-{position}"),
            title: "Mug".to_owned(),
            quantity: it.quantity.into(),
            current_quantity: it.quantity.into(),
            unit_price: euro(Decimal::new(it.cents, 2)),
            discounts: if it.discount > 0 { vec![allocation] } else { vec![] },
            taxes: vec![TaxLine { title: String::new(), rate: rate_of(it.rate), amount: euro(line_tax) }],
            requires_shipping: true,
            gift_card: false,
        });
    }
    let price = Decimal::new(shipping, 2);
    let shipping_tax = taxed(price, rate_of(1), included);
    tax += shipping_tax;
    let total = sum - off + price + if included { Decimal::ZERO } else { tax };
    let shipping_line = ShippingLine {
        id: "s".to_owned(),
        code: "standard".to_owned(),
        title: "Standard".to_owned(),
        price: euro(price),
        discounts: vec![],
        taxes: vec![TaxLine { title: String::new(), rate: rate_of(1), amount: euro(shipping_tax) }],
    };
    let totals = OrderTotals {
        lines: euro(sum),
        discounts: euro(off),
        shipping: euro(price),
        tax: euro(tax),
        tip: euro(Decimal::ZERO),
        total: euro(total),
        current_total: euro(total),
    };
    let order = Order {
        id: "1".to_owned(),
        display_number: "#1001".to_owned(),
        buyer: None,
        billing_address: None,
        shipping_address: Some(Address { country_code: "DE".to_owned(), ..Address::default() }),
        lines,
        shipping_lines: vec![shipping_line],
        coupons: vec![CouponCode { code: "SUMMER10".to_owned(), kind: "percentage".to_owned(), amount: euro(off) }],
        payments: vec![],
        gateways: vec![],
        po_number: String::new(),
        note: String::new(),
        attributes: vec![],
        tags: vec![],
        shop_currency: Currency::EUR,
        presentment_currency: Currency::EUR,
        taxes_included: included,
        totals,
        financial_state: FinancialState::Paid,
        fulfillment_state: FulfillmentState::Unfulfilled,
        cancelled_at: None,
        cancel_reason: String::new(),
        placed_at: None,
        channel: "web".to_owned(),
        company: None,
        test: false,
    };
    order.check_totals().unwrap();
    order
}

/// The total after the gate has had its say; `None` when it refuses.
fn total(order: &Order, per_line: bool) -> Option<Decimal> {
    let mut cart = of_order(order, Extent::Placed, &settings()).unwrap();
    let first = tryton(&cart.lines, &rate_of, per_line);
    match gate(cart.total, first, cart.lines.len(), &settings()) {
        Gate::Exact => {}
        Gate::Mismatch => return None,
        Gate::Adjust(difference) => {
            let description = "Rounding".to_owned();
            cart.lines.push(Line { item: Item::Product(8), quantity: Decimal::ONE, unit_price: difference, taxes: vec![], description });
        }
    }
    Some(tryton(&cart.lines, &rate_of, per_line))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn every_cart_reaches_its_exact_total(
        goods in prop::collection::vec(bought(20), 1..=6), shipping in 0..2000_i64, included: bool, per_line: bool,
    ) {
        let order = order(&goods, shipping, included);
        prop_assert_eq!(total(&order, per_line), Some(order.totals.total.shop.amount));
    }

    #[test]
    fn a_line_of_many_pieces_is_the_shops_line_to_the_cent(it in bought(5000), included: bool) {
        let order = order(std::slice::from_ref(&it), 0, included);
        let cart = of_order(&order, Extent::Placed, &settings()).unwrap();
        let goods: Vec<&Line> = cart.lines.iter().filter(|it| matches!(it.item, Item::Sku(_))).collect();
        let net: Decimal = goods.iter().map(|it| round(it.quantity * it.unit_price, 2)).sum();
        let tax = order.lines[0].taxes[0].amount.shop.amount;
        let stated = order.totals.lines.shop.amount - order.totals.discounts.shop.amount - if included { tax } else { Decimal::ZERO };
        prop_assert!((net - stated).abs() <= amount("0.01"), "{} is not {}", net, stated);
        prop_assert_eq!(goods.iter().map(|it| it.quantity).sum::<Decimal>(), Decimal::from(it.quantity));
        prop_assert!(goods.iter().all(|it| it.quantity > Decimal::ZERO && it.unit_price.scale() <= 4));
    }
}

fn check_prices(quantity: &str, net: &str, expected: &str) {
    let found: Vec<String> =
        prices(amount(quantity), amount(net), 2).iter().map(|(q, p)| format!("{}x{}", q.normalize(), p.normalize())).collect();
    assert_eq!(found.join(" "), expected);
}

#[test]
fn one_price_serves_unless_there_are_too_many_pieces() {
    check_prices("3", "29.00", "3x9.6667");
    check_prices("-3", "-29.00", "-3x9.6667");
    check_prices("-1", "5.00", "-1x-5");
    check_prices("1", "0", "1x0");
    check_prices("1000", "333.33", "700x0.3333 300x0.3334");
    check_prices("-1000", "-333.33", "-700x0.3333 -300x0.3334");
}

fn check_gate(expected: &str, actual: &str, lines: usize, gate_says: Gate) {
    assert_eq!(gate(Money::new(amount(expected), Currency::EUR), amount(actual), lines, &settings()), gate_says, "{expected} {actual}");
}

#[test]
fn cents_are_booked_and_more_is_refused() {
    check_gate("10.00", "10.00", 1, Gate::Exact);
    check_gate("10.00", "9.99", 1, Gate::Adjust(amount("0.01")));
    check_gate("10.00", "10.02", 1, Gate::Mismatch);
    check_gate("10.00", "10.02", 2, Gate::Adjust(amount("-0.02")));
    check_gate("10.00", "10.05", 40, Gate::Adjust(amount("-0.05")));
    check_gate("10.00", "10.06", 40, Gate::Mismatch);
}

#[test]
fn a_currency_without_cents_counts_in_its_own_units() {
    let yen = |it: &str| Money::new(amount(it), Currency::JPY);
    assert_eq!(gate(yen("1000"), amount("999"), 1, &settings()), Gate::Adjust(Decimal::ONE));
    assert_eq!(gate(yen("1000"), amount("998"), 1, &settings()), Gate::Mismatch);
}

#[test]
fn the_code_and_amount_of_a_discount_stand_on_its_line() {
    let order = order(&[Bought { cents: 1000, quantity: 3, discount: 10, rate: 1 }], 500, false);
    let cart = of_order(&order, Extent::Placed, &settings()).unwrap();
    assert_eq!(cart.lines[0].description, "Mug\nDiscount SUMMER10 (code): -3.00 EUR");
    assert_eq!((cart.lines[0].unit_price, cart.lines[1].description.as_str()), (amount("9"), "Standard (standard)"));
}

#[test]
fn a_free_order_keeps_its_lines() {
    let order = order(&[Bought { cents: 1000, quantity: 1, discount: 100, rate: 1 }], 0, true);
    assert_eq!(total(&order, true), Some(Decimal::ZERO));
    assert_eq!(of_order(&order, Extent::Placed, &settings()).unwrap().lines.len(), 2);
}

#[test]
fn an_edited_order_counts_what_is_left_of_it() {
    let mut order = order(&[Bought { cents: 1000, quantity: 4, discount: 10, rate: 1 }], 0, false);
    order.lines[0].current_quantity = Decimal::ONE;
    let cart = of_order(&order, Extent::Current, &settings()).unwrap();
    assert_eq!((cart.lines[0].quantity, cart.lines[0].unit_price), (Decimal::ONE, amount("9")));
    order.lines[0].current_quantity = Decimal::ZERO;
    assert_eq!(of_order(&order, Extent::Current, &settings()).unwrap().lines.len(), 1, "only delivery is left");
}

#[test]
fn a_line_without_sku_needs_a_product_of_the_settings() {
    let mut order = order(&[Bought { cents: 1000, quantity: 1, discount: 0, rate: 1 }], 0, false);
    order.lines[0].sku = String::new();
    assert!(matches!(of_order(&order, Extent::Placed, &settings()), Err(Refusal::NoSku(1))));
    let mut known = minimal();
    known["unlisted_product"] = 9.into();
    let cart = of_order(&order, Extent::Placed, &Settings::parse(&known).unwrap()).unwrap();
    assert_eq!(cart.lines[0].item, Item::Product(9));
}
