//! What the router is told of a command.

use chrono::{DateTime, Utc};
use connector::erp::Findings;
use contracts::headers;
use contracts::wire::{Failure, Outcome, OutcomeState, Reference, Wire as _};
use domain::{ErpCommand, Operation, OperationKey, TargetId};
use fault::Fault;
use pipeline::outgoing::Event;
use pipeline::{OutRecord, Record};
use uuid::Uuid;

/// Where outcomes go and whom they are from.
#[derive(Debug, Clone)]
pub struct Outcomes {
    /// The full name.
    pub topic: String,
    pub target: TargetId,
    /// The consumer group, without prefix.
    pub group: String,
}

impl Outcomes {
    /// Always the same id: a command is applied once.
    pub fn applied(&self, record: &Record, id: Uuid, command: &ErpCommand, findings: &Findings, at: DateTime<Utc>) -> OutRecord {
        let outcome = Outcome {
            references: references(findings),
            confirmed: confirms(&command.operation),
            ..self.outcome(record, id, Some(command), OutcomeState::Applied, at)
        };
        self.record(record, contracts::ids::derived(id, &self.group, 0), &outcome)
    }

    /// `deaths`: how often it has died before. Each death is told: a reader that forgot the last one must hear of it again.
    pub fn dead(&self, record: &Record, id: Uuid, command: Option<&ErpCommand>, fault: &Fault, deaths: usize) -> (Uuid, OutRecord) {
        let failure = Failure { class: fault.class.as_str().to_owned(), code: fault.code.to_owned(), message: fault.message.clone() };
        let outcome = Outcome { failure: Some(failure), ..self.outcome(record, id, command, OutcomeState::Dead, Utc::now()) };
        let id = contracts::ids::derived(id, &format!("{}/dead", self.group), deaths);
        (id, self.record(record, id, &outcome))
    }

    /// Of a command that can't be read only its headers are known.
    fn outcome(&self, record: &Record, id: Uuid, command: Option<&ErpCommand>, state: OutcomeState, at: DateTime<Utc>) -> Outcome {
        let header = || record.headers.text(headers::IDEMPOTENCY_KEY).unwrap_or_default().to_owned();
        let operation_key = command.map_or_else(header, |it| it.operation_key.to_string());
        let told = || OperationKey::from_wire(operation_key.as_str()).ok()?.operation();
        let operation = command.map(|it| it.operation.name()).or_else(told).unwrap_or_default().to_owned();
        Outcome {
            command_id: id,
            target: Some(self.target.clone()),
            operation,
            operation_key,
            sequence: command.map_or_else(|| record.headers.sequence().unwrap_or(0), |it| it.sequence),
            state,
            references: Vec::new(),
            failure: None,
            completed_at: at,
            reason: String::new(),
            confirmed: false,
        }
    }

    fn record(&self, command: &Record, id: Uuid, outcome: &Outcome) -> OutRecord {
        let key = command.key_text();
        Event {
            topic: &self.topic,
            id,
            key: &key,
            type_name: Outcome::NAME,
            source: self.target.as_str(),
            subject: command.headers.text(headers::CE_SUBJECT).unwrap_or(&key),
            sequence: Some(outcome.sequence),
            idempotency_key: Some(outcome.operation_key.as_str()).filter(|it| !it.is_empty()),
            value: outcome.encode(),
        }
        .into_record()
    }
}

/// Whether the target counts the order's goods as sold when this operation is applied.
fn confirms(operation: &Operation) -> bool {
    match operation {
        Operation::PlaceOrder { confirm, .. } => *confirm,
        Operation::ConfirmOrder { .. } => true,
        Operation::ReviseOrder { .. } | Operation::CancelOrder { .. } | Operation::BookRefund { .. } | Operation::SyncCustomer { .. } => {
            false
        }
    }
}

/// Findings that are records of the target, and the kind of each, the most important first. Several ids are separated by
/// commas. `number` is the number of the first that is there, `kept_number` of a refund's second sale; `<name>_number` of any other.
const DOCUMENTS: [(&str, &str); 15] = [
    ("sale", "sale"),
    ("kept_sale", "sale"),
    ("order", "order"),
    ("invoice", "invoice"),
    ("invoices", "invoice"),
    ("shipment", "shipment"),
    ("shipments", "shipment"),
    ("return", "return"),
    ("returns", "return"),
    ("credit", "credit"),
    ("credits", "credit"),
    ("payment", "payment"),
    ("payments", "payment"),
    ("party", "party"),
    ("customer", "customer"),
];

fn references(findings: &Findings) -> Vec<Reference> {
    let mut references = Vec::new();
    for (name, kind) in DOCUMENTS {
        let Some(ids) = findings.get(name) else { continue };
        let own = name.strip_suffix("sale").map_or_else(|| format!("{name}_number"), |part| format!("{part}number"));
        let number = findings.get(&own).or_else(|| findings.get("number").filter(|_| references.is_empty()));
        for id in ids.split(',').filter(|it| !it.is_empty()) {
            references.push(Reference { kind: kind.to_owned(), id: id.to_owned(), number: number.cloned().unwrap_or_default() });
        }
    }
    references
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_that_are_records_become_references_and_the_rest_stays_with_us() {
        let findings: Findings = [
            ("sale", "7"),
            ("number", "S007"),
            ("kept_sale", "8"),
            ("kept_number", "S008"),
            ("invoices", "3,4"),
            ("total", "12.00"),
            ("shipment_address", "9"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let told: Vec<_> = references(&findings).into_iter().map(|it| format!("{} {} {}", it.kind, it.id, it.number)).collect();
        assert_eq!(told, ["sale 7 S007", "sale 8 S008", "invoice 3 ", "invoice 4 "]);
    }
}
