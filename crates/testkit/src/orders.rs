//! Orders, of which a test says only what matters to it.

use domain::{Currency, FinancialState, FulfillmentState, Money, MoneyPair, Order, OrderTotals};

/// Nobody's, for nothing, in euros; paid.
pub fn order(id: &str) -> Order {
    let zero = MoneyPair::same(Money::zero(Currency::EUR));
    Order {
        id: id.to_owned(),
        display_number: format!("#{id}"),
        buyer: None,
        billing_address: None,
        shipping_address: None,
        lines: Vec::new(),
        shipping_lines: Vec::new(),
        coupons: Vec::new(),
        payments: Vec::new(),
        gateways: Vec::new(),
        po_number: String::new(),
        note: String::new(),
        attributes: Vec::new(),
        tags: Vec::new(),
        shop_currency: Currency::EUR,
        presentment_currency: Currency::EUR,
        taxes_included: true,
        totals: OrderTotals { lines: zero, discounts: zero, shipping: zero, tax: zero, tip: zero, total: zero, current_total: zero },
        financial_state: FinancialState::Paid,
        fulfillment_state: FulfillmentState::Unfulfilled,
        cancelled_at: None,
        cancel_reason: String::new(),
        placed_at: None,
        channel: "web".to_owned(),
        company: None,
        test: false,
    }
}
