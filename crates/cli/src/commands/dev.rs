//! `tradewind dev`: everything in one process.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::args::Dev;
use crate::dev::{Running, demo};
use crate::print::Printer;

pub(crate) async fn run(args: Dev, printer: Printer) -> anyhow::Result<ExitCode> {
    let running = Running::start(&args).await?;
    let mut code = ExitCode::SUCCESS;
    if args.demo {
        code = demo::play(&running, &args, printer).await?;
    }
    if !args.demo || args.keep || std::env::var("KEEP").is_ok_and(|it| !it.is_empty() && it != "0") {
        eprintln!("{}", running.addresses());
        eprintln!("Ctrl-C ends it.");
        let stop = service_kit::signals::stop_token().context("signals can't be received")?;
        tokio::select! {
            () = stop.cancelled() => {}
            failed = running.failed() => anyhow::bail!("{failed}"),
        }
    }
    running.stop().await;
    Ok(code)
}
