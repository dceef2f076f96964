//! A version of a customer: it goes to every target that wants customers.

use bytes::Bytes;
use contracts::wire::Originals;
use domain::{AggregateKey, ConnectionId, Customer, EntityKind, EntityRef, ErpCommand, Operation, OperationKey, TargetId};

use super::Version;
use super::decision::{Command, Settled};
use super::life::SYNC;

/// What follows from one version of a customer.
#[derive(Debug, PartialEq)]
pub struct CustomerDecision {
    pub settled: Settled,
    pub commands: Vec<Command>,
}

/// `message`: the customer's, as it was read. `known`: the newest sequence that was seen. Whatever is not superseded is the newest from now on.
pub fn changed(
    known: Option<u64>,
    version: Version,
    connection: &ConnectionId,
    customer: &Customer,
    message: &Bytes,
    targets: &[TargetId],
) -> CustomerDecision {
    if known.is_some_and(|it| version.sequence <= it) {
        return CustomerDecision { settled: Settled::Superseded, commands: Vec::new() };
    }
    if version.is_deleted {
        // Its orders are in the books, and so is the name on them.
        return CustomerDecision { settled: Settled::Applied(Some("deleted_in_source")), commands: Vec::new() };
    }
    if targets.is_empty() {
        return CustomerDecision { settled: Settled::Applied(Some("no_target_wants_customers")), commands: Vec::new() };
    }
    let subject = EntityRef::new(connection.clone(), EntityKind::Customer, customer.id.clone());
    let command = |target: &TargetId| Command {
        event: version.event,
        subject: subject.clone(),
        command: ErpCommand {
            target: target.clone(),
            connection: connection.clone(),
            aggregate: AggregateKey::customer(connection, &customer.id),
            operation_key: OperationKey::change(&subject, SYNC, version.sequence),
            sequence: version.sequence,
            operation: Operation::SyncCustomer { customer: Box::new(customer.clone()) },
        },
        originals: Originals { customer: Some(message.clone()), ..Originals::default() },
    };
    CustomerDecision { settled: Settled::Applied(None), commands: targets.iter().map(command).collect() }
}
