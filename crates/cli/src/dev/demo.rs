//! A shop's day: what went in, what came out, and whether the two agree.

mod day;
mod report;
mod settle;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sandbox::erp::Item;

use crate::args::{By, Dev, Held};
use crate::commands::{account, dlq};
use crate::dev::Running;
use crate::exit;
use crate::print::Printer;
use report::Report;

/// A SKU that the ERP does not know until somebody adds it.
const MISSING_SKU: &str = "CAP-NEW";

pub(crate) async fn play(running: &Running, args: &Dev, printer: Printer) -> anyhow::Result<ExitCode> {
    let begun = Instant::now();
    eprintln!("dev: embedded broker, a new database per start (the broker forgets, so must it), sandbox shop and ERP, five services");
    let bar = progress(args.orders);
    day::play(running, args, &bar).await?;
    bar.set_message("waiting until everything is settled");
    settle::quiet(running, SETTLE).await?;
    bar.finish_and_clear();

    let letters = letters(running).await?;
    eprintln!("\nthe day is over; what could not be applied:\n{}", dlq::listed(&letters));
    for letter in &letters {
        eprintln!("  look at it:  tradewind --config {} dlq show {}", running.config.display(), letter.id);
    }
    repair(running, &letters).await?;
    settle::quiet(running, SETTLE).await?;
    settle::stock_agrees(running, SETTLE).await?;

    let report = Report::draw(running, begun.elapsed()).await?;
    printer.print(&report, Report::text);
    Ok(if report.is_good() { ExitCode::SUCCESS } else { exit::NOT_GOOD.into() })
}

async fn letters(running: &Running) -> anyhow::Result<Vec<dlq::Letter>> {
    let mut client = dlq::Client::connect(&running.settings.api).await?;
    Ok(client.list(contracts::proto::replay::v1::ListLettersRequest { page_size: 500, ..Default::default() }).await?.0)
}

/// What an operator would do: add the item and replay; discard what is no order.
async fn repair(running: &Running, letters: &[dlq::Letter]) -> anyhow::Result<()> {
    let mut client = dlq::Client::connect(&running.settings.api).await?;
    for letter in letters.iter().filter(|it| it.state == "dead") {
        if letter.message.contains(MISSING_SKU) {
            running.erp.add_item(&Item::new(MISSING_SKU, "Cap", 50)).context("the missing item")?;
            client.replay(&letter.id, "the item was added to the ERP").await?;
            eprintln!("  added {MISSING_SKU} to the ERP and replayed {}", letter.id);
        } else if letter.group == contracts::topics::groups::MAPPER {
            client.discard(&letter.id, "no order: a test of the sender's", Held::Release).await?;
            eprintln!("  discarded {} with a reason", letter.id);
        }
    }
    Ok(())
}

fn progress(orders: u32) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(u64::from(orders)), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} orders  {elapsed}  {msg}").expect("the template is one");
    bar.set_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// As a table, like `tradewind account`.
fn account_text(it: &store::account::Account) -> String {
    account::text(it, &[By::Connection])
}

const SETTLE: Duration = Duration::from_secs(120);
