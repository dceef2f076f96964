//! `tradewind account`: the sum of everything that was accepted, and its two checks.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use dead_letter_replayer::accounting::Accountant;
use store::Store;
use store::account::{self, Item};

use crate::args::Account;
use crate::config::Settings;
use crate::exit;
use crate::print::{Printer, table};

pub(crate) const STATES: [&str; 6] = ["applied", "superseded", "held", "dead", "discarded", "in_flight"];

pub(crate) async fn run(args: Account, settings: &Settings, printer: Printer) -> anyhow::Result<ExitCode> {
    let store = Store::open(&settings.store).await.context("the database can't be reached")?;
    let accountant = Accountant::new(store.clone(), settings.bus.clone(), &settings.installation.targets())?;
    if let (Some(state), Some(group)) = (&args.items, &args.group) {
        let items = account::items(&store, &accountant.scope().await?, group, state, args.limit).await?;
        printer.print(&items, |items| listed(items));
        return Ok(ExitCode::SUCCESS);
    }
    let account = accountant.account().await.context("the account could not be added up")?;
    printer.print(&account, text);
    Ok(if account.balances() { ExitCode::SUCCESS } else { exit::NOT_GOOD.into() })
}

/// One line per source and group, one column per state; the reasons and checks below.
pub(crate) fn text(account: &account::Account) -> String {
    let mut sums: BTreeMap<(&str, &str), BTreeMap<&str, i64>> = BTreeMap::new();
    for line in &account.lines {
        *sums.entry((&line.source, &line.group)).or_default().entry(&line.state).or_default() += line.count;
    }
    let mut rows = Vec::new();
    for ((source, group), states) in &sums {
        let count = |state: &str| states.get(state).copied().unwrap_or(0).to_string();
        let total: i64 = states.values().sum();
        let cells = [(*source).to_owned(), (*group).to_owned(), total.to_string()];
        rows.push(cells.into_iter().chain(STATES.map(count)).chain([count("missing")]).collect());
    }
    let head = ["connection", "answered by", "owed", "applied", "superseded", "held", "dead", "discarded", "in flight", "missing"];
    let mut out = table(&head, &rows);
    out += &format!("\nrepeated deliveries, in no sum: {}\n", account.repeats);
    for line in account.lines.iter().filter(|it| matches!(it.state.as_str(), "dead" | "in_flight" | "discarded")) {
        let reason = line.reason.as_deref().unwrap_or("being worked on");
        out += &format!("  {:>6} {} {} of {} by {}: {reason}\n", line.count, line.state, line.kind, line.source, line.group);
    }
    out += "\n";
    for check in &account.checks {
        let detail = if check.detail.is_empty() { String::new() } else { format!(" ({})", check.detail) };
        out += &format!("[{}] {}{detail}\n", if check.holds { "holds" } else { "FAILS" }, check.name);
    }
    out
}

fn listed(items: &[Item]) -> String {
    let row = |it: &Item| {
        let reason = it.reason.clone().unwrap_or_default();
        vec![it.since.format("%F %T").to_string(), it.state.clone(), it.aggregate.clone(), it.event_id.to_string(), reason]
    };
    table(&["since", "state", "key", "event", "reason"], &items.iter().map(row).collect::<Vec<_>>())
}
