//! What shops and an ERP send: records about mugs in the ERP's only warehouse.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use contracts::headers::{self, Headers};
use contracts::wire::{Change, ChangeKind, Changed, Entity, Outcome, OutcomeState, Wire as _};
use contracts::{ids, topics};
use domain::{
    AggregateKey, Availability, ConnectionId, Currency, Decimal, EntityKind, EntityRef, Money, MoneyPair, OpenSale, Order, OrderLine, Sku,
    StockLevel,
};
use pipeline::{Origin, OutRecord, Partition, Record};
use uuid::Uuid;

pub(super) fn shop() -> ConnectionId {
    "shop".parse().unwrap()
}

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
}

pub(super) fn order_key(id: &str) -> AggregateKey {
    AggregateKey::order(&shop(), id)
}

pub(super) fn order(id: &str, lines: &[(&str, i64)]) -> Order {
    let zero = MoneyPair::same(Money::zero(Currency::EUR));
    let line = |(sku, quantity): &(&str, i64)| OrderLine {
        id: format!("{sku}-line"),
        product_id: "p".to_owned(),
        variant_id: "v".to_owned(),
        sku: (*sku).to_owned(),
        title: "Mug".to_owned(),
        quantity: (*quantity).into(),
        current_quantity: (*quantity).into(),
        unit_price: zero,
        discounts: Vec::new(),
        taxes: Vec::new(),
        requires_shipping: true,
        gift_card: false,
    };
    Order { lines: lines.iter().map(line).collect(), ..testkit::order(id) }
}

pub(super) fn order_record(sequence: u64, order: Order) -> Record {
    change_record(&shop(), sequence, Entity::Order(Box::new(order)))
}

/// Mugs.
pub(super) fn ordered(id: &str, sequence: u64, quantity: i64) -> Record {
    order_record(sequence, order(id, &[("MUG", quantity)]))
}

pub(super) fn cancelled(id: &str, sequence: u64) -> Record {
    order_record(sequence, Order { cancelled_at: Some(at(0)), ..order(id, &[("MUG", 0)]) })
}

pub(super) fn level_of(sku: &str, on_hand: i64, reserved: i64, seconds: i64, listed: &[(&str, i64)]) -> StockLevel {
    let sale = |(id, quantity): &(&str, i64)| OpenSale { order: order_key(id), quantity: (*quantity).into() };
    StockLevel {
        sku: Sku::new(sku).unwrap(),
        location: "WH".to_owned(),
        on_hand: on_hand.into(),
        reserved: reserved.into(),
        observed_at: at(seconds),
        open_sales: listed.iter().map(sale).collect(),
    }
}

pub(super) fn level_record(sequence: u64, level: StockLevel) -> Record {
    change_record(&"erp-main".parse().unwrap(), sequence, Entity::Stock(Box::new(level)))
}

/// Of mugs; the sequence is the time, too.
pub(super) fn observed(sequence: u64, on_hand: i64, reserved: i64, listed: &[(&str, i64)]) -> Record {
    level_record(sequence, level_of("MUG", on_hand, reserved, i64::try_from(sequence).unwrap() * 10, listed))
}

pub(super) fn change_record(source: &ConnectionId, sequence: u64, entity: Entity) -> Record {
    let subject = entity.subject(source);
    let change = Change {
        kind: if sequence == 1 { ChangeKind::Created } else { ChangeKind::Updated },
        sequence,
        source: source.to_string(),
        source_version: String::new(),
        source_time: None,
        channel: String::new(),
        changed_paths: Vec::new(),
    };
    let key = entity.aggregate(source).to_string();
    let changed = Changed { change, entity };
    let (topic, id) = (topics::changes(subject.kind), ids::change(&subject, sequence));
    let mut record = record(topic, key, id, changed.type_name(), &subject.to_string(), changed.encode());
    record.headers.push(headers::ENTITY_SEQ, sequence.to_string());
    record
}

pub(super) fn outcome(id: &str, operation: &str, state: OutcomeState, sequence: u64, seconds: i64) -> Record {
    outcome_of(Some("erp-main"), id, operation, state, sequence, seconds)
}

/// Of an order that no target was told of.
pub(super) fn given_up(id: &str, sequence: u64) -> Record {
    outcome_of(None, id, "place_order", OutcomeState::Discarded, sequence, 5)
}

fn outcome_of(target: Option<&str>, id: &str, operation: &str, state: OutcomeState, sequence: u64, seconds: i64) -> Record {
    let outcome = Outcome {
        command_id: Uuid::nil(),
        target: target.map(|it| it.parse().unwrap()),
        operation_key: format!("shop/order/{id}/place"),
        operation: operation.to_owned(),
        sequence,
        state,
        references: Vec::new(),
        failure: None,
        completed_at: at(seconds),
        reason: String::new(),
        confirmed: state == OutcomeState::Applied,
    };
    let event = Uuid::new_v4();
    record(topics::OUTCOMES, order_key(id).to_string(), event, Outcome::NAME, order_key(id).as_str(), outcome.encode())
}

fn record(topic: &str, key: String, id: Uuid, type_name: &str, subject: &str, value: Bytes) -> Record {
    let mut headers = Headers::default();
    headers.push(headers::CE_ID, id.to_string());
    headers.push(headers::CE_TYPE, type_name.to_owned());
    headers.push(headers::CE_SUBJECT, subject.to_owned());
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

/// What an availability event says.
pub(super) fn said(record: &OutRecord) -> (u64, Availability) {
    assert!(record.topic.ends_with(topics::AVAILABILITY));
    let changed = Changed::decode(record.headers.text(headers::CE_TYPE).unwrap(), &record.value).unwrap();
    let Entity::Availability(availability) = changed.entity else { panic!("it is about something else") };
    let entity = EntityRef::new(
        availability.connection.clone(),
        EntityKind::Availability,
        format!("{}/{}", availability.location, availability.sku),
    );
    assert_eq!(record.headers.event_id(), Some(ids::change(&entity, changed.change.sequence)));
    assert_eq!(record.headers.text(headers::CE_SUBJECT), Some(entity.to_string().as_str()));
    assert_eq!(record.headers.sequence(), Some(changed.change.sequence));
    let key = AggregateKey::stock(availability.connection.as_str(), &availability.location, &availability.sku);
    assert_eq!(record.key, key.as_str());
    (changed.change.sequence, *availability)
}

pub(super) fn units(availability: &Availability) -> i64 {
    i64::try_from(availability.available()).unwrap()
}

pub(super) fn decimal(value: i64) -> Decimal {
    value.into()
}
