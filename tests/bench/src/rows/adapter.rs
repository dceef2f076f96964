//! Row 8: how much of what an ERP would take of us it gets. The limit is Little's law: calls at once / time of a call, by the
//! ERP's own clock. Three commands per order, each with its ledger's transactions and its outcome.
//!
//! Oracle: every command was called once, an order's in their order and never two at once; every outcome is in Kafka.

use std::time::Duration;

use anyhow::ensure;
use contracts::topics;
use domain::TargetId;

use super::Bench;
use crate::commands::{Commands, PER_ORDER};
use crate::kafka;
use crate::parties::Ready;
use crate::parties::adapter::{Account, AdapterOrders};
use crate::parties::groups::GroupOrders;
use crate::process::Party;
use crate::stats::{Spread, short};
use crate::table::{Line, Target};

pub(super) async fn row(bench: &mut Bench) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for (slots, latency_ms, waves) in [(15, 200, 60), (64, 50, 120)] {
        let commands = slots * bench.size.of(waves, 6);
        let mut rounds = Vec::new();
        let mut complaint = None;
        for round in 0..bench.rounds().min(3) {
            let target = format!("erp-{slots}-{round}");
            let account = measure(bench, &target, slots, latency_ms, commands).await?;
            if let Err(error) = oracle(bench, &target, &account, commands).await {
                complaint = Some(format!("{error:#}"));
            }
            rounds.push(account);
        }
        let job = format!("adapter with its ledger: {slots} calls at once, {latency_ms} ms each");
        lines.extend(match complaint {
            Some(complaint) => vec![Line::void("8", job, complaint)],
            None => shown(job, slots, &rounds),
        });
    }
    Ok(lines)
}

async fn measure(bench: &mut Bench, target: &str, slots: usize, latency_ms: u64, commands: usize) -> anyhow::Result<Account> {
    let prefix = prefix(target);
    let bus = kafka::settings(&bench.brokers, &prefix);
    let id: TargetId = target.parse()?;
    let input = topics::commands(&id);
    kafka::make(&bus, &[&input, topics::OUTCOMES]).await?;
    let input = bus.topic(&input);
    // All first commands of all orders, then all second ones.
    let all = Commands::new(&input, &id, commands.div_ceil(PER_ORDER))?;
    kafka::fill(&bus, &all.some(0..commands)?).await?;
    let database = bench.databases.fresh().await?;
    let output = bus.topic(topics::OUTCOMES);
    let group = GroupOrders { brokers: bench.brokers.clone(), database, prefix, input, output, records: commands as u64 };
    let orders = AdapterOrders { group, target: target.to_owned(), slots, latency_ms };
    bench.databases.settle().await?;
    let (mut party, _): (_, Ready) = Party::start("adapter", &orders, &bench.log("adapter"), bench.core).await?;
    let account = party.go(PATIENCE).await?;
    party.stop().await;
    Ok(account)
}

fn prefix(target: &str) -> String {
    format!("{target}.")
}

fn shown(job: String, slots: usize, rounds: &[Account]) -> Vec<Line> {
    let rate = |it: &Account| it.calls as f64 / it.seconds;
    let limit = |it: &Account| slots as f64 * 1_000.0 / it.latency_ms;
    let of = |pick: &dyn Fn(&Account) -> f64| Spread::of(rounds.iter().map(pick));
    let (cpu, memory) = (of(&|it| it.work.cpu_us()), of(&|it| it.work.peak_mb).median);
    let measured = format!("{} calls/s, CPU {} µs per command", of(&rate), short(cpu.median));
    vec![
        Line::ratio("8", job, measured, format!("{} calls/s", of(&limit)), of(&|it| rate(it) / limit(it)), Target::AtLeast(0.95, "")),
        Line::figure(
            "16",
            format!("adapter: most memory, {slots} calls at once"),
            memory,
            format!("{} MB", short(memory)),
            String::new(),
            Target::AtMost(40.0, " MB"),
        ),
    ]
}

async fn oracle(bench: &Bench, target: &str, account: &Account, commands: usize) -> anyhow::Result<()> {
    ensure!(account.calls == commands as u64, "{} calls for {commands} commands", account.calls);
    ensure!(account.disorder == 0, "{} calls were out of their order's turn", account.disorder);
    let outcomes = kafka::read_all(&bench.brokers, &format!("{}{}", prefix(target), topics::OUTCOMES)).await?;
    ensure!(outcomes.len() == commands, "{} outcomes of {commands} commands", outcomes.len());
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(300);
