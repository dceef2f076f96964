//! Runs the product as it is deployed, breaks everything around it by a seed, and asks oracles outside of it whether what it
//! promises still holds. Prints one table; ends with 1 where an invariant does not hold.
//!
//! What breaks, and when, is a pure function of the seed; how the processes interleave is not. So a seed that failed is a good
//! place to look, and a second run of it may pass.

mod inject;
mod invariants;
mod load;
mod proxy;
mod report;
mod resources;
mod run;
mod schedule;
mod watch;
mod world;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

/// Breaks everything around the product, and asks whether what it promises still holds.
#[derive(Debug, Parser)]
#[command(name = "chaos", after_help = "Build the programs first: `make chaos` does both.")]
struct Args {
    /// Draws the load and what breaks when.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Time in which things break, in seconds; the start, the rest and the checks come on top.
    #[arg(long, default_value_t = 150)]
    seconds: u64,
    /// What happens in the shop and the ERP, in one second.
    #[arg(long, default_value_t = 6.0)]
    rate: f64,
    /// Leave out so many of the planned faults, by their numbers in the printed plan: to find out which of them matters.
    #[arg(long, value_delimiter = ',')]
    without: Vec<usize>,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut planned = schedule::schedule(args.seed, Duration::from_secs(args.seconds));
    for (number, it) in planned.iter().enumerate() {
        eprintln!("{number:>4}  {it}{}", if args.without.contains(&number) { "  (left out)" } else { "" });
    }
    let mut number = 0..;
    planned.retain(|_| number.next().is_none_or(|it| !args.without.contains(&it)));
    let report = runtime.block_on(run::run(args.seed, args.rate, &planned))?;
    println!("{report}");
    Ok(if report.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
