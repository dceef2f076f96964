//! `tradewind account`: the sum of everything that was accepted, and its two checks.

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum as _;
use dead_letter_replayer::accounting::{Accountant, STATES};
use store::Store;
use store::account::{self, CheckOf, Item, Items, Part};

use crate::args::{Account, AccountCommand, AccountPart, AccountState, By};
use crate::config::Settings;
use crate::exit;
use crate::print::{Printer, table};

pub(crate) async fn run(args: Account, settings: &Settings, printer: Printer) -> anyhow::Result<ExitCode> {
    let store = Store::open(&settings.store).await.context("the database can't be reached")?;
    let accountant = Accountant::new(store, settings.bus.clone(), &settings.installation.targets())?;
    if let Some(AccountCommand::Ids { part, state, limit, after }) = args.command {
        let items = accountant.items(&asked_for(part, state), after.as_ref(), limit).await.context("the ids could not be listed")?;
        printer.print(&items, listed);
        return Ok(ExitCode::SUCCESS);
    }
    let account = accountant.account_of(&asked_for(args.part, None)).await.context("the account could not be added up")?;
    printer.print(&account, |it| text(it, &args.by));
    Ok(exit_code(&account))
}

fn asked_for(part: AccountPart, state: Option<AccountState>) -> Part {
    let state = state.and_then(|it| it.to_possible_value()).map(|it| it.get_name().to_owned());
    Part { since: part.since, until: part.until, source: part.connection, kind: part.entity, group: part.group, state }
}

/// Scripts tell by it which of the checks fails.
fn exit_code(account: &account::Account) -> ExitCode {
    let fails = |of| account.checks.iter().any(|it| it.of == of && !it.holds);
    match (fails(CheckOf::RawRecords), fails(CheckOf::Answers)) {
        (false, false) => ExitCode::SUCCESS,
        (true, false) => exit::RAW_RECORDS.into(),
        (false, true) => exit::ANSWERS.into(),
        (true, true) => exit::RAW_RECORDS_AND_ANSWERS.into(),
    }
}

/// One line per group and what was asked for, one column per state; the reasons and checks below.
pub(crate) fn text(account: &account::Account, by: &[By]) -> String {
    let keys = |line: &account::Line| {
        let key = |it: &By| if *it == By::Connection { line.source.clone() } else { line.kind.clone() };
        by.iter().map(key).chain([line.group.clone()]).collect::<Vec<_>>()
    };
    let mut sums: BTreeMap<Vec<String>, BTreeMap<&str, i64>> = BTreeMap::new();
    for line in &account.lines {
        *sums.entry(keys(line)).or_default().entry(&line.state).or_default() += line.count;
    }
    let row = |(keys, states): (Vec<String>, BTreeMap<&str, i64>)| {
        let count = |state: &str| states.get(state).copied().unwrap_or(0).to_string();
        let total: i64 = states.values().sum();
        keys.into_iter().chain([total.to_string()]).chain(STATES.map(count)).chain([count("missing")]).collect()
    };
    let by = by.iter().map(|it| if *it == By::Connection { "connection" } else { "entity" });
    let head: Vec<_> =
        by.chain(["answered by", "owed", "applied", "superseded", "held", "dead", "discarded", "in flight", "missing"]).collect();
    let mut out = table(&head, &sums.into_iter().map(row).collect::<Vec<_>>());
    if account.without_time > 0 {
        out += &format!("\nin no window, because they are unread or their rows went with their age: {}\n", account.without_time);
    }
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

fn listed(page: &Items) -> String {
    let row = |it: &Item| {
        let reason = it.reason.clone().unwrap_or_default();
        let time = it.taken_at.format("%F %T").to_string();
        vec![time, it.state.clone(), it.group.clone(), it.aggregate.clone(), it.event_id.to_string(), reason]
    };
    let mut out = table(&["taken on", "state", "answered by", "key", "id", "reason"], &page.items.iter().map(row).collect::<Vec<_>>());
    if page.unlisted > 0 {
        out += &format!("\nbesides, {} without an id: unread, or their rows went with their age\n", page.unlisted);
    }
    if let Some(next) = &page.next {
        out += &format!("\nthere are more: --after {next}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use store::account::{Check, Line};

    use super::*;

    fn account(raw_records: bool, answers: bool) -> account::Account {
        let line = |source: &str, kind: &str, state: &str, count| Line {
            group: "order-router".to_owned(),
            source: source.to_owned(),
            kind: kind.to_owned(),
            state: state.to_owned(),
            reason: None,
            count,
        };
        let check = |of, holds| Check { of, name: "a check", holds, detail: String::new() };
        account::Account {
            lines: vec![
                line("shop-eu", "order", "applied", 5),
                line("shop-eu", "refund", "dead", 1),
                line("shop-us", "order", "applied", 7),
            ],
            without_time: 0,
            repeats: 0,
            checks: vec![check(CheckOf::RawRecords, raw_records), check(CheckOf::Answers, answers)],
        }
    }

    #[test]
    fn each_check_has_an_exit_code_of_its_own() {
        let codes = [(true, true), (false, true), (true, false), (false, false)].map(|(raw, answers)| exit_code(&account(raw, answers)));
        assert_eq!(codes, [0, 3, 4, 5].map(ExitCode::from));
    }

    #[test]
    fn rows_are_by_what_was_asked_for() {
        let rows = |by: &[By]| text(&account(true, true), by).lines().skip(1).take_while(|it| !it.is_empty()).count();
        assert_eq!((rows(&[By::Connection]), rows(&[By::Entity]), rows(&[By::Connection, By::Entity])), (2, 2, 3));
        let by_entity = text(&account(true, true), &[By::Entity]);
        assert!(by_entity.contains("order   order-router    12       12"), "{by_entity}");
    }
}
