//! `tradewind connectors`: what each step of each operation promises. The one place that says what can't be promised.

use std::process::ExitCode;

use connector::erp::Guarantee;
use serde::Serialize;

use crate::print::{Printer, table};

#[derive(Serialize)]
struct Promise {
    platform: &'static str,
    operation: &'static str,
    step: &'static str,
    guarantee: Guarantee,
    unknown_answer: &'static str,
}

const GAP: &str = "\
A process that is stopped between the last look at its lease and the write to the socket, for longer than the lease, may send
after another one has sent. idempotency_key and upsert steps are exactly once even then; unique steps as well, the target
refuses the second; lookup steps are exactly once except in that gap; a step with no guarantee is never sent twice by us: it
becomes a letter of class `ambiguous`, and a person decides.
";

impl Promise {
    fn guarantee(&self) -> String {
        serde_json::to_value(self.guarantee).ok().and_then(|it| it.as_str().map(ToOwned::to_owned)).unwrap_or_default()
    }
}

pub(crate) fn run(printer: Printer) -> anyhow::Result<ExitCode> {
    printer.print(&promises(), |promises| {
        let row = |it: &Promise| {
            vec![it.platform.to_owned(), it.operation.to_owned(), it.step.to_owned(), it.guarantee(), it.unknown_answer.to_owned()]
        };
        let head = ["platform", "operation", "step", "guarantee", "after an answer that can't be trusted"];
        format!("{}\n{GAP}", table(&head, &promises.iter().map(row).collect::<Vec<_>>()))
    });
    Ok(ExitCode::SUCCESS)
}

fn promises() -> Vec<Promise> {
    let mut promises = Vec::new();
    for (platform, operations) in crate::dev::platforms().guarantees() {
        for operation in operations {
            for (step, guarantee) in operation.steps {
                promises.push(Promise { platform, operation: operation.operation, step, guarantee, unknown_answer: resolution(guarantee) });
            }
        }
    }
    promises
}

fn resolution(guarantee: Guarantee) -> &'static str {
    match guarantee {
        Guarantee::IdempotencyKey => "the same request again, under the same key",
        Guarantee::Upsert => "the same request again: it names the whole state",
        Guarantee::Unique => "one look, then again where nothing is there: the target refuses a second one",
        Guarantee::Lookup => "two spaced look-ups, then decide",
        Guarantee::None => "a letter: a person decides",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page has the same matrix, for those who have no command line at hand.
    #[test]
    fn the_page_says_what_is_printed() {
        const PAGE: &str = include_str!("../../../../docs/guarantees.md");
        let row = |it: &Promise| format!("| {} | {} | {} | `{}` |", it.platform, it.operation, it.step, it.guarantee());
        let printed: Vec<_> = promises().iter().map(row).collect();
        let written: Vec<_> = PAGE.lines().filter(|it| it.starts_with("| ") && it.ends_with("` |")).collect();
        assert_eq!(written, printed, "docs/guarantees.md and `tradewind connectors` differ");
        let paragraph = PAGE.split("\n\n").find(|it| it.starts_with("A process that is stopped")).expect("the gap is told");
        assert_eq!(paragraph.split_whitespace().collect::<Vec<_>>(), GAP.split_whitespace().collect::<Vec<_>>());
    }
}
