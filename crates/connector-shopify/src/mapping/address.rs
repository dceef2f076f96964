use domain::Address;

use crate::wire;

pub(super) fn address(from: &wire::Address<'_>) -> Address {
    Address {
        first_name: from.first_name.to_string(),
        last_name: from.last_name.to_string(),
        company: from.company.to_string(),
        line1: from.address1.to_string(),
        line2: from.address2.to_string(),
        city: from.city.to_string(),
        postal_code: from.zip.to_string(),
        region_code: from.province_code.to_string(),
        region: from.province.to_string(),
        country_code: from.country_code.to_string(),
        phone: from.phone.to_string(),
    }
}
