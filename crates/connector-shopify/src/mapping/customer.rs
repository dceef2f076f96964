use domain::{Consent, Customer};

use super::address::address;
use super::money::need;
use super::tables::lower;
use crate::error::MappingError;
use crate::wire;

pub(super) fn customer(from: &wire::Customer<'_>) -> Result<Customer, MappingError> {
    let id = need(from.id, "id", "a whole 64-bit id")?;
    let default_id = from.default_address.as_ref().and_then(|it| it.id);
    let others = from.addresses.iter().filter(|it| default_id.is_none() || it.id != default_id);
    Ok(Customer {
        id: id.to_string(),
        email: from.email().to_owned(),
        phone: from.phone().to_owned(),
        first_name: from.first_name.to_string(),
        last_name: from.last_name.to_string(),
        addresses: from.default_address.iter().chain(others).map(address).collect(),
        tags: from.tags.0.clone(),
        tax_exempt: from.tax_exempt.unwrap_or_default(),
        note: from.note.to_string(),
        locale: from.locale.to_string(),
        email_consent: from
            .email_marketing_consent
            .as_ref()
            .map(|it| Consent { state: lower(&it.state).into_owned(), updated_at: it.consent_updated_at.map(|at| at.0) }),
        enabled: &*lower(&from.state) == "enabled",
    })
}
