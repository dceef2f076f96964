//! `tradewind rules check`: what is wrong in a rules file, before it is rolled out.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context as _;
use domain::TargetId;
use serde::Serialize;

use crate::args::Rules;
use crate::exit;
use crate::print::Printer;

#[derive(Serialize)]
struct Checked {
    problems: Vec<String>,
}

pub(crate) fn run(command: Rules, printer: Printer) -> anyhow::Result<ExitCode> {
    let Rules::Check { file, target } = command;
    let text = std::fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?;
    let targets: BTreeSet<TargetId> = target.iter().map(|it| it.parse()).collect::<Result<_, _>>().context("--target")?;
    let known = (!targets.is_empty()).then_some(&targets);
    let problems = mapping::check_text(&file.display().to_string(), &text, known).err().unwrap_or_default();
    let is_good = problems.is_empty();
    printer
        .print(&Checked { problems }, |it| if it.problems.is_empty() { "the rules are good".to_owned() } else { it.problems.join("\n") });
    Ok(if is_good { ExitCode::SUCCESS } else { exit::NOT_GOOD.into() })
}
