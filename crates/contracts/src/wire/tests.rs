use bytes::Bytes;
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

/// A field that this version does not know, in a message that it does: number 1999, a text.
fn newer(message: &[u8]) -> Vec<u8> {
    [message, b"\xfa\x7c\x0cgift wrapped"].concat()
}

/// As a field of another message, short enough for one byte of length.
fn part(number: u8, message: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(message.len()).unwrap()], message].concat()
}

fn command_about(operation: Operation) -> ErpCommand {
    let connection = "shop-eu".parse().unwrap();
    let aggregate = match &operation {
        Operation::SyncCustomer { customer } => AggregateKey::customer(&connection, &customer.id),
        other => AggregateKey::order(&connection, &other.order().unwrap().id),
    };
    let operation_key = OperationKey::from_wire("shop-eu/order/1/place").unwrap();
    ErpCommand { target: "erp-main".parse().unwrap(), connection, aggregate, operation_key, sequence: 3, operation }
}

#[test]
fn what_a_newer_writer_says_of_an_entity_goes_on_in_every_command() {
    let customer = Customer { id: "9".to_owned(), email: "ada@example.com".to_owned(), ..Customer::default() };
    // At the top, and in a message inside of it.
    let deep = |message: Bytes, number| -> Bytes { [newer(&message), part(number, &newer(b""))].concat().into() };
    let originals = Originals {
        order: Some(deep(order().encode(), 3)),
        refund: Some(newer(&refund().encode()).into()),
        customer: Some(newer(&customer.encode()).into()),
    };
    assert_eq!(Order::decode(originals.order.as_ref().unwrap()).unwrap(), order(), "we do not see it");
    let (order, refund) = (|| Box::new(order()), Box::new(refund()));
    let operations = [
        Operation::PlaceOrder { order: order(), confirm: true },
        Operation::ConfirmOrder { order: order() },
        Operation::ReviseOrder { order: order() },
        Operation::CancelOrder { order: order() },
        Operation::BookRefund { refund, order: order() },
        Operation::SyncCustomer { customer: Box::new(customer) },
    ];
    for operation in operations {
        let command = command_about(operation);
        let encoded = encode_with(&command, &originals);
        assert_eq!(ErpCommand::decode(&encoded).unwrap(), command);
        let holds = |original: &Option<Bytes>| encoded.windows(original.as_ref().unwrap().len()).any(|it| it == original.as_ref().unwrap());
        let expected = match &command.operation {
            Operation::BookRefund { .. } => (true, true, false),
            Operation::SyncCustomer { .. } => (false, false, true),
            _ => (true, false, false),
        };
        assert_eq!((holds(&originals.order), holds(&originals.refund), holds(&originals.customer)), expected, "{command:?}");
        assert_eq!(encode_with(&command, &Originals::default()), command.encode());
    }
}

#[test]
fn an_entity_is_found_in_every_change_event_as_it_was_written() {
    let change = Change {
        kind: ChangeKind::Created,
        sequence: 1,
        source: "shop-eu".to_owned(),
        source_version: "1".to_owned(),
        source_time: None,
        channel: String::new(),
        changed_paths: Vec::new(),
    };
    let customer = Customer { id: "9".to_owned(), ..Customer::default() };
    for entity in [Entity::Order(Box::new(order())), Entity::Refund(Box::new(refund())), Entity::Customer(Box::new(customer))] {
        let message = entity.encode();
        let encoded = Changed { change: change.clone(), entity }.encode();
        assert_eq!(entity_of(&encoded), message);
        // A writer may send a message in parts.
        let in_parts = [&encoded[..], &part(2, &newer(b""))].concat().into();
        assert_eq!(entity_of(&in_parts), newer(&message));
    }
    assert!(entity_of(&Bytes::from_static(b"\x12\x7fshort")).is_empty(), "what is no message has none");
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
