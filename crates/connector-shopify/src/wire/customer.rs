//! Customers, whole (`customers/*`) and as orders name them, and addresses.

use serde::Deserialize;

use super::scalar::{Id, List, Stamp, Tags, Text};

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Customer<'a> {
    pub(crate) id: Option<Id>,
    pub(crate) email: Text<'a>,
    #[serde(rename = "defaultEmailAddress")]
    pub(crate) default_email: Option<EmailAddress<'a>>,
    pub(crate) phone: Text<'a>,
    #[serde(rename = "defaultPhoneNumber")]
    pub(crate) default_phone: Option<PhoneNumber<'a>>,
    #[serde(alias = "firstName")]
    pub(crate) first_name: Text<'a>,
    #[serde(alias = "lastName")]
    pub(crate) last_name: Text<'a>,
    #[serde(alias = "createdAt")]
    pub(crate) created_at: Option<Stamp>,
    #[serde(alias = "updatedAt")]
    pub(crate) updated_at: Option<Stamp>,
    pub(crate) state: Text<'a>,
    pub(crate) note: Text<'a>,
    pub(crate) locale: Text<'a>,
    pub(crate) tags: Tags,
    #[serde(alias = "taxExempt")]
    pub(crate) tax_exempt: Option<bool>,
    #[serde(alias = "defaultAddress")]
    pub(crate) default_address: Option<Address<'a>>,
    #[serde(alias = "addressesV2")]
    pub(crate) addresses: List<Address<'a>>,
    pub(crate) email_marketing_consent: Option<Consent<'a>>,
}

impl<'a> Customer<'a> {
    pub(crate) fn email(&self) -> &str {
        self.default_email.as_ref().map_or(&self.email, |it| &it.email_address)
    }

    pub(crate) fn phone(&self) -> &str {
        self.default_phone.as_ref().map_or(&self.phone, |it| &it.phone_number)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct EmailAddress<'a> {
    email_address: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(crate) struct PhoneNumber<'a> {
    phone_number: Text<'a>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Consent<'a> {
    pub(crate) state: Text<'a>,
    pub(crate) consent_updated_at: Option<Stamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
pub(crate) struct Address<'a> {
    /// Only addresses of a customer have one.
    pub(crate) id: Option<Id>,
    #[serde(alias = "firstName")]
    pub(crate) first_name: Text<'a>,
    #[serde(alias = "lastName")]
    pub(crate) last_name: Text<'a>,
    pub(crate) company: Text<'a>,
    pub(crate) address1: Text<'a>,
    pub(crate) address2: Text<'a>,
    pub(crate) city: Text<'a>,
    pub(crate) zip: Text<'a>,
    #[serde(alias = "provinceCode")]
    pub(crate) province_code: Text<'a>,
    pub(crate) province: Text<'a>,
    #[serde(alias = "countryCodeV2")]
    pub(crate) country_code: Text<'a>,
    pub(crate) phone: Text<'a>,
}
