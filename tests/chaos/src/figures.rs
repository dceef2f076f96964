//! The numbers of a run, and of several runs together.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::schedule::Plan;
use crate::seconds;

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) seed: u64,
    /// By kind.
    pub(crate) faults: BTreeMap<String, usize>,
    pub(crate) sent: usize,
    pub(crate) acked: usize,
    pub(crate) orders: u64,
    /// Deliveries that were sent again, were no orders, were forged.
    pub(crate) odd: [u64; 3],
    pub(crate) applied: usize,
    pub(crate) requests: usize,
    /// From the end of a fault to the next effect in the ERP.
    #[serde(with = "seconds")]
    pub(crate) slowest_heal: Duration,
    /// From the end of the last fault until nothing was in flight.
    #[serde(with = "seconds")]
    pub(crate) settled_in: Duration,
    #[serde(with = "seconds")]
    pub(crate) took: Duration,
    /// How much is wrong, by invariant; those with 0 hold.
    pub(crate) wrong: BTreeMap<String, usize>,
}

impl Figures {
    /// Of a run that is about to begin.
    pub(crate) fn of(plan: &Plan) -> Self {
        let mut faults = BTreeMap::new();
        for it in &plan.faults {
            *faults.entry(it.fault.kind()).or_default() += 1;
        }
        Self { seed: plan.seed, faults, ..Self::default() }
    }

    /// I24: 1 where the ERP is asked for nothing twice.
    pub(crate) fn requests_per_effect(&self) -> f64 {
        self.requests as f64 / self.applied.max(1) as f64
    }

    /// Lost, applied twice, out of order.
    pub(crate) fn violations(&self) -> [usize; 3] {
        let found = |ids: &[&str]| -> usize { ids.iter().filter_map(|id| self.wrong.get(*id)).sum() };
        [found(&["I1"]), found(&["I3"]), found(&["I7", "I8"])]
    }

    fn faults(&self) -> usize {
        self.faults.values().sum()
    }

    /// One more line of a file of them.
    pub(crate) fn append(&self, path: &Path) -> anyhow::Result<()> {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        Ok(writeln!(file, "{}", serde_json::to_string(self)?)?)
    }

    pub(crate) fn read_all(path: &Path) -> anyhow::Result<Vec<Self>> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
        text.lines().map(|it| serde_json::from_str(it).with_context(|| format!("{}: {it}", path.display()))).collect()
    }
}

/// Runs one below the other, their sum, what broke and what held.
pub(crate) fn table(runs: &[Figures]) -> String {
    let mut text = "| seed | faults | sent | acked | orders | asked of the ERP | applied | asked per effect | slowest first effect | settled in | took | lost | twice | out of order | all that is wrong |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n".to_owned();
    let mut sum = Figures::default();
    for run in runs {
        row(&mut text, &run.seed.to_string(), run);
        add(&mut sum, run);
    }
    row(&mut text, "all", &sum);
    let kinds: Vec<String> = sum.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    let held: Vec<String> = sum.wrong.iter().map(|(id, wrong)| format!("{id} {wrong}")).collect();
    text + &format!("\nfaults: {}\n\nfound wrong: {}\n", kinds.join(", "), held.join(", "))
}

fn row(text: &mut String, name: &str, of: &Figures) {
    let seconds = |it: Duration| it.as_secs_f64();
    let ([lost, twice, out_of_order], wrong) = (of.violations(), of.wrong.values().sum::<usize>());
    let line = format!(
        "| {name} | {} | {} | {} | {} | {} | {} | {:.2} | {:.1} s | {:.1} s | {:.0} s | {lost} | {twice} | {out_of_order} | {wrong} |",
        of.faults(),
        of.sent,
        of.acked,
        of.orders,
        of.requests,
        of.applied,
        of.requests_per_effect(),
        seconds(of.slowest_heal),
        seconds(of.settled_in),
        seconds(of.took),
    );
    writeln!(text, "{line}").expect("text has room");
}

fn add(sum: &mut Figures, run: &Figures) {
    for (kind, count) in &run.faults {
        *sum.faults.entry(kind.clone()).or_default() += count;
    }
    for (id, wrong) in &run.wrong {
        *sum.wrong.entry(id.clone()).or_default() += wrong;
    }
    sum.sent += run.sent;
    sum.acked += run.acked;
    sum.orders += run.orders;
    sum.applied += run.applied;
    sum.requests += run.requests;
    sum.slowest_heal = sum.slowest_heal.max(run.slowest_heal);
    sum.settled_in = sum.settled_in.max(run.settled_in);
    sum.took += run.took;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_kept_in_a_file_and_summed_up() {
        let run = |seed, wrong| Figures {
            seed,
            faults: [("kafkakilled".to_owned(), 2)].into(),
            sent: 10,
            acked: 9,
            requests: 12,
            applied: 10,
            settled_in: Duration::from_millis(500 * seed),
            wrong: [("I1", 0), ("I3", wrong), ("I7", 1), ("I8", 1)].map(|(id, found)| (id.to_owned(), found)).into(),
            ..Figures::default()
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("runs.jsonl");
        run(1, 0).append(&path).unwrap();
        run(2, 3).append(&path).unwrap();
        let runs = Figures::read_all(&path).unwrap();
        assert_eq!(runs, [run(1, 0), run(2, 3)]);
        let table = table(&runs);
        assert!(table.contains("| all | 4 | 20 | 18 | 0 | 24 | 20 | 1.20 | 0.0 s | 1.0 s | 0 s | 0 | 3 | 4 | 7 |"), "{table}");
        assert!(table.ends_with("faults: kafkakilled 4\n\nfound wrong: I1 0, I3 3, I7 2, I8 2\n"), "{table}");
    }
}
