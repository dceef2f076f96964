//! Customers and addresses.

use chrono::{DateTime, Utc};

/// A postal address as the source gave it, with ISO codes where it gave them. Empty text = not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Address {
    pub first_name: String,
    pub last_name: String,
    pub company: String,
    pub line1: String,
    pub line2: String,
    pub city: String,
    pub postal_code: String,
    /// ISO 3166-2 subdivision without the country.
    pub region_code: String,
    pub region: String,
    /// ISO 3166-1 alpha-2.
    pub country_code: String,
    pub phone: String,
}

impl Address {
    /// First and last name, else the company; empty when neither is given.
    pub fn name(&self) -> String {
        let name = format!("{} {}", self.first_name.trim(), self.last_name.trim());
        let name = name.trim();
        if name.is_empty() { self.company.trim().to_owned() } else { name.to_owned() }
    }
}

/// Consent, with its time: a withdrawal wins over an older grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consent {
    /// `subscribed`, `unsubscribed`, ... as the source names it.
    pub state: String,
    pub updated_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Customer {
    pub id: String,
    pub email: String,
    pub phone: String,
    pub first_name: String,
    pub last_name: String,
    /// The default one first.
    pub addresses: Vec<Address>,
    /// Sorted.
    pub tags: Vec<String>,
    pub tax_exempt: bool,
    pub note: String,
    /// BCP 47.
    pub locale: String,
    pub email_consent: Option<Consent>,
    pub enabled: bool,
}

impl Customer {
    pub fn name(&self) -> String {
        format!("{} {}", self.first_name.trim(), self.last_name.trim()).trim().to_owned()
    }
}

/// The key that e-mail addresses are matched by: trimmed and in lower case, nothing else. Dots and `+` tags are the provider's
/// business; two similar addresses are two people. `None`: nothing that could be matched.
pub fn email_key(email: &str) -> Option<String> {
    let email = email.trim().to_lowercase();
    let (local, host) = email.rsplit_once('@')?;
    let is_plain = !email.contains(|it: char| it.is_whitespace() || it.is_control());
    let is_usable = is_plain && !local.is_empty() && host.contains('.') && email.len() <= 254;
    is_usable.then_some(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_matches_whatever_its_case() {
        assert_eq!(email_key(" Ada@Example.COM ").as_deref(), Some("ada@example.com"));
        assert_ne!(email_key("ada+shop@example.com"), email_key("ada@example.com"));
        for nothing in ["", "ada", "@example.com", "ada@", "a b@example.com", "ada\0@example.com"] {
            assert_eq!(email_key(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_name_is_the_person_else_the_company() {
        let mut address = Address { company: "Analytical Engines".to_owned(), ..Address::default() };
        assert_eq!(address.name(), "Analytical Engines");
        address.first_name = "Ada".to_owned();
        assert_eq!(address.name(), "Ada");
    }
}
