//! The table at the end.

use std::fmt;
use std::path::PathBuf;

use crate::directed::{Deaths, Place};
use crate::figures::Figures;
use crate::invariants::Invariant;
use crate::schedule::Plan;

pub(crate) struct Report {
    pub(crate) figures: Figures,
    pub(crate) deaths: Option<Deaths>,
    pub(crate) invariants: Vec<Invariant>,
    /// Why there was nothing to ask the checkers about.
    pub(crate) broke_off: Option<String>,
    /// Where the schedule and the logs are, if they were kept.
    pub(crate) kept: Option<PathBuf>,
}

impl Report {
    /// Of a run that is about to begin.
    pub(crate) fn of(plan: &Plan) -> Self {
        Self { figures: Figures::of(plan), deaths: None, invariants: Vec::new(), broke_off: None, kept: None }
    }

    /// When everything was asked.
    pub(crate) fn count_what_is_wrong(&mut self) {
        let asked = self.invariants.iter().map(|it| (it.id.to_owned(), it.finding.as_ref().err().map_or(0, Vec::len)));
        self.figures.wrong = asked.chain(self.broke_off.iter().map(|_| ("run".to_owned(), 1))).collect();
    }

    pub(crate) fn holds(&self) -> bool {
        self.red().is_empty()
    }

    /// The invariants that do not hold; `run` stands for a run that broke off.
    pub(crate) fn red(&self) -> Vec<&'static str> {
        let invariants = self.invariants.iter().filter(|it| it.finding.is_err()).map(|it| it.id);
        self.broke_off.iter().map(|_| "run").chain(invariants).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| invariant | holds | of |\n|---|---|---|")?;
        for it in &self.invariants {
            let (holds, of) = match &it.finding {
                Ok(shown) => ("yes", shown.clone()),
                Err(wrong) => ("**no**", format!("{} found", wrong.len())),
            };
            writeln!(f, "| {} {} | {holds} | {of} |", it.id, it.says)?;
        }
        writeln!(f)?;
        for it in &self.invariants {
            for wrong in it.finding.as_ref().err().into_iter().flatten().take(SHOWN) {
                writeln!(f, "{}: {wrong}", it.id)?;
            }
        }
        if let Some(deaths) = &self.deaths {
            writeln!(f, "| died | at | when | times |\n|---|---|---|---|")?;
            for (Place { point, program }, times) in &deaths.at {
                writeln!(f, "| {} | {} | {} | {times} |", program.name(), point.name(), point.says())?;
            }
        }
        let it = &self.figures;
        let [again, poison, forged] = it.odd;
        let faults: usize = it.faults.values().sum();
        let kinds: Vec<String> = it.faults.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        if faults > 0 {
            writeln!(f, "\nfaults: {faults} ({})", kinds.join(", "))?;
        }
        if let Some(deaths) = &self.deaths {
            writeln!(f, "\ndeaths: {}", deaths.at.values().sum::<usize>())?;
        }
        writeln!(
            f,
            "deliveries: {} sent, {} acked; {again} sent again, {poison} no orders, {forged} forged; {} orders",
            it.sent, it.acked, it.orders
        )?;
        let [lost, twice, out_of_order] = it.violations();
        writeln!(f, "lost {lost} (I1), applied twice {twice} (I3), out of order {out_of_order} (I7, I8)")?;
        let ratio = it.requests_per_effect();
        writeln!(f, "I24, a number: {} writes asked of the ERP, {} applied, {ratio:.2} asked per effect", it.requests, it.applied)?;
        writeln!(
            f,
            "slowest first effect after a fault {:.1} s; all settled {:.1} s after the last one; seed {}, {:.0} s in all",
            it.slowest_heal.as_secs_f64(),
            it.settled_in.as_secs_f64(),
            it.seed,
            it.took.as_secs_f64()
        )?;
        let red = self.red();
        if !red.is_empty() {
            writeln!(f, "red: {}", red.join(" "))?;
        }
        if let Some(why) = &self.broke_off {
            writeln!(f, "it broke off: {why}")?;
        }
        if let Some(kept) = &self.kept {
            let kept = kept.display();
            writeln!(f, "schedule and logs are kept in {kept}; the same again: chaos --schedule {kept}/schedule.json")?;
        }
        write!(f, "{}", if self.holds() { "everything holds" } else { "NOT everything holds" })
    }
}

/// Of each invariant: the first ones tell the rest.
const SHOWN: usize = 10;
