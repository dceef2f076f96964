//! Alerts, the pages that they name and the metrics that they ask for say the same.

#[path = "docs/tree.rs"]
#[allow(dead_code, reason = "the tests of documents read the rest")]
mod tree;

use std::collections::BTreeSet;
use std::fs;

use tree::{repository, sources};

const RULES: &str = "deploy/prometheus/tradewind.rules.yaml";

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn words<'a>(text: &'a str, beginning: &str) -> BTreeSet<&'a str> {
    text.split(|it: char| !(it.is_alphanumeric() || "_-/.".contains(it))).filter(|it| it.starts_with(beginning)).collect()
}

#[test]
fn every_runbook_has_an_alert_and_every_alert_a_runbook() {
    let rules = text(RULES);
    let alerts = rules.matches("- alert: ").count();
    let named: Vec<&str> = rules.lines().filter_map(|it| it.trim().strip_prefix("runbook: ")).collect();
    assert_eq!(named.len(), alerts, "one page each");
    let pages = fs::read_dir(repository().join("docs/runbooks")).expect("they are written");
    let pages: BTreeSet<String> = pages.map(|it| format!("docs/runbooks/{}", it.unwrap().file_name().to_string_lossy())).collect();
    let named: BTreeSet<String> = named.into_iter().map(str::to_owned).chain(["docs/runbooks/README.md".to_owned()]).collect();
    assert_eq!(named, pages);
}

#[test]
fn the_list_of_runbooks_has_every_alert() {
    let list = text("docs/runbooks/README.md");
    let rules = text(RULES);
    for alert in rules.lines().filter_map(|it| it.trim().strip_prefix("- alert: ")) {
        assert!(list.contains(&format!("`{alert}`")), "{alert} is not in docs/runbooks/README.md");
    }
}

/// Prometheus adds `_total` to a counter's name.
#[test]
fn every_metric_that_an_alert_asks_for_is_measured() {
    let rules = text(RULES);
    let sources = sources();
    let metrics = words(&rules, "tradewind_");
    assert!(metrics.len() > 10, "{metrics:?}");
    for metric in metrics {
        let name = metric.strip_suffix("_total").unwrap_or(metric);
        let counter = if name == metric { "gauge(" } else { "counter(" };
        let registered = |text: &str| text.contains(&format!("{counter}\"{name}\")"));
        assert!(sources.iter().any(|it| registered(&it.text)), "{metric} is measured nowhere as a {counter}…)");
    }
}

#[test]
fn every_label_that_an_alert_shows_is_set() {
    let (rules, sources) = (text(RULES), sources());
    let labels: BTreeSet<&str> =
        rules.split("$labels.").skip(1).filter_map(|it| it.split(|it: char| !it.is_alphanumeric()).next()).collect();
    assert!(labels.len() > 3, "{labels:?}");
    for label in labels {
        let set = format!("KeyValue::new(\"{label}\"");
        assert!(sources.iter().any(|it| it.text.contains(&set)), "nothing sets the label {label}");
    }
}

/// A counter appears with its first event, and has not increased by then.
#[test]
fn an_alert_on_any_increase_sees_the_first_event() {
    let rules = text(RULES).split_whitespace().collect::<Vec<_>>().join(" ");
    let increases = rules.split("increase(").skip(1).filter_map(|it| it.split_once("]) > 0"));
    let increases: Vec<_> = increases.filter_map(|(of, rest)| Some((of.split_once('[')?, rest))).collect();
    assert!(increases.len() > 3, "{increases:?}");
    for ((series, window), rest) in increases {
        let first = format!("or ({series} > 0 unless {series} offset {window})");
        assert!(rest.trim_start().starts_with(&first), "{series}: say `{first}` as well");
    }
}
