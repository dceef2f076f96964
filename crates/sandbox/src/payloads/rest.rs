//! Orders as webhooks carry them: the bodies of `orders/*`, `refunds/create`, `order_transactions/create`, `orders/edited`.

use chrono::{DateTime, FixedOffset, SecondsFormat, Utc};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::money::{Currencies, Pair};
use super::order::{
    AdjustmentKind, DiscountTarget, DiscountValue, ShopAdjustment, ShopAllocation, ShopDiscount, ShopEdit, ShopLine, ShopOrder, ShopRefund,
    ShopRefundLine, ShopShipping, ShopTax, ShopTransaction, TransactionKind,
};

/// Webhooks tell the time in the shop's zone, whole seconds.
pub(super) fn time(at: DateTime<Utc>, offset: FixedOffset) -> String {
    at.with_timezone(&offset).to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// GraphQL tells it in UTC.
pub(super) fn utc(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

pub(super) fn gid(kind: &str, id: u64) -> String {
    format!("gid://shopify/{kind}/{id}")
}

/// A rate as a JSON number.
fn rate(rate: Decimal) -> Value {
    serde_json::from_str(&rate.normalize().to_string()).expect("a decimal is a JSON number")
}

impl ShopOrder {
    /// The body of every `orders/*` topic that carries the whole order.
    pub fn to_rest(&self) -> Value {
        let mut fields = object(self.identity());
        for part in [self.party(), self.state(), self.sums(), self.current_sums(), self.parts()] {
            fields.extend(object(part));
        }
        Value::Object(fields)
    }

    /// The body of `refunds/create`.
    pub fn refund_to_rest(&self, refund: &ShopRefund) -> Value {
        let of = &self.currencies;
        let lines: Vec<Value> = refund.lines.iter().map(|it| self.refund_line(it)).collect();
        // Delivery has a list of its own since API version 2024-10, and is among the adjustments all the same: there alone with its tax.
        let deliveries = refund.adjustments.iter().filter(|it| it.kind == AdjustmentKind::Shipping);
        let deliveries: Vec<Value> = deliveries.map(|it| self.refund_shipping(it)).collect();
        let adjustments: Vec<Value> = refund.adjustments.iter().map(|it| self.adjustment(refund.id, it)).collect();
        json!({
            "id": refund.id,
            "admin_graphql_api_id": gid("Refund", refund.id),
            "created_at": time(refund.at, self.offset),
            "note": refund.note,
            "order_id": self.id,
            "processed_at": time(refund.at, self.offset),
            "restock": refund.lines.iter().any(|it| it.restock != super::order::Restock::NoRestock),
            "total_duties_set": of.set(Pair::ZERO),
            "user_id": null,
            "order_adjustments": adjustments,
            "transactions": refund.transactions.iter().map(|it| self.transaction_to_rest(it)).collect::<Vec<_>>(),
            "refund_line_items": lines,
            "refund_shipping_lines": deliveries,
            "duties": [],
            "return": null,
        })
    }

    /// The body of `order_transactions/create`.
    pub fn transaction_to_rest(&self, transaction: &ShopTransaction) -> Value {
        let of = &self.currencies;
        let kind = transaction.kind;
        let message = if kind == TransactionKind::Refund { "Refunded" } else { "Transaction approved" };
        let mut fields = object(json!({
            "id": transaction.id,
            "admin_graphql_api_id": gid("OrderTransaction", transaction.id),
            "amount": of.presentment_text(transaction.amount),
            "authorization": transaction.authorization,
            "created_at": time(transaction.at, self.offset),
            "currency": of.presentment.code(),
            "device_id": null,
            "error_code": null,
            "gateway": transaction.gateway,
            "kind": kind.as_str(),
            "location_id": null,
            "message": message,
            "order_id": self.id,
            "parent_id": transaction.parent,
            "payment_id": self.payment_id(transaction),
            "processed_at": time(transaction.at, self.offset),
            "receipt": {},
            "source_name": self.source_name,
            "status": transaction.status.as_str(),
            "test": self.test,
            "user_id": null,
            "manual_payment_gateway": matches!(transaction.gateway.as_str(), "manual" | "Bank Deposit"),
            "total_unsettled_set": of.set_named(Pair::ZERO, "currency"),
        }));
        if let Some(brand) = &transaction.brand {
            fields.insert(
                "payment_details".to_owned(),
                json!({
                    "credit_card_bin": null,
                    "avs_result_code": null,
                    "cvv_result_code": null,
                    "credit_card_number": "•••• •••• •••• 1",
                    "credit_card_company": brand,
                }),
            );
        }
        Value::Object(fields)
    }

    /// The order's number and the transaction's place in it: `#1001.2`.
    pub(super) fn payment_id(&self, transaction: &ShopTransaction) -> String {
        let mut all = self.transactions.iter().chain(self.refunds.iter().flat_map(|it| &it.transactions));
        format!("{}.{}", self.name, all.position(|it| it.id == transaction.id).map_or(1, |it| it + 1))
    }

    fn identity(&self) -> Value {
        json!({
            "id": self.id,
            "admin_graphql_api_id": gid("Order", self.id),
            "app_id": 580111,
            "browser_ip": "192.0.2.17",
            "buyer_accepts_marketing": self.customer.as_ref().is_some_and(|it| it.accepts_marketing),
            "cancel_reason": self.cancel_reason,
            "cancelled_at": self.cancelled_at.map(|it| time(it, self.offset)),
            "cart_token": null,
            "checkout_id": self.id - 1,
            "checkout_token": self.token,
            "client_details": {
                "accept_language": self.locale,
                "browser_height": null,
                "browser_ip": "192.0.2.17",
                "browser_width": null,
                "session_hash": null,
                "user_agent": "Sandbox/1.0",
            },
            "closed_at": self.closed_at.map(|it| time(it, self.offset)),
            "company": self.company.as_ref().map(|it| json!({ "id": it.id, "location_id": it.location_id })),
            "confirmation_number": self.confirmation_number,
            "confirmed": true,
            "created_at": time(self.created_at, self.offset),
            "currency": self.currencies.shop.code(),
            "name": self.name,
            "number": self.order_number - 1000,
            "order_number": self.order_number,
            "order_status_url": format!("https://shop.example.com/orders/{}/authenticate", self.token),
            "processed_at": time(self.created_at, self.offset),
            "token": self.token,
            "updated_at": time(self.updated_at, self.offset),
        })
    }

    fn party(&self) -> Value {
        let email = if self.email.is_empty() { Value::Null } else { json!(self.email) };
        json!({
            "contact_email": email,
            // The platform writes "" where nobody left one.
            "email": self.email,
            "phone": self.phone,
            "customer_locale": self.locale,
            "customer": self.customer.as_ref().map(|it| it.to_rest_of_order(self.offset)),
            "billing_address": self.billing_address.as_ref().map(|it| it.to_rest()),
            "shipping_address": self.shipping_address.as_ref().map(|it| it.to_rest()),
            "note": self.note,
            "note_attributes": pairs(&self.note_attributes),
            "po_number": self.po_number,
            "tags": self.tags.join(", "),
            "payment_gateway_names": self.gateways,
            "payment_terms": self.company.as_ref().map(|_| json!({ "payment_terms_name": "Net 30", "due_in_days": 30 })),
            "source_name": self.source_name,
            "source_identifier": null,
            "source_url": null,
            "landing_site": null,
            "landing_site_ref": null,
            "referring_site": null,
            "reference": null,
            "user_id": null,
            "location_id": null,
            "device_id": null,
            "merchant_business_entity_id": "MTAwMDAwMQ",
            "merchant_of_record_app_id": null,
        })
    }

    fn state(&self) -> Value {
        json!({
            "financial_status": self.financial_status().as_str(),
            "fulfillment_status": null,
            "presentment_currency": self.currencies.presentment.code(),
            "taxes_included": self.taxes_included,
            "tax_exempt": self.tax_exempt,
            "estimated_taxes": false,
            "duties_included": false,
            "test": self.test,
            "total_weight": self.lines.iter().map(|it| u64::from(it.article.grams) * u64::from(it.quantity)).sum::<u64>(),
        })
    }

    fn sums(&self) -> Value {
        let of = &self.currencies;
        json!({
            "subtotal_price": of.plain(self.subtotal()),
            "subtotal_price_set": of.set(self.subtotal()),
            "total_cash_rounding_payment_adjustment_set": of.set(Pair::ZERO),
            "total_cash_rounding_refund_adjustment_set": of.set(Pair::ZERO),
            "total_discounts": of.plain(self.discounts_total()),
            "total_discounts_set": of.set(self.discounts_total()),
            "total_line_items_price": of.plain(self.lines_total()),
            "total_line_items_price_set": of.set(self.lines_total()),
            "total_outstanding": of.plain(self.outstanding()),
            "total_price": of.plain(self.total()),
            "total_price_set": of.set(self.total()),
            // Before discounts, as the platform has it.
            "total_shipping_price_set": of.set(self.shipping_price()),
            "total_tax": of.plain(self.tax_total()),
            "total_tax_set": of.set(self.tax_total()),
            "total_tip_received": of.plain(self.tip),
            "original_total_additional_fees_set": null,
            "original_total_duties_set": null,
        })
    }

    fn current_sums(&self) -> Value {
        let of = &self.currencies;
        json!({
            "current_shipping_price_set": of.set(self.current_shipping()),
            "current_subtotal_price": of.plain(self.current_subtotal()),
            "current_subtotal_price_set": of.set(self.current_subtotal()),
            "current_total_additional_fees_set": null,
            "current_total_discounts": of.plain(self.current_discounts()),
            "current_total_discounts_set": of.set(self.current_discounts()),
            "current_total_duties_set": null,
            "current_total_price": of.plain(self.current_total()),
            "current_total_price_set": of.set(self.current_total()),
            "current_total_tax": of.plain(self.current_tax()),
            "current_total_tax_set": of.set(self.current_tax()),
        })
    }

    fn parts(&self) -> Value {
        json!({
            "discount_applications": self.discounts.iter().map(application).collect::<Vec<_>>(),
            "discount_codes": self.discount_codes(),
            "line_items": self.lines.iter().map(|it| self.line_to_rest(it)).collect::<Vec<_>>(),
            "shipping_lines": self.shipping.iter().map(|it| self.shipping_to_rest(it)).collect::<Vec<_>>(),
            "tax_lines": self.taxes().iter().map(|it| tax(it, &self.currencies)).collect::<Vec<_>>(),
            "refunds": self.refunds.iter().map(|it| self.refund_to_rest(it)).collect::<Vec<_>>(),
            "fulfillments": [],
            "returns": [],
            "line_item_groups": [],
        })
    }

    /// What each typed code took off; automatic and manual discounts are not among them.
    fn discount_codes(&self) -> Vec<Value> {
        let coded = self.discounts.iter().enumerate().filter_map(|(index, it)| it.code.as_ref().map(|code| (index, it, code)));
        let codes = coded.map(|(index, discount, code)| {
            let kind = match (discount.target, discount.value) {
                (DiscountTarget::Shipping, _) => "shipping",
                (DiscountTarget::Lines, DiscountValue::Percentage(_)) => "percentage",
                (DiscountTarget::Lines, DiscountValue::Fixed(_)) => "fixed_amount",
            };
            json!({ "code": code, "amount": self.currencies.plain(self.taken_by(index)), "type": kind })
        });
        codes.collect()
    }

    /// What one discount took off lines and delivery.
    pub(super) fn taken_by(&self, discount: usize) -> Pair {
        let lines = self.lines.iter().flat_map(|it| &it.allocations);
        let all = lines.chain(self.shipping.iter().flat_map(|it| &it.allocations));
        all.filter(|it| it.discount == discount).map(|it| it.amount).sum()
    }

    fn line_to_rest(&self, line: &ShopLine) -> Value {
        let of = &self.currencies;
        let article = &line.article;
        json!({
            "id": line.id,
            "admin_graphql_api_id": gid("LineItem", line.id),
            "attributed_staffs": [],
            "current_quantity": line.current_quantity(),
            "fulfillable_quantity": line.current_quantity(),
            "fulfillment_service": "manual",
            "fulfillment_status": null,
            "gift_card": article.gift_card,
            "grams": article.grams,
            "name": article.name(),
            "price": of.plain(line.unit_price),
            "price_set": of.set(line.unit_price),
            "product_exists": true,
            "product_id": article.product_id,
            "properties": pairs(&line.properties),
            "quantity": line.quantity,
            "requires_shipping": article.requires_shipping,
            "sales_line_item_group_id": null,
            "sku": article.sku,
            "taxable": !self.tax_exempt,
            "title": article.title,
            // Zero even when there are allocations, as at the platform.
            "total_discount": of.plain(Pair::ZERO),
            "total_discount_set": of.set(Pair::ZERO),
            "variant_id": article.variant_id,
            "variant_inventory_management": "shopify",
            "variant_title": article.variant_title,
            "vendor": article.vendor,
            "tax_lines": line.taxes.iter().map(|it| tax(it, of)).collect::<Vec<_>>(),
            "duties": [],
            "discount_allocations": line.allocations.iter().map(|it| allocation(it, of)).collect::<Vec<_>>(),
        })
    }

    fn shipping_to_rest(&self, line: &ShopShipping) -> Value {
        let of = &self.currencies;
        json!({
            "id": line.id,
            "carrier_identifier": null,
            "code": line.code,
            "current_discounted_price_set": of.set(self.current_shipping()),
            "discounted_price": of.plain(line.discounted()),
            "discounted_price_set": of.set(line.discounted()),
            "is_removed": false,
            "phone": null,
            "price": of.plain(line.price),
            "price_set": of.set(line.price),
            "requested_fulfillment_service_id": null,
            "source": "shopify",
            "title": line.title,
            "tax_lines": line.taxes.iter().map(|it| tax(it, of)).collect::<Vec<_>>(),
            "discount_allocations": line.allocations.iter().map(|it| allocation(it, of)).collect::<Vec<_>>(),
        })
    }

    fn refund_line(&self, refunded: &ShopRefundLine) -> Value {
        let of = &self.currencies;
        let returned = refunded.restock != super::order::Restock::NoRestock;
        json!({
            "id": refunded.id,
            "line_item_id": refunded.line,
            "location_id": returned.then_some(self.location_id),
            "quantity": refunded.quantity,
            "restock_type": refunded.restock.as_str(),
            // Numbers, here alone, as at the platform.
            "subtotal": Currencies::number(refunded.subtotal),
            "subtotal_set": of.set(refunded.subtotal),
            "total_tax": Currencies::number(refunded.tax),
            "total_tax_set": of.set(refunded.tax),
            "line_item": self.line(refunded.line).map(|it| self.line_to_rest(it)),
        })
    }

    fn adjustment(&self, refund: u64, adjustment: &ShopAdjustment) -> Value {
        let of = &self.currencies;
        json!({
            "id": adjustment.id,
            "order_id": self.id,
            "refund_id": refund,
            "amount": of.plain(self.net(adjustment)),
            "tax_amount": of.plain(adjustment.tax),
            "kind": if adjustment.kind == AdjustmentKind::Shipping { "shipping_refund" } else { "refund_discrepancy" },
            "reason": adjustment.reason,
            "amount_set": of.set(self.net(adjustment)),
            "tax_amount_set": of.set(adjustment.tax),
        })
    }

    fn refund_shipping(&self, adjustment: &ShopAdjustment) -> Value {
        json!({
            "id": adjustment.id,
            "shipping_line": self.shipping.first().map(|it| self.shipping_to_rest(it)),
            "subtotal_amount_set": self.currencies.set(-self.net(adjustment)),
        })
    }
}

impl ShopEdit {
    /// The body of `orders/edited`: a delta, without the order.
    pub fn to_rest(&self, offset: FixedOffset) -> Value {
        let deltas = |of: &[(u64, u32)]| of.iter().map(|(id, delta)| json!({ "id": id, "delta": delta })).collect::<Vec<_>>();
        json!({
            "order_edit": {
                "id": self.id,
                "app_id": null,
                "created_at": time(self.at, offset),
                "committed_at": time(self.at, offset),
                "notify_customer": false,
                "order_id": self.order,
                "staff_note": "",
                "user_id": null,
                "line_items": { "additions": deltas(&self.additions), "removals": deltas(&self.removals) },
                "discounts": { "line_item": { "additions": [], "removals": [] } },
                "shipping_lines": { "additions": [], "removals": [] },
            }
        })
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        other => unreachable!("every part of an order is an object, not {other}"),
    }
}

fn pairs(of: &[(String, String)]) -> Vec<Value> {
    of.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

fn tax(line: &ShopTax, of: &Currencies) -> Value {
    json!({
        "channel_liable": false,
        "price": of.plain(line.amount),
        "price_set": of.set(line.amount),
        "rate": rate(line.rate),
        "title": line.title,
    })
}

fn allocation(part: &ShopAllocation, of: &Currencies) -> Value {
    json!({
        "amount": of.plain(part.amount),
        "amount_set": of.set(part.amount),
        "discount_application_index": part.discount,
    })
}

fn application(discount: &ShopDiscount) -> Value {
    let (value, value_type) = match discount.value {
        DiscountValue::Percentage(percent) => (format!("{percent:.1}"), "percentage"),
        DiscountValue::Fixed(amount) => (format!("{amount:.2}"), "fixed_amount"),
    };
    let target = if discount.target == DiscountTarget::Shipping { "shipping_line" } else { "line_item" };
    let mut fields = object(json!({
        "target_type": target,
        "value": value,
        "value_type": value_type,
        "allocation_method": "across",
        "target_selection": "all",
    }));
    let named: &[(&str, &str)] = match (&discount.code, discount.manual) {
        (Some(code), _) => &[("type", "discount_code"), ("code", code)],
        (None, true) => &[("type", "manual"), ("title", &discount.title), ("description", &discount.title)],
        (None, false) => &[("type", "automatic"), ("title", &discount.title)],
    };
    fields.extend(named.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    Value::Object(fields)
}
