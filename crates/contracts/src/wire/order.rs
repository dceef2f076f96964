use domain::money::currency;
use domain::{
    Buyer, Company, CouponCode, FinancialState, FulfillmentState, Order, OrderLine, OrderTotals, Payment, PaymentKind, PaymentStatus,
    ShippingLine,
};

use super::common::{
    address, all, attribute, decimal, discount, money, pair, tax_line, time, to_address, to_attribute, to_decimal, to_discount, to_money,
    to_pair, to_tax_line, to_time_opt,
};
use super::{Wire, WireError, bad, enum_table, required, text_table};
use crate::proto::orders::v1 as wire;
use crate::proto::payments::v1 as payments;

enum_table!(financial_state, to_financial_state, FinancialState, wire::FinancialState, "Order", "financial_state", {
    Pending <=> Pending,
    Authorized <=> Authorized,
    PartiallyPaid <=> PartiallyPaid,
    Paid <=> Paid,
    PartiallyRefunded <=> PartiallyRefunded,
    Refunded <=> Refunded,
    Voided <=> Voided,
    Expired <=> Expired,
});

enum_table!(fulfillment_state, to_fulfillment_state, FulfillmentState, wire::FulfillmentState, "Order", "fulfillment_state", {
    Unfulfilled <=> Unfulfilled,
    Partial <=> Partial,
    Fulfilled <=> Fulfilled,
    Restocked <=> Restocked,
});

text_table!(payment_kind, to_payment_kind, PaymentKind, "Payment", "kind", {
    Authorization <=> "authorization", Capture <=> "capture", Sale <=> "sale", Void <=> "void", Refund <=> "refund",
});

text_table!(payment_status, to_payment_status, PaymentStatus, "Payment", "status", {
    Success <=> "success", Pending <=> "pending", Failure <=> "failure", Error <=> "error",
});

pub(super) fn payment(value: &Payment) -> payments::Payment {
    payments::Payment {
        id: value.id.clone(),
        order_id: value.order_id.clone(),
        kind: payment_kind(value.kind),
        status: payment_status(value.status),
        gateway: value.gateway.clone(),
        brand: value.brand.clone(),
        amount: Some(money(value.amount)),
        reference: value.reference.clone(),
        processed_at: value.processed_at.map(time),
    }
}

pub(super) fn to_payment(value: payments::Payment) -> Result<Payment, WireError> {
    Ok(Payment {
        id: value.id,
        order_id: value.order_id,
        kind: to_payment_kind(&value.kind)?,
        status: to_payment_status(&value.status)?,
        gateway: value.gateway,
        brand: value.brand,
        amount: to_money(value.amount, "Payment", "amount")?,
        reference: value.reference,
        processed_at: to_time_opt(value.processed_at, "Payment", "processed_at")?,
    })
}

fn line(value: &OrderLine) -> wire::OrderLine {
    wire::OrderLine {
        id: value.id.clone(),
        product_id: value.product_id.clone(),
        variant_id: value.variant_id.clone(),
        sku: value.sku.clone(),
        title: value.title.clone(),
        quantity: Some(decimal(value.quantity)),
        current_quantity: Some(decimal(value.current_quantity)),
        unit_price: Some(pair(value.unit_price)),
        discounts: value.discounts.iter().map(discount).collect(),
        taxes: value.taxes.iter().map(tax_line).collect(),
        requires_shipping: value.requires_shipping,
        gift_card: value.gift_card,
    }
}

fn to_line(value: wire::OrderLine) -> Result<OrderLine, WireError> {
    Ok(OrderLine {
        id: value.id,
        product_id: value.product_id,
        variant_id: value.variant_id,
        sku: value.sku,
        title: value.title,
        quantity: to_decimal(value.quantity, "OrderLine", "quantity")?,
        current_quantity: to_decimal(value.current_quantity, "OrderLine", "current_quantity")?,
        unit_price: to_pair(value.unit_price, "OrderLine", "unit_price")?,
        discounts: all(value.discounts, to_discount)?,
        taxes: all(value.taxes, to_tax_line)?,
        requires_shipping: value.requires_shipping,
        gift_card: value.gift_card,
    })
}

fn shipping_line(value: &ShippingLine) -> wire::ShippingLine {
    wire::ShippingLine {
        id: value.id.clone(),
        code: value.code.clone(),
        title: value.title.clone(),
        price: Some(pair(value.price)),
        discounts: value.discounts.iter().map(discount).collect(),
        taxes: value.taxes.iter().map(tax_line).collect(),
    }
}

fn to_shipping_line(value: wire::ShippingLine) -> Result<ShippingLine, WireError> {
    Ok(ShippingLine {
        id: value.id,
        code: value.code,
        title: value.title,
        price: to_pair(value.price, "ShippingLine", "price")?,
        discounts: all(value.discounts, to_discount)?,
        taxes: all(value.taxes, to_tax_line)?,
    })
}

fn totals(value: &OrderTotals) -> wire::OrderTotals {
    wire::OrderTotals {
        lines: Some(pair(value.lines)),
        discounts: Some(pair(value.discounts)),
        shipping: Some(pair(value.shipping)),
        tax: Some(pair(value.tax)),
        tip: Some(pair(value.tip)),
        total: Some(pair(value.total)),
        current_total: Some(pair(value.current_total)),
    }
}

fn to_totals(value: wire::OrderTotals) -> Result<OrderTotals, WireError> {
    const NAME: &str = "OrderTotals";
    Ok(OrderTotals {
        lines: to_pair(value.lines, NAME, "lines")?,
        discounts: to_pair(value.discounts, NAME, "discounts")?,
        shipping: to_pair(value.shipping, NAME, "shipping")?,
        tax: to_pair(value.tax, NAME, "tax")?,
        tip: to_pair(value.tip, NAME, "tip")?,
        total: to_pair(value.total, NAME, "total")?,
        current_total: to_pair(value.current_total, NAME, "current_total")?,
    })
}

fn buyer(value: &Buyer) -> wire::Buyer {
    let value = value.clone();
    wire::Buyer {
        customer_id: value.customer_id,
        email: value.email,
        phone: value.phone,
        first_name: value.first_name,
        last_name: value.last_name,
        locale: value.locale,
    }
}

fn to_buyer(value: wire::Buyer) -> Buyer {
    Buyer {
        customer_id: value.customer_id,
        email: value.email,
        phone: value.phone,
        first_name: value.first_name,
        last_name: value.last_name,
        locale: value.locale,
    }
}

fn coupon(value: &CouponCode) -> wire::CouponCode {
    wire::CouponCode { code: value.code.clone(), kind: value.kind.clone(), amount: Some(pair(value.amount)) }
}

fn to_coupon(value: wire::CouponCode) -> Result<CouponCode, WireError> {
    Ok(CouponCode { code: value.code, kind: value.kind, amount: to_pair(value.amount, "CouponCode", "amount")? })
}

impl Wire for Order {
    type Message = wire::Order;
    const NAME: &'static str = "tradewind.orders.v1.Order";

    fn to_wire(&self) -> wire::Order {
        wire::Order {
            id: self.id.clone(),
            display_number: self.display_number.clone(),
            buyer: self.buyer.as_ref().map(buyer),
            billing_address: self.billing_address.as_ref().map(address),
            shipping_address: self.shipping_address.as_ref().map(address),
            lines: self.lines.iter().map(line).collect(),
            shipping_lines: self.shipping_lines.iter().map(shipping_line).collect(),
            coupons: self.coupons.iter().map(coupon).collect(),
            payments: self.payments.iter().map(payment).collect(),
            gateways: self.gateways.clone(),
            po_number: self.po_number.clone(),
            note: self.note.clone(),
            attributes: self.attributes.iter().map(attribute).collect(),
            tags: self.tags.clone(),
            shop_currency: self.shop_currency.code().to_owned(),
            presentment_currency: self.presentment_currency.code().to_owned(),
            taxes_included: self.taxes_included,
            totals: Some(totals(&self.totals)),
            financial_state: financial_state(self.financial_state),
            fulfillment_state: fulfillment_state(self.fulfillment_state),
            cancelled_at: self.cancelled_at.map(time),
            cancel_reason: self.cancel_reason.clone(),
            placed_at: self.placed_at.map(time),
            company: self.company.as_ref().map(|it| wire::Company { id: it.id.clone(), location_id: it.location_id.clone() }),
            test: self.test,
            channel: self.channel.clone(),
        }
    }

    fn from_wire(message: wire::Order) -> Result<Self, WireError> {
        const NAME: &str = "Order";
        Ok(Self {
            id: message.id,
            display_number: message.display_number,
            buyer: message.buyer.map(to_buyer),
            billing_address: message.billing_address.map(to_address),
            shipping_address: message.shipping_address.map(to_address),
            lines: all(message.lines, to_line)?,
            shipping_lines: all(message.shipping_lines, to_shipping_line)?,
            coupons: all(message.coupons, to_coupon)?,
            payments: all(message.payments, to_payment)?,
            gateways: message.gateways,
            po_number: message.po_number,
            note: message.note,
            attributes: message.attributes.into_iter().map(to_attribute).collect(),
            tags: message.tags,
            shop_currency: currency(&message.shop_currency).map_err(|error| bad(NAME, "shop_currency", error))?,
            presentment_currency: currency(&message.presentment_currency).map_err(|error| bad(NAME, "presentment_currency", error))?,
            taxes_included: message.taxes_included,
            totals: to_totals(required(message.totals, NAME, "totals")?)?,
            financial_state: to_financial_state(message.financial_state)?,
            fulfillment_state: to_fulfillment_state(message.fulfillment_state)?,
            cancelled_at: to_time_opt(message.cancelled_at, NAME, "cancelled_at")?,
            cancel_reason: message.cancel_reason,
            placed_at: to_time_opt(message.placed_at, NAME, "placed_at")?,
            channel: message.channel,
            company: message.company.map(|it| Company { id: it.id, location_id: it.location_id }),
            test: message.test,
        })
    }
}
