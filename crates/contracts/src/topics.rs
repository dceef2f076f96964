//! The topic table: every topic that the product writes, with what must hold of it on the broker.

use std::time::Duration;

use domain::{EntityKind, TargetId};

/// What happens to later records of a key whose record failed for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parking {
    /// They are held, and follow in order.
    Park,
    /// A later good version supersedes the failed one.
    LatestWins,
    /// They have nothing to do with each other.
    Independent,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Other teams subscribe to it.
    Public,
    Internal,
}

/// One topic, or one per target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Without the installation's prefix.
    pub name: String,
    /// What its records are keyed by, for people.
    pub key: &'static str,
    pub partitions: i32,
    pub retention: Duration,
    pub message_bytes_max: u32,
    pub visibility: Visibility,
}

pub const RAW: &str = "tradewind.raw.v1";
pub const ORDERS: &str = "tradewind.orders.v1";
pub const CUSTOMERS: &str = "tradewind.customers.v1";
pub const PRODUCTS: &str = "tradewind.products.v1";
pub const PRICES: &str = "tradewind.prices.v1";
pub const INVENTORY: &str = "tradewind.inventory.v1";
pub const AVAILABILITY: &str = "tradewind.availability.v1";
pub const SHIPMENTS: &str = "tradewind.shipments.v1";
pub const PAYMENTS: &str = "tradewind.payments.v1";
pub const REFUNDS: &str = "tradewind.refunds.v1";
pub const OUTCOMES: &str = "tradewind.outcomes.v1";
pub const DEAD_LETTERS: &str = "tradewind.dead-letters.v1";

/// The command topic of one ERP: a target that is away fills only its own.
pub fn commands(target: &TargetId) -> String {
    format!("tradewind.commands.erp.{target}.v1")
}

/// The change topic of a kind of entity.
pub fn changes(kind: EntityKind) -> &'static str {
    match kind {
        EntityKind::Order => ORDERS,
        EntityKind::Customer => CUSTOMERS,
        EntityKind::Product => PRODUCTS,
        EntityKind::Price => PRICES,
        EntityKind::Stock => INVENTORY,
        EntityKind::Availability => AVAILABILITY,
        EntityKind::Shipment => SHIPMENTS,
        EntityKind::Payment => PAYMENTS,
        EntityKind::Refund => REFUNDS,
    }
}

/// Longer than the longest outage that we promise to survive.
const RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);
const LETTERS_RETENTION: Duration = Duration::from_secs(180 * 24 * 3600);
/// A raw body has up to 4 MiB, and its headers beside it.
const RAW_BYTES_MAX: u32 = 5 << 20;
const BYTES_MAX: u32 = 4 << 20;

/// Every topic of an installation with these targets; names without prefix. All are deleted by time and none is compacted: a
/// key's older records are what a replay reads.
pub fn table<'a>(targets: impl IntoIterator<Item = &'a TargetId>) -> Vec<Topic> {
    use Visibility::{Internal, Public};
    let topic = |name: &str, key, partitions, retention, message_bytes_max, visibility| Topic {
        name: name.to_owned(),
        key,
        partitions,
        retention,
        message_bytes_max,
        visibility,
    };
    let mut topics = vec![
        topic(RAW, "aggregate", 6, RETENTION, RAW_BYTES_MAX, Internal),
        topic(ORDERS, "order", 6, RETENTION, BYTES_MAX, Public),
        topic(CUSTOMERS, "customer", 6, RETENTION, BYTES_MAX, Public),
        topic(PRODUCTS, "product", 6, RETENTION, BYTES_MAX, Public),
        topic(PRICES, "product", 6, RETENTION, BYTES_MAX, Public),
        topic(INVENTORY, "stock", 6, RETENTION, BYTES_MAX, Public),
        topic(AVAILABILITY, "stock", 6, RETENTION, BYTES_MAX, Public),
        topic(SHIPMENTS, "order", 6, RETENTION, BYTES_MAX, Public),
        topic(PAYMENTS, "order", 6, RETENTION, BYTES_MAX, Public),
        topic(REFUNDS, "order", 6, RETENTION, BYTES_MAX, Public),
        topic(OUTCOMES, "aggregate", 6, RETENTION, BYTES_MAX, Internal),
        topic(DEAD_LETTERS, "aggregate", 6, LETTERS_RETENTION, RAW_BYTES_MAX, Public),
    ];
    topics.extend(targets.into_iter().map(|target| topic(&commands(target), "aggregate", 6, RETENTION, BYTES_MAX, Internal)));
    topics
}

/// Topics whose records nobody has to answer for. Names without prefix.
pub fn unanswered() -> Vec<String> {
    let answered = consumers([]);
    table([]).into_iter().map(|it| it.name).filter(|name| !answered.iter().any(|(topic, _)| topic == name)).collect()
}

/// Which group must answer for every record of which topic: what the account is drawn up by. Names without prefix.
pub fn consumers<'a>(targets: impl IntoIterator<Item = &'a TargetId>) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = [
        (RAW, groups::MAPPER),
        (ORDERS, groups::ROUTER),
        (CUSTOMERS, groups::ROUTER),
        (REFUNDS, groups::ROUTER),
        (OUTCOMES, groups::ROUTER),
        (ORDERS, groups::STOCK),
        (OUTCOMES, groups::STOCK),
        (INVENTORY, groups::STOCK),
    ]
    .map(|(topic, group)| (topic.to_owned(), group.to_owned()))
    .into();
    pairs.extend(targets.into_iter().map(|target| (commands(target), groups::erp(target))));
    pairs
}

/// Consumer groups of the services.
pub mod groups {
    pub const MAPPER: &str = "mapper";
    pub const ROUTER: &str = "order-router";
    pub const STOCK: &str = "inventory-sync";
    /// One group per target, like its topic.
    pub fn erp(target: &domain::TargetId) -> String {
        format!("erp-adapter-{target}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_answers_for_is_what_nobody_reads() {
        assert_eq!(unanswered(), [PRODUCTS, PRICES, AVAILABILITY, SHIPMENTS, PAYMENTS, DEAD_LETTERS]);
    }

    #[test]
    fn every_kind_of_entity_has_its_topic_in_the_table() {
        let target = "erp-main".parse().unwrap();
        let names: Vec<_> = table([&target]).into_iter().map(|it| it.name).collect();
        for kind in EntityKind::ALL {
            assert!(names.iter().any(|name| name == changes(kind)), "{kind}");
        }
        assert!(names.contains(&"tradewind.commands.erp.erp-main.v1".to_owned()));
    }

    #[test]
    fn a_raw_record_holds_the_largest_body_that_the_door_accepts() {
        let raw = table([]).into_iter().find(|it| it.name == RAW).unwrap();
        assert!(raw.message_bytes_max > (4 << 20) + (64 << 10));
    }
}
