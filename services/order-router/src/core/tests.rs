//! Stories: events go in, what the router says comes out as one line of text.

mod interleavings;
mod stories;

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use contracts::wire::{Failure, Outcome, OutcomeState, Reference, Wire as _};
use domain::{
    Address, Currency, Decimal, FinancialState, FulfillmentState, Money, MoneyPair, Operation, Order, OrderLine, OrderTotals, Payment,
    PaymentKind, PaymentStatus, Refund, RefundLine, Restock,
};
use mapping::Rules;
use uuid::Uuid;

use super::*;

const RULES: &str = r#"
[[hold]]
name = "fraud check"
when = '"check" in order.tags'
reason = "fraud_check"

[[route]]
name = "germany"
when = 'order.country == "DE"'
target = "erp-de"

[[route]]
name = "france"
when = 'order.country == "FR"'
target = "erp-fr"
"#;

fn rules() -> Rules {
    let targets = ["erp-de", "erp-fr"].map(|it| it.parse().unwrap()).into();
    Rules::parse(RULES, &targets).unwrap()
}

fn euros(amount: i64) -> MoneyPair {
    MoneyPair::same(Money::new(Decimal::from(amount), Currency::EUR))
}

/// Two mugs for Germany, not paid.
fn order() -> Order {
    Order {
        display_number: "#1007".to_owned(),
        shipping_address: Some(Address { country_code: "DE".to_owned(), ..Address::default() }),
        lines: vec![line("l1", 2)],
        totals: OrderTotals {
            lines: euros(20),
            discounts: euros(0),
            shipping: euros(0),
            tax: euros(0),
            tip: euros(0),
            total: euros(20),
            current_total: euros(20),
        },
        financial_state: FinancialState::Pending,
        ..testkit::order("7")
    }
}

fn line(id: &str, quantity: i64) -> OrderLine {
    OrderLine {
        id: id.to_owned(),
        product_id: "p".to_owned(),
        variant_id: "v".to_owned(),
        sku: "MUG".to_owned(),
        title: "Mug".to_owned(),
        quantity: quantity.into(),
        current_quantity: quantity.into(),
        unit_price: euros(10),
        discounts: Vec::new(),
        taxes: Vec::new(),
        requires_shipping: true,
        gift_card: false,
    }
}

fn paid(order: Order) -> Order {
    Order { financial_state: FinancialState::Paid, ..order }
}

fn tagged(order: Order, tag: &str) -> Order {
    Order { tags: vec![tag.to_owned()], ..order }
}

fn bound_for(order: Order, country: &str) -> Order {
    Order { shipping_address: Some(Address { country_code: country.to_owned(), ..Address::default() }), ..order }
}

fn cancelled(order: Order) -> Order {
    Order { cancelled_at: DateTime::from_timestamp(1_790_000_000, 0), ..order }
}

/// One mug comes back, or some.
fn refund(id: &str, quantity: i64) -> Refund {
    let line = RefundLine {
        id: "rl".to_owned(),
        order_line_id: "l1".to_owned(),
        sku: "MUG".to_owned(),
        quantity: quantity.into(),
        restock: Restock::Return,
        location_id: String::new(),
        subtotal: euros(10 * quantity),
        tax: euros(0),
    };
    Refund {
        id: id.to_owned(),
        order_id: "7".to_owned(),
        created_at: None,
        note: String::new(),
        lines: vec![line],
        adjustments: Vec::new(),
        payments: Vec::new(),
    }
}

/// Its money has moved.
fn money_back(refund: Refund) -> Refund {
    let payment = Payment {
        id: "t1".to_owned(),
        order_id: "7".to_owned(),
        kind: PaymentKind::Refund,
        status: PaymentStatus::Success,
        gateway: "bank".to_owned(),
        brand: String::new(),
        amount: euros(10).shop,
        reference: String::new(),
        processed_at: None,
    };
    Refund { payments: vec![payment], ..refund }
}

fn outcome(operation: &str, state: OutcomeState, second: i64) -> Outcome {
    Outcome {
        command_id: Uuid::from_u128(1),
        target: Some("erp-de".parse().unwrap()),
        operation_key: "shop/order/7/place".to_owned(),
        operation: operation.to_owned(),
        sequence: 1,
        state,
        references: match state {
            OutcomeState::Applied => vec![Reference { kind: "sale".to_owned(), id: "31".to_owned(), number: "S-31".to_owned() }],
            _ => Vec::new(),
        },
        failure: (state == OutcomeState::Dead).then(|| Failure {
            class: "business_rejected".to_owned(),
            code: "erp_unknown_item".to_owned(),
            message: "no such item".to_owned(),
        }),
        completed_at: DateTime::from_timestamp(1_790_000_000 + second, 0).unwrap(),
        reason: String::new(),
        confirmed: false,
    }
}

/// One order and whatever happened to it.
struct World {
    rules: Rules,
    life: Life,
    events: u128,
    /// How each obligation stands.
    obligations: BTreeMap<Uuid, String>,
    commands: Vec<Command>,
}

impl World {
    fn new() -> Self {
        Self {
            rules: rules(),
            life: Life::new("shop".parse().unwrap(), "7"),
            events: 0,
            obligations: BTreeMap::new(),
            commands: Vec::new(),
        }
    }

    fn version(&mut self, sequence: u64) -> Version {
        self.events += 1;
        Version { event: Uuid::from_u128(self.events), sequence, is_deleted: false }
    }

    fn order(&mut self, sequence: u64, order: Order) -> String {
        let version = self.version(sequence);
        let message = order.encode();
        let decided = order::changed(self.life.clone(), version, order, message, &self.rules);
        self.take(version.event, decided)
    }

    fn order_deleted(&mut self, sequence: u64, order: Order) -> String {
        let version = Version { is_deleted: true, ..self.version(sequence) };
        let message = order.encode();
        let decided = order::changed(self.life.clone(), version, order, message, &self.rules);
        self.take(version.event, decided)
    }

    fn refund(&mut self, sequence: u64, refund: &Refund) -> String {
        let version = self.version(sequence);
        let decided = refund::changed(self.life.clone(), version, refund, refund.encode());
        self.take(version.event, decided)
    }

    fn outcome(&mut self, outcome: &Outcome) -> String {
        let version = self.version(0);
        let decision = outcome::reported(self.life.clone(), outcome);
        self.take(version.event, Ok(decision))
    }

    fn take(&mut self, event: Uuid, decided: Result<Decision, Error>) -> String {
        let decision = match decided {
            Ok(decision) => decision,
            Err(error) => {
                let code = fault::Classify::code(&error);
                self.obligations.insert(event, format!("dead {code}"));
                return format!("dead {code}");
            }
        };
        let mut told = vec![verdict(&decision.verdict)];
        told.extend(decision.commands.iter().map(command));
        for released in &decision.released {
            let settled = self::settled(released.settled);
            told.push(format!("#{} {settled}", released.event.as_u128()));
            let before = self.obligations.insert(released.event, settled);
            assert!(before.is_some_and(|it| it.starts_with("waiting")), "only what waits can be released");
        }
        self.obligations.insert(event, told[0].clone());
        self.commands.extend(decision.commands);
        self.life = decision.life;
        told.join("; ")
    }
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Settled(settled) => self::settled(*settled),
        Verdict::Waiting(Wait::Hold(reason)) => format!("waiting {reason}"),
        Verdict::Waiting(Wait::Order) => "waiting for its order".to_owned(),
    }
}

fn settled(settled: Settled) -> String {
    match settled {
        Settled::Applied(None) => "applied".to_owned(),
        Settled::Applied(Some(reason)) => format!("applied {reason}"),
        Settled::Superseded => "superseded".to_owned(),
        Settled::Discarded(reason) => format!("discarded {reason}"),
    }
}

fn command(command: &Command) -> String {
    let (operation, target) = (&command.command.operation, &command.command.target);
    let what = match operation {
        Operation::PlaceOrder { confirm: true, .. } => "place and confirm".to_owned(),
        Operation::PlaceOrder { confirm: false, .. } => "place".to_owned(),
        Operation::BookRefund { refund, .. } => format!("book {}", refund.id),
        other => other.name().to_owned(),
    };
    format!("{what} in {target}")
}
