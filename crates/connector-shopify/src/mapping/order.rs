//! Orders.

use domain::{Attribute, Buyer, Company, Money, MoneyPair, Order, OrderLine, OrderTotals, TaxLine};

use super::address::address;
use super::discount::{allocations, coupons};
use super::money::{Currencies, minus, need, sum};
use super::payment::payments;
use super::shipping::{Delivery, delivery};
use super::tables::{self, lower};
use crate::error::MappingError;
use crate::wire::{self, Application, Id, List};

pub(super) fn order(from: &wire::Order<'_>) -> Result<Order, MappingError> {
    let id = need(from.id, "id", "a whole 64-bit id")?.to_string();
    let shop = need(from.currency, "currency", "an ISO 4217 currency code")?.0;
    let currencies = Currencies { shop, presentment: from.presentment_currency.map_or(shop, |it| it.0) };
    let applications: &[Application<'_>] = from.discount_applications.as_deref().unwrap_or_default();
    let taxes_included = from.taxes_included.unwrap_or_default();

    let lines = lines(from, applications, currencies)?;
    let amounts = Amounts::of(from, &lines, currencies)?;
    let wanted = amounts.left_for_delivery(taxes_included)?;
    let delivery = delivery(from, applications, currencies, wanted.shop)?;
    let totals = amounts.totals(from, &delivery, wanted, currencies)?;

    let allocated = lines.iter().flat_map(|it| &it.discounts).chain(delivery.lines.iter().flat_map(|it| &it.discounts));
    let order = Order {
        display_number: from.name.to_string(),
        buyer: buyer(from),
        billing_address: from.billing_address.as_ref().map(address),
        shipping_address: from.shipping_address.as_ref().map(address),
        coupons: coupons(from, allocated, currencies)?,
        payments: payments(&from.transactions, &id, Some(currencies.presentment))?,
        gateways: from.payment_gateway_names.iter().map(|it| it.to_string()).collect(),
        po_number: from.po_number.to_string(),
        note: from.note.to_string(),
        attributes: from.note_attributes.iter().map(|it| Attribute { name: it.name.to_string(), value: it.value.0.clone() }).collect(),
        tags: from.tags.0.clone(),
        shop_currency: currencies.shop,
        presentment_currency: currencies.presentment,
        taxes_included,
        totals,
        financial_state: tables::financial(&from.financial_status)?,
        fulfillment_state: tables::fulfillment(&from.fulfillment_status, is_any_shipped(from))?,
        cancelled_at: from.cancelled_at.map(|it| it.0),
        cancel_reason: lower(&from.cancel_reason).into_owned(),
        placed_at: from.processed_at.or(from.created_at).map(|it| it.0),
        channel: from.source_name.to_string(),
        company: company(from),
        test: from.test.unwrap_or_default(),
        lines,
        shipping_lines: delivery.lines,
        id,
    };
    order.check_totals()?;
    Ok(order)
}

fn is_any_shipped(from: &wire::Order<'_>) -> bool {
    from.fulfillments.iter().any(|it| it.status.eq_ignore_ascii_case("success"))
}

fn buyer(from: &wire::Order<'_>) -> Option<Buyer> {
    let customer = from.customer.as_ref();
    // The order's own address is the one that the buyer gave for it.
    let or = |own: &str, other: Option<&str>| if own.is_empty() { other.unwrap_or_default().to_owned() } else { own.to_owned() };
    let buyer = Buyer {
        customer_id: customer.and_then(|it| it.id).map(|it| it.to_string()).unwrap_or_default(),
        email: or(&from.email, customer.map(|it| it.email())),
        phone: or(&from.phone, customer.map(|it| it.phone())),
        first_name: customer.map(|it| it.first_name.to_string()).unwrap_or_default(),
        last_name: customer.map(|it| it.last_name.to_string()).unwrap_or_default(),
        locale: from.customer_locale.to_string(),
    };
    let has_contact = [&buyer.customer_id, &buyer.email, &buyer.phone, &buyer.first_name, &buyer.last_name].iter().any(|it| !it.is_empty());
    has_contact.then_some(buyer)
}

fn company(from: &wire::Order<'_>) -> Option<Company> {
    let text = |id: Option<Id>| id.map(|it| it.to_string()).unwrap_or_default();
    if let Some(company) = &from.company {
        return Some(Company { id: text(company.id), location_id: text(company.location_id) });
    }
    let entity = from.purchasing_entity.as_ref()?;
    let id = entity.company?.id;
    Some(Company { id: text(id), location_id: text(entity.location.and_then(|it| it.id)) })
}

/// A tip is a line too, and stands in the order's totals besides. Webhooks mark it. The API does not: there it is a line without an
/// article, and called so. `tips`: what the order had of them.
pub(super) fn is_tip(is_marked: bool, has_article: bool, title: &str, tips: Option<wire::MoneySet>) -> bool {
    let has_tips = tips.is_some_and(|it| !it.shop_money.money().is_zero());
    is_marked || (has_tips && !has_article && title.eq_ignore_ascii_case("tip"))
}

fn is_tip_of(line: &wire::Line<'_>, order: &wire::Order<'_>) -> bool {
    let has_article = line.product_id.or(line.variant_id).is_some() || line.product.or(line.variant).is_some();
    is_tip(line.tip_payment_gateway, has_article, &line.title, order.total_tip_received_set)
}

/// The lines that are goods.
fn lines(from: &wire::Order<'_>, applications: &[Application<'_>], currencies: Currencies) -> Result<Vec<OrderLine>, MappingError> {
    let mut lines = Vec::with_capacity(from.line_items.len());
    for (index, it) in from.line_items.iter().enumerate().filter(|(_, it)| !is_tip_of(it, from)) {
        lines.push(line(it, from, applications, currencies).map_err(|error| error.within("line_items", index))?);
    }
    Ok(lines)
}

fn line(
    from: &wire::Line<'_>,
    order: &wire::Order<'_>,
    applications: &[Application<'_>],
    currencies: Currencies,
) -> Result<OrderLine, MappingError> {
    let id = need(from.id, "id", "a whole 64-bit id")?;
    let quantity = need(from.quantity, "quantity", "a quantity")?.0.normalize();
    if quantity.is_sign_negative() {
        return Err(MappingError::invalid("quantity", "it is negative"));
    }
    // Bodies before API version 2023-10 do not say what is left of a line.
    let refunded = || order.refunds.iter().flat_map(|it| &*it.refund_line_items).filter(|it| it.line_item_id == from.id);
    let current = match from.current_quantity {
        Some(current) => current.0.normalize(),
        None => refunded().filter_map(|it| it.quantity).fold(quantity, |left, it| left.saturating_sub(it.0)).normalize(),
    };
    let text = |id: Option<Id>, reference: Option<wire::Reference>| {
        id.or_else(|| reference.and_then(|it| it.id)).map(|it| it.to_string()).unwrap_or_default()
    };
    Ok(OrderLine {
        id: id.to_string(),
        product_id: text(from.product_id, from.product),
        variant_id: text(from.variant_id, from.variant),
        sku: from.sku.to_string(),
        title: from.title.to_string(),
        quantity,
        current_quantity: current,
        unit_price: currencies.needed(from.price_set, from.price, "price")?,
        discounts: allocations(&from.discount_allocations, applications, currencies)?,
        taxes: taxes(&from.tax_lines, currencies)?,
        requires_shipping: from.requires_shipping.unwrap_or_default(),
        gift_card: from.gift_card.unwrap_or_default(),
    })
}

pub(super) fn taxes(from: &List<wire::TaxLine<'_>>, currencies: Currencies) -> Result<Vec<TaxLine>, MappingError> {
    let mut taxes = Vec::with_capacity(from.len());
    for (index, it) in from.iter().enumerate() {
        let amount = currencies.needed(it.price_set, it.price, "price").map_err(|error| error.within("tax_lines", index))?;
        taxes.push(TaxLine { title: it.title.to_string(), rate: it.rate.map(|it| it.0.normalize()).unwrap_or_default(), amount });
    }
    Ok(taxes)
}

/// The order's sums, but for delivery.
struct Amounts {
    lines: MoneyPair,
    line_discounts: MoneyPair,
    tax: MoneyPair,
    /// What the buyer saw of it is not always said.
    tip: Money,
    total: MoneyPair,
}

impl Amounts {
    fn of(from: &wire::Order<'_>, lines: &[OrderLine], currencies: Currencies) -> Result<Self, MappingError> {
        let zero = currencies.zero();
        let tip = match from.total_tip_received_set {
            Some(set) => currencies.needed(Some(set), None, "total_tip_received")?.shop,
            None => from.total_tip_received.map_or(zero.shop, |it| wire::exact(it.0, currencies.shop)),
        };
        let line_discounts = sum(zero, lines.iter().flat_map(|it| &it.discounts).map(|it| it.amount));
        Ok(Self {
            lines: line_total(from, lines, currencies)?,
            line_discounts: line_discounts.map_err(|error| MappingError::money("line_items", error))?,
            tax: currencies.or_zero(from.total_tax_set, from.total_tax, "total_tax")?,
            tip,
            total: currencies.needed(from.total_price_set, from.total_price, "total_price")?,
        })
    }

    /// The total without everything else. The buyer's side still has the tip in it.
    fn left_for_delivery(&self, taxes_included: bool) -> Result<MoneyPair, MappingError> {
        let money = |error| MappingError::money("total_price", error);
        let mut left = minus(self.total, self.lines).and_then(|it| it.checked_add(self.line_discounts)).map_err(money)?;
        if !taxes_included {
            left = minus(left, self.tax).map_err(money)?;
        }
        left.shop = left.shop.checked_sub(self.tip).map_err(money)?;
        Ok(left)
    }

    fn totals(
        self,
        from: &wire::Order<'_>,
        delivery: &Delivery,
        left: MoneyPair,
        currencies: Currencies,
    ) -> Result<OrderTotals, MappingError> {
        let presentment_tip = match from.total_tip_received_set {
            Some(set) => set.presentment_money.money(),
            None if self.tip.is_zero() => Money::zero(currencies.presentment),
            None if currencies.shop == currencies.presentment => self.tip,
            None => left
                .presentment
                .checked_sub(delivery.price.presentment)
                .map_err(|error| MappingError::money("total_tip_received", error))?,
        };
        let delivery_discounts = delivery.lines.iter().flat_map(|it| &it.discounts).map(|it| it.amount);
        let allocated = sum(self.line_discounts, delivery_discounts).map_err(|error| MappingError::money("total_discounts", error))?;
        let current = currencies.pair(from.current_total_price_set, from.current_total_price, "current_total_price")?;
        Ok(OrderTotals {
            lines: self.lines,
            discounts: currencies.pair(from.total_discounts_set, from.total_discounts, "total_discounts")?.unwrap_or(allocated),
            shipping: delivery.price,
            tax: self.tax,
            tip: MoneyPair { shop: self.tip, presentment: wire::exact(presentment_tip.amount, currencies.presentment) },
            // Bodies before 2021 do not say what is left of it.
            current_total: current.unwrap_or(self.total),
            total: self.total,
        })
    }
}

/// What the order says its lines cost. GraphQL does not say it, and whether a tip among the lines is counted is not documented:
/// there the lines themselves say it.
fn line_total(from: &wire::Order<'_>, lines: &[OrderLine], currencies: Currencies) -> Result<MoneyPair, MappingError> {
    let money = |error| MappingError::money("line_items", error);
    let mut computed = currencies.zero();
    for line in lines {
        let (shop, presentment) = (line.unit_price.shop.times(line.quantity), line.unit_price.presentment.times(line.quantity));
        computed =
            computed.checked_add(MoneyPair { shop: shop.map_err(money)?, presentment: presentment.map_err(money)? }).map_err(money)?;
    }
    let has_tips = lines.len() < from.line_items.len();
    match currencies.pair(from.total_line_items_price_set, from.total_line_items_price, "total_line_items_price")? {
        Some(stated) if !has_tips => Ok(stated),
        _ => Ok(MoneyPair {
            shop: wire::exact(computed.shop.amount, currencies.shop),
            presentment: wire::exact(computed.presentment.amount, currencies.presentment),
        }),
    }
}
