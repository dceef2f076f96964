//! The tables of the settings: the shop's tax rates and shipping methods, and what they are in Tryton.

use domain::{Order, ShippingLine, TaxLine};
use rust_decimal::Decimal;

use crate::config::{Settings, ShippingRule, UnmappedShipping};
use crate::error::Refusal;

/// Tryton's taxes for the taxes of one line, and the sum of their rates.
pub(crate) fn of_line(taxes: &[TaxLine], country: &str, settings: &Settings) -> Result<(Vec<i64>, Decimal), Refusal> {
    let (mut ids, mut rate) = (Vec::new(), Decimal::ZERO);
    for tax in taxes {
        match of_rate(tax.rate, country, settings) {
            Some(found) => ids.extend_from_slice(found),
            // "0 % because exempt" needs no tax in Tryton, unless a rule wants one.
            None if tax.rate.is_zero() => {}
            None => return Err(Refusal::UnmappedTax { rate: tax.rate.normalize().to_string(), country: country.to_owned() }),
        }
        rate += tax.rate;
    }
    ids.sort_unstable();
    ids.dedup();
    Ok((ids, rate))
}

fn of_rate<'a>(rate: Decimal, country: &str, settings: &'a Settings) -> Option<&'a [i64]> {
    let rules = || settings.taxes.iter().filter(|it| it.rate == rate);
    let own = rules().find(|it| it.country.as_deref() == Some(country));
    own.or_else(|| rules().find(|it| it.country.is_none())).map(|it| it.taxes.as_slice())
}

/// Where the goods go, by which taxes are chosen.
pub(crate) fn country(order: &Order) -> &str {
    order.destination().map_or("", |it| it.country_code.as_str())
}

/// The product that a shipping method is sold as, and who carries.
pub(crate) fn of_shipping(line: &ShippingLine, settings: &Settings) -> Result<(i64, Option<i64>), Refusal> {
    let names = |rule: &&ShippingRule, name: &str| !name.is_empty() && rule.method.eq_ignore_ascii_case(name);
    let by_code = settings.shipping_methods.iter().find(|it| names(it, line.code.trim()));
    let rule = by_code.or_else(|| settings.shipping_methods.iter().find(|it| names(it, line.title.trim())));
    match (rule, settings.unmapped_shipping) {
        (Some(rule), _) => Ok((rule.product.unwrap_or(settings.shipping_product), rule.carrier.or(settings.carrier))),
        (None, UnmappedShipping::Default) => Ok((settings.shipping_product, settings.carrier)),
        (None, UnmappedShipping::Refuse) => {
            let method = if line.code.trim().is_empty() { &line.title } else { &line.code };
            Err(Refusal::UnmappedShipping(method.clone()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::minimal;
    use domain::{Currency, MoneyPair};
    use serde_json::json;

    fn settings(change: serde_json::Value) -> Settings {
        let mut settings = minimal();
        settings.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        Settings::parse(&settings).unwrap()
    }

    fn tax(rate: &str) -> TaxLine {
        TaxLine { title: String::new(), rate: rate.parse().unwrap(), amount: MoneyPair::zero(Currency::EUR, Currency::EUR) }
    }

    #[test]
    fn a_countrys_own_rule_goes_first() {
        let rules = json!([{"rate": "0.2", "taxes": [1]}, {"rate": "0.20", "country": "FR", "taxes": [4]}]);
        let settings = settings(json!({"taxes": rules}));
        let of = |country| of_line(&[tax("0.2")], country, &settings).unwrap().0;
        assert_eq!((of("FR"), of("AT"), of("")), (vec![4], vec![1], vec![1]));
    }

    #[test]
    fn a_rate_without_rule_is_no_guess() {
        let settings = settings(json!({}));
        let refusal = of_line(&[tax("0.055")], "FR", &settings).unwrap_err().to_string();
        assert_eq!(refusal, "no tax is set for rate 0.055 in country `FR`; add a rule to `taxes`");
        assert_eq!(of_line(&[tax("0.00")], "FR", &settings).unwrap(), (vec![], Decimal::ZERO), "exempt");
    }

    #[test]
    fn several_taxes_of_a_line_add_up() {
        let (ids, rate) = of_line(&[tax("0.20"), tax("0.07")], "US", &settings(json!({}))).unwrap();
        assert_eq!((ids, rate), (vec![1, 3], Decimal::new(27, 2)));
    }

    #[test]
    fn a_method_is_found_by_code_then_title_then_the_default() {
        let rules = json!([{"method": "express", "product": 9, "carrier": 2}, {"method": "Night mail", "carrier": 3}]);
        let mapped = settings(json!({"shipping_methods": rules}));
        let line = |code: &str, title: &str| ShippingLine {
            id: String::new(),
            code: code.to_owned(),
            title: title.to_owned(),
            price: MoneyPair::zero(Currency::EUR, Currency::EUR),
            discounts: vec![],
            taxes: vec![],
        };
        assert_eq!(of_shipping(&line("EXPRESS", "Night mail"), &mapped).unwrap(), (9, Some(2)));
        assert_eq!(of_shipping(&line("", "night mail"), &mapped).unwrap(), (7, Some(3)));
        assert_eq!(of_shipping(&line("", "Pigeon"), &mapped).unwrap(), (7, Some(1)));
        let strict = settings(json!({"unmapped_shipping": "refuse"}));
        assert!(of_shipping(&line("", "Pigeon"), &strict).unwrap_err().to_string().contains("shipping method `Pigeon`"));
    }
}
