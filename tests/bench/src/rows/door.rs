//! Row 1: what the door costs per order that it accepted, against the parts that no door can do without: a POST whose body is
//! read, an HMAC of it, and a produce of it. 64 senders, each waiting for its answer.
//!
//! Oracle: what was answered 200 is in the raw topic, once, byte for byte.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use contracts::{headers, topics};

use super::Bench;
use crate::kafka;
use crate::load::{self, Load, Request, closed};
use crate::orders::{self, Delivery};
use crate::parties::loops::LoopOrders;
use crate::parties::servers::{DoorOrders, Listening};
use crate::parties::{Ready, Work};
use crate::process::{Party, cpu_seconds, memory_mb};
use crate::stats::{Spread, percentile, short};
use crate::table::{Line, Target};

const SENDERS: usize = 64;
const PREFIX: &str = "door.";
const BARE: &str = "door.bare";

/// Microseconds of CPU per request or record.
#[derive(Debug, Default)]
struct Round {
    null: f64,
    hmac: f64,
    produce: f64,
    door: f64,
    rate: f64,
    p99_ms: f64,
}

impl Round {
    fn limit(&self) -> f64 {
        self.null + self.hmac + self.produce
    }
}

pub(super) async fn row(bench: &mut Bench) -> anyhow::Result<Vec<Line>> {
    let bodies = orders::created(BODIES);
    let size = bodies.iter().map(|it| it.body.len()).sum::<usize>() / bodies.len();
    let requests = Arc::new(bodies.iter().map(Request::new).collect::<Vec<_>>());
    let bus = kafka::settings(&bench.brokers, PREFIX);
    kafka::make(&bus, &[topics::RAW, "bare"]).await?;
    let time = Duration::from_millis(bench.size.of(3_000, 300) as u64);
    let loops = LoopOrders {
        brokers: bench.brokers.clone(),
        topic: BARE.to_owned(),
        millis: time.as_millis().try_into()?,
        in_flight: SENDERS,
        bodies: BODIES,
    };
    let doors = DoorOrders { brokers: bench.brokers.clone(), database: bench.databases.fresh().await?, prefix: PREFIX.to_owned() };
    let (null, null_at): (_, Listening) = Party::start("null", &(), &bench.log("null"), bench.core).await?;
    let (door, door_at): (_, Listening) = Party::start("door", &doors, &bench.log("door"), bench.core).await?;
    let (mut hmac, _): (_, Ready) = Party::start("hmac", &loops, &bench.log("hmac"), bench.core).await?;
    let (mut produce, _): (_, Ready) = Party::start("produce", &loops, &bench.log("produce"), bench.core).await?;

    let (nobody, counted) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (mut rounds, mut accepted, mut refused) = (Vec::new(), 0, 0);
    // The first round warms up, and is counted only by the oracle.
    for number in 0..=bench.rounds() {
        let mut round = Round::default();
        for part in if number % 2 == 0 { [0, 1, 2, 3] } else { [3, 2, 1, 0] } {
            match part {
                0 => round.null = serve(&null, null_at.address, &requests, time, &nobody).await?.0,
                1 => round.hmac = hmac.go::<Work>(time + PATIENCE).await?.cpu_us(),
                2 => round.produce = produce.go::<Work>(time + PATIENCE).await?.cpu_us(),
                _ => {
                    let (cpu_us, mut load) = serve(&door, door_at.address, &requests, time, &counted).await?;
                    (accepted, refused) = (accepted + load.accepted, refused + load.refused);
                    round.door = cpu_us;
                    round.rate = load.accepted as f64 / load.seconds;
                    round.p99_ms = percentile(&mut load.latencies_ms, 0.99);
                }
            }
        }
        rounds.push(round);
    }
    rounds.remove(0);
    let memory = memory_mb(door.pid, "VmHWM")?;
    for party in [null, door, hmac, produce] {
        party.stop().await;
    }
    let job = format!("door: CPU per accepted order of {size} bytes, {SENDERS} senders");
    if let Err(complaint) = oracle(&bench.brokers, &bodies, accepted, refused, counted.load(Ordering::Relaxed)).await {
        return Ok(vec![Line::void("1", job, format!("{complaint:#}"))]);
    }
    Ok(lines(job, &rounds, memory))
}

/// CPU per answer, and the load that got them.
async fn serve(
    party: &Party,
    address: SocketAddr,
    requests: &Arc<Vec<Request>>,
    time: Duration,
    next: &Arc<AtomicU64>,
) -> anyhow::Result<(f64, Load)> {
    let before = cpu_seconds(party.pid)?;
    let load = closed(address, requests, SENDERS, time, next).await?;
    let cpu = cpu_seconds(party.pid)? - before;
    Ok((cpu * 1e6 / (load.accepted + load.refused).max(1) as f64, load))
}

fn lines(job: String, rounds: &[Round], memory: f64) -> Vec<Line> {
    let of = |pick: fn(&Round) -> f64| Spread::of(rounds.iter().map(pick));
    let parts = format!(
        "{} µs = POST {} + HMAC {} + produce {}",
        short(of(Round::limit).median),
        short(of(|it| it.null).median),
        short(of(|it| it.hmac).median),
        short(of(|it| it.produce).median)
    );
    let ratio = of(|it| it.door / it.limit());
    let (rate, p99) = (of(|it| it.rate), of(|it| it.p99_ms));
    vec![
        Line::ratio("1", job, format!("{} µs", of(|it| it.door)), parts, ratio, Target::AtMost(1.5, "x")),
        Line::figure(
            "1",
            "door: p99 at saturation",
            p99.median,
            format!("{p99} ms at {rate} orders/s"),
            String::new(),
            Target::AtMost(8.0, " ms"),
        ),
        Line::figure(
            "16",
            "door: most memory, 64 senders",
            memory,
            format!("{} MB", short(memory)),
            String::new(),
            Target::AtMost(40.0, " MB"),
        ),
    ]
}

async fn oracle(brokers: &str, bodies: &[Delivery], accepted: u64, refused: u64, sent: u64) -> anyhow::Result<()> {
    anyhow::ensure!(refused == 0, "{refused} of {sent} orders were refused");
    anyhow::ensure!(accepted == sent, "{accepted} of {sent} orders were answered 200");
    let mut times: HashMap<u64, u32> = HashMap::new();
    for seen in kafka::read_all(brokers, &format!("{PREFIX}{}", topics::RAW)).await? {
        let number = seen.header(headers::DELIVERY).and_then(load::number_of).context("a record without its delivery's number")?;
        let sent = &bodies[usize::try_from(number)? % bodies.len()];
        anyhow::ensure!(seen.value == sent.body, "order {number} was changed on its way");
        let key = format!("{}/order/{}", orders::SHOP, sent.order);
        anyhow::ensure!(seen.key == key.as_bytes(), "order {number} lies under the key {}", String::from_utf8_lossy(&seen.key));
        *times.entry(number).or_default() += 1;
    }
    let missing = (0..sent).filter(|it| !times.contains_key(it)).count();
    let doubled = times.values().filter(|it| **it > 1).count();
    anyhow::ensure!(missing == 0 && doubled == 0, "of {sent} accepted orders {missing} are missing and {doubled} are there twice");
    Ok(())
}

const BODIES: usize = 100;
const PATIENCE: Duration = Duration::from_secs(30);
