//! Amounts against what a real Tryton was seen to compute.

use rust_decimal::Decimal;
use sandbox::erp::{ErpSettings, TaxRounding};
use serde_json::json;

use crate::client::{Erp, MUG_RED, decimal, erp, erp_with, line};

/// The total of one line at a rate, by the ids of the seed: 1 = 20 %, 2 = 19 %, 3 = 7 %.
async fn total(erp: &Erp, web_id: &str, lines: &[(i64, &str, i64)]) -> Decimal {
    let lines: Vec<_> = lines
        .iter()
        .map(|(quantity, price, tax)| {
            let mut line = line(MUG_RED, *quantity, price);
            line["taxes"] = json!([["add", [tax]]]);
            line
        })
        .collect();
    let sale = erp.draft(web_id, json!(lines)).await;
    erp.sale(sale).await["total_amount"]["decimal"].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_gross_amount_in_six_cannot_be_reached_at_20_percent() {
    let erp = erp().await;
    assert_eq!(total(&erp, "1", &[(1, "0.0250", 1)]).await, "0.02".parse().unwrap());
    assert_eq!(total(&erp, "2", &[(1, "0.0251", 1)]).await, "0.04".parse().unwrap());
}

/// 300 carts of three lines at 19 %, prices from gross prices: 200 of them exact per document and 290 per line.
#[tokio::test]
async fn gross_prices_are_met_about_as_often_as_by_the_real_one() {
    let mut exact = Vec::new();
    for tax_rounding in [TaxRounding::Document, TaxRounding::Line] {
        let erp = erp_with(ErpSettings { tax_rounding, ..ErpSettings::default() }).await;
        let mut random = 12_345_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut hits = 0;
        for cart in 0..300 {
            let mut gross = Decimal::ZERO;
            let mut lines = Vec::new();
            for _ in 0..3 {
                let (quantity, cents) = (1 + next(3), 100 + next(9900));
                let price = Decimal::new(i64::try_from(cents).unwrap(), 2);
                gross += price * Decimal::from(quantity);
                lines.push((i64::try_from(quantity).unwrap(), (price / Decimal::new(119, 2)).round_dp(4).to_string()));
            }
            let lines: Vec<_> = lines.iter().map(|(quantity, price)| (*quantity, price.as_str(), 2)).collect();
            let total = total(&erp, &cart.to_string(), &lines).await;
            assert!((total - gross).abs() <= Decimal::new(2, 2), "{total} for {gross}");
            hits += usize::from(total == gross);
        }
        exact.push(hits);
    }
    assert!((180..220).contains(&exact[0]) && (280..300).contains(&exact[1]), "{exact:?}");
}

#[tokio::test]
async fn thrice_19_99_is_refunded_singly_or_together() {
    let erp = erp().await;
    let price = "16.7983";
    let together = total(&erp, "1", &[(-3, price, 2)]).await;
    let single = total(&erp, "2", &[(-1, price, 2)]).await;
    assert_eq!((together, single), ("-59.97".parse().unwrap(), "-19.99".parse().unwrap()));
    assert_eq!(erp.double.effects().sales().next().unwrap().amounts["total"], "-59.97");
}

#[tokio::test]
async fn a_line_without_taxes_or_product_makes_up_the_cents() {
    let erp = erp().await;
    let mut lines = vec![line(MUG_RED, 1, "0.0250")];
    lines.push(json!({"type": "line", "quantity": 1, "unit_price": decimal("0.01"), "description": "rounding"}));
    let sale = erp.booked("1", json!(lines)).await;
    assert_eq!(erp.sale(sale).await["total_amount"], decimal("0.03"));
    assert_eq!(erp.states(sale).await, ["processing", "pending", "waiting"]);
}
