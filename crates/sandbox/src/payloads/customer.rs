//! Customers and addresses, and how webhooks and GraphQL write them.

use chrono::{DateTime, FixedOffset, Utc};
use domain::Currency;
use serde_json::{Value, json};

use super::money::short;
use super::rest::{gid, time, utc};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ShopAddress {
    pub first_name: String,
    pub last_name: String,
    pub company: Option<String>,
    pub line1: String,
    pub line2: Option<String>,
    pub city: String,
    pub zip: String,
    pub province_code: Option<String>,
    pub province: Option<String>,
    pub country_code: String,
    pub country: String,
    pub phone: Option<String>,
}

impl ShopAddress {
    fn name(&self) -> String {
        format!("{} {}", self.first_name, self.last_name).trim().to_owned()
    }

    /// As in an order of a webhook.
    pub(super) fn to_rest(&self) -> Value {
        json!({
            "first_name": self.first_name,
            "address1": self.line1,
            "phone": self.phone,
            "city": self.city,
            "zip": self.zip,
            "province": self.province,
            "country": self.country,
            "last_name": self.last_name,
            "address2": self.line2,
            "company": self.company,
            "latitude": null,
            "longitude": null,
            "name": self.name(),
            "country_code": self.country_code,
            "province_code": self.province_code,
        })
    }

    fn to_rest_of_customer(&self, id: u64, customer: u64, is_default: bool) -> Value {
        let mut address = self.to_rest();
        let fields = address.as_object_mut().expect("an address is an object");
        fields.remove("latitude");
        fields.remove("longitude");
        fields.insert("id".to_owned(), json!(id));
        fields.insert("customer_id".to_owned(), json!(customer));
        fields.insert("country_name".to_owned(), json!(self.country));
        fields.insert("default".to_owned(), json!(is_default));
        address
    }

    pub(super) fn to_graphql(&self, id: u64) -> Value {
        json!({
            "__typename": "MailingAddress",
            "id": format!("{}?model_name=Address", gid("MailingAddress", id)),
            "firstName": self.first_name,
            "lastName": self.last_name,
            "name": self.name(),
            "company": self.company,
            "address1": self.line1,
            "address2": self.line2,
            "city": self.city,
            "zip": self.zip,
            "province": self.province,
            "provinceCode": self.province_code,
            "country": self.country,
            "countryCode": self.country_code,
            "countryCodeV2": self.country_code,
            "phone": self.phone,
            "formatted": [self.line1, self.city, self.country],
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopCustomer {
    pub id: u64,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub first_name: String,
    pub last_name: String,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    pub note: Option<String>,
    pub tags: Vec<String>,
    pub tax_exempt: bool,
    /// BCP 47.
    pub locale: String,
    pub currency: Currency,
    /// Has a password and may log in.
    pub enabled: bool,
    pub accepts_marketing: bool,
    pub consent_updated_at: Option<DateTime<Utc>>,
    /// With their ids, the default one first.
    pub addresses: Vec<(u64, ShopAddress)>,
    pub orders: u32,
}

impl ShopCustomer {
    fn state(&self) -> &'static str {
        if self.enabled { "enabled" } else { "disabled" }
    }

    /// A body of `customers/create` and `customers/update`.
    pub fn to_rest(&self, offset: FixedOffset) -> Value {
        let mut customer = self.to_rest_of_order(offset);
        let addresses =
            self.addresses.iter().enumerate().map(|(index, (id, it))| it.to_rest_of_customer(*id, self.id, index == 0)).collect();
        customer.as_object_mut().expect("a customer is an object").insert("addresses".to_owned(), Value::Array(addresses));
        customer
    }

    /// As in an order, without the list of addresses. Tags, locale and consent are no longer in webhooks.
    pub(super) fn to_rest_of_order(&self, offset: FixedOffset) -> Value {
        json!({
            "id": self.id,
            "created_at": time(self.created_at, offset),
            "updated_at": time(self.updated_at, offset),
            "first_name": self.first_name,
            "last_name": self.last_name,
            "state": self.state(),
            "note": self.note,
            "verified_email": self.email.is_some(),
            "multipass_identifier": null,
            "tax_exempt": self.tax_exempt,
            "email": self.email,
            "phone": self.phone,
            "currency": self.currency.code(),
            "tax_exemptions": [],
            "admin_graphql_api_id": gid("Customer", self.id),
            "default_address": self.addresses.first().map(|(id, it)| it.to_rest_of_customer(*id, self.id, true)),
        })
    }

    /// A GraphQL `Customer` with more fields than anybody asks for.
    pub fn to_graphql(&self) -> Value {
        let addresses: Vec<Value> = self.addresses.iter().map(|(id, it)| it.to_graphql(*id)).collect();
        let consent = json!({
            "__typename": "CustomerEmailMarketingConsentState",
            "marketingState": if self.accepts_marketing { "SUBSCRIBED" } else { "NOT_SUBSCRIBED" },
            "marketingOptInLevel": "SINGLE_OPT_IN",
            "consentUpdatedAt": self.consent_updated_at.map(utc),
        });
        json!({
            "__typename": "Customer",
            "id": gid("Customer", self.id),
            "legacyResourceId": self.id.to_string(),
            "email": self.email,
            "phone": self.phone,
            "firstName": self.first_name,
            "lastName": self.last_name,
            "displayName": format!("{} {}", self.first_name, self.last_name),
            "createdAt": utc(self.created_at),
            "updatedAt": utc(self.updated_at),
            "note": self.note,
            "tags": self.tags,
            "taxExempt": self.tax_exempt,
            "taxExemptions": [],
            "locale": self.locale,
            "state": self.state().to_uppercase(),
            "verifiedEmail": self.email.is_some(),
            "numberOfOrders": self.orders.to_string(),
            "amountSpent": { "__typename": "MoneyV2", "amount": short(0.into()), "currencyCode": self.currency.code() },
            "emailMarketingConsent": self.email.as_ref().map(|_| consent.clone()),
            "smsMarketingConsent": null,
            "defaultEmailAddress": self.email.as_ref().map(|email| json!({
                "__typename": "CustomerEmailAddress",
                "emailAddress": email,
                "marketingState": consent["marketingState"],
                "marketingOptInLevel": consent["marketingOptInLevel"],
                "marketingUpdatedAt": consent["consentUpdatedAt"],
            })),
            "defaultPhoneNumber": self.phone.as_ref().map(|phone| json!({ "__typename": "CustomerPhoneNumber", "phoneNumber": phone })),
            "defaultAddress": addresses.first(),
            "addresses": addresses,
            "addressesV2": addresses,
        })
    }
}
