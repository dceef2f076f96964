//! Orders as GraphQL shows them: more fields than anybody asks for, out of which the double projects a query's selection.
//! Lists that GraphQL pages are plain arrays here; the projection makes connections of them.

use serde_json::{Value, json};

use super::money::{Currencies, Pair, short};
use super::order::{
    AdjustmentKind, DiscountTarget, DiscountValue, FinancialStatus, ShopAllocation, ShopDiscount, ShopLine, ShopOrder, ShopRefund,
    ShopShipping, ShopTax, ShopTransaction, TransactionStatus,
};
use super::rest::{gid, utc};

impl ShopOrder {
    /// A GraphQL `Order`.
    pub fn to_graphql(&self) -> Value {
        let mut order = self.heads();
        let fields = order.as_object_mut().expect("an order is an object");
        for part in [self.graphql_sums(), self.graphql_parts()] {
            let Value::Object(part) = part else { unreachable!("every part of an order is an object") };
            fields.extend(part);
        }
        order
    }

    fn heads(&self) -> Value {
        let email = (!self.email.is_empty()).then_some(&self.email);
        json!({
            "__typename": "Order",
            "id": gid("Order", self.id),
            "legacyResourceId": self.id.to_string(),
            "name": self.name,
            "number": self.order_number,
            "confirmationNumber": self.confirmation_number,
            "confirmed": true,
            "createdAt": utc(self.created_at),
            "updatedAt": utc(self.updated_at),
            "processedAt": utc(self.created_at),
            "cancelledAt": self.cancelled_at.map(utc),
            "cancelReason": self.cancel_reason.as_ref().map(|it| it.to_uppercase()),
            "closedAt": self.closed_at.map(utc),
            "closed": self.closed_at.is_some(),
            "email": email,
            "phone": self.phone,
            "customerLocale": self.locale,
            "note": self.note,
            "poNumber": self.po_number,
            "tags": self.tags,
            "test": self.test,
            "sourceName": self.source_name,
            "sourceIdentifier": null,
            "registeredSourceUrl": null,
            "channelInformation": null,
            "app": { "__typename": "App", "id": gid("App", 580_111), "name": "Online Store" },
            "taxesIncluded": self.taxes_included,
            "taxExempt": self.tax_exempt,
            "estimatedTaxes": false,
            "dutiesIncluded": false,
            "edited": self.lines.iter().any(|it| it.removed > 0),
            "currencyCode": self.currencies.shop.code(),
            "presentmentCurrencyCode": self.currencies.presentment.code(),
            "displayFinancialStatus": self.financial_status().as_str().to_uppercase(),
            "displayFulfillmentStatus": "UNFULFILLED",
            "fullyPaid": self.financial_status() == FinancialStatus::Paid,
            "unpaid": self.captured().is_zero(),
            "paymentGatewayNames": self.gateways,
            "statusPageUrl": format!("https://shop.example.com/orders/{}/authenticate", self.token),
            "clientIp": "192.0.2.17",
        })
    }

    fn graphql_sums(&self) -> Value {
        let of = &self.currencies;
        json!({
            "subtotalPriceSet": of.bag(self.subtotal()),
            "totalDiscountsSet": of.bag(self.discounts_total()),
            "totalPriceSet": of.bag(self.total()),
            "originalTotalPriceSet": of.bag(self.total()),
            "totalShippingPriceSet": of.bag(self.shipping_price()),
            "totalTaxSet": of.bag(self.tax_total()),
            "totalTipReceivedSet": of.bag(self.tip),
            "totalTipReceived": { "__typename": "MoneyV2", "amount": short(self.tip.shop), "currencyCode": of.shop.code() },
            "totalReceivedSet": of.bag(self.captured()),
            "totalRefundedSet": of.bag(self.refunded()),
            "totalOutstandingSet": of.bag(self.outstanding()),
            "netPaymentSet": of.bag(self.captured() - self.refunded()),
            "currentShippingPriceSet": of.bag(self.current_shipping()),
            "currentSubtotalPriceSet": of.bag(self.current_subtotal()),
            "currentTotalDiscountsSet": of.bag(self.current_discounts()),
            "currentTotalPriceSet": of.bag(self.current_total()),
            "currentTotalTaxSet": of.bag(self.current_tax()),
            "currentTotalDutiesSet": null,
            "originalTotalDutiesSet": null,
            "currentTotalAdditionalFeesSet": null,
            "originalTotalAdditionalFeesSet": null,
            "totalWeight": self.lines.iter().map(|it| u64::from(it.article.grams) * u64::from(it.quantity)).sum::<u64>().to_string(),
            "subtotalLineItemsQuantity": self.lines.iter().map(|it| it.quantity).sum::<u32>(),
            "currentSubtotalLineItemsQuantity": self.lines.iter().map(ShopLine::current_quantity).sum::<u32>(),
        })
    }

    fn graphql_parts(&self) -> Value {
        let attributes = self.note_attributes.iter();
        let lines: Vec<Value> = self.lines.iter().map(|it| self.line_to_graphql(it)).collect();
        let shipping: Vec<Value> = self.shipping.iter().map(|it| self.shipping_to_graphql(it)).collect();
        let discounts: Vec<Value> = (0..self.discounts.len()).map(|it| self.application(it)).collect();
        json!({
            "customAttributes": attributes.map(|(key, value)| json!({ "__typename": "Attribute", "key": key, "value": value })).collect::<Vec<_>>(),
            "customer": self.customer.as_ref().map(|it| it.to_graphql()),
            "billingAddress": self.billing_address.as_ref().map(|it| it.to_graphql(self.id)),
            "shippingAddress": self.shipping_address.as_ref().map(|it| it.to_graphql(self.id)),
            "purchasingEntity": self.purchasing_entity(),
            "discountCode": self.discounts.iter().find_map(|it| it.code.clone()),
            "discountCodes": self.discounts.iter().filter_map(|it| it.code.clone()).collect::<Vec<_>>(),
            "discountApplications": discounts,
            "lineItems": lines,
            "shippingLine": shipping.first(),
            "shippingLines": shipping,
            "taxLines": self.taxes().iter().map(|it| tax(it, &self.currencies)).collect::<Vec<_>>(),
            "currentTaxLines": self.taxes().iter().map(|it| tax(it, &self.currencies)).collect::<Vec<_>>(),
            "transactions": self.all_transactions().map(|it| self.transaction_to_graphql(it)).collect::<Vec<_>>(),
            "refunds": self.refunds.iter().map(|it| self.refund_to_graphql(it)).collect::<Vec<_>>(),
            "fulfillments": [],
            "fulfillmentOrders": [],
            "returns": [],
            "paymentTerms": self.company.as_ref().map(|_| json!({
                "__typename": "PaymentTerms", "paymentTermsName": "Net 30", "paymentTermsType": "NET", "dueInDays": 30,
            })),
            "additionalFees": [],
            "events": [],
            "metafields": [],
            "metafield": null,
        })
    }

    /// With those of the refunds.
    fn all_transactions(&self) -> impl Iterator<Item = &ShopTransaction> {
        self.transactions.iter().chain(self.refunds.iter().flat_map(|it| &it.transactions))
    }

    fn purchasing_entity(&self) -> Value {
        match (&self.company, &self.customer) {
            (Some(company), _) => json!({
                "__typename": "PurchasingCompany",
                "company": { "__typename": "Company", "id": gid("Company", company.id), "name": company.name },
                "location": { "__typename": "CompanyLocation", "id": gid("CompanyLocation", company.location_id), "name": company.name },
            }),
            (None, Some(customer)) => customer.to_graphql(),
            (None, None) => Value::Null,
        }
    }

    fn line_to_graphql(&self, line: &ShopLine) -> Value {
        let of = &self.currencies;
        let article = &line.article;
        json!({
            "__typename": "LineItem",
            "id": gid("LineItem", line.id),
            "name": article.name(),
            "title": article.title,
            "variantTitle": article.variant_title,
            "vendor": article.vendor,
            "sku": article.sku,
            "quantity": line.quantity,
            "currentQuantity": line.current_quantity(),
            "refundableQuantity": line.current_quantity(),
            "unfulfilledQuantity": line.current_quantity(),
            "nonFulfillableQuantity": 0,
            "requiresShipping": article.requires_shipping,
            "isGiftCard": article.gift_card,
            "taxable": !self.tax_exempt,
            "restockable": true,
            "product": { "__typename": "Product", "id": gid("Product", article.product_id), "legacyResourceId": article.product_id.to_string() },
            "variant": {
                "__typename": "ProductVariant",
                "id": gid("ProductVariant", article.variant_id),
                "legacyResourceId": article.variant_id.to_string(),
                "sku": article.sku,
                "inventoryItem": {
                    "__typename": "InventoryItem",
                    "id": gid("InventoryItem", article.inventory_item_id),
                    "legacyResourceId": article.inventory_item_id.to_string(),
                    "sku": article.sku,
                },
            },
            "customAttributes": line.properties.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect::<Vec<_>>(),
            "originalUnitPriceSet": of.bag(line.unit_price),
            "originalTotalSet": of.bag(line.total()),
            "discountedTotalSet": of.bag(line.discounted()),
            "totalDiscountSet": of.bag(line.discount()),
            "discountAllocations": line.allocations.iter().map(|it| self.allocation_to_graphql(it)).collect::<Vec<_>>(),
            "taxLines": line.taxes.iter().map(|it| tax(it, of)).collect::<Vec<_>>(),
            "duties": [],
            "lineItemGroup": null,
        })
    }

    fn shipping_to_graphql(&self, line: &ShopShipping) -> Value {
        let of = &self.currencies;
        json!({
            "__typename": "ShippingLine",
            "id": gid("ShippingLine", line.id),
            "title": line.title,
            "code": line.code,
            "source": "shopify",
            "carrierIdentifier": null,
            "custom": false,
            "deliveryCategory": null,
            "isRemoved": false,
            "phone": null,
            "originalPriceSet": of.bag(line.price),
            "discountedPriceSet": of.bag(line.discounted()),
            "currentDiscountedPriceSet": of.bag(self.current_shipping()),
            "discountAllocations": line.allocations.iter().map(|it| self.allocation_to_graphql(it)).collect::<Vec<_>>(),
            "taxLines": line.taxes.iter().map(|it| tax(it, of)).collect::<Vec<_>>(),
        })
    }

    fn allocation_to_graphql(&self, part: &ShopAllocation) -> Value {
        json!({
            "__typename": "DiscountAllocation",
            "allocatedAmountSet": self.currencies.bag(part.amount),
            "discountApplication": self.application(part.discount),
        })
    }

    fn application(&self, index: usize) -> Value {
        let Some(discount) = self.discounts.get(index) else { return Value::Null };
        let value = match discount.value {
            DiscountValue::Percentage(percent) => json!({
                "__typename": "PricingPercentageValue",
                "percentage": serde_json::from_str::<Value>(&short(percent)).expect("a decimal is a JSON number"),
            }),
            DiscountValue::Fixed(amount) => json!({
                "__typename": "MoneyV2", "amount": short(amount), "currencyCode": self.currencies.shop.code(),
            }),
        };
        let mut application = json!({
            "__typename": typename(discount),
            "index": index,
            "allocationMethod": "ACROSS",
            "targetSelection": "ALL",
            "targetType": if discount.target == DiscountTarget::Shipping { "SHIPPING_LINE" } else { "LINE_ITEM" },
            "value": value,
        });
        match &discount.code {
            Some(code) => application["code"] = json!(code),
            None => application["title"] = json!(discount.title),
        }
        if discount.manual {
            application["description"] = json!(discount.title);
        }
        application
    }

    /// A GraphQL `OrderTransaction`.
    pub fn transaction_to_graphql(&self, transaction: &ShopTransaction) -> Value {
        let of = &self.currencies;
        let parent = transaction.parent.map(|it| json!({ "__typename": "OrderTransaction", "id": gid("OrderTransaction", it) }));
        json!({
            "__typename": "OrderTransaction",
            "id": gid("OrderTransaction", transaction.id),
            "kind": transaction.kind.as_str().to_uppercase(),
            "status": transaction.status.as_str().to_uppercase(),
            "gateway": transaction.gateway,
            "formattedGateway": transaction.gateway,
            "manualPaymentGateway": matches!(transaction.gateway.as_str(), "manual" | "Bank Deposit"),
            "amountSet": of.bag(transaction.amount),
            "authorizationCode": transaction.authorization,
            "paymentId": self.payment_id(transaction),
            "createdAt": utc(transaction.at),
            "processedAt": utc(transaction.at),
            "parentTransaction": parent,
            "errorCode": null,
            "test": self.test,
            "accountNumber": null,
            "paymentDetails": transaction.brand.as_ref().map(|it| json!({ "__typename": "CardPaymentDetails", "company": it, "paymentMethodName": "card" })),
            "order": { "__typename": "Order", "id": gid("Order", self.id) },
        })
    }

    /// A GraphQL `Refund`.
    pub fn refund_to_graphql(&self, refund: &ShopRefund) -> Value {
        let of = &self.currencies;
        let (mut adjustments, mut deliveries) = (Vec::new(), Vec::new());
        for it in &refund.adjustments {
            match it.kind {
                AdjustmentKind::Shipping => deliveries.push(json!({
                    "__typename": "RefundShippingLine",
                    "id": gid("RefundShippingLine", it.id),
                    "shippingLine": self.shipping.first().map(|it| self.shipping_to_graphql(it)),
                    "subtotalAmountSet": of.bag(-self.net(it)),
                    "taxAmountSet": of.bag(-it.tax),
                })),
                AdjustmentKind::Goodwill | AdjustmentKind::Pending => adjustments.push(json!({
                    "__typename": "OrderAdjustment",
                    "id": gid("OrderAdjustment", it.id),
                    "amountSet": of.bag(it.amount),
                    "taxAmountSet": of.bag(it.tax),
                    "reason": it.reason.to_uppercase().replace(' ', "_"),
                })),
            }
        }
        let lines = refund.lines.iter().map(|it| {
            json!({
                "__typename": "RefundLineItem",
                "id": gid("RefundLineItem", it.id),
                "quantity": it.quantity,
                "restockType": it.restock.as_str().to_uppercase(),
                "restocked": it.restock != super::order::Restock::NoRestock,
                "location": { "__typename": "Location", "id": gid("Location", self.location_id) },
                "subtotalSet": of.bag(it.subtotal),
                "totalTaxSet": of.bag(it.tax),
                "priceSet": self.line(it.line).map(|line| of.bag(line.unit_price)),
                "lineItem": self.line(it.line).map(|line| self.line_to_graphql(line)),
            })
        });
        let has_moved = |it: &&ShopTransaction| it.status == TransactionStatus::Success;
        let moved: Pair = refund.transactions.iter().filter(has_moved).map(|it| it.amount).sum();
        json!({
            "__typename": "Refund",
            "id": gid("Refund", refund.id),
            "legacyResourceId": refund.id.to_string(),
            "createdAt": utc(refund.at),
            "updatedAt": utc(refund.at),
            "processedAt": utc(refund.at),
            "note": refund.note,
            "order": {
                "__typename": "Order",
                "id": gid("Order", self.id),
                "legacyResourceId": self.id.to_string(),
                "totalTipReceivedSet": of.bag(self.tip),
            },
            "totalRefundedSet": of.bag(moved),
            "refundLineItems": lines.collect::<Vec<_>>(),
            "refundShippingLines": deliveries,
            "orderAdjustments": adjustments,
            "transactions": refund.transactions.iter().map(|it| self.transaction_to_graphql(it)).collect::<Vec<_>>(),
            "duties": [],
            "return": null,
        })
    }
}

fn typename(discount: &ShopDiscount) -> &'static str {
    match (&discount.code, discount.manual) {
        (Some(_), _) => "DiscountCodeApplication",
        (None, true) => "ManualDiscountApplication",
        (None, false) => "AutomaticDiscountApplication",
    }
}

fn tax(line: &ShopTax, of: &Currencies) -> Value {
    let number = |text: String| serde_json::from_str::<Value>(&text).expect("a decimal is a JSON number");
    json!({
        "__typename": "TaxLine",
        "title": line.title,
        "rate": number(short(line.rate)),
        "ratePercentage": number(short(line.rate * rust_decimal::Decimal::ONE_HUNDRED)),
        "channelLiable": false,
        "source": null,
        "priceSet": of.bag(line.amount),
    })
}
