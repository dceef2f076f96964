//! One order.

use chrono::{DateTime, SubsecRound, Utc};
use rand::Rng;
use rust_decimal::Decimal;

use crate::payloads::customer::{ShopAddress, ShopCustomer};
use crate::payloads::money::{Currencies, Pair};
use crate::payloads::order::{ShopCompany, ShopLine, ShopOrder, ShopShipping, ShopTransaction, TransactionKind, TransactionStatus};
use crate::payloads::people::{self, Country};
use crate::payloads::wish::{BuyerWish, OrderWish, PaymentWish};

use super::{Generator, UnknownSku};

/// Code, title and price of a delivery.
const DELIVERIES: [(&str, &str, Decimal); 3] = [
    ("STANDARD", "Standard", Decimal::from_parts(490, 0, 0, false, 2)),
    ("EXPRESS", "Express, next day", Decimal::from_parts(1290, 0, 0, false, 2)),
    ("PICKUP", "Pick-up point", Decimal::ZERO),
];

/// Who buys, and where to.
struct Buyer {
    customer: Option<ShopCustomer>,
    email: String,
    phone: Option<String>,
    billing: Option<ShopAddress>,
    shipping: Option<ShopAddress>,
    company: Option<ShopCompany>,
}

impl Generator {
    /// An order as it is at its creation; `at` loses its part of a second, as at the platform.
    pub fn order(&mut self, wish: &OrderWish, at: DateTime<Utc>) -> Result<ShopOrder, UnknownSku> {
        let at = at.trunc_subsecs(0);
        let country = wish.country.as_deref().and_then(Country::of).unwrap_or_else(|| Country::draw(&mut self.rng));
        let currencies = self.currencies(wish);
        let lines = self.lines(wish, &currencies)?;
        let buyer = self.buyer(wish, country, at);
        let is_company = buyer.company.is_some();
        let taxes_included = wish.taxes_included.unwrap_or_else(|| self.chance(self.settings.taxes_included_share));
        self.order_number += 1;
        let mut order = ShopOrder {
            id: self.ids.draw(),
            order_number: self.order_number,
            name: format!("{}{}", self.settings.prefix, self.order_number),
            token: self.ids.token(),
            confirmation_number: self.ids.token()[..9].to_uppercase(),
            created_at: at,
            updated_at: at,
            cancelled_at: None,
            cancel_reason: None,
            closed_at: None,
            offset: self.settings.offset,
            email: buyer.email,
            phone: buyer.phone,
            locale: country.locale.to_owned(),
            billing_address: buyer.billing,
            shipping_address: buyer.shipping,
            lines,
            shipping: Vec::new(),
            discounts: Vec::new(),
            currencies,
            taxes_included,
            tax_exempt: buyer.customer.as_ref().is_some_and(|it| it.tax_exempt),
            tax_country: country.code.to_owned(),
            tip: Pair::ZERO,
            gateways: Vec::new(),
            transactions: Vec::new(),
            refunds: Vec::new(),
            note: self.chance(0.2).then(|| "Please ring twice".to_owned()),
            note_attributes: if self.chance(0.3) { vec![("gift".to_owned(), "yes".to_owned())] } else { Vec::new() },
            po_number: is_company.then(|| format!("PO-{}", self.rng.random_range(1000..10_000))),
            tags: if self.chance(0.2) { vec!["fragile".to_owned(), "gift".to_owned()] } else { Vec::new() },
            company: buyer.company,
            source_name: if buyer.customer.is_none() && wish.buyer == Some(BuyerWish::Nobody) { "pos" } else { "web" }.to_owned(),
            test: false,
            location_id: self.location_id,
            customer: buyer.customer,
        };
        if order.source_name == "web" && order.lines.iter().any(|it| it.article.requires_shipping) {
            order.shipping.push(self.delivery(&order.currencies));
        }
        self.discount(&mut order, wish);
        if self.chance(self.settings.tip_share) {
            order.tip = order.currencies.pair(Decimal::from(self.rng.random_range(1..6)));
        }
        tax(&mut order, country);
        self.payment(&mut order, wish.payment, is_company, at);
        Ok(order)
    }

    fn currencies(&mut self, wish: &OrderWish) -> Currencies {
        let is_foreign = wish.foreign_currency.unwrap_or_else(|| self.chance(self.settings.foreign_share));
        match self.settings.foreign {
            Some((presentment, rate)) if is_foreign => Currencies { shop: self.settings.currency, presentment, rate },
            _ => Currencies::one(self.settings.currency),
        }
    }

    fn lines(&mut self, wish: &OrderWish, currencies: &Currencies) -> Result<Vec<ShopLine>, UnknownSku> {
        let mut chosen = Vec::new();
        for (sku, quantity) in &wish.lines {
            chosen.push((self.article(sku)?.clone(), *quantity));
        }
        if chosen.is_empty() {
            if self.articles.is_empty() {
                return Err(UnknownSku("*".to_owned()));
            }
            for _ in 0..self.rng.random_range(1..=4) {
                let index = self.rng.random_range(0..self.articles.len());
                chosen.push((self.articles[index].clone(), self.rng.random_range(1..=3)));
            }
        }
        let lines = chosen.into_iter().map(|(article, quantity)| ShopLine {
            id: self.ids.draw(),
            unit_price: currencies.pair(article.price),
            article,
            quantity,
            removed: 0,
            refunded: 0,
            allocations: Vec::new(),
            taxes: Vec::new(),
            properties: Vec::new(),
        });
        Ok(lines.collect())
    }

    fn buyer(&mut self, wish: &OrderWish, country: &Country, at: DateTime<Utc>) -> Buyer {
        let drawn = self.rng.random::<f64>();
        let (guests, companies) = (self.settings.guest_share, self.settings.company_share);
        let kind = wish.buyer.clone().unwrap_or_else(|| match drawn {
            it if it < guests => BuyerWish::Guest,
            it if it < guests + companies => BuyerWish::Company,
            _ => self.returning().map_or(BuyerWish::Customer, BuyerWish::Known),
        });
        match kind {
            BuyerWish::Nobody => Buyer { customer: None, email: String::new(), phone: None, billing: None, shipping: None, company: None },
            BuyerWish::Guest => self.guest(country),
            BuyerWish::Company => self.company(country, at),
            BuyerWish::Customer => {
                let customer = self.customer_of(country, at);
                self.ordered(customer.id)
            }
            BuyerWish::Known(id) => self.ordered(id),
        }
    }

    /// One of the customers that the shop has, for half of the orders.
    fn returning(&mut self) -> Option<u64> {
        if self.customers.is_empty() || self.rng.random_bool(0.5) {
            return None;
        }
        let index = self.rng.random_range(0..self.customers.len());
        Some(self.customers[index].id)
    }

    fn guest(&mut self, country: &Country) -> Buyer {
        let person = people::person(&mut self.rng);
        let address = people::address(person.first, person.last, country, &mut self.rng);
        Buyer { customer: None, email: person.email, phone: None, billing: Some(address.clone()), shipping: Some(address), company: None }
    }

    fn ordered(&mut self, id: u64) -> Buyer {
        let customer = self.customer_mut(id).map(|it| {
            it.orders += 1;
            it.clone()
        });
        let address = customer.as_ref().and_then(|it| it.addresses.first()).map(|it| it.1.clone());
        Buyer {
            email: customer.as_ref().and_then(|it| it.email.clone()).unwrap_or_default(),
            phone: customer.as_ref().and_then(|it| it.phone.clone()),
            customer,
            billing: address.clone(),
            shipping: address,
            company: None,
        }
    }

    fn company(&mut self, country: &Country, at: DateTime<Utc>) -> Buyer {
        let id = self.customer_of(country, at).id;
        let name = people::company(&mut self.rng).to_owned();
        let tax_exempt = self.rng.random_bool(0.5);
        if let Some(customer) = self.customer_mut(id) {
            customer.tax_exempt = tax_exempt;
            for (_, address) in &mut customer.addresses {
                address.company = Some(name.clone());
            }
        }
        let company = ShopCompany { id: self.ids.draw(), location_id: self.ids.draw(), name };
        Buyer { company: Some(company), ..self.ordered(id) }
    }

    fn delivery(&mut self, currencies: &Currencies) -> ShopShipping {
        let (code, title, price) = DELIVERIES[self.rng.random_range(0..DELIVERIES.len())];
        ShopShipping {
            id: self.ids.draw(),
            code: code.to_owned(),
            title: title.to_owned(),
            price: currencies.pair(price),
            allocations: Vec::new(),
            taxes: Vec::new(),
        }
    }

    fn payment(&mut self, order: &mut ShopOrder, wish: Option<PaymentWish>, on_account: bool, at: DateTime<Utc>) {
        let drawn = self.rng.random_range(0..100);
        let wish = wish.unwrap_or(match drawn {
            _ if on_account => PaymentWish::Pending,
            0..75 => PaymentWish::Paid,
            75..80 => PaymentWish::PaidInTwo,
            80..90 => PaymentWish::Authorized,
            _ => PaymentWish::Pending,
        });
        let total = order.total();
        if total.presentment.is_zero() {
            return;
        }
        let (card, sale) = ("shopify_payments", TransactionKind::Sale);
        let parts = match wish {
            PaymentWish::Pending => {
                order.gateways = vec![if on_account { "manual" } else { "Bank Deposit" }.to_owned()];
                return;
            }
            PaymentWish::Paid if self.rng.random_bool(0.3) => vec![("paypal", sale, total)],
            PaymentWish::Paid => vec![(card, sale, total)],
            PaymentWish::Authorized => vec![(card, TransactionKind::Authorization, total)],
            PaymentWish::PaidInTwo => {
                let gift = order.currencies.share(total, 1, 3);
                vec![("gift_card", sale, gift), (card, sale, total - gift)]
            }
        };
        for (gateway, kind, amount) in parts {
            if amount.presentment.is_zero() {
                continue;
            }
            order.gateways.push(gateway.to_owned());
            order.transactions.push(ShopTransaction {
                id: self.ids.draw(),
                kind,
                status: TransactionStatus::Success,
                gateway: gateway.to_owned(),
                amount,
                parent: None,
                at,
                brand: (gateway == card).then(|| ["Visa", "Mastercard"][self.rng.random_range(0..2)].to_owned()),
                authorization: Some(self.ids.token()),
            });
        }
    }
}

/// Taxes on what is left after discounts, so they come last.
fn tax(order: &mut ShopOrder, country: &Country) {
    let lines: Vec<_> = order.lines.iter().map(|it| order.taxes_on(it.discounted(), it.article.reduced_tax, country)).collect();
    let shipping: Vec<_> = order.shipping.iter().map(|it| order.taxes_on(it.discounted(), false, country)).collect();
    for (line, taxes) in order.lines.iter_mut().zip(lines) {
        line.taxes = taxes;
    }
    for (line, taxes) in order.shipping.iter_mut().zip(shipping) {
        line.taxes = taxes;
    }
}
