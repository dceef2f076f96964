//! Who buys: invented people and companies, in countries with their own taxes.

use rand::Rng;
use rand::rngs::StdRng;
use rust_decimal::Decimal;

use super::customer::ShopAddress;

/// A country that the shop sells to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Country {
    pub(super) code: &'static str,
    name: &'static str,
    dialling: &'static str,
    pub(super) locale: &'static str,
    pub(super) tax_title: &'static str,
    /// In per mille.
    tax: u32,
    reduced_tax: u32,
    towns: [Town; 2],
}

/// Name, postal code, and the region's code and name where addresses have one.
type Town = (&'static str, &'static str, Option<(&'static str, &'static str)>);

impl Country {
    pub(super) fn rate(&self, reduced: bool) -> Decimal {
        Decimal::new(i64::from(if reduced { self.reduced_tax } else { self.tax }), 3).normalize()
    }

    pub(super) fn of(code: &str) -> Option<&'static Self> {
        COUNTRIES.iter().find(|it| it.code.eq_ignore_ascii_case(code))
    }

    pub(super) fn draw(rng: &mut StdRng) -> &'static Self {
        &COUNTRIES[rng.random_range(0..COUNTRIES.len())]
    }
}

const COUNTRIES: [Country; 4] = [
    Country {
        code: "DE",
        name: "Germany",
        dialling: "+49",
        locale: "de",
        tax_title: "MwSt",
        tax: 190,
        reduced_tax: 70,
        towns: [("Musterstadt", "01234", None), ("Beispielhausen", "98765", None)],
    },
    Country {
        code: "FR",
        name: "France",
        dialling: "+33",
        locale: "fr",
        tax_title: "TVA",
        tax: 200,
        reduced_tax: 55,
        towns: [("Exempleville", "00110", None), ("Saint-Modèle", "00220", None)],
    },
    Country {
        code: "AT",
        name: "Austria",
        dialling: "+43",
        locale: "de-AT",
        tax_title: "USt",
        tax: 200,
        reduced_tax: 100,
        towns: [("Beispieldorf", "0101", None), ("Musterberg", "0202", None)],
    },
    Country {
        code: "IT",
        name: "Italy",
        dialling: "+39",
        locale: "it",
        tax_title: "IVA",
        tax: 220,
        reduced_tax: 40,
        towns: [("Esempio", "00019", Some(("RM", "Roma"))), ("Campione Alto", "00029", Some(("TO", "Torino")))],
    },
];

const FIRST: [&str; 14] =
    ["Ada", "Bruno", "Clara", "Dario", "Edda", "Fabien", "Greta", "Hugo", "Ilse", "Jonas", "Karla", "Léa", "Marta", "Nils"];
const LAST: [&str; 12] = [
    "Sample",
    "Musterfrau",
    "Exemple",
    "Prober",
    "O'Testa",
    "van Model",
    "Probst-Muster",
    "Fiktiv",
    "Esempi",
    "Nirgend",
    "Testmann",
    "Übung",
];
const STREETS: [&str; 6] = ["Sample Street", "Musterweg", "Rue de l'Exemple", "Via Prova", "Test Lane", "Am Beispiel"];
const COMPANIES: [&str; 4] = ["Example Tools GmbH", "Sample & Sons", "Atelier Exemple", "Prova Casa Srl"];

/// A name and the mailbox made of it; the number keeps two of one name apart.
pub(super) struct Person {
    pub(super) first: &'static str,
    pub(super) last: &'static str,
    pub(super) email: String,
}

pub(super) fn person(rng: &mut StdRng) -> Person {
    let (first, last) = (FIRST[rng.random_range(0..FIRST.len())], LAST[rng.random_range(0..LAST.len())]);
    let plain = |name: &str| name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    let email = format!("{}.{}.{}@example.com", plain(first), plain(last), rng.random_range(1000..1_000_000));
    Person { first, last, email }
}

pub(super) fn company(rng: &mut StdRng) -> &'static str {
    COMPANIES[rng.random_range(0..COMPANIES.len())]
}

pub(super) fn phone(country: &Country, rng: &mut StdRng) -> String {
    format!("{}555{:07}", country.dialling, rng.random_range(0..10_000_000))
}

pub(super) fn address(first: &str, last: &str, country: &Country, rng: &mut StdRng) -> ShopAddress {
    let (city, zip, province) = country.towns[rng.random_range(0..country.towns.len())];
    ShopAddress {
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        company: None,
        line1: format!("{} {}", STREETS[rng.random_range(0..STREETS.len())], rng.random_range(1..200)),
        line2: rng.random_bool(0.2).then(|| format!("Floor {}", rng.random_range(1..9))),
        city: city.to_owned(),
        zip: zip.to_owned(),
        province_code: province.map(|it| it.0.to_owned()),
        province: province.map(|it| it.1.to_owned()),
        country_code: country.code.to_owned(),
        country: country.name.to_owned(),
        phone: rng.random_bool(0.5).then(|| phone(country, rng)),
    }
}
