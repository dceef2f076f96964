//! Directed deaths: one process after the other kills itself at each point where a death must be harmless (`kill-point`), or
//! stands still there until others have taken over from it.
//!
//! The load goes on meanwhile, and at the end the same is asked as of every other run. A point that nobody reaches is a failure
//! of its own: a table that names deaths which never happened proves nothing.

mod calm;
mod deaths;
mod probe;
mod provoke;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use e2e::{Installation, Program};
use kill_point::Point;

use crate::invariants::Invariant;
use crate::run::first_effect;
use crate::schedule::Plan;
use crate::world::Breakable;

use calm::Calm;
use deaths::Ending;
pub(crate) use probe::are_armed;
use provoke::Scene;

/// Where one program dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) point: Point,
    pub(crate) program: Program,
}

/// What came of all deaths.
#[derive(Debug, Default)]
pub(crate) struct Deaths {
    /// How often somebody died there.
    pub(crate) at: BTreeMap<Place, usize>,
    missed: Vec<String>,
    pub(crate) slowest_heal: Duration,
}

impl Deaths {
    /// Not one of those that are asked of every run.
    pub(crate) fn all_happened(&self) -> Invariant {
        let finding = if self.missed.is_empty() { Ok(format!("{} places", self.at.len())) } else { Err(self.missed.clone()) };
        Invariant { id: "K", says: "every kill point was reached", finding }
    }
}

/// Everywhere, or at points that are called as the plan says.
pub(crate) async fn die_everywhere(it: &Installation, parts: &mut Breakable, plan: &Plan) -> anyhow::Result<Deaths> {
    let mut places = places();
    places.retain(|it| it.point.name().starts_with(&plan.kill_at));
    anyhow::ensure!(!places.is_empty(), "no kill point is called `{}`: see crates/kill-point", plan.kill_at);
    anyhow::ensure!(plan.stall.is_zero() || plan.stall >= STALL_MIN, "a standstill takes {STALL_MIN:?} at least");
    let ending = if plan.stall.is_zero() { Ending::Death } else { Ending::Stall(plan.stall) };
    let (mut deaths, mut calm) = (Deaths::default(), Calm::default());
    for repeat in 1..=plan.kill_points {
        for place in &places {
            die(it, parts, *place, Asked { ending, part: &plan.kill_in, repeat }, &mut calm, &mut deaths).await?;
        }
    }
    Ok(deaths)
}

/// Nobody notices a shorter one, the process itself included.
const STALL_MIN: Duration = Duration::from_secs(5);

/// What is to happen at a place.
#[derive(Debug, Clone, Copy)]
struct Asked<'a> {
    ending: Ending,
    /// Only there; empty: wherever.
    part: &'a str,
    repeat: usize,
}

async fn die(
    it: &Installation,
    parts: &mut Breakable,
    place: Place,
    Asked { ending, part, repeat }: Asked<'_>,
    calm: &mut Calm,
    deaths: &mut Deaths,
) -> anyhow::Result<()> {
    let Place { point, program } = place;
    for process in parts.all_of(program) {
        process.ready().await;
    }
    calm.is_back(it, program).await;
    let scene = Scene::of(place);
    let prepared = scene.prepare(it).await?;
    let nth = if scene == Scene::Load { repeat } else { 1 };
    deaths::arm(parts, place, part, ending, nth, scene.asks())?;
    scene.play(it, parts, program, &prepared).await?;
    deaths::await_one(parts, program, scene.asks()).await;
    let died = deaths::disarm(parts, program, ending, scene.asks()).await?;
    calm.died(it, program).await;
    *deaths.at.entry(place).or_default() += died;
    if died == 0 {
        eprintln!("{} never came by {}", program.name(), point.name());
        deaths.missed.push(format!("{} never came by {} (repeat {repeat})", program.name(), point.name()));
        return Ok(());
    }
    let heal = first_effect(it).await;
    eprintln!("{} {} at {}, the next effect came {:.1} s later", program.name(), ending.says(), point.name(), heal.as_secs_f64());
    deaths.slowest_heal = deaths.slowest_heal.max(heal);
    Ok(())
}

/// In turn one of each program, so that one finds its partitions again while others die.
fn places() -> Vec<Place> {
    let mut left = Program::ALL.map(|program| {
        let there = Point::ALL.iter().filter(move |it| it.programs().contains(&program.name()));
        there.map(|point| Place { point: *point, program }).collect::<VecDeque<_>>()
    });
    let mut places = Vec::new();
    while left.iter().any(|it| !it.is_empty()) {
        places.extend(left.iter_mut().filter_map(VecDeque::pop_front));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_dies_at_every_point_that_it_comes_by() {
        let places = places();
        let programs: usize = Point::ALL.iter().map(|it| it.programs().len()).sum();
        assert_eq!(places.len(), programs, "a point names a program that is none");
        assert!(Point::ALL.iter().all(|point| places.iter().any(|it| it.point == *point)));
    }
}
