//! What a shop sends: records of order 7 and others, a mug each, for Germany.

use bytes::Bytes;
use chrono::DateTime;
use contracts::headers::{self, Headers};
use contracts::wire::{Change, ChangeKind, Changed, Entity, Outcome, OutcomeState, Reference, Wire as _};
use contracts::{ids, topics};
use domain::{
    Address, Buyer, ConnectionId, Currency, Customer, Decimal, FinancialState, Money, MoneyPair, Order, OrderLine, OrderTotals, Refund,
    RefundLine, Restock,
};
use pipeline::{Origin, Partition, Record};
use uuid::Uuid;

pub(super) fn shop() -> ConnectionId {
    "shop".parse().unwrap()
}

fn euros(amount: i64) -> MoneyPair {
    MoneyPair::same(Money::new(Decimal::from(amount), Currency::EUR))
}

pub(super) fn order(id: &str, financial_state: FinancialState) -> Order {
    let line = OrderLine {
        id: "l1".to_owned(),
        product_id: "p".to_owned(),
        variant_id: "v".to_owned(),
        sku: "MUG".to_owned(),
        title: "Mug".to_owned(),
        quantity: Decimal::ONE,
        current_quantity: Decimal::ONE,
        unit_price: euros(10),
        discounts: Vec::new(),
        taxes: Vec::new(),
        requires_shipping: true,
        gift_card: false,
    };
    let totals = OrderTotals {
        lines: euros(10),
        discounts: euros(0),
        shipping: euros(0),
        tax: euros(0),
        tip: euros(0),
        total: euros(10),
        current_total: euros(10),
    };
    Order {
        buyer: Some(Buyer { customer_id: "9".to_owned(), ..Buyer::default() }),
        shipping_address: Some(Address { country_code: "DE".to_owned(), ..Address::default() }),
        lines: vec![line],
        totals,
        financial_state,
        ..testkit::order(id)
    }
}

pub(super) fn refund(id: &str, order_id: &str) -> Refund {
    let line = RefundLine {
        id: "rl".to_owned(),
        order_line_id: "l1".to_owned(),
        sku: "MUG".to_owned(),
        quantity: Decimal::ONE,
        restock: Restock::Return,
        location_id: String::new(),
        subtotal: euros(10),
        tax: euros(0),
    };
    Refund {
        id: id.to_owned(),
        order_id: order_id.to_owned(),
        created_at: None,
        note: String::new(),
        lines: vec![line],
        adjustments: Vec::new(),
        payments: Vec::new(),
    }
}

pub(super) fn order_record(sequence: u64, order: Order) -> Record {
    change_record(sequence, Entity::Order(Box::new(order)))
}

pub(super) fn refund_record(sequence: u64, refund: Refund) -> Record {
    change_record(sequence, Entity::Refund(Box::new(refund)))
}

pub(super) fn customer_record(sequence: u64, id: &str) -> Record {
    change_record(sequence, Entity::Customer(Box::new(Customer { id: id.to_owned(), ..Customer::default() })))
}

pub(super) fn change_record(sequence: u64, entity: Entity) -> Record {
    let subject = entity.subject(&shop());
    let change = Change {
        kind: ChangeKind::Updated,
        sequence,
        source: shop().to_string(),
        source_version: String::new(),
        source_time: None,
        channel: "web".to_owned(),
        changed_paths: Vec::new(),
    };
    let key = entity.aggregate(&shop()).to_string();
    let changed = Changed { change, entity };
    let topic = topics::changes(subject.kind);
    record(topic, key, ids::change(&subject, sequence), changed.type_name(), changed.encode())
}

pub(super) fn outcome_record(id: u128, order_id: &str, operation: &str, state: OutcomeState) -> Record {
    let outcome = Outcome {
        command_id: Uuid::from_u128(id),
        target: Some("erp-main".parse().unwrap()),
        operation_key: format!("shop/order/{order_id}/place"),
        operation: operation.to_owned(),
        sequence: 1,
        state,
        references: vec![Reference { kind: "sale".to_owned(), id: "31".to_owned(), number: "S-31".to_owned() }],
        failure: None,
        completed_at: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
        reason: String::new(),
        confirmed: true,
    };
    record(topics::OUTCOMES, format!("shop/order/{order_id}"), Uuid::from_u128(id), Outcome::NAME, outcome.encode())
}

fn record(topic: &str, key: String, id: Uuid, type_name: &str, value: Bytes) -> Record {
    let mut headers = Headers::default();
    headers.push(headers::CE_ID, id.to_string());
    headers.push(headers::CE_TYPE, type_name.to_owned());
    Record {
        partition: Partition::new(topic, 0),
        offset: i64::try_from(id.as_u128() >> 80).unwrap(),
        timestamp_ms: 1_790_000_000_000,
        key: key.into(),
        value,
        headers,
        origin: Origin::Topic,
    }
}
