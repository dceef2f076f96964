//! Made for volume: thousands of sales, and still quick.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{MUG_RED, context, erp, line};

#[tokio::test]
async fn look_ups_stay_quick_among_thousands_of_sales() {
    let erp = erp().await;
    let lines = json!([line(MUG_RED, 1, "9.50")]);
    let one = erp.sale_values("x", lines).await;
    for hundred in 0..20 {
        let sales: Vec<_> = (0..100)
            .map(|it| {
                let mut sale = one.clone();
                sale["web_id"] = json!(format!("{hundred}-{it}"));
                sale
            })
            .collect();
        let ids = erp.call("sale.sale.create", json!([sales])).await;
        for button in ["quote", "confirm"] {
            erp.call(&format!("sale.sale.{button}"), json!([ids])).await;
        }
    }
    assert_eq!(erp.double.stock()["MUG-RED"].reserved, 2000.into());
    let mut times = Vec::new();
    for it in 0..200 {
        let domain = json!([["web_shop", "=", 1], ["web_id", "=", format!("7-{}", it % 100)]]);
        let began = Instant::now();
        let found = erp.rpc("model.sale.sale.search_read", json!([domain, 0, 2, null, ["state", "total_amount"], context()])).await;
        times.push(began.elapsed());
        assert_eq!(found["result"].as_array().unwrap().len(), 1);
    }
    times.sort();
    println!("median {:?}, 99 of 100 within {:?}", times[100], times[198]);
    // A look at all rows would take many times as long, also in a slow build on a busy machine.
    assert!(times[100] < Duration::from_millis(10), "median {:?}", times[100]);
}
