//! Draws orders and customers from a seed.

mod discounts;
mod order;

use chrono::{DateTime, FixedOffset, SubsecRound, Utc};
use domain::Currency;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rust_decimal::Decimal;

use super::articles::Article;
use super::customer::ShopCustomer;
use super::ids::Ids;
use super::people::{self, Country};

/// What kind of shop it is. Shares go from 0 to 1.
#[derive(Debug, Clone)]
pub struct PayloadSettings {
    pub seed: u64,
    pub skus: Vec<String>,
    /// Of orders whose buyer has no customer record.
    pub guest_share: f64,
    /// Of orders that a company places on account.
    pub company_share: f64,
    pub discount_share: f64,
    pub taxes_included_share: f64,
    pub tip_share: f64,
    pub currency: Currency,
    /// What some buyers see, and how much of it one unit of the shop's currency is.
    pub foreign: Option<(Currency, Decimal)>,
    pub foreign_share: f64,
    /// Of ids that no float can hold.
    pub large_id_share: f64,
    /// The shop's zone, in which webhooks tell the time.
    pub offset: FixedOffset,
    /// Before the order's number.
    pub prefix: String,
}

impl Default for PayloadSettings {
    fn default() -> Self {
        Self {
            seed: 1,
            skus: (1..=12).map(|it| format!("TW-{it:03}")).collect(),
            guest_share: 0.3,
            company_share: 0.05,
            discount_share: 0.4,
            taxes_included_share: 0.7,
            tip_share: 0.02,
            currency: Currency::EUR,
            foreign: Some((Currency::USD, Decimal::new(10_873, 4))),
            foreign_share: 0.1,
            large_id_share: 0.2,
            offset: FixedOffset::east_opt(2 * 3600).expect("two hours are less than a day"),
            prefix: "#".to_owned(),
        }
    }
}

/// The shop does not sell it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox shop sells no `{0}`: add it to its SKUs, or with `add_article`")]
pub struct UnknownSku(pub String);

/// A shop's imagination: its articles, its customers and everything that is drawn.
#[derive(Debug)]
pub struct Generator {
    settings: PayloadSettings,
    rng: StdRng,
    ids: Ids,
    articles: Vec<Article>,
    customers: Vec<ShopCustomer>,
    order_number: u32,
    location_id: u64,
}

impl Generator {
    pub fn new(settings: PayloadSettings) -> Self {
        let mut rng = StdRng::seed_from_u64(settings.seed);
        let mut ids = Ids::new(rng.random(), settings.large_id_share);
        let location_id = ids.draw();
        let articles = settings.skus.iter().map(|sku| Article::invent(sku, &mut ids, &mut rng)).collect();
        Self { settings, rng, ids, articles, customers: Vec::new(), order_number: 1000, location_id }
    }

    pub fn settings(&self) -> &PayloadSettings {
        &self.settings
    }

    /// Where the shop's goods lie.
    pub fn location_id(&self) -> u64 {
        self.location_id
    }

    pub fn ids(&mut self) -> &mut Ids {
        &mut self.ids
    }

    pub fn articles(&self) -> &[Article] {
        &self.articles
    }

    /// The first article of a SKU.
    pub fn article(&self, sku: &str) -> Result<&Article, UnknownSku> {
        self.articles.iter().find(|it| it.sku == sku).ok_or_else(|| UnknownSku(sku.to_owned()))
    }

    /// Sells one more variant; of a SKU that another one has already, if so wished.
    pub fn add_article(&mut self, sku: &str) -> &mut Article {
        self.articles.push(Article::invent(sku, &mut self.ids, &mut self.rng));
        self.articles.last_mut().expect("one was pushed")
    }

    pub fn customers(&self) -> &[ShopCustomer] {
        &self.customers
    }

    pub fn customer_mut(&mut self, id: u64) -> Option<&mut ShopCustomer> {
        self.customers.iter_mut().find(|it| it.id == id)
    }

    /// A new customer record.
    pub fn customer(&mut self, at: DateTime<Utc>) -> ShopCustomer {
        let country = Country::draw(&mut self.rng);
        self.customer_of(country, at)
    }

    fn customer_of(&mut self, country: &Country, at: DateTime<Utc>) -> ShopCustomer {
        let at = at.trunc_subsecs(0);
        let person = people::person(&mut self.rng);
        let accepts_marketing = self.rng.random_bool(0.3);
        let address = people::address(person.first, person.last, country, &mut self.rng);
        let customer = ShopCustomer {
            id: self.ids.draw(),
            email: Some(person.email),
            phone: self.rng.random_bool(0.2).then(|| people::phone(country, &mut self.rng)),
            first_name: person.first.to_owned(),
            last_name: person.last.to_owned(),
            created_at: at,
            updated_at: at,
            note: None,
            tags: if self.rng.random_bool(0.2) { vec!["newsletter".to_owned(), "vip".to_owned()] } else { Vec::new() },
            tax_exempt: false,
            locale: country.locale.to_owned(),
            currency: self.settings.currency,
            enabled: self.rng.random_bool(0.5),
            accepts_marketing,
            consent_updated_at: accepts_marketing.then_some(at),
            addresses: vec![(self.ids.draw(), address)],
            orders: 0,
        };
        self.customers.push(customer.clone());
        customer
    }

    fn chance(&mut self, share: f64) -> bool {
        self.rng.random_bool(share.clamp(0.0, 1.0))
    }
}
