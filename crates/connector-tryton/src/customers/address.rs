use domain::Address;
use fault::Fault;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Target;

/// An address as Tryton keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Postal {
    pub(super) party_name: String,
    pub(super) attn: String,
    pub(super) street: String,
    pub(super) postal_code: String,
    pub(super) city: String,
    pub(super) country: Option<i64>,
    pub(super) subdivision: Option<i64>,
}

impl Postal {
    pub(super) fn values(&self) -> Value {
        json!({
            "party_name": self.party_name, "attn": self.attn, "street_unstructured": self.street, "postal_code": self.postal_code,
            "city": self.city, "country": self.country, "subdivision": self.subdivision, "invoice": true, "delivery": true,
        })
    }
}

/// One of a party's addresses.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Found {
    pub(super) id: i64,
    party_name: Option<String>,
    attn: Option<String>,
    street: Option<String>,
    postal_code: Option<String>,
    city: Option<String>,
    country: Option<i64>,
    subdivision: Option<i64>,
}

impl Found {
    pub(super) fn is(&self, postal: &Postal) -> bool {
        let same = |found: &Option<String>, given: &str| found.as_deref().unwrap_or_default().trim() == given;
        same(&self.party_name, &postal.party_name)
            && same(&self.attn, &postal.attn)
            && same(&self.street, &postal.street)
            && same(&self.postal_code, &postal.postal_code)
            && same(&self.city, &postal.city)
            && self.country == postal.country
            && self.subdivision == postal.subdivision
    }
}

/// The words of an address, without the codes that Tryton has records for. A region that Tryton does not know goes with the
/// city, so that the parcel finds its way.
fn words(address: &Address, name: &str, knows_region: bool) -> Postal {
    let person = format!("{} {}", address.first_name.trim(), address.last_name.trim()).trim().to_owned();
    let person = if person.is_empty() { name.to_owned() } else { person };
    let company = address.company.trim().to_owned();
    let (party_name, attn) = if company.is_empty() { (person, String::new()) } else { (company, person) };
    let street: Vec<&str> = [address.line1.trim(), address.line2.trim()].into_iter().filter(|it| !it.is_empty()).collect();
    let region = if address.region.trim().is_empty() { address.region_code.trim() } else { address.region.trim() };
    let city = address.city.trim();
    let city = if knows_region || region.is_empty() || region == city { city.to_owned() } else { format!("{city}, {region}") };
    Postal { party_name, attn, street: street.join("\n"), postal_code: address.postal_code.trim().to_owned(), city, ..Postal::default() }
}

impl Target {
    /// `name` stands where the address has none. Without an address, the name is all there is: a sale needs one.
    pub(super) async fn postal(&self, address: Option<&Address>, name: &str) -> Result<Postal, Fault> {
        let Some(address) = address else { return Ok(Postal { party_name: name.to_owned(), ..Postal::default() }) };
        let code = address.country_code.trim();
        let country = self.directory.country(&self.rpc, code).await?;
        let subdivision = self.directory.subdivision(&self.rpc, code, address.region_code.trim()).await?;
        let words = words(address, name, subdivision.is_some());
        Ok(Postal { country, subdivision, ..words })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_company_receives_and_a_person_takes_it() {
        let address = Address {
            first_name: "Ada".to_owned(),
            last_name: " Lovelace".to_owned(),
            company: "Analytical Engines".to_owned(),
            line1: "12 St James Square".to_owned(),
            city: "Roma".to_owned(),
            region_code: "RM".to_owned(),
            ..Address::default()
        };
        let postal = words(&address, "", false);
        assert_eq!((postal.party_name.as_str(), postal.attn.as_str()), ("Analytical Engines", "Ada Lovelace"));
        assert_eq!((postal.street.as_str(), postal.city.as_str()), ("12 St James Square", "Roma, RM"));
        assert_eq!(words(&address, "", true).city, "Roma");
    }

    #[test]
    fn empty_and_missing_are_the_same_on_both_sides() {
        let found: Found = serde_json::from_value(json!({
            "id": 3, "party_name": "Ada", "attn": null, "street": "", "postal_code": null, "city": "London", "country": 4, "subdivision": null,
        }))
        .unwrap();
        let postal = Postal { party_name: "Ada".to_owned(), city: "London".to_owned(), country: Some(4), ..Postal::default() };
        assert!(found.is(&postal));
        assert!(!found.is(&Postal { country: None, ..postal }));
    }
}
