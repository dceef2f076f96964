use chrono::DateTime;
use domain::{
    Address, AggregateKey, Attribute, Buyer, Company, CouponCode, Currency, Customer, Decimal, DiscountAllocation, DiscountKind,
    EntityKind, ErpCommand, FinancialState, FulfillmentState, Money, MoneyPair, OpenSale, Operation, OperationKey, Order, OrderLine,
    OrderTotals, Payment, PaymentKind, PaymentStatus, Refund, RefundAdjustment, RefundAdjustmentKind, RefundLine, Restock, ShippingLine,
    Sku, StockLevel, TaxLine,
};
use proptest::prelude::*;

use super::*;

fn pair(shop: &str, presentment: &str) -> MoneyPair {
    MoneyPair { shop: Money::parse(shop, "AUD").unwrap(), presentment: Money::parse(presentment, "USD").unwrap() }
}

fn payment() -> Payment {
    Payment {
        id: "p1".to_owned(),
        order_id: "820982911946154508".to_owned(),
        kind: PaymentKind::Sale,
        status: PaymentStatus::Success,
        gateway: "card".to_owned(),
        brand: "visa".to_owned(),
        amount: Money::parse("45.85", "USD").unwrap(),
        reference: "r".to_owned(),
        processed_at: DateTime::from_timestamp(1_790_000_000, 5),
    }
}

/// Every field set, so that one that is forgotten shows.
fn order() -> Order {
    let tax = TaxLine { title: "GST".to_owned(), rate: "0.1".parse().unwrap(), amount: pair("5.48", "4.17") };
    let discount =
        DiscountAllocation { code: "TEN".to_owned(), title: "ten".to_owned(), kind: DiscountKind::Code, amount: pair("-0.000000001", "1") };
    Order {
        id: "820982911946154508".to_owned(),
        display_number: "#1001".to_owned(),
        buyer: Some(Buyer {
            customer_id: "9".to_owned(),
            email: "ada@example.com".to_owned(),
            locale: "en-AU".to_owned(),
            ..Buyer::default()
        }),
        billing_address: Some(Address { city: "Perth".to_owned(), ..Address::default() }),
        shipping_address: Some(Address { country_code: "AU".to_owned(), ..Address::default() }),
        lines: vec![OrderLine {
            id: "l".to_owned(),
            product_id: "p".to_owned(),
            variant_id: "v".to_owned(),
            sku: "MUG".to_owned(),
            title: "Mug".to_owned(),
            quantity: Decimal::TWO,
            current_quantity: Decimal::ONE,
            unit_price: pair("27.40", "20.84"),
            discounts: vec![discount.clone()],
            taxes: vec![tax.clone()],
            requires_shipping: true,
            gift_card: true,
        }],
        shipping_lines: vec![ShippingLine {
            id: "s".to_owned(),
            code: "std".to_owned(),
            title: "Standard".to_owned(),
            price: pair("5", "4"),
            discounts: vec![discount],
            taxes: vec![tax],
        }],
        coupons: vec![CouponCode { code: "TEN".to_owned(), kind: "percentage".to_owned(), amount: pair("1", "1") }],
        payments: vec![payment()],
        gateways: vec!["card".to_owned()],
        po_number: "PO-7".to_owned(),
        note: "ring twice".to_owned(),
        attributes: vec![Attribute { name: "a".to_owned(), value: "b".to_owned() }],
        tags: vec!["vip".to_owned()],
        shop_currency: Currency::AUD,
        presentment_currency: Currency::USD,
        taxes_included: true,
        totals: OrderTotals {
            lines: pair("54.80", "41.68"),
            discounts: pair("1", "1"),
            shipping: pair("5", "4"),
            tax: pair("5.48", "4.17"),
            tip: pair("0.5", "0.4"),
            total: pair("60.33", "45.85"),
            current_total: pair("0", "0"),
        },
        financial_state: FinancialState::PartiallyRefunded,
        fulfillment_state: FulfillmentState::Partial,
        cancelled_at: DateTime::from_timestamp(1_790_000_001, 0),
        cancel_reason: "customer".to_owned(),
        placed_at: DateTime::from_timestamp(1_789_000_000, 999_999_999),
        channel: "web".to_owned(),
        company: Some(Company { id: "c".to_owned(), location_id: "b".to_owned() }),
        test: true,
    }
}

fn refund() -> Refund {
    Refund {
        id: "r1".to_owned(),
        order_id: "820982911946154508".to_owned(),
        created_at: DateTime::from_timestamp(1_790_000_002, 0),
        note: "broken".to_owned(),
        lines: vec![RefundLine {
            id: "rl".to_owned(),
            order_line_id: "l".to_owned(),
            sku: "MUG".to_owned(),
            quantity: Decimal::ONE,
            restock: Restock::NoRestock,
            location_id: "1".to_owned(),
            subtotal: pair("27.40", "20.84"),
            tax: pair("2.74", "2.08"),
        }],
        adjustments: vec![RefundAdjustment {
            id: "ra".to_owned(),
            kind: RefundAdjustmentKind::Goodwill,
            reason: "sorry".to_owned(),
            amount: pair("-1", "-1"),
            tax: pair("0", "0"),
        }],
        payments: vec![payment()],
    }
}

#[test]
fn an_order_with_every_field_comes_back_as_it_was() {
    assert_eq!(Order::decode(&order().encode()).unwrap(), order());
    assert_eq!(Refund::decode(&refund().encode()).unwrap(), refund());
}

#[test]
fn a_command_finds_its_aggregate_again() {
    let command = ErpCommand {
        target: "erp-main".parse().unwrap(),
        connection: "shop-eu".parse().unwrap(),
        aggregate: AggregateKey::order(&"shop-eu".parse().unwrap(), "820982911946154508"),
        operation_key: OperationKey::from_wire("shop-eu/refund/r1/book_refund").unwrap(),
        sequence: 3,
        operation: Operation::BookRefund { refund: Box::new(refund()), order: Box::new(order()) },
    };
    assert_eq!(ErpCommand::decode(&command.encode()).unwrap(), command);
}

#[test]
fn a_change_event_comes_back_by_its_type_name() {
    let change = Change {
        kind: ChangeKind::Updated,
        sequence: 2,
        source: "shop-eu".to_owned(),
        source_version: "2026-01-01T00:00:00Z/…".to_owned(),
        source_time: DateTime::from_timestamp(1_790_000_000, 0),
        channel: "web".to_owned(),
        changed_paths: vec!["note".to_owned()],
    };
    let level = StockLevel {
        sku: Sku::new("MUG").unwrap(),
        location: "WH".to_owned(),
        on_hand: 10.into(),
        reserved: 2.into(),
        observed_at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        open_sales: vec![OpenSale { order: AggregateKey::order(&"shop-eu".parse().unwrap(), "1"), quantity: 2.into() }],
    };
    for entity in [
        Entity::Order(Box::new(order())),
        Entity::Customer(Box::new(Customer { id: "7".to_owned(), enabled: true, ..Customer::default() })),
        Entity::Refund(Box::new(refund())),
        Entity::Stock(Box::new(level)),
    ] {
        let changed = Changed { change: change.clone(), entity };
        assert_eq!(Changed::decode(changed.type_name(), &changed.encode()).unwrap(), changed);
    }
}

#[test]
fn a_newer_writers_enum_value_is_a_question_of_schema_not_a_default() {
    let mut message = order().to_wire();
    message.financial_state = 99;
    let error = Order::from_wire(message).unwrap_err();
    assert_eq!(error.to_string(), "Order.financial_state has the value 99, which this version does not know");
    assert_eq!(error.class(), Class::Schema);
    assert_eq!(Order::decode(b"\x0a\xff").unwrap_err().class(), Class::Decode);
}

#[test]
fn changed_paths_are_the_fields_that_differ() {
    let (before, mut after) = (order(), order());
    after.note = "leave at the door".to_owned();
    after.tags.push("gift".to_owned());
    assert_eq!(changed_paths(EntityKind::Order, &before.encode(), &after.encode()), ["note", "tags"]);
    assert_ne!(entity_hash(&before.encode()), entity_hash(&after.encode()));
}

proptest! {
    #[test]
    fn amounts_come_back_exactly(mantissa in -9_000_000_000_000_000_000_i64..9_000_000_000_000_000_000, scale in 0u32..=9) {
        let amount = Decimal::new(mantissa, scale).normalize();
        let mut before = order();
        before.totals.total.shop.amount = amount;
        prop_assert_eq!(Order::decode(&before.encode()).unwrap().totals.total.shop.amount, amount);
    }
}

/// Groups within groups, which no message of ours has: a decoder that called itself for each would not come back.
#[test]
fn a_record_nested_without_end_is_a_decode_error() {
    let [open, close] = [0x7b, 0x7c];
    let nested = [vec![open; 10_000], vec![close; 10_000]].concat();
    // The same inside of a field that we know: messages within messages.
    let mut known = Vec::new();
    for _ in 0..10_000 {
        let mut around = vec![0x12];
        prost::encoding::encode_varint(known.len() as u64, &mut around);
        known = [around, known].concat();
        if known.len() > 60_000 {
            break;
        }
    }
    for bytes in [nested, known] {
        for name in ["tradewind.orders.v1.OrderChanged", "tradewind.refunds.v1.RefundChanged", "tradewind.inventory.v1.StockChanged"] {
            let error = Changed::decode(name, &bytes).unwrap_err();
            assert!(matches!(error, WireError::Decode { .. } | WireError::Missing { .. }), "{error}");
            assert!(error.to_string().len() < 1024, "{error}");
            let shown = crate::reflect::to_json(name, &bytes, false);
            assert!(matches!(shown, Err(crate::reflect::Error::Decode { .. })) || matches!(error, WireError::Missing { .. }), "{name}");
        }
    }
}
