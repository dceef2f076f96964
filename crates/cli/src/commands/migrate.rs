//! `tradewind migrate`: the schema of this version.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;
use store::Store;

use crate::args::Migrate;
use crate::config::Settings;
use crate::exit;
use crate::print::Printer;

#[derive(Serialize)]
struct Pending {
    pending: usize,
}

pub(crate) async fn run(args: Migrate, settings: &Settings, printer: Printer) -> anyhow::Result<ExitCode> {
    if args.check {
        let store = Store::open(&settings.store).await.context("the database can't be reached")?;
        let pending = store::pending_migrations(&store).await?;
        printer.print(&Pending { pending }, |it| format!("migrations missing: {}", it.pending));
        return Ok(if pending == 0 { ExitCode::SUCCESS } else { exit::NOT_GOOD.into() });
    }
    store::migrate(&settings.store).await.context("the database could not be migrated")?;
    printer.print(&Pending { pending: 0 }, |_| "the database has this version's schema".to_owned());
    Ok(ExitCode::SUCCESS)
}
