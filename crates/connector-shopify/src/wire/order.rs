//! Orders. The names are the webhooks'; the aliases are GraphQL's.

use serde::Deserialize;

use super::customer::{Address, Customer};
use super::refund::{Refund, Transaction};
use super::scalar::{Amount, Code, Id, List, Loose, MoneySet, Stamp, Tags, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Order<'a> {
    pub(crate) id: Option<Id>,
    pub(crate) name: Text<'a>,
    #[serde(alias = "createdAt")]
    pub(crate) created_at: Option<Stamp>,
    #[serde(alias = "processedAt")]
    pub(crate) processed_at: Option<Stamp>,
    #[serde(alias = "updatedAt")]
    pub(crate) updated_at: Option<Stamp>,
    #[serde(alias = "cancelledAt")]
    pub(crate) cancelled_at: Option<Stamp>,
    #[serde(alias = "cancelReason")]
    pub(crate) cancel_reason: Text<'a>,

    pub(crate) email: Text<'a>,
    pub(crate) phone: Text<'a>,
    #[serde(alias = "customerLocale")]
    pub(crate) customer_locale: Text<'a>,
    pub(crate) customer: Option<Customer<'a>>,
    pub(crate) company: Option<Company>,
    #[serde(rename = "purchasingEntity")]
    pub(crate) purchasing_entity: Option<PurchasingEntity>,
    #[serde(alias = "billingAddress")]
    pub(crate) billing_address: Option<Address<'a>>,
    #[serde(alias = "shippingAddress")]
    pub(crate) shipping_address: Option<Address<'a>>,

    #[serde(alias = "lineItems")]
    pub(crate) line_items: List<Line<'a>>,
    #[serde(alias = "shippingLines")]
    pub(crate) shipping_lines: List<ShippingLine<'a>>,
    /// `None` in bodies that are older than discount applications.
    #[serde(alias = "discountApplications")]
    pub(crate) discount_applications: Option<List<Application<'a>>>,
    pub(crate) discount_codes: List<DiscountCode<'a>>,
    pub(crate) transactions: List<Transaction<'a>>,
    pub(crate) refunds: List<Refund<'a>>,
    pub(crate) fulfillments: List<Fulfillment<'a>>,

    #[serde(alias = "paymentGatewayNames")]
    pub(crate) payment_gateway_names: List<Text<'a>>,
    #[serde(alias = "poNumber")]
    pub(crate) po_number: Text<'a>,
    pub(crate) note: Text<'a>,
    #[serde(alias = "customAttributes")]
    pub(crate) note_attributes: List<NoteAttribute<'a>>,
    pub(crate) tags: Tags,
    #[serde(alias = "sourceName")]
    pub(crate) source_name: Text<'a>,
    pub(crate) test: Option<bool>,

    #[serde(alias = "currencyCode")]
    pub(crate) currency: Option<Code>,
    #[serde(alias = "presentmentCurrencyCode")]
    pub(crate) presentment_currency: Option<Code>,
    #[serde(alias = "taxesIncluded")]
    pub(crate) taxes_included: Option<bool>,
    #[serde(alias = "dutiesIncluded")]
    pub(crate) duties_included: Option<bool>,
    #[serde(alias = "displayFinancialStatus")]
    pub(crate) financial_status: Text<'a>,
    #[serde(alias = "displayFulfillmentStatus")]
    pub(crate) fulfillment_status: Text<'a>,

    pub(crate) total_line_items_price: Option<Amount>,
    pub(crate) total_line_items_price_set: Option<MoneySet>,
    pub(crate) total_discounts: Option<Amount>,
    #[serde(alias = "totalDiscountsSet")]
    pub(crate) total_discounts_set: Option<MoneySet>,
    pub(crate) total_tax: Option<Amount>,
    #[serde(alias = "totalTaxSet")]
    pub(crate) total_tax_set: Option<MoneySet>,
    /// Webhooks state tips in shop currency only.
    pub(crate) total_tip_received: Option<Amount>,
    #[serde(rename = "totalTipReceivedSet")]
    pub(crate) total_tip_received_set: Option<MoneySet>,
    pub(crate) total_price: Option<Amount>,
    #[serde(alias = "totalPriceSet")]
    pub(crate) total_price_set: Option<MoneySet>,
    pub(crate) current_total_price: Option<Amount>,
    #[serde(alias = "currentTotalPriceSet")]
    pub(crate) current_total_price_set: Option<MoneySet>,
    #[serde(alias = "originalTotalDutiesSet")]
    pub(crate) original_total_duties_set: Option<MoneySet>,
    #[serde(alias = "originalTotalAdditionalFeesSet")]
    pub(crate) original_total_additional_fees_set: Option<MoneySet>,
    #[serde(alias = "additionalFees")]
    pub(crate) additional_fees: List<Charge<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Company {
    pub(crate) id: Option<Id>,
    pub(crate) location_id: Option<Id>,
}

/// GraphQL's `customer` or `company`; of a customer both stay empty.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PurchasingEntity {
    pub(crate) company: Option<Reference>,
    pub(crate) location: Option<Reference>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reference {
    pub(crate) id: Option<Id>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Line<'a> {
    pub(crate) id: Option<Id>,
    pub(crate) product_id: Option<Id>,
    pub(crate) product: Option<Reference>,
    pub(crate) variant_id: Option<Id>,
    pub(crate) variant: Option<Reference>,
    pub(crate) sku: Text<'a>,
    pub(crate) title: Text<'a>,
    pub(crate) quantity: Option<Amount>,
    #[serde(alias = "currentQuantity")]
    pub(crate) current_quantity: Option<Amount>,
    pub(crate) price: Option<Amount>,
    #[serde(alias = "originalUnitPriceSet")]
    pub(crate) price_set: Option<MoneySet>,
    #[serde(alias = "discountAllocations")]
    pub(crate) discount_allocations: List<Allocation<'a>>,
    #[serde(alias = "taxLines")]
    pub(crate) tax_lines: List<TaxLine<'a>>,
    pub(crate) duties: List<Charge<'a>>,
    #[serde(alias = "requiresShipping")]
    pub(crate) requires_shipping: Option<bool>,
    #[serde(alias = "isGiftCard")]
    pub(crate) gift_card: Option<bool>,
    /// Present (even as `null`) on the lines that are tips, and only there.
    #[serde(deserialize_with = "present")]
    pub(crate) tip_payment_gateway: bool,
}

pub(super) fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(deserializer).map(|_| true)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct ShippingLine<'a> {
    pub(crate) id: Option<Id>,
    pub(crate) code: Text<'a>,
    pub(crate) title: Text<'a>,
    pub(crate) price: Option<Amount>,
    #[serde(alias = "originalPriceSet")]
    pub(crate) price_set: Option<MoneySet>,
    pub(crate) discounted_price: Option<Amount>,
    #[serde(alias = "discountedPriceSet")]
    pub(crate) discounted_price_set: Option<MoneySet>,
    #[serde(alias = "discountAllocations")]
    pub(crate) discount_allocations: List<Allocation<'a>>,
    #[serde(alias = "taxLines")]
    pub(crate) tax_lines: List<TaxLine<'a>>,
    #[serde(alias = "isRemoved")]
    pub(crate) is_removed: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct TaxLine<'a> {
    pub(crate) title: Text<'a>,
    pub(crate) rate: Option<Amount>,
    pub(crate) price: Option<Amount>,
    #[serde(alias = "priceSet")]
    pub(crate) price_set: Option<MoneySet>,
}

/// A duty or a fee; only its taxes are taken from here, its price stands in the order's totals.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Charge<'a> {
    #[serde(alias = "taxLines")]
    pub(crate) tax_lines: List<TaxLine<'a>>,
}

/// A part of a discount; which discount it is stands in the order (webhooks) or here (GraphQL).
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Allocation<'a> {
    pub(crate) amount: Option<Amount>,
    #[serde(alias = "allocatedAmountSet")]
    pub(crate) amount_set: Option<MoneySet>,
    pub(crate) discount_application_index: Option<usize>,
    #[serde(rename = "discountApplication")]
    pub(crate) application: Option<Application<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Application<'a> {
    #[serde(rename = "type", alias = "__typename")]
    pub(crate) kind: Text<'a>,
    pub(crate) code: Text<'a>,
    pub(crate) title: Text<'a>,
    #[serde(alias = "targetType")]
    pub(crate) target_type: Text<'a>,
    pub(crate) value_type: Text<'a>,
    /// GraphQL only: text in webhooks, which say the type of it beside it.
    #[serde(deserialize_with = "typed_value")]
    pub(crate) value: ApplicationValue,
}

/// What a discount's value is measured in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum ApplicationValue {
    #[default]
    Unsaid,
    Percentage,
    Money,
}

fn typed_value<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<ApplicationValue, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Typed {
        percentage: Option<serde::de::IgnoredAny>,
        amount: Option<serde::de::IgnoredAny>,
    }
    let raw = <&serde_json::value::RawValue>::deserialize(deserializer)?.get();
    if !raw.starts_with('{') {
        return Ok(ApplicationValue::Unsaid);
    }
    let typed: Typed = serde_json::from_str(raw).map_err(serde::de::Error::custom)?;
    Ok(match (typed.percentage, typed.amount) {
        (Some(_), _) => ApplicationValue::Percentage,
        (None, Some(_)) => ApplicationValue::Money,
        (None, None) => ApplicationValue::Unsaid,
    })
}

/// As old bodies list them.
#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct DiscountCode<'a> {
    pub(crate) code: Text<'a>,
    pub(crate) amount: Option<Amount>,
    #[serde(rename = "type")]
    pub(crate) kind: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct NoteAttribute<'a> {
    #[serde(alias = "key")]
    pub(crate) name: Text<'a>,
    pub(crate) value: Loose,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Fulfillment<'a> {
    pub(crate) status: Text<'a>,
}

/// `orders/edited`: what was added and removed, without the order.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Edited {
    pub(crate) order_edit: OrderEdit,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OrderEdit {
    pub(crate) order_id: Option<Id>,
}

/// `orders/delete`: an id.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Deleted {
    pub(crate) id: Option<Id>,
}
