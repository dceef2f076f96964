//! Discounts. What a line costs less is in its allocations and nowhere else: `total_discount` of a line stays zero, the amounts
//! of `discount_codes` leave automatic discounts out, and the order of the applications is not the order of their application.

use domain::{CouponCode, DiscountAllocation, DiscountKind};

use super::money::{Currencies, need};
use super::tables;
use crate::error::MappingError;
use crate::wire::{Allocation, Application, ApplicationValue, List, Order};

pub(super) fn allocations(
    from: &List<Allocation<'_>>,
    applications: &[Application<'_>],
    currencies: Currencies,
) -> Result<Vec<DiscountAllocation>, MappingError> {
    let mut allocations = Vec::with_capacity(from.len());
    for (index, it) in from.iter().enumerate() {
        allocations.push(allocation(it, applications, currencies).map_err(|error| error.within("discount_allocations", index))?);
    }
    Ok(allocations)
}

fn allocation(from: &Allocation<'_>, applications: &[Application<'_>], currencies: Currencies) -> Result<DiscountAllocation, MappingError> {
    let by_index = || from.discount_application_index.and_then(|index| applications.get(index));
    let application = from.application.as_ref().or_else(by_index);
    let application = need(application, "discount_application_index", "the index of one of the order's discount applications")?;
    Ok(DiscountAllocation {
        code: application.code.to_string(),
        title: application.title.to_string(),
        kind: tables::discount(&application.kind)?,
        amount: currencies.needed(from.amount_set, from.amount, "amount")?,
    })
}

/// The codes that the buyer typed, each with what it took off in all. A manual discount of a draft order is also listed among
/// `discount_codes`, by its title: it is none.
pub(super) fn coupons<'a>(
    order: &Order<'_>,
    allocated: impl Iterator<Item = &'a DiscountAllocation> + Clone,
    currencies: Currencies,
) -> Result<Vec<CouponCode>, MappingError> {
    let Some(applications) = &order.discount_applications else { return listed(order, currencies) };
    let mut coupons: Vec<CouponCode> = Vec::new();
    for (index, application) in applications.iter().enumerate() {
        let kind = tables::discount(&application.kind).map_err(|error| error.within("discount_applications", index))?;
        if kind != DiscountKind::Code || coupons.iter().any(|it| it.code == *application.code) {
            continue;
        }
        let taken_off = allocated.clone().filter(|it| it.code == *application.code).map(|it| it.amount);
        let amount =
            super::money::sum(currencies.zero(), taken_off).map_err(|error| MappingError::money("discount_applications", error))?;
        coupons.push(CouponCode { code: application.code.to_string(), kind: kind_of(application).to_owned(), amount });
    }
    Ok(coupons)
}

fn kind_of(application: &Application<'_>) -> &'static str {
    let is_shipping = application.target_type.eq_ignore_ascii_case("shipping_line");
    let is_percentage = application.value == ApplicationValue::Percentage || &*application.value_type == "percentage";
    match (is_shipping, is_percentage) {
        (true, _) => "shipping",
        (false, true) => "percentage",
        (false, false) => "fixed_amount",
    }
}

fn listed(order: &Order<'_>, currencies: Currencies) -> Result<Vec<CouponCode>, MappingError> {
    let mut coupons = Vec::with_capacity(order.discount_codes.len());
    for (index, it) in order.discount_codes.iter().enumerate() {
        let amount = currencies.needed(None, it.amount, "amount").map_err(|error| error.within("discount_codes", index))?;
        coupons.push(CouponCode { code: it.code.to_string(), kind: it.kind.to_string(), amount });
    }
    Ok(coupons)
}
