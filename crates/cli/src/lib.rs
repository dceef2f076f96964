//! The command line of an installation: look, explain, replay, set up; and all of the product in one process.

mod args;
mod commands;
mod config;
mod dev;
mod exit;
mod installation;
mod print;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Args, Command};
use config::Settings;
use print::Printer;

/// Parses the command line, runs the command, prints what went wrong with what to do about it.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("tradewind: no threads to run on: {error}");
            return exit::UNAVAILABLE.into();
        }
    };
    http_kit::install_crypto();
    let outcome = runtime.block_on(run(args));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("tradewind: {error:#}");
            exit::of(&error).into()
        }
    }
}

async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let printer = Printer { json: args.json };
    let settings =
        || -> anyhow::Result<Settings> { Ok(service_kit::settings::load(config::DEFAULTS, args.config.as_deref(), "TRADEWIND")?) };
    match args.command {
        Command::Dev(dev) => commands::dev::run(dev, printer).await,
        Command::Account(account) => commands::account::run(account, &settings()?, printer).await,
        Command::Backfill(backfill) => commands::backfill::run(backfill, &settings()?, printer).await,
        Command::Trace(trace) => commands::trace::run(trace, &settings()?, printer).await,
        Command::Dlq { command } => commands::dlq::run(command, &settings()?, printer).await,
        Command::Topics { command } => commands::topics::run(command, &settings()?, printer).await,
        Command::Rules { command } => commands::rules::run(command, printer),
        Command::Connectors => commands::connectors::run(printer),
        Command::Migrate(migrate) => commands::migrate::run(migrate, &settings()?, printer).await,
        Command::Sandbox(sandbox) => commands::sandbox::run(sandbox, printer).await,
        Command::LocalConfig(local) => commands::local_config::run(&local),
        Command::Completions { shell } => {
            args::completions(shell);
            Ok(ExitCode::SUCCESS)
        }
    }
}
