//! Row 17: from the start of storefront-ingest's process to the first order that it accepted, with Kafka and PostgreSQL there.
//! Somebody knocks every millisecond.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::json;

use super::Bench;
use crate::installation::{Installation, Parts};
use crate::load::{self, Request};
use crate::orders;
use crate::process::Place;
use crate::stats::Spread;
use crate::table::{Line, Target};

pub(super) async fn row(bench: &mut Bench) -> anyhow::Result<Vec<Line>> {
    let database = bench.databases.fresh().await?;
    let parts = Parts {
        brokers: &bench.brokers,
        database: &database,
        shop: "http://127.0.0.1:1",
        location: "1",
        erp: "http://127.0.0.1:1/erp/rpc/",
        erp_ids: nobodys_ids(),
        erp_concurrency: 1,
    };
    let installation = Installation::set_up(&bench.programs, &bench.dir.join("cold"), "cold.", &parts).await?;
    let request = Request::new(&orders::created(1)[0]);
    let (mut listening, mut accepted) = (Vec::new(), Vec::new());
    for number in 0..bench.size.of(5, 2) {
        let begun = Instant::now();
        let service = installation.start("storefront-ingest", Place::Core(bench.core))?;
        let first = knock(&installation, request.clone(), number as u64, begun).await;
        service.stop().await;
        let (heard, answered) = first?;
        listening.push(heard * 1_000.0);
        accepted.push(answered * 1_000.0);
    }
    let (listening, accepted) = (Spread::of(listening), Spread::of(accepted));
    let measured = format!("{accepted} ms; listening after {listening} ms");
    let job = "ingest: start of the process to the first accepted order";
    Ok(vec![Line::figure("17", job, accepted.median, measured, String::new(), Target::AtMost(65.0, " ms"))])
}

/// Seconds until it listened, and until it accepted.
async fn knock(installation: &Installation, mut request: Request, number: u64, begun: Instant) -> anyhow::Result<(f64, f64)> {
    while begun.elapsed() < Duration::from_secs(30) {
        let Ok(mut stream) = load::connect(installation.door).await else {
            tokio::time::sleep(Duration::from_millis(1)).await;
            continue;
        };
        let heard = begun.elapsed().as_secs_f64();
        if load::post(&mut stream, &mut request, number, &mut Vec::new()).await.is_ok_and(|status| status == 200) {
            return Ok((heard, begun.elapsed().as_secs_f64()));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    bail!("the door did not accept an order within 30 s")
}

/// Nothing of the ERP is used; the settings want them all the same.
fn nobodys_ids() -> serde_json::Value {
    json!({
        "company": 1, "web_shop": 1, "warehouse": 1, "payment_term": 1, "carrier": 1, "shipping_product": 1,
        "rounding_product": 1, "taxes": { "20": 1 }, "adapter": { "login": "adapter", "password": "adapter" },
    })
}
