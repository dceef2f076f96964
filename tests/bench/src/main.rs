//! Measures the product against what is physically possible on the same machine in the same minute, and prints one table.
//!
//! Each row of the table is a file in [`rows`]. Whatever is measured runs as a process of its own, a *party* (see [`parties`]):
//! the same program with other arguments, pinned to the first core, while broker, database and load generator share the others.
//! A row takes its ratio from one run, in several rounds that alternate; its oracle checks what came out, and a row whose oracle
//! complains has no figure.

mod args;
mod commands;
mod erp;
mod installation;
mod kafka;
mod load;
mod machine;
mod orders;
mod parties;
mod postgres;
mod process;
mod rows;
mod stats;
mod table;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};

fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("bench: no threads to run on: {error}");
            return ExitCode::FAILURE;
        }
    };
    http_kit::install_crypto();
    let outcome = runtime.block_on(async {
        match args.command {
            Command::Run(run) => rows::run(run).await,
            Command::Party { name, orders } => parties::run(&name, &orders).await,
        }
    });
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
