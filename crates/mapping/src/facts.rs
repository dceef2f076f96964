//! What a rule may know of an order.

use cel::common::types::{CelBool, CelInt, CelList, CelString};
use cel::common::value::{CowVal, Val};
use cel::context::VariableResolver;
use domain::{ConnectionId, Decimal, FulfillmentState, Money, Order};

/// The facts about one order, by the names that rules use: `order.country`, `order.total`, ...
///
/// Texts that the source did not give are empty, lists too: every fact is always there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFacts {
    /// The storefront connection of the settings.
    pub connection: String,
    /// ISO 3166-1 alpha-2 of where the goods go, else of the bill, in capitals.
    pub country: String,
    /// ISO 4217, the shop's own.
    pub currency: String,
    /// ISO 4217, the buyer's.
    pub presentment_currency: String,
    /// What the buyer owes or paid, in the shop's currency and in its smallest unit: 12.30 EUR are 1230, 500 JPY are 500. A whole
    /// number, because a decision must not hang on how a fraction is rounded; what is finer than the unit is rounded half up.
    pub total: i64,
    pub tags: Vec<String>,
    /// Of all lines that have one, in the order's order.
    pub skus: Vec<String>,
    /// Codes that the buyer typed.
    pub coupons: Vec<String>,
    /// A company bought.
    pub b2b: bool,
    /// The company's id in the source.
    pub company_id: String,
    /// Sales channel, as the source names it: `web`, `pos`, ...
    pub channel: String,
    /// `pending`, `authorized`, `partially_paid`, `paid`, `partially_refunded`, `refunded`, `voided` or `expired`.
    pub financial_state: String,
    /// `unfulfilled`, `partial`, `fulfilled` or `restocked`.
    pub fulfillment_state: String,
    /// As the source names them.
    pub gateways: Vec<String>,
    /// A test order, never to be shipped.
    pub test: bool,
    /// What follows the `@` of the buyer's e-mail address, in lower case.
    pub email_domain: String,
    /// Code of the first delivery method.
    pub shipping_code: String,
    /// The buyer's purchase order number.
    pub po_number: String,
}

/// What kind of value a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bool,
    Int,
    Text,
    Texts,
}

/// The fields of `order`, sorted by name; [`OrderFacts`] says what each means.
pub const FIELDS: [(&str, Kind); 18] = [
    ("b2b", Kind::Bool),
    ("channel", Kind::Text),
    ("company_id", Kind::Text),
    ("connection", Kind::Text),
    ("country", Kind::Text),
    ("coupons", Kind::Texts),
    ("currency", Kind::Text),
    ("email_domain", Kind::Text),
    ("financial_state", Kind::Text),
    ("fulfillment_state", Kind::Text),
    ("gateways", Kind::Texts),
    ("po_number", Kind::Text),
    ("presentment_currency", Kind::Text),
    ("shipping_code", Kind::Text),
    ("skus", Kind::Texts),
    ("tags", Kind::Texts),
    ("test", Kind::Bool),
    ("total", Kind::Int),
];

impl OrderFacts {
    pub fn of(connection: &ConnectionId, order: &Order) -> Self {
        let email = order.buyer.as_ref().map(|it| it.email.trim().to_lowercase()).unwrap_or_default();
        Self {
            connection: connection.to_string(),
            country: order.destination().map(|it| it.country_code.to_uppercase()).unwrap_or_default(),
            currency: order.shop_currency.code().to_owned(),
            presentment_currency: order.presentment_currency.code().to_owned(),
            total: smallest_units(order.totals.total.shop),
            tags: order.tags.clone(),
            skus: order.lines.iter().filter(|it| !it.sku.is_empty()).map(|it| it.sku.clone()).collect(),
            coupons: order.coupons.iter().map(|it| it.code.clone()).collect(),
            b2b: order.company.is_some(),
            company_id: order.company.as_ref().map(|it| it.id.clone()).unwrap_or_default(),
            channel: order.channel.clone(),
            financial_state: order.financial_state.as_str().to_owned(),
            fulfillment_state: fulfillment(order.fulfillment_state).to_owned(),
            gateways: order.gateways.clone(),
            test: order.test,
            email_domain: email.rsplit_once('@').map(|(_, domain)| domain.to_owned()).unwrap_or_default(),
            shipping_code: order.shipping_lines.first().map(|it| it.code.clone()).unwrap_or_default(),
            po_number: order.po_number.clone(),
        }
    }

    /// An order with something in every field: rules are tried on it before they meet a real one.
    pub(crate) fn sample() -> Self {
        let text = |it: &str| it.to_owned();
        Self {
            connection: text("shop"),
            country: text("DE"),
            currency: text("EUR"),
            presentment_currency: text("EUR"),
            total: 1230,
            tags: vec![text("vip")],
            skus: vec![text("MUG")],
            coupons: vec![text("TEN")],
            b2b: true,
            company_id: text("1"),
            channel: text("web"),
            financial_state: text("paid"),
            fulfillment_state: text("unfulfilled"),
            gateways: vec![text("card")],
            test: false,
            email_domain: text("example.com"),
            shipping_code: text("standard"),
            po_number: text("PO-1"),
        }
    }

    fn field(&self, name: &str) -> Option<CowVal<'_, '_>> {
        Some(match name {
            "b2b" => CowVal::owned(CelBool::from(self.b2b)),
            "channel" => text(&self.channel),
            "company_id" => text(&self.company_id),
            "connection" => text(&self.connection),
            "country" => text(&self.country),
            "coupons" => texts(&self.coupons),
            "currency" => text(&self.currency),
            "email_domain" => text(&self.email_domain),
            "financial_state" => text(&self.financial_state),
            "fulfillment_state" => text(&self.fulfillment_state),
            "gateways" => texts(&self.gateways),
            "po_number" => text(&self.po_number),
            "presentment_currency" => text(&self.presentment_currency),
            "shipping_code" => text(&self.shipping_code),
            "skus" => texts(&self.skus),
            "tags" => texts(&self.tags),
            "test" => CowVal::owned(CelBool::from(self.test)),
            "total" => CowVal::owned(CelInt::from(self.total)),
            _ => return None,
        })
    }
}

/// The evaluator asks for the longest name first, `order.country` before `order`: only what a rule uses is made a value, and
/// nothing of it is copied.
impl VariableResolver for OrderFacts {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        self.field(variable.strip_prefix("order.")?)
    }
}

fn text(value: &str) -> CowVal<'_, '_> {
    CowVal::owned(CelString::from(value))
}

fn texts(values: &[String]) -> CowVal<'_, '_> {
    let values: Vec<Box<dyn Val + '_>> = values.iter().map(|it| Box::new(CelString::from(it.as_str())) as Box<dyn Val + '_>).collect();
    CowVal::owned(CelList::from(values))
}

/// Beyond what an `i64` holds it stays at the end of the range: every limit that a rule may name lies below.
fn smallest_units(money: Money) -> i64 {
    let digits = u32::from(money.currency.exponent().unwrap_or(2));
    let limit = if money.amount.is_sign_negative() { i64::MIN } else { i64::MAX };
    let units = Decimal::from(10_i64.pow(digits)).checked_mul(money.amount);
    units.and_then(|it| it.checked_add(Decimal::new(5, 1))?.floor().try_into().ok()).unwrap_or(limit)
}

fn fulfillment(state: FulfillmentState) -> &'static str {
    match state {
        FulfillmentState::Unfulfilled => "unfulfilled",
        FulfillmentState::Partial => "partial",
        FulfillmentState::Fulfilled => "fulfilled",
        FulfillmentState::Restocked => "restocked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_table_has_a_value_of_its_kind() {
        let facts = OrderFacts::sample();
        for (name, kind) in FIELDS {
            let value = facts.resolve(&format!("order.{name}")).unwrap_or_else(|| panic!("{name} has no value"));
            let expected = match kind {
                Kind::Bool => "bool",
                Kind::Int => "int",
                Kind::Text => "string",
                Kind::Texts => "list",
            };
            assert_eq!(value.get_type().name(), expected, "{name}");
        }
        assert!(FIELDS.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn amounts_are_whole_numbers_of_the_smallest_unit() {
        let units = |amount, currency| smallest_units(Money::parse(amount, currency).unwrap());
        assert_eq!(units("12.30", "EUR"), 1230);
        assert_eq!(units("500", "JPY"), 500);
        assert_eq!(units("1.2345", "KWD"), 1235);
        assert_eq!(units("-0.01", "USD"), -1);
        assert_eq!(units("79228162514264337593543950335", "EUR"), i64::MAX);
        assert_eq!(units("79228162514264337593543950335", "JPY"), i64::MAX);
        assert_eq!(units("-99999999999999999999", "EUR"), i64::MIN);
    }
}
