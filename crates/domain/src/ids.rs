//! Names of things. Each is a type of its own, so that a SKU can't be taken for an order.

use std::fmt;
use std::str::FromStr;

use crate::command::Operation;

/// A name that the settings or a source gave us is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("`{0}` is not a name: use 1 to 48 of a-z, 0-9 and -, starting with a letter")]
    Name(String),
    #[error("an aggregate key has the form <connection>/<kind>/<id>, not `{0}`")]
    Aggregate(String),
    #[error("an id is empty, longer than {0} bytes, or has a NUL in it")]
    Id(usize),
    #[error("`{0}` is no kind of entity")]
    Kind(String),
}

/// Names stand in topic names, URLs and metric labels.
fn checked_name(name: &str) -> Result<String, IdError> {
    let is_usable = (1..=48).contains(&name.len())
        && name.starts_with(|it: char| it.is_ascii_lowercase())
        && name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
    if is_usable { Ok(name.to_owned()) } else { Err(IdError::Name(name.to_owned())) }
}

/// Ids are stored as text, and PostgreSQL's has no NUL: <https://www.postgresql.org/docs/current/datatype-character.html>
fn checked_id(id: String, bytes_max: usize) -> Result<String, IdError> {
    if id.is_empty() || id.len() > bytes_max || id.contains('\0') { Err(IdError::Id(bytes_max)) } else { Ok(id) }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(name: &str) -> Result<Self, IdError> {
                checked_name(name).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name_type! {
    /// One storefront of the settings, such as `shop-eu`.
    ConnectionId
}

name_type! {
    /// One ERP of the settings, such as `erp-main`.
    TargetId
}

/// Stock keeping unit, exactly as its owner writes it. Never matched by name or case-folded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sku(String);

impl Sku {
    pub fn new(sku: impl Into<String>) -> Result<Self, IdError> {
        checked_id(sku.into(), 200).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Sku {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The kinds of entities that change events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EntityKind {
    Order,
    Customer,
    Product,
    Price,
    Stock,
    Availability,
    Shipment,
    Payment,
    Refund,
}

impl EntityKind {
    pub const ALL: [Self; 9] = [
        Self::Order,
        Self::Customer,
        Self::Product,
        Self::Price,
        Self::Stock,
        Self::Availability,
        Self::Shipment,
        Self::Payment,
        Self::Refund,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Customer => "customer",
            Self::Product => "product",
            Self::Price => "price",
            Self::Stock => "stock",
            Self::Availability => "availability",
            Self::Shipment => "shipment",
            Self::Payment => "payment",
            Self::Refund => "refund",
        }
    }
}

impl FromStr for EntityKind {
    type Err = IdError;

    fn from_str(kind: &str) -> Result<Self, IdError> {
        Self::ALL.into_iter().find(|it| it.as_str() == kind).ok_or_else(|| IdError::Kind(kind.to_owned()))
    }
}

impl fmt::Display for EntityKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One entity of one connection: what a change event is about (`ce_subject`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityRef {
    pub connection: ConnectionId,
    pub kind: EntityKind,
    /// The source's id.
    pub id: String,
}

impl EntityRef {
    pub fn new(connection: ConnectionId, kind: EntityKind, id: impl Into<String>) -> Self {
        Self { connection, kind, id: id.into() }
    }
}

impl fmt::Display for EntityRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.connection, self.kind, self.id)
    }
}

/// What orders and parks: the record key. Everything about one order shares the order's key, everything about one product the
/// product's. This can't be changed once records are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AggregateKey(String);

impl AggregateKey {
    /// Orders, payments, refunds, returns, shipments and invoices of one order.
    pub fn order(connection: &ConnectionId, order_id: &str) -> Self {
        Self(format!("{connection}/order/{order_id}"))
    }

    pub fn customer(connection: &ConnectionId, customer_id: &str) -> Self {
        Self(format!("{connection}/customer/{customer_id}"))
    }

    /// Products, variants and prices of one product.
    pub fn product(connection: &ConnectionId, product_id: &str) -> Self {
        Self(format!("{connection}/product/{product_id}"))
    }

    /// `source` is the connection or target that the stock belongs to.
    pub fn stock(source: &str, location: &str, sku: &Sku) -> Self {
        Self(format!("{source}/stock/{location}/{sku}"))
    }

    /// A delivery that names no entity: it orders with its like, by topic.
    pub fn raw(connection: &ConnectionId, topic: &str) -> Self {
        Self(format!("{connection}/raw/{topic}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The connection (or target) that it starts with.
    pub fn source(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// `order`, `stock`, ...: its second part.
    pub fn kind(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }

    /// What follows `<source>/<kind>/`.
    pub fn id(&self) -> &str {
        self.0.splitn(3, '/').nth(2).unwrap_or_default()
    }
}

impl FromStr for AggregateKey {
    type Err = IdError;

    fn from_str(key: &str) -> Result<Self, IdError> {
        let mut parts = key.splitn(3, '/');
        let is_whole = checked_id(key.to_owned(), 400).is_ok() && (0..3).all(|_| parts.next().is_some_and(|part| !part.is_empty()));
        if is_whole { Ok(Self(key.to_owned())) } else { Err(IdError::Aggregate(key.to_owned())) }
    }
}

impl fmt::Display for AggregateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `<entity>/<operation>[/<sequence>]`: the same key is the same effect on a target, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationKey(String);

impl OperationKey {
    /// A create carries no sequence: one per entity and target, for ever.
    pub fn create(entity: &EntityRef, operation: &str) -> Self {
        Self(format!("{entity}/{operation}"))
    }

    pub fn change(entity: &EntityRef, operation: &str, sequence: u64) -> Self {
        Self(format!("{entity}/{operation}/{sequence}"))
    }

    /// As it was written by one of the above.
    pub fn from_wire(key: impl Into<String>) -> Result<Self, IdError> {
        checked_id(key.into(), 500).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As [`Operation::name`], for who has nothing but the key. `None`: it is none of ours.
    pub fn operation(&self) -> Option<&'static str> {
        let mut parts = self.0.rsplit('/');
        let last = parts.next()?;
        let verb = if last.bytes().all(|it| it.is_ascii_digit()) { parts.next()? } else { last };
        Operation::NAMES.into_iter().find(|it| it.split('_').next() == Some(verb))
    }
}

impl fmt::Display for OperationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_orders_relatives_share_its_key() {
        let shop: ConnectionId = "shop-eu".parse().unwrap();
        let key = AggregateKey::order(&shop, "820982911946154508");
        assert_eq!(key.as_str(), "shop-eu/order/820982911946154508");
        assert_eq!((key.source(), key.kind(), key.id()), ("shop-eu", "order", "820982911946154508"));
        assert_eq!(key.as_str().parse::<AggregateKey>().unwrap(), key);
    }

    #[test]
    fn a_sku_with_a_slash_stays_whole() {
        let key = AggregateKey::stock("erp-main", "WH", &Sku::new("A/1").unwrap());
        assert_eq!(key.id(), "WH/A/1");
    }

    #[test]
    fn names_that_would_break_topics_are_refused() {
        for name in ["", "Shop", "1shop", "shop_eu", "shop/eu", &"a".repeat(49)] {
            assert!(name.parse::<ConnectionId>().is_err(), "{name}");
        }
        for key in ["", "a", "a/order", "a//1", "/order/1", "a/order/"] {
            assert!(key.parse::<AggregateKey>().is_err(), "{key}");
        }
    }

    #[test]
    fn an_operations_key_says_which_one_it_is() {
        let of = |key: &str| OperationKey::from_wire(key).unwrap().operation();
        assert_eq!(of("shop/order/7/place"), Some("place_order"));
        assert_eq!(of("shop/order/7/revise/3"), Some("revise_order"));
        assert_eq!(of("shop/refund/1/book"), Some("book_refund"));
        assert_eq!((of("x/y"), of("7")), (None, None));
    }

    #[test]
    fn what_no_database_stores_is_no_id() {
        assert!(Sku::new("MUG\0").is_err() && Sku::new("").is_err() && Sku::new("M".repeat(201)).is_err());
        assert!("shop/order/1\0".parse::<AggregateKey>().is_err());
        assert!(OperationKey::from_wire("order/1\0/place").is_err());
    }

    #[test]
    fn a_create_is_one_effect_whatever_its_sequence() {
        let order = EntityRef::new("shop".parse().unwrap(), EntityKind::Order, "7");
        assert_eq!(OperationKey::create(&order, "place").as_str(), "shop/order/7/place");
        assert_eq!(OperationKey::change(&order, "revise", 3).as_str(), "shop/order/7/revise/3");
    }
}
