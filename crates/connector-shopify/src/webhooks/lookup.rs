//! Finds the id of a delivery's subject without parsing the delivery: reading ends at the id, which Shopify writes first.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::wire::Id;

/// Whose id a topic's body has, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    /// `id` of an order.
    Order,
    /// `order_id`.
    OfOrder,
    /// `order_edit.order_id`.
    OrderEdit,
    /// `order.id`.
    OrderObject,
    Customer,
    Product,
    /// `product_id`.
    OfProduct,
}

impl Subject {
    /// `None`: topics that name nothing that we key by.
    pub(super) fn of(topic: &str) -> Option<Self> {
        match topic.split_once('/')? {
            ("orders", "edited") => Some(Self::OrderEdit),
            ("orders", "risk_assessment_changed" | "shopify_protect_eligibility_changed") => Some(Self::OfOrder),
            ("orders", _) => Some(Self::Order),
            ("refunds" | "fulfillments" | "order_transactions" | "tender_transactions", _) => Some(Self::OfOrder),
            ("returns", _) => Some(Self::OrderObject),
            ("customers", _) => Some(Self::Customer),
            ("products", _) => Some(Self::Product),
            ("variants", _) => Some(Self::OfProduct),
            _ => None,
        }
    }

    pub(super) fn find(self, body: &[u8]) -> Option<Id> {
        let path: &[&str] = match self {
            Self::Order | Self::Customer | Self::Product => &["id"],
            Self::OfOrder => &["order_id"],
            Self::OrderEdit => &["order_edit", "order_id"],
            Self::OrderObject => &["order", "id"],
            Self::OfProduct => &["product_id"],
        };
        let mut found = None;
        let mut reader = serde_json::Deserializer::from_slice(body);
        // Its result says only whether the rest of the body was read, and it was not.
        match (Search { path, found: &mut found }).deserialize(&mut reader) {
            Ok(()) | Err(_) => found,
        }
    }
}

/// Walks down one path of keys and leaves when it has seen the end of it.
struct Search<'a> {
    path: &'a [&'a str],
    found: &'a mut Option<Id>,
}

impl<'de> DeserializeSeed<'de> for Search<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.path.is_empty() {
            *self.found = Some(serde::Deserialize::deserialize(deserializer)?);
            return Ok(());
        }
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (wanted, rest) = self.path.split_first().expect("an empty path is not searched in an object");
        while let Some(is_wanted) = map.next_key_seed(Is(wanted))? {
            if is_wanted {
                return map.next_value_seed(Search { path: rest, found: self.found });
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Compares a key without keeping it.
struct Is<'a>(&'a str);

impl<'de> DeserializeSeed<'de> for Is<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Is<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<bool, E> {
        Ok(key == self.0)
    }
}
