//! Rows 10 and 16: all five services as processes of their own; from the moment when an order's webhook was due to the moment
//! when the ERP has its sale, and what each service holds in memory meanwhile.
//!
//! The timetable does not wait for answers: what is late is late by the timetable. The ERP's own share is measured first, with
//! orders that come one at a time: requests until the sale is there, by the time that the double takes for each.
//!
//! Oracle: each order has one sale in the ERP.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use chrono::{DateTime, Utc};
use sandbox::effects::{Entry, Kind};
use sandbox::erp::{ErpDouble, ErpSettings};
use sandbox::faults::Latency;
use sandbox::payloads::PayloadSettings;
use sandbox::shopify::{ShopDouble, ShopSettings};
use tokio::task::JoinSet;

use super::Bench;
use crate::installation::{Installation, Parts, SERVICES};
use crate::load::{self, Request};
use crate::orders::{self, Delivery};
use crate::process::{Place, Service, cpu_seconds, memory_mb};
use crate::stats::{Spread, percentile, short};
use crate::table::{Line, Target};

const PER_SECOND: u64 = 50;
const ERP_MS: u64 = 5;
/// Of which the load needs three in the mean.
const ERP_CONCURRENCY: u16 = 16;
const CREATE: &str = "sale.sale.create";

pub(super) async fn row(bench: &mut Bench) -> anyhow::Result<Vec<Line>> {
    bench.unpin()?;
    let erp = ErpDouble::start(ErpSettings { latency: Latency::Fixed { ms: ERP_MS }, log_reads: true, ..ErpSettings::default() })?;
    let skus = erp.settings().items.iter().map(|it| it.sku.clone()).collect();
    let shop = ShopDouble::start(ShopSettings {
        shop_domain: orders::SHOP_DOMAIN.to_owned(),
        payloads: PayloadSettings { skus, ..PayloadSettings::default() },
        stock: 1_000_000,
        ..ShopSettings::default()
    })?;
    // Nothing is ever sold out.
    for item in &erp.settings().items.clone() {
        erp.set_stock(&item.sku, 1_000_000).map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    let database = bench.databases.fresh().await?;
    let (shop_url, erp_url) = (shop.base_url(), erp.url());
    let parts = Parts {
        brokers: &bench.brokers,
        database: &database,
        shop: &shop_url,
        location: &shop.location_id().to_string(),
        erp: &erp_url,
        erp_ids: erp.ids(),
        erp_concurrency: ERP_CONCURRENCY,
    };
    let installation = Installation::set_up(&bench.programs, &bench.dir.join("e2e"), "e2e.", &parts).await?;
    let mut services = Vec::new();
    for name in SERVICES {
        services.push(installation.start(name, Place::Everywhere)?);
    }
    let measured = measure(bench, &installation, &erp, &services).await;
    for service in services {
        service.stop().await;
    }
    shop.stop().await;
    erp.stop().await;
    measured
}

async fn measure(bench: &Bench, installation: &Installation, erp: &ErpDouble, services: &[Service]) -> anyhow::Result<Vec<Line>> {
    for service in services {
        installation.ready(&service.name).await?;
    }
    let idle = memory(services, "VmRSS")?;
    let seconds = bench.size.of(20, 2) as u64;
    let alone = bench.size.of(30, 3);
    let count = usize::try_from(PER_SECOND * seconds)?;
    let deliveries = orders::created(alone + count);
    let (single, stream) = deliveries.split_at(alone);

    // The first ones find connections unopened and caches cold.
    let (erp_ms, mut alone_ms) = one_at_a_time(installation, erp, single).await?;
    let (before, requests) = (cpu(services)?, erp.log().last());
    let due = timetable(installation, stream, alone as u64).await?;
    let sales = until_sold(erp, stream).await?;
    quiet(erp).await;
    let (after, requests) = (cpu(services)?, requests_in(&erp.log().since(requests)) as f64 / count as f64);
    let mut latencies: Vec<f64> = due.iter().map(|(order, due)| milliseconds(*due, sales[order])).collect();
    ensure!(latencies.len() == count, "{} of {count} orders were sent", latencies.len());
    ensure_one_sale_each(erp, &deliveries)?;

    let (p50, p99, worst) = (percentile(&mut latencies, 0.5), percentile(&mut latencies, 0.99), percentile(&mut latencies, 1.0));
    let measured = format!("p50 {} ms, p99 {} ms, worst {} ms", short(p50), short(p99), short(worst));
    let limit = format!("ERP {} ms of it", erp_ms);
    let job = format!("webhook due → sale in the ERP, {PER_SECOND}/s for {seconds} s, five processes");
    let mut lines = vec![
        Line::figure("10", format!("{job}: p99"), p99, measured.clone(), limit.clone(), Target::AtMost(50.0 + erp_ms.median, " ms")),
        Line::figure("10", format!("{job}: p50"), p50, measured, limit, Target::AtMost(15.0 + erp_ms.median, " ms")),
    ];
    let (p50, p99) = (percentile(&mut alone_ms, 0.5), percentile(&mut alone_ms, 0.99));
    let measured = format!("p50 {} ms, p99 {} ms", short(p50), short(p99));
    let job = "the same, one order at a time: p50";
    lines.push(Line::figure("10", job, p50, measured, format!("ERP {erp_ms} ms of it"), Target::AtMost(15.0 + erp_ms.median, " ms")));
    let spent = after.iter().map(|(name, after)| (name, (after - before[name]) * 1_000.0 / count as f64));
    let parts: Vec<_> = spent.clone().map(|(name, ms)| format!("{name} {}", short(ms))).collect();
    let sum = spent.map(|it| it.1).sum();
    let measured = format!("{} ms: {}", short(sum), parts.join(", "));
    let requests = format!("{} ERP requests per order", short(requests));
    lines.push(Line::figure("10", "CPU of the five per order, from webhook to confirmed sale", sum, measured, requests, Target::None));
    let peak = memory(services, "VmHWM")?;
    for (name, loaded) in memory(services, "VmRSS")? {
        let measured = format!("{} MB; idle {}, peak {}", short(loaded), short(idle[&name]), short(peak[&name]));
        lines.push(Line::figure(
            "16",
            format!("{name}: memory under row 10's load"),
            loaded,
            measured,
            String::new(),
            Target::AtMost(40.0, " MB"),
        ));
    }
    Ok(lines)
}

fn memory(services: &[Service], field: &str) -> anyhow::Result<BTreeMap<String, f64>> {
    services.iter().map(|it| Ok((it.name.clone(), memory_mb(it.pid, field).with_context(|| format!("{} has ended", it.name))?))).collect()
}

fn cpu(services: &[Service]) -> anyhow::Result<BTreeMap<String, f64>> {
    services.iter().map(|it| Ok((it.name.clone(), cpu_seconds(it.pid)?))).collect()
}

fn requests_in(entries: &[Entry]) -> usize {
    entries.iter().filter(|it| it.kind == Kind::Received).count()
}

/// What the ERP takes until it has a sale: its requests, times what each takes. And what all of it took, in milliseconds.
async fn one_at_a_time(installation: &Installation, erp: &ErpDouble, deliveries: &[Delivery]) -> anyhow::Result<(Spread, Vec<f64>)> {
    let (mut stream, mut answer) = (load::connect(installation.door).await?, Vec::new());
    let (mut shares, mut latencies) = (Vec::new(), Vec::new());
    for (number, delivery) in deliveries.iter().enumerate() {
        let (before, begun) = (erp.log().last(), Utc::now());
        let status = load::post(&mut stream, &mut Request::new(delivery), number as u64, &mut answer).await?;
        ensure!(status == 200, "the door answered {status}");
        let sales = until_sold(erp, std::slice::from_ref(delivery)).await?;
        latencies.push(milliseconds(begun, sales[&delivery.order]));
        // What follows the sale belongs to this order, too.
        quiet(erp).await;
        shares.push(erp_share_ms(&erp.log().since(before), &delivery.order));
    }
    Ok((Spread::of(shares), latencies))
}

/// From each request's arrival to its answer, until the sale is created; requests of one order come one after the other.
fn erp_share_ms(entries: &[Entry], order: &str) -> f64 {
    let created = entries.iter().find(|it| is_sale_of(it, order)).map(|it| it.seq).unwrap_or(u64::MAX);
    let before = entries.partition_point(|it| it.seq < created);
    requests_in(&entries[..before]) as f64 * ERP_MS as f64
}

async fn quiet(erp: &ErpDouble) {
    let mut last = erp.log().last();
    loop {
        tokio::time::sleep(Duration::from_millis(60)).await;
        let now = erp.log().last();
        if now == last {
            return;
        }
        last = now;
    }
}

/// Sends each order when it is due, on a connection of its own or one that is free. Returns when each was due.
async fn timetable(installation: &Installation, deliveries: &[Delivery], first: u64) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
    let begun = tokio::time::Instant::now() + Duration::from_millis(100);
    let wall = Utc::now() + chrono::TimeDelta::milliseconds(100);
    let (mut due, mut tasks) = (HashMap::new(), JoinSet::new());
    for (index, delivery) in deliveries.iter().enumerate() {
        let after = Duration::from_micros(1_000_000 / PER_SECOND * index as u64);
        due.insert(delivery.order.clone(), wall + after);
        let (mut request, door, number) = (Request::new(delivery), installation.door, first + index as u64);
        tasks.spawn(async move {
            tokio::time::sleep_until(begun + after).await;
            let mut stream = load::connect(door).await?;
            load::post(&mut stream, &mut request, number, &mut Vec::new()).await
        });
    }
    while let Some(ended) = tasks.join_next().await {
        let status = ended.context("a sender panicked")??;
        ensure!(status == 200, "the door answered {status}");
    }
    Ok(due)
}

/// When each of these orders got its sale; waits for all of them.
async fn until_sold(erp: &ErpDouble, deliveries: &[Delivery]) -> anyhow::Result<HashMap<String, DateTime<Utc>>> {
    let begun = tokio::time::Instant::now();
    let (mut sold, mut read): (HashMap<String, DateTime<Utc>>, u64) = (HashMap::new(), 0);
    loop {
        for entry in erp.log().since(read) {
            read = entry.seq;
            if entry.kind == Kind::Applied
                && entry.operation == CREATE
                && let Some(order) = &entry.external_id
            {
                sold.entry(order.clone()).or_insert(entry.at);
            }
        }
        let missing = deliveries.iter().filter(|it| !sold.contains_key(&it.order)).count();
        if missing == 0 {
            return Ok(sold);
        }
        if begun.elapsed() > PATIENCE {
            bail!("{missing} of {} orders have no sale after {PATIENCE:?}", deliveries.len());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn is_sale_of(entry: &Entry, order: &str) -> bool {
    entry.kind == Kind::Applied && entry.operation == CREATE && entry.external_id.as_deref() == Some(order)
}

fn ensure_one_sale_each(erp: &ErpDouble, deliveries: &[Delivery]) -> anyhow::Result<()> {
    let mut times: HashMap<String, u32> = HashMap::new();
    for entry in erp.effects().entries() {
        if entry.kind == Kind::Applied && entry.operation == CREATE {
            *times.entry(entry.external_id.clone().unwrap_or_default()).or_default() += 1;
        }
    }
    let wrong = deliveries.iter().filter(|it| times.get(&it.order) != Some(&1)).count();
    ensure!(wrong == 0 && times.len() == deliveries.len(), "{wrong} of {} orders have not one sale", deliveries.len());
    Ok(())
}

fn milliseconds(from: DateTime<Utc>, to: DateTime<Utc>) -> f64 {
    (to - from).num_microseconds().unwrap_or(i64::MAX) as f64 / 1_000.0
}

const PATIENCE: Duration = Duration::from_secs(60);
