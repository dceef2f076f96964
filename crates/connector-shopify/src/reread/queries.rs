//! The queries. Page sizes keep each below the 1000 points that one query may cost.

use crate::client::Query;

macro_rules! money {
    () => {
        "{ shopMoney { amount currencyCode } presentmentMoney { amount currencyCode } }"
    };
}

macro_rules! tax_lines {
    () => {
        concat!("taxLines { title rate priceSet ", money!(), " }")
    };
}

macro_rules! discount {
    () => {
        "__typename targetType value { ... on PricingPercentageValue { percentage } ... on MoneyV2 { amount } } \
         ... on DiscountCodeApplication { code } ... on AutomaticDiscountApplication { title } \
         ... on ManualDiscountApplication { title } ... on ScriptDiscountApplication { title }"
    };
}

macro_rules! allocations {
    () => {
        concat!("discountAllocations { allocatedAmountSet ", money!(), " discountApplication { ", discount!(), " } }")
    };
}

macro_rules! address {
    () => {
        "{ firstName lastName company address1 address2 city zip provinceCode province countryCodeV2 phone }"
    };
}

macro_rules! line {
    () => {
        concat!(
            "id product { id } variant { id } sku title quantity currentQuantity requiresShipping isGiftCard ",
            "originalUnitPriceSet ",
            money!(),
            " ",
            allocations!(),
            " ",
            tax_lines!(),
            " duties { ",
            tax_lines!(),
            " }"
        )
    };
}

macro_rules! refund_line {
    () => {
        concat!(
            "id quantity restockType lineItem { id sku title product { id } } location { id } subtotalSet ",
            money!(),
            " totalTaxSet ",
            money!()
        )
    };
}

pub(super) const ORDER: Query = Query {
    operation: "TradewindOrder",
    cost: 700,
    text: concat!(
        "query TradewindOrder($id: ID!) { order(id: $id) { ",
        "id name createdAt processedAt updatedAt cancelledAt cancelReason test sourceName ",
        "email phone customerLocale note poNumber tags paymentGatewayNames customAttributes { key value } ",
        "currencyCode presentmentCurrencyCode taxesIncluded dutiesIncluded ",
        "displayFinancialStatus displayFulfillmentStatus fulfillments(first: 10) { status } ",
        "customer { id firstName lastName defaultEmailAddress { emailAddress } defaultPhoneNumber { phoneNumber } } ",
        "purchasingEntity { ... on PurchasingCompany { company { id } location { id } } } ",
        "billingAddress ",
        address!(),
        " shippingAddress ",
        address!(),
        " lineItems(first: 30) { pageInfo { hasNextPage endCursor } nodes { ",
        line!(),
        " } } shippingLines(first: 5) { pageInfo { hasNextPage } nodes { id code title originalPriceSet ",
        money!(),
        " discountedPriceSet ",
        money!(),
        " ",
        allocations!(),
        " ",
        tax_lines!(),
        " } } discountApplications(first: 20) { pageInfo { hasNextPage } nodes { ",
        discount!(),
        " } } refunds { id } totalDiscountsSet ",
        money!(),
        " totalTaxSet ",
        money!(),
        " totalTipReceivedSet ",
        money!(),
        " totalPriceSet ",
        money!(),
        " currentTotalPriceSet ",
        money!(),
        " originalTotalDutiesSet ",
        money!(),
        " originalTotalAdditionalFeesSet ",
        money!(),
        " additionalFees { ",
        tax_lines!(),
        " } } }"
    ),
};

pub(super) const ORDER_LINES: Query = Query {
    operation: "TradewindOrderLines",
    cost: 700,
    text: concat!(
        "query TradewindOrderLines($id: ID!, $after: String) { order(id: $id) { ",
        "lineItems(first: 40, after: $after) { pageInfo { hasNextPage endCursor } nodes { ",
        line!(),
        " } } } }"
    ),
};

pub(super) const REFUND: Query = Query {
    operation: "TradewindRefund",
    cost: 500,
    text: concat!(
        "query TradewindRefund($id: ID!) { refund(id: $id) { id createdAt processedAt note order { id totalTipReceivedSet ",
        money!(),
        " } return { id } totalRefundedSet ",
        money!(),
        " duties { amountSet ",
        money!(),
        " } refundLineItems(first: 40) { pageInfo { hasNextPage endCursor } nodes { ",
        refund_line!(),
        " } } refundShippingLines(first: 5) { pageInfo { hasNextPage } nodes { id subtotalAmountSet ",
        money!(),
        " taxAmountSet ",
        money!(),
        " } } orderAdjustments(first: 10) { pageInfo { hasNextPage } nodes { id reason amountSet ",
        money!(),
        " taxAmountSet ",
        money!(),
        " } } transactions(first: 10) { pageInfo { hasNextPage } nodes { ",
        "id kind status gateway authorizationCode paymentId createdAt processedAt ",
        "paymentDetails { ... on CardPaymentDetails { company } } amountSet ",
        money!(),
        " } } } }"
    ),
};

pub(super) const REFUND_LINES: Query = Query {
    operation: "TradewindRefundLines",
    cost: 500,
    text: concat!(
        "query TradewindRefundLines($id: ID!, $after: String) { refund(id: $id) { ",
        "refundLineItems(first: 60, after: $after) { pageInfo { hasNextPage endCursor } nodes { ",
        refund_line!(),
        " } } } }"
    ),
};

pub(super) const CUSTOMER: Query = Query {
    operation: "TradewindCustomer",
    cost: 60,
    text: concat!(
        "query TradewindCustomer($id: ID!) { customer(id: $id) { ",
        "id firstName lastName createdAt updatedAt state note taxExempt ",
        "defaultEmailAddress { emailAddress } defaultPhoneNumber { phoneNumber } ",
        "defaultAddress { id firstName lastName company address1 address2 city zip provinceCode province countryCodeV2 phone } ",
        "addressesV2(first: 50) { nodes { id firstName lastName company address1 address2 city zip provinceCode province countryCodeV2 phone } } ",
        "} }"
    ),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_query_is_named_as_it_says_and_closes_what_it_opens() {
        for query in [&ORDER, &ORDER_LINES, &REFUND, &REFUND_LINES, &CUSTOMER] {
            assert!(query.text.starts_with(&format!("query {}(", query.operation)), "{}", query.operation);
            let depth = |open: char, close: char| {
                query.text.chars().fold((0_i32, 0_i32), |(depth, low), it| {
                    let depth = depth + i32::from(it == open) - i32::from(it == close);
                    (depth, low.min(depth))
                })
            };
            assert_eq!((depth('{', '}'), depth('(', ')')), ((0, 0), (0, 0)), "{}", query.operation);
            assert!(query.cost <= 1000);
        }
    }
}
