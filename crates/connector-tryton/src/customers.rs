//! Customers are parties. Who is who is decided by our identifier on the party (`tradewind:<storefront>:customer:<id>`), else
//! by the exact e-mail address; two parties that match are an error of Tryton's data, never a guess.
//!
//! Addresses are only ever added: a sale keeps pointing to the address that its buyer gave, whatever the profile says later.
//! A guest gets a party of their own by e-mail, or the one party that the settings name. A buyer with neither an account nor
//! an e-mail address gets a party that is known by the order.

mod address;

use connector::erp::{Findings, Probe, StepCall, StepError};
use domain::{ConnectionId, Customer, Order, customer::email_key};
use fault::Fault;
use serde::Deserialize;
use serde_json::{Map, Value, json};

pub(crate) use address::Postal;

use crate::Target;
use crate::config::Guest;
use crate::error::Refusal;
use crate::rpc::Search;

const PARTY: &[&str] = &[
    "name",
    "identifiers.code",
    "contact_mechanisms.type",
    "contact_mechanisms.value",
    "addresses.party_name",
    "addresses.attn",
    "addresses.street",
    "addresses.postal_code",
    "addresses.city",
    "addresses.country",
    "addresses.subdivision",
];

/// Whom a command is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    name: String,
    /// The key that addresses are matched by.
    email: Option<String>,
    phone: String,
    /// Ours, on the party.
    identifier: Option<String>,
}

impl Person {
    /// `None`: the settings have a party for guests, and this is one.
    pub(crate) fn of_order(order: &Order, connection: &ConnectionId, guest: Guest) -> Option<Self> {
        let buyer = order.buyer.clone().unwrap_or_default();
        if buyer.customer_id.is_empty() && matches!(guest, Guest::Party(_)) {
            return None;
        }
        let email = email_key(&buyer.email);
        let identifier = match (buyer.customer_id.as_str(), &email) {
            ("", Some(_)) => None,
            ("", None) => Some(format!("tradewind:{connection}:order:{}", order.id)),
            (customer, _) => Some(format!("tradewind:{connection}:customer:{customer}")),
        };
        let own = format!("{} {}", buyer.first_name.trim(), buyer.last_name.trim());
        let of_address = || order.billing_address.as_ref().or(order.shipping_address.as_ref()).map(domain::Address::name);
        let name = Some(own.trim().to_owned()).filter(|it| !it.is_empty()).or_else(of_address).unwrap_or_default();
        Some(Self { name, email, phone: buyer.phone.trim().to_owned(), identifier }.named())
    }

    pub(crate) fn of_customer(customer: &Customer, connection: &ConnectionId) -> Self {
        let of_address = || customer.addresses.first().map(domain::Address::name);
        let name = Some(customer.name()).filter(|it| !it.is_empty()).or_else(of_address).unwrap_or_default();
        let identifier = Some(format!("tradewind:{connection}:customer:{}", customer.id));
        Self { name, email: email_key(&customer.email), phone: customer.phone.trim().to_owned(), identifier }.named()
    }

    /// A party needs a name.
    fn named(mut self) -> Self {
        if self.name.is_empty() {
            self.name = self.email.clone().or_else(|| self.identifier.clone()).unwrap_or_default();
        }
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The surest first. An order may name another e-mail address than its buyer's profile: both are this person.
    pub(crate) fn known_by(&self) -> impl Iterator<Item = &str> {
        [&self.identifier, &self.email].into_iter().flatten().map(String::as_str)
    }

    fn values(&self) -> Value {
        let mut mechanisms = Vec::new();
        if let Some(email) = &self.email {
            mechanisms.push(json!({"type": "email", "value": email}));
        }
        if !self.phone.is_empty() {
            mechanisms.push(json!({"type": "phone", "value": self.phone}));
        }
        let mut values = Map::from_iter([("name".to_owned(), json!(self.name))]);
        if let Some(identifier) = &self.identifier {
            values.insert("identifiers".to_owned(), json!([["create", [{"type": null, "code": identifier}]]]));
        }
        if !mechanisms.is_empty() {
            values.insert("contact_mechanisms".to_owned(), json!([["create", mechanisms]]));
        }
        Value::Object(values)
    }

    /// Parties that may be this person: more than match, because Tryton compares without case.
    fn domain(&self) -> Value {
        let by_identifier = self.identifier.as_ref().map(|it| json!(["identifiers.code", "=", it]));
        let by_email = self.email.as_ref().map(|it| {
            let pattern = it.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
            json!(["contact_mechanisms", "where", [["type", "=", "email"], ["value", "ilike", pattern]]])
        });
        match (by_identifier, by_email) {
            (Some(identifier), Some(email)) => json!(["OR", identifier, email]),
            (Some(one), None) | (None, Some(one)) => json!([one]),
            (None, None) => json!([["id", "=", 0]]),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Party {
    id: i64,
    name: Option<String>,
    #[serde(rename = "identifiers.", default)]
    identifiers: Vec<Identifier>,
    #[serde(rename = "contact_mechanisms.", default)]
    mechanisms: Vec<Mechanism>,
    #[serde(rename = "addresses.", default)]
    addresses: Vec<address::Found>,
}

#[derive(Debug, Clone, Deserialize)]
struct Identifier {
    code: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Mechanism {
    id: i64,
    #[serde(rename = "type")]
    kind: String,
    value: Option<String>,
}

impl Party {
    fn has_identifier(&self, identifier: &str) -> bool {
        self.identifiers.iter().any(|it| it.code.as_deref() == Some(identifier))
    }

    fn has_email(&self, email: &str) -> bool {
        self.mechanisms("email").any(|it| it.value.as_deref().and_then(email_key).as_deref() == Some(email))
    }

    /// The one that an earlier try had found, as long as it is there, or the one that says the same.
    fn address(&self, call: &StepCall<'_>, name: &str, postal: &Postal) -> Option<i64> {
        let ids = || self.addresses.iter().map(|it| it.id);
        let known = finding(call, name).filter(|known| ids().any(|it| it == *known));
        known.or_else(|| self.addresses.iter().find(|it| it.is(postal)).map(|it| it.id))
    }

    fn mechanisms<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Mechanism> {
        self.mechanisms.iter().filter(move |it| it.kind == kind)
    }
}

/// The one party that is this person. Our identifier goes before the e-mail address, so that a customer who changes it stays.
fn decide(person: &Person, candidates: Vec<Party>) -> Result<Option<Party>, Refusal> {
    let by_identifier = |party: &Party| person.identifier.as_deref().is_some_and(|it| party.has_identifier(it));
    let by_email = |party: &Party| person.email.as_deref().is_some_and(|it| party.has_email(it));
    let (known, others): (Vec<Party>, Vec<Party>) = candidates.into_iter().partition(by_identifier);
    let mut matching = if known.is_empty() { others.into_iter().filter(by_email).collect() } else { known };
    match matching.len() {
        0 => Ok(None),
        1 => Ok(matching.pop()),
        count => Err(Refusal::CustomerTwice { count }),
    }
}

/// What a profile changes on its party; `None` when nothing. Names and what we find are replaced, everything else is the ERP's.
fn changes(person: &Person, postals: &[Postal], party: &Party) -> Option<Value> {
    let mut values = Map::new();
    if party.name.as_deref() != Some(&person.name) {
        values.insert("name".to_owned(), json!(person.name));
    }
    if let Some(identifier) = person.identifier.as_ref().filter(|it| !party.has_identifier(it)) {
        values.insert("identifiers".to_owned(), json!([["create", [{"type": null, "code": identifier}]]]));
    }
    let mut mechanisms = Vec::new();
    if let Some(email) = person.email.as_ref().filter(|it| !party.has_email(it)) {
        mechanisms.push(replaced(party, "email", email));
    }
    let has_phone = party.mechanisms.iter().any(|it| it.value.as_deref() == Some(&person.phone));
    if !person.phone.is_empty() && !has_phone {
        mechanisms.push(replaced(party, "phone", &person.phone));
    }
    if !mechanisms.is_empty() {
        values.insert("contact_mechanisms".to_owned(), Value::Array(mechanisms));
    }
    let mut missing: Vec<&Postal> = Vec::new();
    for postal in postals {
        if !missing.contains(&postal) && !party.addresses.iter().any(|it| it.is(postal)) {
            missing.push(postal);
        }
    }
    if !missing.is_empty() {
        let addresses: Vec<Value> = missing.into_iter().map(Postal::values).collect();
        values.insert("addresses".to_owned(), json!([["create", addresses]]));
    }
    if values.is_empty() { None } else { Some(Value::Object(values)) }
}

/// The only one of its kind was the old one. Of several nobody knows which, so the new one is added.
fn replaced(party: &Party, kind: &str, value: &str) -> Value {
    let old: Vec<&Mechanism> = party.mechanisms(kind).collect();
    match old[..] {
        [only] => json!(["write", [only.id], {"value": value}]),
        _ => json!(["create", [{"type": kind, "value": value}]]),
    }
}

impl Target {
    /// The party that an earlier try had found is it as long as it is there, whatever people have corrected about it since.
    pub(crate) async fn probe_customer(&self, call: &StepCall<'_>, person: &Person) -> Result<Probe, Fault> {
        let known = match finding(call, "party") {
            Some(id) => self.active_party(id).await?,
            None => None,
        };
        let party = if known.is_some() { known } else { self.party_of(person).await? };
        Ok(match party {
            Some(party) => Probe::Done(Findings::from([("party".to_owned(), party.id.to_string())])),
            None => Probe::Missing,
        })
    }

    pub(crate) async fn create_customer(&self, person: &Person) -> Result<Findings, StepError> {
        let party = self.rpc.create("party.party", person.values()).await?;
        Ok(Findings::from([("party".to_owned(), party.to_string())]))
    }

    async fn party_of(&self, person: &Person) -> Result<Option<Party>, Fault> {
        let candidates = self.rpc.search(Search::of("party.party", person.domain(), PARTY).limit(20)).await?;
        Ok(decide(person, candidates)?)
    }

    async fn party(&self, id: i64) -> Result<Party, Fault> {
        Ok(self.active_party(id).await?.ok_or(Refusal::NoParty(id))?)
    }

    /// Tryton shows none that are merged into another or put away.
    async fn active_party(&self, id: i64) -> Result<Option<Party>, Fault> {
        let mut rows: Vec<Party> = self.rpc.search(Search::of("party.party", json!([["id", "=", id]]), PARTY).limit(1)).await?;
        Ok(rows.pop())
    }

    /// The party that an earlier step found, or the guests' one.
    pub(crate) fn buyer(&self, call: &StepCall<'_>) -> Result<i64, Refusal> {
        match (finding(call, "party"), self.settings.guest) {
            (Some(party), _) | (None, Guest::Party(party)) => Ok(party),
            (None, Guest::Create) => Err(Refusal::NoParty(0)),
        }
    }

    pub(crate) async fn probe_addresses(&self, call: &StepCall<'_>, order: &Order) -> Result<Probe, Fault> {
        let party = self.party(self.buyer(call)?).await?;
        let (bill, ship) = self.postals(call, order).await?;
        Ok(match (party.address(call, INVOICE, &bill), party.address(call, SHIPMENT, &ship)) {
            (Some(bill), Some(ship)) => Probe::Done(addresses(bill, ship)),
            _ => Probe::Missing,
        })
    }

    /// Adds those of the two that the party does not have, in one call.
    pub(crate) async fn create_addresses(&self, call: &StepCall<'_>, order: &Order) -> Result<Findings, StepError> {
        let party = self.party(self.buyer(call)?).await?;
        let (bill, ship) = self.postals(call, order).await?;
        let known = [(INVOICE, &bill), (SHIPMENT, &ship)].map(|(name, postal)| (postal, party.address(call, name, postal)));
        let mut missing: Vec<&Postal> = known.iter().filter(|(_, id)| id.is_none()).map(|(postal, _)| *postal).collect();
        missing.dedup();
        let created = if missing.is_empty() { vec![] } else { self.add_addresses(party.id, &missing).await? };
        let [bill, ship] =
            known.map(|(postal, id)| id.or_else(|| missing.iter().position(|it| *it == postal).and_then(|it| created.get(it).copied())));
        match (bill, ship) {
            (Some(bill), Some(ship)) => Ok(addresses(bill, ship)),
            _ => Err(crate::error::after_write(crate::error::RpcError::Shape {
                method: "model.party.address.create".to_owned(),
                what: "fewer ids than addresses".to_owned(),
            })),
        }
    }

    async fn add_addresses(&self, party: i64, missing: &[&Postal]) -> Result<Vec<i64>, StepError> {
        let values: Vec<Value> = missing
            .iter()
            .map(|it| {
                let mut values = it.values();
                values["party"] = json!(party);
                values
            })
            .collect();
        let answer = self.rpc.call("model.party.address.create", vec![Value::Array(values)]).await?;
        let ids = answer.result.as_array().map(|ids| ids.iter().filter_map(Value::as_i64).collect());
        Ok(ids.unwrap_or_default())
    }

    /// Where the bill and the goods go.
    async fn postals(&self, call: &StepCall<'_>, order: &Order) -> Result<(Postal, Postal), Fault> {
        let person = Person::of_order(order, &call.command.connection, self.settings.guest);
        let name = person.as_ref().map_or("", Person::name);
        let bill = order.billing_address.as_ref().or(order.shipping_address.as_ref());
        let bill = self.postal(bill, name).await?;
        let ship = self.postal(order.destination(), name).await?;
        Ok((bill, ship))
    }

    pub(crate) async fn probe_update(&self, call: &StepCall<'_>, customer: &Customer) -> Result<Probe, Fault> {
        let (party, changes) = self.profile(call, customer).await?;
        Ok(match changes {
            None => Probe::Done(Findings::from([("party".to_owned(), party.to_string())])),
            Some(_) => Probe::Missing,
        })
    }

    pub(crate) async fn update_customer(&self, call: &StepCall<'_>, customer: &Customer) -> Result<Findings, StepError> {
        let (party, changes) = self.profile(call, customer).await?;
        if let Some(changes) = changes {
            self.rpc.write("party.party", party, changes).await?;
        }
        Ok(Findings::from([("party".to_owned(), party.to_string())]))
    }

    /// The customer's party, and what the profile changes on it.
    async fn profile(&self, call: &StepCall<'_>, customer: &Customer) -> Result<(i64, Option<Value>), Fault> {
        let person = Person::of_customer(customer, &call.command.connection);
        let candidates: Vec<Party> = self.rpc.search(Search::of("party.party", person.domain(), PARTY).limit(20)).await?;
        let taken: Vec<i64> =
            candidates.iter().filter(|it| person.email.as_deref().is_some_and(|key| it.has_email(key))).map(|it| it.id).collect();
        let party = decide(&person, candidates)?.ok_or(Refusal::NoParty(0))?;
        if taken.iter().any(|it| *it != party.id) {
            return Err(Refusal::EmailTaken.into());
        }
        let mut postals = Vec::with_capacity(customer.addresses.len());
        for it in &customer.addresses {
            postals.push(self.postal(Some(it), &person.name).await?);
        }
        Ok((party.id, changes(&person, &postals, &party)))
    }
}

const INVOICE: &str = "invoice_address";
const SHIPMENT: &str = "shipment_address";

fn addresses(bill: i64, ship: i64) -> Findings {
    Findings::from([(INVOICE.to_owned(), bill.to_string()), (SHIPMENT.to_owned(), ship.to_string())])
}

fn finding(call: &StepCall<'_>, name: &str) -> Option<i64> {
    call.findings.get(name)?.parse().ok()
}

#[cfg(test)]
mod tests;
