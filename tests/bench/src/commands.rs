//! What an adapter reads: three commands for each order of a backlog.

use contracts::headers::{self, Headers};
use contracts::wire::Wire as _;
use domain::{AggregateKey, ErpCommand, Operation, OperationKey, Order, TargetId};
use pipeline::OutRecord;
use uuid::Uuid;

use crate::orders;

pub(crate) const PER_ORDER: usize = 3;

/// The commands of a topic, by their number. Of a bundle of orders all first commands come first, then all second ones: far
/// enough apart to run in parallel with others, and near enough to overtake each other if anything let them.
pub(crate) struct Commands {
    topic: String,
    target: TargetId,
    template: Order,
    bundle: usize,
}

impl Commands {
    pub(crate) fn new(topic: &str, target: &TargetId, bundle: usize) -> anyhow::Result<Self> {
        Ok(Self { topic: topic.to_owned(), target: target.clone(), template: template()?, bundle })
    }

    pub(crate) fn some(&self, numbers: impl IntoIterator<Item = usize>) -> anyhow::Result<Vec<OutRecord>> {
        numbers.into_iter().map(|it| self.record(it)).collect()
    }

    pub(crate) fn record(&self, number: usize) -> anyhow::Result<OutRecord> {
        let (order, sequence) = place(number, self.bundle);
        let order = Order { id: format!("o{order}"), ..self.template.clone() };
        let aggregate = AggregateKey::order(&orders::shop(), &order.id);
        let boxed = Box::new(order);
        let operation =
            if sequence == 1 { Operation::PlaceOrder { order: boxed, confirm: false } } else { Operation::ReviseOrder { order: boxed } };
        let command = ErpCommand {
            target: self.target.clone(),
            connection: orders::shop(),
            aggregate: aggregate.clone(),
            operation_key: OperationKey::from_wire(format!("{aggregate}/{}/{sequence}", operation.name()))?,
            sequence,
            operation,
        };
        let mut all = Headers::default();
        all.push(headers::CE_ID, Uuid::from_u128(number as u128 + 1).to_string());
        all.push(headers::CE_TYPE, ErpCommand::NAME);
        all.push(headers::CE_SUBJECT, aggregate.to_string());
        all.push(headers::ENTITY_SEQ, sequence.to_string());
        Ok(OutRecord {
            topic: self.topic.as_str().into(),
            key: aggregate.to_string().into(),
            value: command.encode(),
            headers: all,
            timestamp_ms: chrono::Utc::now().timestamp_millis(),
        })
    }

    /// The key of a command, and its sequence there.
    pub(crate) fn identity(&self, number: usize) -> (String, u64) {
        let (order, sequence) = place(number, self.bundle);
        (AggregateKey::order(&orders::shop(), &format!("o{order}")).to_string(), sequence)
    }
}

/// The order that a command is of, and its sequence there.
fn place(number: usize, bundle: usize) -> (usize, u64) {
    let (before, within) = (number / (bundle * PER_ORDER), number % (bundle * PER_ORDER));
    (before * bundle + within % bundle, (within / bundle) as u64 + 1)
}

/// An order of the sandbox shop, as it is mapped.
fn template() -> anyhow::Result<Order> {
    let dir = tempfile::tempdir()?;
    let delivery = orders::created(1).remove(0);
    let delivery = connector::storefront::Delivery {
        connection: orders::shop(),
        topic: delivery.topic.to_owned(),
        identity: String::new(),
        triggered_at: None,
        received_at: chrono::Utc::now(),
        read_at: None,
        body: delivery.body,
    };
    let mapped = orders::connection(dir.path())?.mapper.map(&delivery).map_err(|fault| anyhow::anyhow!("{fault}"))?;
    match mapped {
        connector::storefront::Mapped::Entities(entities) => match entities.into_iter().next().map(|it| it.body) {
            Some(connector::storefront::Entity::Order(order)) => Ok(*order),
            _ => anyhow::bail!("the delivery brings no order"),
        },
        _ => anyhow::bail!("the delivery is not mapped"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_brings_every_order_once_before_any_comes_again() {
        let places: Vec<_> = (0..12).map(|it| place(it, 2)).collect();
        assert_eq!(places[..6], [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]);
        assert_eq!(places[6..], [(2, 1), (3, 1), (2, 2), (3, 2), (2, 3), (3, 3)]);
    }
}
