//! The operations as steps, and who does each.
//!
//! | operation | steps |
//! |---|---|
//! | `place_order` | customer, addresses, create, adjust, quote; when confirmed: confirm, process |
//! | `confirm_order` | quote, confirm, process |
//! | `revise_order` | draft, customer, addresses, rewrite, adjust, quote |
//! | `cancel_order` | withdraw, shipments, moves, invoices, ignore, settle |
//! | `book_refund` | create, adjust, quote, confirm, process; the same again as `…_kept` when only some goods come back; when some do not: reopen, shorten, wait, split, drop, forget, settle |
//! | `sync_customer` | customer, update |
//!
//! Where an order's buyer is the guests' party of the settings, `customer` falls out.

use async_trait::async_trait;
use connector::erp::{Erp, Findings, Guarantee, Identity, OperationGuarantees, Probe, Step, StepCall, StepError};
use domain::{ErpCommand, Operation, Order};
use fault::Fault;
use uuid::Uuid;

use crate::cart::{Cart, Extent, of_order};
use crate::customers::Person;
use crate::error::Refusal;
use crate::refunds::{self, Part};
use crate::{Target, cancel, holdback};

/// A step's name, its guarantee, and whether it is probed before the first try.
pub(crate) type Row = (&'static str, Guarantee, bool);

const CUSTOMER: Row = ("customer", Guarantee::Lookup, true);
const ADDRESSES: Row = ("addresses", Guarantee::Lookup, true);
/// `(web_shop, web_id)` is unique in Tryton.
const CREATE: Row = ("create", Guarantee::Unique, false);
const ADJUST: Row = ("adjust", Guarantee::Lookup, true);
/// Buttons: Tryton refuses them in any other state than theirs.
const QUOTE: Row = ("quote", Guarantee::Unique, false);
const CONFIRM: Row = ("confirm", Guarantee::Unique, false);
/// Does nothing when nothing is due. Mostly `confirm` has done it.
const PROCESS: Row = ("process", Guarantee::Upsert, true);
const DRAFT: Row = ("draft", Guarantee::Unique, true);
const REWRITE: Row = ("rewrite", Guarantee::Lookup, true);
const UPDATE: Row = ("update", Guarantee::Lookup, true);

const PLACE: [Row; 7] = [CUSTOMER, ADDRESSES, CREATE, ADJUST, QUOTE, CONFIRM, PROCESS];
/// The sale may be at any of them already.
const CONFIRM_ORDER: [Row; 3] = [("quote", Guarantee::Unique, true), ("confirm", Guarantee::Unique, true), PROCESS];
const REVISE: [Row; 6] = [DRAFT, CUSTOMER, ADDRESSES, REWRITE, ADJUST, QUOTE];
const REFUND: [Row; 5] = [CREATE, ADJUST, QUOTE, CONFIRM, PROCESS];
const REFUND_KEPT: [Row; 5] = [
    ("create_kept", CREATE.1, CREATE.2),
    ("adjust_kept", ADJUST.1, ADJUST.2),
    ("quote_kept", QUOTE.1, QUOTE.2),
    ("confirm_kept", CONFIRM.1, CONFIRM.2),
    ("process_kept", PROCESS.1, PROCESS.2),
];
const SYNC: [Row; 2] = [CUSTOMER, UPDATE];

fn rows(command: &ErpCommand) -> Vec<Row> {
    match &command.operation {
        Operation::PlaceOrder { confirm: true, .. } => PLACE.to_vec(),
        Operation::PlaceOrder { confirm: false, .. } => PLACE[..5].to_vec(),
        Operation::ConfirmOrder { .. } => CONFIRM_ORDER.to_vec(),
        Operation::ReviseOrder { .. } => REVISE.to_vec(),
        Operation::CancelOrder { .. } => cancel::STEPS.to_vec(),
        Operation::BookRefund { refund, .. } => {
            let mut rows = REFUND.to_vec();
            rows.extend(refunds::is_mixed(refund).then_some(REFUND_KEPT).into_iter().flatten());
            rows.extend(holdback::concerns(refund).then_some(holdback::STEPS).into_iter().flatten());
            rows
        }
        Operation::SyncCustomer { .. } => SYNC.to_vec(),
    }
}

fn of_customer(person: &Person) -> Vec<Identity> {
    person.known_by().map(|it| Identity { kind: "customer".to_owned(), match_key: it.to_owned() }).collect()
}

/// The state of the address book that an order needs: the same party and the same addresses are the same work.
fn of_addresses(person: Option<&Person>, order: &Order) -> Vec<Identity> {
    let key = |person: Option<&str>| {
        let key = format!("{person:?} {:?} {:?}", order.billing_address, order.shipping_address);
        Identity { kind: "addresses".to_owned(), match_key: Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()).to_string() }
    };
    person.map_or_else(|| vec![key(None)], |person| person.known_by().map(|it| key(Some(it))).collect())
}

impl Target {
    fn identities(&self, command: &ErpCommand, step: &str) -> Vec<Identity> {
        let person = match &command.operation {
            Operation::SyncCustomer { customer } => Some(Person::of_customer(customer, &command.connection)),
            operation => operation.order().and_then(|it| Person::of_order(it, &command.connection, self.settings.guest)),
        };
        match (step, command.operation.order()) {
            ("customer", _) => person.as_ref().map(of_customer).unwrap_or_default(),
            ("addresses", Some(order)) => of_addresses(person.as_ref(), order),
            _ => Vec::new(),
        }
    }

    /// What a sale of this command must consist of; `None` where the command makes none.
    pub(crate) fn cart(&self, command: &ErpCommand, part: Part) -> Result<Option<Cart>, Refusal> {
        Ok(match &command.operation {
            Operation::PlaceOrder { order, confirm: true } => Some(of_order(order, Extent::Placed, &self.settings)?),
            Operation::PlaceOrder { order, confirm: false } | Operation::ReviseOrder { order } => {
                Some(of_order(order, Extent::of_quotation(order), &self.settings)?)
            }
            Operation::BookRefund { refund, order } => Some(refunds::cart(refund, order, part, &self.settings)?),
            Operation::ConfirmOrder { .. } | Operation::CancelOrder { .. } | Operation::SyncCustomer { .. } => None,
        })
    }
}

/// Every operation with what its steps promise.
pub(crate) fn guarantees() -> Vec<OperationGuarantees> {
    let promised = |rows: &[Row]| rows.iter().map(|(name, guarantee, _)| (*name, *guarantee)).collect();
    let refund = [REFUND.as_slice(), &REFUND_KEPT, &holdback::STEPS].concat();
    let tables: [&[Row]; 6] = [&PLACE, &CONFIRM_ORDER, &REVISE, &cancel::STEPS, &refund, &SYNC];
    let all = Operation::NAMES.iter().zip(tables);
    all.map(|(operation, rows)| OperationGuarantees { operation, steps: promised(rows) }).collect()
}

#[async_trait]
impl Erp for Target {
    fn platform(&self) -> &'static str {
        "tryton"
    }

    fn steps(&self, command: &ErpCommand) -> Result<Vec<Step>, Fault> {
        self.web_shop(&command.connection)?;
        // What no request could cure is refused before the first one.
        for part in [Part::Main, Part::Kept] {
            self.cart(command, part)?;
        }
        let step = |(name, guarantee, look_first)| Step { name, guarantee, look_first, identities: self.identities(command, name) };
        let steps = rows(command).into_iter().map(step);
        Ok(steps.filter(|it| it.name != "customer" || !it.identities.is_empty()).collect())
    }

    async fn probe(&self, call: &StepCall<'_>) -> Result<Probe, Fault> {
        if refunds::is_nothing_due(call) {
            return Ok(Probe::Done(Findings::new()));
        }
        if let Some(stage) = cancel::Stage::of(call) {
            return self.probe_cancel(call, stage).await;
        }
        if let Some(stage) = holdback::Stage::of(call) {
            return self.probe_holdback(call, stage).await;
        }
        let (step, part) = Part::of(call.step);
        let probe = match (step, &call.command.operation) {
            ("customer", Operation::SyncCustomer { customer }) => {
                self.probe_customer(call, &Person::of_customer(customer, &call.command.connection)).await
            }
            ("customer", _) => self.probe_customer(call, &self.person(call)?).await,
            ("addresses", operation) => self.probe_addresses(call, order(call, operation)?).await,
            ("update", Operation::SyncCustomer { customer }) => self.probe_update(call, customer).await,
            ("create", Operation::BookRefund { .. }) => self.probe_refund(call, part).await,
            ("create", _) => self.probe_create(call).await,
            ("adjust", _) => self.probe_adjust(call, part).await,
            ("quote", _) => self.probe_quote(call, part).await,
            ("confirm", _) => self.probe_confirm(call, part).await,
            ("process", _) => self.probe_process(call, part).await,
            ("draft", _) => self.probe_draft(call).await,
            ("rewrite", _) => self.probe_rewrite(call).await,
            _ => Err(Refusal::UnknownStep(call.step.to_owned()).into()),
        }?;
        Ok(match probe {
            Probe::Done(found) => Probe::Done(part.named(found)),
            Probe::Missing => Probe::Missing,
        })
    }

    async fn perform(&self, call: &StepCall<'_>) -> Result<Findings, StepError> {
        self.until(call.not_after).perform_step(call).await
    }

    async fn ping(&self) -> Result<(), Fault> {
        self.rpc.ping().await?;
        Ok(())
    }
}

impl Target {
    async fn perform_step(&self, call: &StepCall<'_>) -> Result<Findings, StepError> {
        if refunds::is_nothing_due(call) {
            return Ok(Findings::new());
        }
        if let Some(stage) = cancel::Stage::of(call) {
            return self.perform_cancel(call, stage).await;
        }
        if let Some(stage) = holdback::Stage::of(call) {
            return self.hold_back(call, stage).await;
        }
        let (step, part) = Part::of(call.step);
        let found = match (step, &call.command.operation) {
            ("customer", Operation::SyncCustomer { customer }) => {
                self.create_customer(&Person::of_customer(customer, &call.command.connection)).await
            }
            ("customer", _) => self.create_customer(&self.person(call)?).await,
            ("addresses", operation) => self.create_addresses(call, order(call, operation)?).await,
            ("update", Operation::SyncCustomer { customer }) => self.update_customer(call, customer).await,
            ("create", Operation::BookRefund { refund, order }) => self.create_refund(call, refund, order, part).await,
            ("create", operation) => self.create_order(call, order(call, operation)?).await,
            ("adjust", _) => self.adjust(call, part).await,
            ("quote", _) => self.quote(call, part).await,
            ("confirm", _) => self.confirm(call, part).await,
            ("process", _) => self.process(call, part).await,
            ("draft", _) => self.draft(call).await,
            ("rewrite", operation) => self.rewrite(call, order(call, operation)?).await,
            _ => Err(Refusal::UnknownStep(call.step.to_owned()).into()),
        }?;
        Ok(part.named(found))
    }

    fn person(&self, call: &StepCall<'_>) -> Result<Person, Refusal> {
        let order = order(call, &call.command.operation)?;
        let person = Person::of_order(order, &call.command.connection, self.settings.guest);
        person.ok_or_else(|| Refusal::UnknownStep(call.step.to_owned()))
    }
}

fn order<'a>(call: &StepCall<'_>, operation: &'a Operation) -> Result<&'a Order, Refusal> {
    operation.order().ok_or_else(|| Refusal::UnknownStep(call.step.to_owned()))
}
