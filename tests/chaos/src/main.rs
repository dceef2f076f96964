//! Runs the product as it is deployed, breaks everything around it by a seed, and asks oracles outside of it whether what it
//! promises still holds. Prints one table; ends with 1 where an invariant does not hold.
//!
//! What breaks, and when, is a pure function of the seed; how the processes interleave is not. So a seed that failed is a good
//! place to look, and a second run of it may pass.

mod directed;
mod figures;
mod inject;
mod invariants;
mod load;
mod lost;
mod mending;
mod proxy;
mod report;
mod resources;
mod rest;
mod run;
mod schedule;
mod seconds;
mod shrink;
mod unseen;
mod watch;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

use figures::Figures;
use report::Report;
use schedule::Plan;

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
    /// Times the usual pause between two faults, two seconds on average: for a run that is to see more load per fault.
    #[arg(long, value_name = "TIMES", default_value_t = 1)]
    calm: u32,
    /// Break what this file says instead of what the seed draws: one that a failed run has kept.
    #[arg(long, conflicts_with_all = ["seed", "seconds", "rate", "calm"])]
    schedule: Option<PathBuf>,
    /// Leave out so many of the planned faults, by their numbers in the printed plan: to find out which of them matters.
    #[arg(long, value_delimiter = ',')]
    without: Vec<usize>,
    /// After a failure, run again with fewer faults for up to so many minutes, and keep the smallest schedule that still fails.
    #[arg(long, default_value_t = 0)]
    shrink: u64,
    /// Nothing breaks at random: each process dies so many times at each of its kill points.
    #[arg(long, value_name = "TIMES", default_value_t = 0)]
    kill_points: usize,
    /// Nothing breaks at random: so many processes are asked to end, one after the other, each within its grace period.
    #[arg(long, value_name = "TIMES", default_value_t = 0, conflicts_with = "kill_points")]
    ends: usize,
    /// Nothing breaks at random: each part is away, or silent, once, for longer than our time-outs, sessions and leases last.
    #[arg(long, conflicts_with_all = ["kill_points", "ends"])]
    long: bool,
    /// At those kill points only whose names begin so, such as `letter.`: to find out more about one of them.
    #[arg(long, value_name = "NAME", default_value = "")]
    kill_at: String,
    /// It does not die there but stands still for so many seconds, and then goes on. After 25 its membership and its claims in the
    /// ERP are over, after 70 those on letters and on the spool as well: others have taken over.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    stall: u64,
    /// So many runs, each with the next seed; one table at the end.
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Add the figures of each run to this file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Run nothing: print the table of the runs in this file.
    #[arg(long, value_name = "FILE")]
    sum: Option<PathBuf>,
    /// The folder of the programs, where they are not beside this one.
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

impl Args {
    fn plan(&self, seed: u64) -> anyhow::Result<Plan> {
        let mut plan = match &self.schedule {
            Some(path) => Plan::read(path)?,
            None => {
                let (kill_points, kill_at, stall) = (self.kill_points, self.kill_at.clone(), Duration::from_secs(self.stall));
                // The more there is to mend, the longer it takes.
                let patience = schedule::patience() + self.seconds / 4;
                let faults = match (self.kill_points, self.ends) {
                    (0, 0) if self.long => schedule::long(seed),
                    (0, 0) => schedule::schedule(seed, Duration::from_secs(self.seconds), self.calm),
                    (0, ends) => schedule::ends(seed, ends),
                    _ => Vec::new(),
                };
                Plan { seed, rate: self.rate, kill_points, kill_at, kill_in: String::new(), stall, patience, faults }
            }
        };
        for (number, it) in plan.faults.iter().enumerate() {
            eprintln!("{number:>4}  {it}{}", if self.without.contains(&number) { "  (left out)" } else { "" });
        }
        let mut number = 0..;
        plan.faults.retain(|_| number.next().is_none_or(|it| !self.without.contains(&it)));
        Ok(plan)
    }

    async fn run(&self, seed: u64) -> anyhow::Result<Report> {
        let plan = self.plan(seed)?;
        if plan.kill_points > 0 {
            directed::are_armed().await?;
        }
        let report = run::run(&plan).await?;
        println!("{report}");
        if let Some(file) = &self.out {
            report.figures.append(file)?;
        }
        if let Some(kept) = report.kept.as_ref().filter(|_| self.shrink > 0) {
            let fewer = shrink::shrink(&plan, &report, Duration::from_secs(60 * self.shrink)).await?;
            let path = kept.join("shrunk.json");
            fewer.write(&path)?;
            // What the runs since have printed is long.
            println!("\n{report}");
            println!("{} of {} faults are enough: chaos --schedule {}", fewer.faults.len(), plan.faults.len(), path.display());
        }
        Ok(report)
    }
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(file) = &args.sum {
        print!("{}", figures::table(&Figures::read_all(file)?));
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(folder) = &args.programs {
        e2e::take_programs_from(folder.clone());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let stop = runtime.block_on(async { service_kit::signals::stop_token() })?;
    let mut runs = Vec::new();
    for seed in args.seed..args.seed + args.runs {
        // What a run has started ends with it, also where it is left in the middle.
        let report = runtime.block_on(stop.run_until_cancelled(args.run(seed))).context("asked to stop")??;
        let holds = report.holds();
        runs.push(report.figures);
        if !holds {
            return Ok(ExitCode::FAILURE);
        }
    }
    if runs.len() > 1 {
        print!("\n{}", figures::table(&runs));
    }
    Ok(ExitCode::SUCCESS)
}
