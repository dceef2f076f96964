//! Who wants which topic sent where, and the loss of those who don't answer.

use chrono::{DateTime, SubsecRound, Utc};

/// What a door subscribes to when nobody says anything else.
pub const TOPICS: [&str; 14] = [
    "orders/create",
    "orders/updated",
    "orders/paid",
    "orders/cancelled",
    "orders/edited",
    "orders/delete",
    "refunds/create",
    "order_transactions/create",
    "customers/create",
    "customers/update",
    "customers/delete",
    "inventory_levels/update",
    "app/uninstalled",
    "customers/redact",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub id: u64,
    /// `orders/create`.
    pub topic: String,
    pub address: String,
    pub created_at: DateTime<Utc>,
    /// Made through the API: deleted when its address fails too long. Those of an app's own file stay.
    pub by_api: bool,
    pub name: Option<String>,
    /// Deliveries that were taken.
    pub taken: u64,
}

impl Subscription {
    /// As GraphQL names the topic.
    pub(super) fn topic_enum(&self) -> String {
        self.topic.replace('/', "_").to_uppercase()
    }
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: Vec<Subscription>,
    deleted: u64,
}

/// One topic goes to one address once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken;

impl Subscriptions {
    pub(super) fn add(&mut self, id: u64, topic: &str, address: &str, by_api: bool, at: DateTime<Utc>) -> Result<Subscription, Taken> {
        if self.all.iter().any(|it| it.topic == topic && it.address == address) {
            return Err(Taken);
        }
        let subscription = Subscription {
            id,
            topic: topic.to_owned(),
            address: address.to_owned(),
            created_at: at.trunc_subsecs(0),
            by_api,
            name: None,
            taken: 0,
        };
        self.all.push(subscription.clone());
        Ok(subscription)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Subscription> {
        self.all.iter_mut().find(|it| it.id == id)
    }

    pub(super) fn all(&self) -> &[Subscription] {
        &self.all
    }

    pub(super) fn of<'a>(&'a self, topic: &'a str) -> impl Iterator<Item = &'a Subscription> {
        self.all.iter().filter(move |it| it.topic == topic)
    }

    pub(super) fn remove(&mut self, id: u64) -> bool {
        let before = self.all.len();
        self.all.retain(|it| it.id != id);
        self.all.len() < before
    }

    /// A delivery was refused to its last attempt. Deletes the subscription unless it took another delivery meanwhile.
    pub(super) fn exhausted(&mut self, id: u64, taken_at_first: u64) -> bool {
        let lost = self.all.iter().any(|it| it.id == id && it.by_api && it.taken == taken_at_first);
        if lost {
            self.remove(id);
            self.deleted += 1;
        }
        lost
    }

    /// How many were deleted for failing.
    pub(super) fn deleted(&self) -> u64 {
        self.deleted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_subscription_of_the_api_that_took_nothing_meanwhile_is_lost() {
        let mut all = Subscriptions::default();
        let now = Utc::now();
        all.add(1, "orders/create", "http://a", true, now).unwrap();
        all.add(2, "orders/updated", "http://a", false, now).unwrap();
        assert_eq!(all.add(3, "orders/create", "http://a", true, now), Err(Taken));
        all.get_mut(1).unwrap().taken = 5;
        assert!(!all.exhausted(1, 4), "it took one since");
        assert!(!all.exhausted(2, 0), "it is the app's own");
        assert!(all.exhausted(1, 5));
        assert_eq!((all.all().len(), all.deleted()), (1, 1));
    }
}
