//! What stands in a document.

use std::collections::BTreeSet;

/// Targets of links within the checkout. Links in code are examples.
pub(crate) fn links(text: &str) -> Vec<String> {
    let prose = without_code(text);
    let targets = prose.match_indices("](").filter_map(|(at, _)| prose[at + 2..].split(')').next().map(str::to_owned));
    targets.filter(|it| !it.contains("://") && !it.starts_with("mailto:")).collect()
}

/// As a forge names them: lower case, without signs, blanks as dashes.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#')).map(|it| it.trim_start_matches('#').trim().to_lowercase());
    let kept = |it: char| if it == ' ' { Some('-') } else { (it.is_alphanumeric() || it == '-' || it == '_').then_some(it) };
    headings.map(|it| it.chars().filter_map(kept).collect()).collect()
}

/// What stands between backticks in the prose.
pub(crate) fn code_spans(text: &str) -> Vec<String> {
    let mut is_fenced = false;
    let mut spans = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}

/// A path from the root of the checkout, without anything to fill in.
pub(crate) fn is_path(span: &str) -> bool {
    const ROOTS: [&str; 6] = ["crates/", "services/", "tests/", "proto/", "deploy/", "docs/"];
    ROOTS.iter().any(|it| span.starts_with(it)) && !span.contains(['*', '<', '{', ' ', '…'])
}

/// Documents that are named in any text, such as `docs/runbooks/account.md`.
pub(crate) fn documents(text: &str) -> Vec<String> {
    let is_part = |it: char| it.is_ascii_lowercase() || it.is_ascii_uppercase() || it.is_ascii_digit() || "/-_.".contains(it);
    let named = text.match_indices("docs/").map(|(at, _)| {
        let rest = &text[at..];
        &rest[..rest.find(|it| !is_part(it)).unwrap_or(rest.len())]
    });
    named.filter_map(|it| it.split_once(".md").map(|(path, _)| format!("{path}.md"))).collect()
}

/// Names of metrics, with what Prometheus puts behind them.
pub(crate) fn metrics(text: &str) -> BTreeSet<String> {
    let is_part = |it: char| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_';
    let named = text.match_indices("tradewind_").map(|(at, _)| {
        let rest = &text[at..];
        rest[..rest.find(|it| !is_part(it)).unwrap_or(rest.len())].to_owned()
    });
    named.collect()
}

/// The cells of the table below a heading, without the table's head.
pub(crate) fn rows(text: &str, heading: &str) -> Vec<Vec<String>> {
    let below = text.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.starts_with('#'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|it| it.trim().to_owned()).collect();
    below.filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

fn without_code(text: &str) -> String {
    let mut is_fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            // Every second part stands between backticks.
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

#[test]
fn a_document_is_read_as_people_read_it() {
    let text =
        "# One `two` three!\n[a](b.md) and [c](d.md#one) and [e](https://f) `[g](h.md)`\n```\n[i](j.md) `crates/x`\n```\nsee `crates/y`";
    assert_eq!(links(text), ["b.md", "d.md#one"]);
    assert!(anchors(text).contains("one-two-three"));
    assert_eq!(code_spans(text).into_iter().filter(|it| is_path(it)).collect::<Vec<_>>(), ["crates/y"]);
    assert_eq!(documents("(docs/runbooks/account.md) docs/errors/<code>.md"), ["docs/runbooks/account.md"]);
    let table = "## A\n| x |\n|---|\n## B\nsee\n\n| one | two |\n|---|---|\n| a | `b` |\n## C\n| y |";
    assert_eq!(rows(table, "## B"), [["a", "`b`"]]);
    assert_eq!(metrics("`tradewind_a_total{group}`").into_iter().collect::<Vec<_>>(), ["tradewind_a_total"]);
}
