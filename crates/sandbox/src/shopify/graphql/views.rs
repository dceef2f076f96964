//! What the shop knows, as GraphQL objects with more fields than anybody asks for.

use serde_json::{Value, json};

use crate::payloads::Article;
use crate::shopify::stock::ShelfLevel;
use crate::shopify::subscriptions::Subscription;
use crate::shopify::world::{World, level_gid};

pub(super) fn gid(kind: &str, id: u64) -> String {
    format!("gid://shopify/{kind}/{id}")
}

fn utc(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

pub(super) fn location(id: u64) -> Value {
    json!({
        "__typename": "Location",
        "id": gid("Location", id),
        "legacyResourceId": id.to_string(),
        "name": "Sandbox warehouse",
        "isActive": true,
        "fulfillsOnlineOrders": true,
    })
}

pub(super) fn variant(article: &Article, world: &World) -> Value {
    let item = item_head(article);
    json!({
        "__typename": "ProductVariant",
        "id": gid("ProductVariant", article.variant_id),
        "legacyResourceId": article.variant_id.to_string(),
        "sku": article.sku,
        "barcode": null,
        "title": article.variant_title.clone().unwrap_or_else(|| "Default Title".to_owned()),
        "displayName": article.title,
        "price": format!("{:.2}", article.price),
        "inventoryQuantity": world.shelves.of_item(article.inventory_item_id).map(|it| it.available).sum::<i64>(),
        "inventoryPolicy": "DENY",
        "product": {
            "__typename": "Product",
            "id": gid("Product", article.product_id),
            "legacyResourceId": article.product_id.to_string(),
            "title": article.title,
            "status": "ACTIVE",
        },
        "inventoryItem": with_levels(item, article, world),
    })
}

pub(super) fn item(article: &Article, world: &World) -> Value {
    let mut item = with_levels(item_head(article), article, world);
    item["variant"] = json!({
        "__typename": "ProductVariant",
        "id": gid("ProductVariant", article.variant_id),
        "sku": article.sku,
        "legacyResourceId": article.variant_id.to_string(),
    });
    item
}

fn item_head(article: &Article) -> Value {
    json!({
        "__typename": "InventoryItem",
        "id": gid("InventoryItem", article.inventory_item_id),
        "legacyResourceId": article.inventory_item_id.to_string(),
        "sku": article.sku,
        "tracked": true,
        "requiresShipping": article.requires_shipping,
    })
}

fn with_levels(mut item: Value, article: &Article, world: &World) -> Value {
    let levels: Vec<Value> = world.shelves.of_item(article.inventory_item_id).map(level).collect();
    item["locationsCount"] = json!({ "__typename": "Count", "count": levels.len(), "precision": "EXACT" });
    item["inventoryLevels"] = Value::Array(levels);
    item
}

pub(super) fn level(level: &ShelfLevel) -> Value {
    let quantities =
        [("available", level.available), ("committed", level.committed), ("on_hand", level.on_hand()), ("incoming", 0), ("reserved", 0)];
    let quantities = quantities.map(|(name, quantity)| {
        json!({
            "__typename": "InventoryQuantity",
            "id": format!("gid://shopify/InventoryQuantity/{}?inventory_item_id={}&name={name}", level.location, level.item),
            "name": name,
            "quantity": quantity,
            "updatedAt": utc(level.updated_at),
        })
    });
    json!({
        "__typename": "InventoryLevel",
        "id": level_gid(level),
        "isActive": true,
        "updatedAt": utc(level.updated_at),
        "location": location(level.location),
        "item": {
            "__typename": "InventoryItem",
            "id": gid("InventoryItem", level.item),
            "legacyResourceId": level.item.to_string(),
            "sku": level.sku,
        },
        "quantities": quantities,
    })
}

pub(super) fn subscription(it: &Subscription, api_version: &str) -> Value {
    json!({
        "__typename": "WebhookSubscription",
        "id": gid("WebhookSubscription", it.id),
        "legacyResourceId": it.id.to_string(),
        "topic": it.topic_enum(),
        "uri": it.address,
        "callbackUrl": it.address,
        "endpoint": { "__typename": "WebhookHttpEndpoint", "callbackUrl": it.address },
        "format": "JSON",
        "name": it.name,
        "filter": null,
        "includeFields": [],
        "metafieldNamespaces": [],
        "apiVersion": { "__typename": "ApiVersion", "handle": api_version, "displayName": api_version, "supported": true },
        "createdAt": utc(it.created_at),
        "updatedAt": utc(it.created_at),
    })
}
