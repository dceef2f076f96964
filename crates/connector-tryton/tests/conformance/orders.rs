//! Orders as a storefront sends them, computed the way shops compute: each line's tax rounded, half up.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::order::{
    CouponCode, DiscountAllocation, DiscountKind, FinancialState, FulfillmentState, OrderTotals, Payment, PaymentKind, PaymentStatus,
    TaxLine,
};
use domain::refund::{RefundAdjustment, RefundAdjustmentKind, RefundLine, Restock};
use domain::{
    Address, AggregateKey, Currency, Customer, EntityKind, EntityRef, ErpCommand, Money, MoneyPair, Operation, OperationKey, Order,
    OrderLine, Refund, ShippingLine,
};
use rust_decimal::{Decimal, RoundingStrategy};

pub(crate) const SHOP: &str = "shop-eu";

/// Another order with each call, also between runs on one server.
pub(crate) fn fresh_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let start = chrono::Utc::now().timestamp_micros();
    format!("{start}{:03}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn euro(amount: Decimal) -> MoneyPair {
    MoneyPair::same(Money::new(amount, Currency::EUR))
}

pub(crate) fn decimal(text: &str) -> Decimal {
    text.parse().unwrap()
}

fn cents(amount: Decimal) -> Decimal {
    amount.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
}

/// SKU, price of one, pieces; 20 % unless said otherwise.
pub(crate) struct Cart<'a> {
    pub(crate) goods: &'a [(&'a str, &'a str, i64)],
    pub(crate) shipping: &'a str,
    pub(crate) included: bool,
    pub(crate) rate: &'a str,
    /// Taken off the first line by `SUMMER10`.
    pub(crate) discount: &'a str,
}

impl Default for Cart<'_> {
    fn default() -> Self {
        Self { goods: &[("MUG-RED", "9.50", 2)], shipping: "5.00", included: false, rate: "0.20", discount: "0" }
    }
}

impl Cart<'_> {
    pub(crate) fn order(&self) -> Order {
        let (id, rate) = (fresh_id(), decimal(self.rate));
        let tax = |amount: Decimal| {
            let tax = if self.included { amount * rate / (Decimal::ONE + rate) } else { amount * rate };
            TaxLine { title: "VAT".to_owned(), rate, amount: euro(cents(tax)) }
        };
        let mut lines = Vec::new();
        for (position, (sku, price, quantity)) in self.goods.iter().enumerate() {
            let (price, quantity) = (decimal(price), Decimal::from(*quantity));
            let off = if position == 0 { decimal(self.discount) } else { Decimal::ZERO };
            let allocation =
                DiscountAllocation { code: "SUMMER10".to_owned(), title: String::new(), kind: DiscountKind::Code, amount: euro(off) };
            lines.push(OrderLine {
                id: format!("line-{position}"),
                product_id: String::new(),
                variant_id: String::new(),
                sku: (*sku).to_owned(),
                title: format!("A {sku}"),
                quantity,
                current_quantity: quantity,
                unit_price: euro(price),
                discounts: if off.is_zero() { vec![] } else { vec![allocation] },
                taxes: vec![tax(price * quantity - off)],
                requires_shipping: true,
                gift_card: false,
            });
        }
        let delivery = decimal(self.shipping);
        let shipping_line = ShippingLine {
            id: "ship".to_owned(),
            code: "standard".to_owned(),
            title: "Standard".to_owned(),
            price: euro(delivery),
            discounts: vec![],
            taxes: vec![tax(delivery)],
        };
        let totals = totals(&lines, &shipping_line, self.included);
        let ada = Address {
            first_name: "Ada".to_owned(),
            last_name: "Lovelace".to_owned(),
            line1: "12 St James Square".to_owned(),
            city: "London".to_owned(),
            postal_code: "SW1Y 4LB".to_owned(),
            country_code: "GB".to_owned(),
            ..Address::default()
        };
        let off = decimal(self.discount);
        let coupon = CouponCode { code: "SUMMER10".to_owned(), kind: "fixed_amount".to_owned(), amount: euro(off) };
        Order {
            display_number: format!("#{id}"),
            buyer: Some(domain::Buyer {
                customer_id: String::new(),
                email: format!("buyer-{id}@example.com"),
                phone: String::new(),
                first_name: "Ada".to_owned(),
                last_name: "Lovelace".to_owned(),
                locale: "en".to_owned(),
            }),
            id,
            billing_address: Some(ada.clone()),
            shipping_address: Some(ada),
            lines,
            shipping_lines: vec![shipping_line],
            coupons: if off.is_zero() { vec![] } else { vec![coupon] },
            payments: vec![],
            gateways: vec![],
            po_number: String::new(),
            note: String::new(),
            attributes: vec![],
            tags: vec![],
            shop_currency: Currency::EUR,
            presentment_currency: Currency::EUR,
            taxes_included: self.included,
            totals,
            financial_state: FinancialState::Paid,
            fulfillment_state: FulfillmentState::Unfulfilled,
            cancelled_at: None,
            cancel_reason: String::new(),
            placed_at: Some(chrono::Utc::now()),
            channel: "web".to_owned(),
            company: None,
            test: false,
        }
    }
}

fn totals(lines: &[OrderLine], shipping: &ShippingLine, included: bool) -> OrderTotals {
    let sum: Decimal = lines.iter().map(|it| it.unit_price.shop.amount * it.quantity).sum();
    let off: Decimal = lines.iter().flat_map(|it| &it.discounts).map(|it| it.amount.shop.amount).sum();
    let taxes = lines.iter().flat_map(|it| &it.taxes).chain(&shipping.taxes);
    let tax: Decimal = taxes.map(|it| it.amount.shop.amount).sum();
    let total = sum - off + shipping.price.shop.amount + if included { Decimal::ZERO } else { tax };
    OrderTotals {
        lines: euro(sum),
        discounts: euro(off),
        shipping: shipping.price,
        tax: euro(tax),
        tip: euro(Decimal::ZERO),
        total: euro(total),
        current_total: euro(total),
    }
}

/// The order after the buyer took pieces off (or put them onto) its first line.
pub(crate) fn edited(order: &Order, quantity: i64) -> Order {
    let mut order = order.clone();
    let line = &mut order.lines[0];
    let (old, rate) = (line.current_quantity, line.taxes[0].rate);
    line.current_quantity = quantity.into();
    let less = line.unit_price.shop.amount * (old - line.current_quantity);
    let total = order.totals.total.shop.amount - less - cents(less * rate);
    order.totals.current_total = euro(total);
    order
}

pub(crate) fn command(operation: Operation) -> ErpCommand {
    let connection: domain::ConnectionId = SHOP.parse().unwrap();
    let id = operation.order().map_or_else(fresh_id, |it| it.id.clone());
    let entity = EntityRef::new(connection.clone(), EntityKind::Order, &id);
    ErpCommand {
        target: "erp-main".parse().unwrap(),
        aggregate: AggregateKey::order(&connection, &id),
        operation_key: OperationKey::create(&entity, operation.name()),
        connection,
        sequence: 1,
        operation,
    }
}

pub(crate) fn place(order: &Order) -> ErpCommand {
    command(Operation::PlaceOrder { order: Box::new(order.clone()), confirm: true })
}

pub(crate) fn place_unpaid(order: &Order) -> ErpCommand {
    command(Operation::PlaceOrder { order: Box::new(order.clone()), confirm: false })
}

pub(crate) fn confirm(order: &Order) -> ErpCommand {
    command(Operation::ConfirmOrder { order: Box::new(order.clone()) })
}

pub(crate) fn revise(order: &Order) -> ErpCommand {
    command(Operation::ReviseOrder { order: Box::new(order.clone()) })
}

pub(crate) fn cancel(order: &Order) -> ErpCommand {
    command(Operation::CancelOrder { order: Box::new(order.clone()) })
}

pub(crate) fn book(refund: &Refund, order: &Order) -> ErpCommand {
    command(Operation::BookRefund { refund: Box::new(refund.clone()), order: Box::new(order.clone()) })
}

pub(crate) fn sync(customer: &Customer) -> ErpCommand {
    command(Operation::SyncCustomer { customer: Box::new(customer.clone()) })
}

/// Pieces of the first line, at the order's price.
pub(crate) fn refund(order: &Order, quantity: i64, restock: Restock) -> Refund {
    Refund { lines: vec![refund_line(order, 0, quantity, restock)], ..goodwill(order, "0") }
}

/// Money that went back for an order.
pub(crate) fn paid_back(order: &Order) -> Payment {
    Payment {
        id: fresh_id(),
        order_id: order.id.clone(),
        kind: PaymentKind::Refund,
        status: PaymentStatus::Success,
        gateway: "card".to_owned(),
        brand: String::new(),
        amount: euro(decimal("11.40")).shop,
        reference: String::new(),
        processed_at: None,
    }
}

pub(crate) fn refund_line(order: &Order, position: usize, quantity: i64, restock: Restock) -> RefundLine {
    let line = &order.lines[position];
    let share = Decimal::from(quantity) / line.quantity;
    let off: Decimal = line.discounts.iter().map(|it| it.amount.shop.amount).sum();
    RefundLine {
        id: format!("refund-line-{position}"),
        order_line_id: line.id.clone(),
        sku: line.sku.clone(),
        quantity: quantity.into(),
        restock,
        location_id: String::new(),
        subtotal: euro(cents((line.unit_price.shop.amount * line.quantity - off) * share)),
        tax: euro(cents(line.taxes[0].amount.shop.amount * share)),
    }
}

pub(crate) fn goodwill(order: &Order, amount: &str) -> Refund {
    let adjustment = RefundAdjustment {
        id: "adjustment".to_owned(),
        kind: RefundAdjustmentKind::Goodwill,
        reason: "late".to_owned(),
        amount: euro(decimal(amount)),
        tax: euro(Decimal::ZERO),
    };
    Refund {
        id: fresh_id(),
        order_id: order.id.clone(),
        created_at: None,
        note: String::new(),
        lines: vec![],
        adjustments: vec![adjustment],
        payments: vec![],
    }
}
