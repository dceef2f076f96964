//! Row 7: a backlog of a million commands against an ERP that takes whatever comes. What lies in Kafka must not lie in memory:
//! the adapter is as big at the end as it was after a tenth.
//!
//! Oracle: the ERP's own log. Of each order every command that was done was done once and in its order.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use contracts::topics;
use domain::TargetId;

use super::Bench;
use crate::commands::Commands;
use crate::erp::{Effect, Erp};
use crate::kafka;
use crate::parties::Ready;
use crate::parties::adapter::{Farewell, LastingOrders};
use crate::parties::groups::GroupOrders;
use crate::process::{Party, cpu_seconds, memory_mb};
use crate::stats::short;
use crate::table::{Line, Target};

const SLOTS: usize = 64;
const BUNDLE: usize = 500;

pub(super) async fn row(bench: &mut Bench) -> anyhow::Result<Vec<Line>> {
    let commands = bench.size.of(1_000_000, 10_000);
    let target: TargetId = "backlog".parse()?;
    let bus = kafka::settings(&bench.brokers, "backlog.");
    let input = topics::commands(&target);
    kafka::make(&bus, &[&input, topics::OUTCOMES]).await?;
    let input = bus.topic(&input);
    let all = Commands::new(&input, &target, BUNDLE)?;
    for first in (0..commands).step_by(10_000) {
        kafka::fill(&bus, &all.some(first..commands.min(first + 10_000))?).await?;
    }

    let erp = Erp::open(Duration::ZERO).await?;
    let group = GroupOrders {
        brokers: bench.brokers.clone(),
        database: bench.databases.fresh().await?,
        prefix: bus.prefix.clone(),
        output: bus.topic(topics::OUTCOMES),
        input,
        records: commands as u64,
    };
    let orders = LastingOrders { group, target: target.to_string(), slots: SLOTS, erp: erp.address };
    bench.databases.settle().await?;
    let (mut party, _): (_, Ready) = Party::start("lasting-adapter", &orders, &bench.log("backlog"), bench.core).await?;
    let _: Ready = party.go(PATIENCE).await?;
    let drain = watch(&erp, party.pid, commands).await?;
    let _: Farewell = party.go(PATIENCE).await?;
    party.stop().await;
    ensure_in_order(&erp.log().effects)?;
    Ok(shown(&drain, commands))
}

#[derive(Debug, Default)]
struct Drain {
    done: usize,
    seconds: f64,
    cpu_seconds: f64,
    /// Commands done and MB, over the whole of it.
    samples: Vec<(usize, f64)>,
}

/// Until all are done, or for as long as we have.
async fn watch(erp: &Erp, pid: u32, commands: usize) -> anyhow::Result<Drain> {
    let begun = Instant::now();
    while erp.log().effects.is_empty() {
        ensure!(begun.elapsed() < PATIENCE, "nothing was done within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (begun, cpu) = (Instant::now(), cpu_seconds(pid)?);
    let mut drain = Drain::default();
    while drain.done < commands && begun.elapsed() < TIME {
        tokio::time::sleep(SAMPLE).await;
        drain.done = erp.log().effects.len();
        drain.samples.push((drain.done, memory_mb(pid, "VmRSS")?));
    }
    drain.seconds = begun.elapsed().as_secs_f64();
    drain.cpu_seconds = cpu_seconds(pid)? - cpu;
    Ok(drain)
}

fn shown(drain: &Drain, commands: usize) -> Vec<Line> {
    let what = if drain.done >= commands {
        format!("backlog of {commands} commands")
    } else {
        format!("backlog of {commands} commands, the first {} of them in {} s", drain.done, short(drain.seconds))
    };
    let rate = drain.done as f64 / drain.seconds;
    let most = drain.samples.iter().map(|it| it.1).fold(0.0, f64::max);
    let (early, late) = (memory_at(drain, 0.1), memory_at(drain, 1.0));
    let growth = (late / early - 1.0) * 100.0;
    let rate_text = format!("{} commands/s, CPU {} µs per command", short(rate), short(drain.cpu_seconds * 1e6 / drain.done as f64));
    let growth_text = format!("{} % : {} MB after a tenth, {} MB at the end", short(growth), short(early), short(late));
    vec![
        Line::figure(
            "7",
            format!("{what}: {SLOTS} calls at once, no latency"),
            rate,
            rate_text,
            String::new(),
            Target::AtLeast(35_000.0, "/s"),
        ),
        Line::figure("7", format!("{what}: most memory"), most, format!("{} MB", short(most)), String::new(), Target::AtMost(96.0, " MB")),
        Line::figure(
            "7",
            format!("{what}: growth from a tenth to the end"),
            growth,
            growth_text,
            String::new(),
            Target::AtMost(10.0, " %"),
        ),
    ]
}

/// The mean around the moment when that share of what was done was done.
fn memory_at(drain: &Drain, share: f64) -> f64 {
    let at = drain.done as f64 * share;
    let reach = drain.done as f64 * 0.02;
    let near = drain.samples.iter().filter(|it| (it.0 as f64 - at).abs() <= reach).map(|it| it.1);
    let (count, sum) = near.fold((0, 0.0), |(count, sum), mb| (count + 1, sum + mb));
    let nearest = || drain.samples.iter().min_by(|a, b| (a.0 as f64 - at).abs().total_cmp(&(b.0 as f64 - at).abs()));
    if count > 0 { sum / f64::from(count) } else { nearest().map_or(f64::NAN, |it| it.1) }
}

fn ensure_in_order(effects: &[Effect]) -> anyhow::Result<()> {
    let mut newest: HashMap<&str, u64> = HashMap::new();
    for effect in effects {
        let newest = newest.entry(&effect.key).or_default();
        ensure!(effect.sequence == *newest + 1, "{}: command {} was done after {}", effect.key, effect.sequence, newest);
        *newest = effect.sequence;
    }
    newest.keys().next().context("nothing was done")?;
    Ok(())
}

/// What a run has for it.
const TIME: Duration = Duration::from_secs(240);
const SAMPLE: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_that_of_the_moment() {
        let drain = Drain { done: 1_000, samples: (0..=100).map(|it| (it * 10, it as f64)).collect(), ..Drain::default() };
        assert!((memory_at(&drain, 0.1) - 10.0).abs() < 0.01);
        assert!((memory_at(&drain, 1.0) - 99.0).abs() < 0.01);
        let sparse = Drain { done: 10, samples: vec![(4, 7.0), (10, 9.0)], ..Drain::default() };
        assert!((memory_at(&sparse, 0.1) - 7.0).abs() < 0.01);
    }
}
