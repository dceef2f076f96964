//! Ids of records. All are derived, so that whatever is made again has the id that it had before.

use domain::EntityRef;
use uuid::Uuid;

/// The root of all our version 5 ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x7c6a_6c1e_52d0_4a4b_9f0f_9d5e_1b6c_0a01);

/// A delivery of a platform: the same webhook sent again has the same id.
pub fn raw(connection: &str, topic: &str, identity: &str) -> Uuid {
    derive(&["raw", connection, topic, identity])
}

/// A version of an entity.
pub fn change(entity: &EntityRef, sequence: u64) -> Uuid {
    derive(&["change", entity.connection.as_str(), entity.kind.as_str(), &entity.id, &sequence.to_string()])
}

/// What a group makes of one input: its `ordinal`-th output.
pub fn derived(input: Uuid, group: &str, ordinal: usize) -> Uuid {
    derive(&["derived", &input.to_string(), group, &ordinal.to_string()])
}

/// A letter: one per group and record.
pub fn letter(group: &str, event: Uuid) -> Uuid {
    derive(&["letter", group, &event.to_string()])
}

/// Of a record that has no usable id of its own: where it lies.
pub fn of_position(topic: &str, partition: i32, offset: i64) -> Uuid {
    derive(&["position", topic, &partition.to_string(), &offset.to_string()])
}

/// Parts are separated by a byte that none of them contains, so that no two lists share an id.
fn derive(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, parts.join("\u{1f}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_delivery_has_the_same_id_and_no_other_has() {
        assert_eq!(raw("shop", "orders/create", "1"), raw("shop", "orders/create", "1"));
        assert_ne!(raw("shop", "orders/create", "1"), raw("shop", "orders/create", "2"));
        assert_ne!(raw("shop", "a", "bc"), raw("shop", "ab", "c"));
    }

    /// Ids are in records that outlive this version: this value never changes.
    #[test]
    fn ids_are_stable_over_versions() {
        assert_eq!(raw("shop-eu", "orders/create", "w-1").to_string(), "8a1d3a2a-4868-597e-b495-ed8831d18e5f");
    }
}
