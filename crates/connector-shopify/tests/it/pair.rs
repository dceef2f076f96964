//! One order, as its webhook tells it and as GraphQL does. Whoever compares versions must see one.

use connector::storefront::Entity;

use super::shop::{customer, entities, golden, order};
use super::sketch;

#[test]
fn an_order_is_the_same_by_webhook_and_by_reread() {
    let webhook = order("orders/updated", golden("order_pair_webhook"));
    let reread = order("orders/graphql", golden("order_pair_graphql"));
    // First as text, for a difference that can be read; then field for field.
    assert_eq!(sketch::order(&webhook), sketch::order(&reread));
    assert_eq!(webhook, reread);
    // Numbers that are equal but written with more zeros would still hash differently.
    assert_eq!(format!("{webhook:?}"), format!("{reread:?}"));
    assert_eq!(webhook.lines.len(), 2, "one of them came on a second page");
}

#[test]
fn so_are_its_refunds_and_their_versions() {
    let webhook = entities("orders/updated", golden("order_pair_webhook"));
    let reread = entities("orders/graphql", golden("order_pair_graphql"));
    assert_eq!(webhook.len(), 2);
    assert_eq!(webhook, reread);
    assert_eq!(format!("{webhook:?}"), format!("{reread:?}"));
    let Entity::Refund(refund) = &webhook[1].body else { panic!("the second is the refund") };
    assert_eq!(
        sketch::refund(refund),
        "refund 3310000000000000091 of 9007199254740993009: One arrived chipped\n\
         line 6010000000000000091 of 7210000000000000091 [MUG-SEA] 1 NoRestock  21.60 EUR / 23.33 USD tax 1.08 EUR / 1.16 USD\n\
         Goodwill 1810000000000000091 refund_discrepancy 2.00 EUR / 2.16 USD tax 0.00 EUR / 0.00 USD\n\
         payment 2210000000000000091 Refund Success 27.15 USD by shopify_payments Mastercard (auth-77)"
    );
}

#[test]
fn a_customer_is_the_same_by_webhook_and_by_reread() {
    assert_eq!(customer("customers/update", golden("customer_webhook")), customer("customers/graphql", golden("customer_graphql")));
    assert_eq!(entities("customers/update", golden("customer_webhook")), entities("customers/graphql", golden("customer_graphql")));
}
