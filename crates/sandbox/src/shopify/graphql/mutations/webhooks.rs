//! Webhook subscriptions, as an app manages its own.

use serde_json::{Value, json};

use super::super::{id_of, views};
use super::{Payload, user_error};
use crate::shopify::world::{Act, World};

pub(super) fn create(world: &mut World, arguments: &Value, act: &mut Act) -> Payload {
    let input = &arguments["webhookSubscription"];
    let address = input["uri"].as_str().or_else(|| input["callbackUrl"].as_str()).unwrap_or_default();
    let Some(topic) = arguments["topic"].as_str().and_then(topic_of) else {
        return Ok(payload("WebhookSubscriptionCreatePayload", Value::Null, vec![user_error(&["topic"], "INVALID")]));
    };
    if !address.starts_with("http") {
        return Ok(payload("WebhookSubscriptionCreatePayload", Value::Null, vec![user_error(&["webhookSubscription", "uri"], "INVALID")]));
    }
    let id = world.generator.ids().draw();
    match world.subscriptions.add(id, &topic, address, true, act.at) {
        Ok(mut made) => {
            made.name = input["name"].as_str().map(str::to_owned);
            if let Some(kept) = world.subscriptions.get_mut(id) {
                kept.name.clone_from(&made.name);
            }
            act.applied("webhook_subscription.create", id).detail = Some(topic);
            Ok(payload("WebhookSubscriptionCreatePayload", views::subscription(&made, world.api_version()), Vec::new()))
        }
        Err(_) => {
            let taken = user_error(&["webhookSubscription", "uri"], "TAKEN");
            Ok(payload("WebhookSubscriptionCreatePayload", Value::Null, vec![taken]))
        }
    }
}

pub(super) fn update(world: &mut World, arguments: &Value, act: &mut Act) -> Payload {
    let id = id_of(&arguments["id"], "WebhookSubscription")?;
    let input = &arguments["webhookSubscription"];
    let Some(found) = world.subscriptions.get_mut(id) else {
        return Ok(payload("WebhookSubscriptionUpdatePayload", Value::Null, vec![user_error(&["id"], "NOT_FOUND")]));
    };
    if let Some(address) = input["uri"].as_str().or_else(|| input["callbackUrl"].as_str()) {
        address.clone_into(&mut found.address);
    }
    let found = found.clone();
    act.applied("webhook_subscription.update", id);
    Ok(payload("WebhookSubscriptionUpdatePayload", views::subscription(&found, world.api_version()), Vec::new()))
}

pub(super) fn delete(world: &mut World, arguments: &Value, act: &mut Act) -> Payload {
    let id = id_of(&arguments["id"], "WebhookSubscription")?;
    let errors = if world.subscriptions.remove(id) { Vec::new() } else { vec![user_error(&["id"], "NOT_FOUND")] };
    let deleted = errors.is_empty().then(|| views::gid("WebhookSubscription", id));
    if deleted.is_some() {
        act.applied("webhook_subscription.delete", id);
    }
    Ok(json!({
        "__typename": "WebhookSubscriptionDeletePayload", "deletedWebhookSubscriptionId": deleted, "userErrors": errors,
    }))
}

fn payload(typename: &str, subscription: Value, errors: Vec<Value>) -> Value {
    json!({ "__typename": typename, "webhookSubscription": subscription, "userErrors": errors })
}

/// `ORDERS_CREATE` is `orders/create`. Topics of several words keep the rest: `ORDER_TRANSACTIONS_CREATE`.
fn topic_of(name: &str) -> Option<String> {
    let name = name.to_lowercase();
    let (object, event) = name.rsplit_once('_')?;
    let known =
        ["partially_fulfilled", "data_request", "scopes_update", "link_requested", "risk_assessment_changed", "in_stock", "out_of_stock"];
    let topic = known.iter().find_map(|event| name.strip_suffix(event)?.strip_suffix('_').map(|object| format!("{object}/{event}")));
    Some(topic.unwrap_or_else(|| format!("{object}/{event}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_topics_are_turned_back() {
        for topic in crate::shopify::TOPICS.iter().chain(&["orders/partially_fulfilled", "customers/data_request"]) {
            assert_eq!(topic_of(&topic.replace('/', "_").to_uppercase()).as_deref(), Some(*topic));
        }
        assert_eq!(topic_of("ORDERS"), None);
    }
}
