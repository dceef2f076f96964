//! Row 6: mapper and router over a backlog, with their ledgers and rules, on real parts. The floor of each makes the same
//! events and writes the rows that must be written, in batches of the size that the group itself had, and does nothing else.
//!
//! Oracle: every order has its versions, each once and in order, in the change topic; every event has its decision, and what
//! was decided lies in the command topic, each command once and each order's in order.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use connector::storefront::DeliveryFacts;
use contracts::{headers, topics};
use domain::AggregateKey;
use pipeline::OutRecord;
use sqlx::{Connection as _, PgConnection};
use storefront_ingest::core::raw;

use super::Bench;
use crate::kafka::{self, Seen};
use crate::orders;
use crate::parties::floor::{FloorOrders, Job};
use crate::parties::groups::{GroupOrders, TARGET};
use crate::parties::{Ready, Work};
use crate::process::Party;
use crate::stats::{Spread, short};
use crate::table::{Line, Target};

/// One job over its rounds.
#[derive(Default)]
struct Rounds {
    ours: Vec<Work>,
    floor: Vec<Work>,
}

pub(super) async fn row(bench: &mut Bench) -> anyhow::Result<Vec<Line>> {
    let count = bench.size.of(20_000, 500);
    let raw = kafka::settings(&bench.brokers, "groups.");
    kafka::make(&raw, &[topics::RAW]).await?;
    let input = raw.topic(topics::RAW);
    kafka::fill(&raw, &backlog(&input, count)).await?;
    let (mut mapper, mut router, mut complaint) = (Rounds::default(), Rounds::default(), None);
    let commands = topics::commands(&TARGET.parse()?);
    for round in 0..=bench.rounds().min(3) {
        let prefix = format!("groups{round}.");
        let bus = kafka::settings(&bench.brokers, &prefix);
        kafka::make(&bus, &[topics::ORDERS, &commands]).await?;
        let database = bench.databases.fresh().await?;
        let orders = |input: &str, output: &str, database: &str| GroupOrders {
            brokers: bench.brokers.clone(),
            database: database.to_owned(),
            prefix: prefix.clone(),
            input: input.to_owned(),
            output: bus.topic(output),
            records: count as u64,
        };
        let map = orders(&input, topics::ORDERS, &database);
        mapper.ours.push(group(bench, "mapper", &map).await?);
        let route = orders(&bus.topic(topics::ORDERS), &commands, &database);
        router.ours.push(group(bench, "router", &route).await?);
        if let Err(error) = oracle(&bench.brokers, &map.output, &route.output, &database, count).await {
            complaint = Some(format!("{error:#}"));
        }

        // The same again, each into topics and a database of its own.
        let prefix = format!("floor{round}.");
        let bus = kafka::settings(&bench.brokers, &prefix);
        kafka::make(&bus, &[topics::ORDERS, &commands]).await?;
        let output = |name: &str| format!("{prefix}{name}");
        for (job, rounds, input, name) in
            [(Job::Mapper, &mut mapper, &map.input, topics::ORDERS), (Job::Router, &mut router, &route.input, commands.as_str())]
        {
            let group = GroupOrders {
                brokers: bench.brokers.clone(),
                database: bench.databases.fresh().await?,
                prefix: prefix.clone(),
                input: input.clone(),
                output: output(name),
                records: count as u64,
            };
            let batch = rounds.ours.last().map_or(1.0, |it| it.batch).round().max(1.0) as usize;
            bench.databases.settle().await?;
            let (mut party, _): (_, Ready) =
                Party::start("floor", &FloorOrders { group, job, batch }, &bench.log("floor"), bench.core).await?;
            rounds.floor.push(party.go(PATIENCE).await?);
            party.stop().await;
        }
    }
    if let Some(complaint) = complaint {
        return Ok(vec![Line::void("6", "mapper and router with ledger and rules", complaint)]);
    }
    Ok([lines("mapper", ("delivery", "deliveries"), &mapper), lines("router", ("event", "events"), &router)].concat())
}

async fn group(bench: &Bench, name: &str, orders: &GroupOrders) -> anyhow::Result<Work> {
    bench.databases.settle().await?;
    let (mut party, _): (_, Ready) = Party::start(name, orders, &bench.log(name), bench.core).await?;
    let work = party.go(PATIENCE).await?;
    party.stop().await;
    Ok(work)
}

fn lines(name: &str, (what, many): (&str, &str), rounds: &Rounds) -> Vec<Line> {
    // The first round warms up.
    let of = |works: &[Work], pick: fn(&Work) -> f64| Spread::of(works.iter().skip(1).map(pick));
    let ratio =
        |pick: fn(&Work, &Work) -> f64| Spread::of(rounds.ours.iter().zip(&rounds.floor).skip(1).map(|(ours, floor)| pick(ours, floor)));
    let batch = short(of(&rounds.ours, |it| it.batch).median);
    let memory = of(&rounds.ours, |it| it.peak_mb).median;
    vec![
        Line::ratio(
            "6",
            format!("{name}: CPU per {what}, ledger and rules, {batch} in a batch"),
            format!("{} µs", of(&rounds.ours, Work::cpu_us)),
            format!("{} µs", of(&rounds.floor, Work::cpu_us)),
            ratio(|ours, floor| ours.cpu_us() / floor.cpu_us()),
            Target::AtMost(1.3, "x"),
        ),
        Line::ratio(
            "6",
            format!("{name}: time per {what}"),
            format!("{} {many}/s", of(&rounds.ours, Work::rate)),
            format!("{} {many}/s", of(&rounds.floor, Work::rate)),
            ratio(|ours, floor| floor.rate() / ours.rate()),
            Target::AtMost(1.3, "x"),
        ),
        Line::figure(
            "16",
            format!("{name}: most memory, backlog"),
            memory,
            format!("{} MB", short(memory)),
            String::new(),
            Target::AtMost(64.0, " MB"),
        ),
    ]
}

/// As the door writes them.
fn backlog(topic: &str, count: usize) -> Vec<OutRecord> {
    let history = orders::history(count).into_iter().enumerate();
    history
        .map(|(number, it)| {
            let facts = DeliveryFacts {
                topic: it.topic.to_owned(),
                identity: format!("{}/{number}", it.topic),
                aggregate: AggregateKey::order(&orders::shop(), &it.order),
                triggered_at: None,
                api_version: None,
            };
            raw::of_webhook(topic, &orders::shop(), &facts, it.body, chrono::Utc::now())
        })
        .collect()
}

async fn oracle(brokers: &str, changes: &str, commands: &str, database: &str, count: usize) -> anyhow::Result<()> {
    let changes = kafka::read_all(brokers, changes).await?;
    ensure!(changes.len() == count, "{} change events of {count} deliveries", changes.len());
    each_once(&changes)?;
    let mut versions: HashMap<&[u8], u64> = HashMap::new();
    for it in &changes {
        let version = versions.entry(&it.key).or_default();
        *version += 1;
        ensure!(sequence(it)? == *version, "a version of {} is out of order", String::from_utf8_lossy(&it.key));
    }
    let commands = kafka::read_all(brokers, commands).await?;
    each_once(&commands)?;
    let mut newest: HashMap<&[u8], u64> = HashMap::new();
    for it in &commands {
        let newest = newest.entry(&it.key).or_default();
        ensure!(sequence(it)? >= *newest, "a command of {} is out of order", String::from_utf8_lossy(&it.key));
        *newest = sequence(it)?;
    }
    ensure!(newest.len() == versions.len(), "{} of {} orders have commands", newest.len(), versions.len());
    let mut connection = PgConnection::connect(database).await?;
    let sql = "select (select count(*) from ingest.decision where outputs is null and state <> 'in_flight'),
                      (select count(*) from router.decision where outputs is null and state <> 'in_flight'),
                      (select count(*) from router.output), (select count(*) from letters.letter)";
    let rows: (i64, i64, i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await?;
    let expected = (i64::try_from(count)?, i64::try_from(count)?, i64::try_from(commands.len())?, 0);
    ensure!(rows == expected, "decisions of the mapper, of the router, their outputs, letters: {rows:?} instead of {expected:?}");
    Ok(())
}

fn sequence(seen: &Seen) -> anyhow::Result<u64> {
    seen.header(headers::ENTITY_SEQ).and_then(|it| it.parse().ok()).context("a record without its sequence")
}

fn each_once(seen: &[Seen]) -> anyhow::Result<()> {
    let mut ids = HashSet::new();
    for it in seen {
        let id = it.header(headers::CE_ID).context("a record without its id")?;
        ensure!(ids.insert(id), "the record {id} is there twice");
    }
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(300);
