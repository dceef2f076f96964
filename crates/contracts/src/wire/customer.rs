use domain::{Consent, Customer};

use super::common::{address, time, to_address, to_time_opt};
use super::{Wire, WireError};
use crate::proto::customers::v1 as wire;

impl Wire for Customer {
    type Message = wire::Customer;
    const NAME: &'static str = "tradewind.customers.v1.Customer";

    fn to_wire(&self) -> wire::Customer {
        wire::Customer {
            id: self.id.clone(),
            email: self.email.clone(),
            phone: self.phone.clone(),
            first_name: self.first_name.clone(),
            last_name: self.last_name.clone(),
            addresses: self.addresses.iter().map(address).collect(),
            tags: self.tags.clone(),
            tax_exempt: self.tax_exempt,
            note: self.note.clone(),
            locale: self.locale.clone(),
            email_consent: self
                .email_consent
                .as_ref()
                .map(|it| wire::Consent { state: it.state.clone(), updated_at: it.updated_at.map(time) }),
            enabled: self.enabled,
        }
    }

    fn from_wire(message: wire::Customer) -> Result<Self, WireError> {
        let email_consent = match message.email_consent {
            Some(it) => Some(Consent { state: it.state, updated_at: to_time_opt(it.updated_at, "Consent", "updated_at")? }),
            None => None,
        };
        Ok(Self {
            id: message.id,
            email: message.email,
            phone: message.phone,
            first_name: message.first_name,
            last_name: message.last_name,
            addresses: message.addresses.into_iter().map(to_address).collect(),
            tags: message.tags,
            tax_exempt: message.tax_exempt,
            note: message.note,
            locale: message.locale,
            email_consent,
            enabled: message.enabled,
        })
    }
}
