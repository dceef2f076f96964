//! What breaks, and when: a pure function of the seed, or what a file says.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use e2e::Program;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::proxy::Toxic;
use crate::seconds;
use crate::world::{Edge, Which};

/// All that a run can be repeated from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Plan {
    /// Draws the load.
    pub(crate) seed: u64,
    /// What happens in the shop and the ERP, in one second.
    pub(crate) rate: f64,
    /// How often each process dies at each of its kill points, when all faults are over.
    #[serde(default)]
    pub(crate) kill_points: usize,
    /// At those only whose names begin so.
    #[serde(default)]
    pub(crate) kill_at: String,
    /// In that part only: a step's name.
    #[serde(default)]
    pub(crate) kill_in: String,
    /// It does not die there but stands still for so long, and then goes on; zero: it dies.
    #[serde(default, with = "seconds")]
    pub(crate) stall: Duration,
    /// For all waits together after the last fault, in seconds.
    #[serde(default = "patience")]
    pub(crate) patience: u64,
    pub(crate) faults: Vec<Planned>,
}

/// Minutes: what had piled up is worked off by two cores that do everything else as well.
pub(crate) fn patience() -> u64 {
    300
}

impl Plan {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("{} can't be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no schedule", path.display()))
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(std::fs::write(path, serde_json::to_string_pretty(self)?)?)
    }

    /// For how long a partition may stand still while things break: a minute more than the longest of them takes.
    pub(crate) fn still_max(&self) -> Duration {
        let longest = self.faults.iter().map(|it| it.lasting).max().unwrap_or_default();
        Duration::from_secs(60) + longest.max(self.stall)
    }

    /// The same with other faults.
    pub(crate) fn with(&self, faults: &[Planned]) -> Self {
        Self { faults: faults.to_vec(), ..self.clone() }
    }
}

/// One thing that goes wrong, for as long as the schedule says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fault {
    KafkaKilled,
    KafkaFrozen,
    PostgresKilled,
    PostgresFrozen,
    /// Every session of ours is ended, in the middle of whatever it does.
    SessionsEnded,
    /// The same, and there is no room for others.
    SessionsRefused,
    /// Somebody locks a table that everybody writes to.
    TableLocked,
    /// The way between two parties.
    Way(Edge, Toxic),
    /// SIGKILL; started again at once.
    Killed(Program, Which),
    /// SIGTERM; started again when it has ended.
    Ended(Program, Which),
    /// SIGSTOP.
    Frozen(Program, Which),
    /// How the ERP answers a share of its requests.
    Erp(Answer),
    /// What the shop's API does.
    ShopThrottles,
    ShopFails,
    /// What it would have told is never told.
    WebhooksLost,
    /// While the first one lasts, the others, one after the other.
    Within(Box<Fault>, Vec<Planned>),
}

/// What becomes of a request to the ERP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Fails,
    Away,
    /// 503 with a date to come back.
    AwayUntil,
    TooMany,
    Unauthorized,
    /// Carried out first, then silent until the caller's patience ends.
    AppliedSilence,
    AppliedReset,
    AppliedFails,
    LoginPage,
    HalfBody,
    CutOff,
    InvalidUtf8,
    Drip,
    Endless,
    Redirect,
    /// The port is closed and opened again, several times.
    Flaps,
}

impl Fault {
    /// For counting: without its details.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Way(edge, toxic) => format!("{edge:?} {}", format!("{toxic:?}").split('(').next().unwrap_or_default()).to_lowercase(),
            Self::Killed(program, _) => format!("{} killed", program.name()),
            Self::Ended(program, _) => format!("{} ended", program.name()),
            Self::Frozen(program, _) => format!("{} frozen", program.name()),
            Self::Erp(answer) => format!("erp {answer:?}").to_lowercase(),
            Self::Within(outer, _) => format!("{} and more", outer.kind()),
            other => format!("{other:?}").to_lowercase(),
        }
    }

    /// How long what happens within it takes.
    pub(crate) fn inner(&self) -> Duration {
        match self {
            Self::Within(_, inner) => inner.iter().map(|it| it.after + it.lasting).sum(),
            _ => Duration::ZERO,
        }
    }
}

/// A fault with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Planned {
    /// After the fault before it was over.
    #[serde(with = "seconds")]
    pub(crate) after: Duration,
    #[serde(with = "seconds")]
    pub(crate) lasting: Duration,
    pub(crate) fault: Fault,
}

impl fmt::Display for Planned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} s later, for {:.1} s: {:?}", self.after.as_secs_f64(), self.lasting.as_secs_f64(), self.fault)
    }
}

/// Faults until their time is used up, with `calm` times the usual pauses between them. The first ones are one of each part, so
/// that every run breaks every part at least once.
pub(crate) fn schedule(seed: u64, time: Duration, calm: u32) -> Vec<Planned> {
    let mut draw = StdRng::seed_from_u64(seed);
    let mut planned = Vec::new();
    let mut used = Duration::ZERO;
    while used < time {
        for part in a_round(&mut draw) {
            let mut next = plan(&mut draw, part);
            next.after *= calm;
            used += next.after + next.lasting;
            if used > time {
                return planned;
            }
            planned.push(next);
        }
    }
    planned
}

/// So many processes that are asked to end, one after the other.
pub(crate) fn ends(seed: u64, count: usize) -> Vec<Planned> {
    let mut draw = StdRng::seed_from_u64(seed);
    let end = || {
        let (program, which) = a_process(&mut draw);
        Planned { after: Duration::from_millis(draw.random_range(0..1_000)), lasting: Duration::ZERO, fault: Fault::Ended(program, which) }
    };
    std::iter::repeat_with(end).take(count).collect()
}

/// Each part away, or silent, once: for longer than our time-outs, sessions and leases last.
pub(crate) fn long(seed: u64) -> Vec<Planned> {
    let mut draw = StdRng::seed_from_u64(seed);
    let ways = [Edge::Kafka, Edge::Postgres, Edge::Erp, Edge::Shop].map(|edge| Fault::Way(edge, Toxic::Blackhole));
    let mut faults = vec![Fault::KafkaKilled, Fault::KafkaFrozen, Fault::PostgresKilled, Fault::PostgresFrozen, Fault::Erp(Answer::Away)];
    faults.extend(ways);
    for program in Program::ALL {
        let which = if draw.random_bool(0.5) { Which::First } else { Which::Second };
        faults.push(Fault::Frozen(program, which));
    }
    faults.shuffle(&mut draw);
    let mut plan = |fault| {
        let [after, lasting] = [2_000..6_000, 70_000..100_000].map(|it| Duration::from_millis(draw.random_range(it)));
        Planned { after, lasting, fault }
    };
    faults.into_iter().map(&mut plan).collect()
}

fn a_process(draw: &mut StdRng) -> (Program, Which) {
    let program = *Program::ALL.choose(draw).expect("there are five");
    (program, if draw.random_bool(0.5) { Which::First } else { Which::Second })
}

/// What a round breaks.
#[derive(Debug, Clone, Copy)]
enum Part {
    Kafka,
    Postgres,
    Database,
    Way,
    Service(Program),
    Erp,
    Shop,
}

fn a_round(draw: &mut StdRng) -> Vec<Part> {
    let mut round = vec![Part::Kafka, Part::Postgres, Part::Database, Part::Shop, Part::Erp, Part::Erp, Part::Erp, Part::Way, Part::Way];
    round.extend(Program::ALL.map(Part::Service));
    round.shuffle(draw);
    round
}

fn plan(draw: &mut StdRng, part: Part) -> Planned {
    let planned = plan_one(draw, part);
    // A process that dies while its surroundings are away finds more than one that dies by itself.
    let is_around = matches!(part, Part::Kafka | Part::Postgres | Part::Erp | Part::Way);
    if is_around && draw.random_bool(0.2) { with_a_death(draw, planned) } else { planned }
}

fn with_a_death(draw: &mut StdRng, outer: Planned) -> Planned {
    let (program, which) = a_process(draw);
    let third = Duration::from_millis(outer.lasting.as_millis() as u64 / 3);
    let death = Planned { after: third, lasting: third, fault: Fault::Killed(program, which) };
    Planned { fault: Fault::Within(Box::new(outer.fault), vec![death]), ..outer }
}

fn plan_one(draw: &mut StdRng, part: Part) -> Planned {
    let (fault, longest) = match part {
        Part::Kafka => (if draw.random_bool(0.6) { Fault::KafkaKilled } else { Fault::KafkaFrozen }, 10.0),
        Part::Postgres => (if draw.random_bool(0.6) { Fault::PostgresKilled } else { Fault::PostgresFrozen }, 8.0),
        Part::Database => ([Fault::SessionsEnded, Fault::SessionsRefused, Fault::TableLocked][draw.random_range(0..3)].clone(), 4.0),
        Part::Shop => ([Fault::ShopThrottles, Fault::ShopFails, Fault::WebhooksLost][draw.random_range(0..3)].clone(), 3.0),
        Part::Erp => (Fault::Erp(*ANSWERS.choose(draw).expect("there are some")), 6.0),
        Part::Way => (Fault::Way(*Edge::ALL.choose(draw).expect("there are five"), toxic(draw)), 5.0),
        Part::Service(program) => {
            let which = if draw.random_bool(0.5) { Which::First } else { Which::Second };
            match draw.random_range(0..10) {
                0..6 => (Fault::Killed(program, which), 0.5),
                6..8 => (Fault::Ended(program, which), 0.5),
                // Past the session's time, so that its partitions go to the other one, and short of the lease.
                _ => (Fault::Frozen(program, which), 9.0),
            }
        }
    };
    // Log-uniform, as the times are at which things break: the shortest find other mistakes than the longest.
    let lasting = (0.2_f64.ln() + draw.random_range(0.0..1.0) * (f64::ln(longest) - 0.2_f64.ln())).exp();
    // Whole milliseconds, which a file can say.
    Planned {
        after: Duration::from_millis(draw.random_range(300..4_000)),
        lasting: Duration::from_millis((lasting * 1_000.0) as u64),
        fault,
    }
}

fn toxic(draw: &mut StdRng) -> Toxic {
    match draw.random_range(0..8) {
        0 => Toxic::Latency(Duration::from_millis(draw.random_range(20..400))),
        1 => Toxic::Down,
        2 => Toxic::Blackhole,
        3 => Toxic::HalfOpen,
        4 => Toxic::ResetAfter(draw.random_range(0..4_000)),
        5 => Toxic::EndAfter(draw.random_range(0..4_000)),
        6 => Toxic::Slices(draw.random_range(1..40)),
        _ => Toxic::Bandwidth(draw.random_range(2_000..40_000)),
    }
}

const ANSWERS: [Answer; 16] = [
    Answer::Fails,
    Answer::Away,
    Answer::AwayUntil,
    Answer::TooMany,
    Answer::Unauthorized,
    Answer::AppliedSilence,
    Answer::AppliedReset,
    Answer::AppliedFails,
    Answer::LoginPage,
    Answer::HalfBody,
    Answer::CutOff,
    Answer::InvalidUtf8,
    Answer::Drip,
    Answer::Endless,
    Answer::Redirect,
    Answer::Flaps,
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_schedule_comes_back_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("schedule.json");
        let (stall, faults) = (Duration::from_millis(2_500), schedule(7, MINUTES, 1));
        let plan = Plan {
            seed: 7,
            rate: 6.0,
            kill_points: 0,
            kill_at: String::new(),
            kill_in: String::new(),
            stall,
            patience: patience(),
            faults,
        };
        plan.write(&path).unwrap();
        assert_eq!(Plan::read(&path).unwrap(), plan);
        std::fs::write(&path, "{}").unwrap();
        assert!(Plan::read(&path).unwrap_err().to_string().contains("is no schedule"));
    }

    const MINUTES: Duration = Duration::from_secs(150);

    #[test]
    fn the_same_seed_breaks_the_same_things_at_the_same_times() {
        assert_eq!(schedule(7, MINUTES, 1), schedule(7, MINUTES, 1));
        assert_ne!(schedule(7, MINUTES, 1), schedule(8, MINUTES, 1));
    }

    #[test]
    fn calm_leaves_fewer_faults_of_the_same_kinds() {
        let (usual, calm) = (schedule(7, MINUTES, 1), schedule(7, MINUTES, 3));
        assert!(calm.len() < usual.len());
        for (calm, usual) in calm.iter().zip(&usual) {
            assert_eq!((&calm.fault, calm.lasting, calm.after), (&usual.fault, usual.lasting, usual.after * 3));
        }
    }

    #[test]
    fn every_part_is_away_for_long_once() {
        let planned = long(7);
        let kinds: BTreeSet<_> = planned.iter().map(|it| it.fault.kind()).collect();
        assert_eq!((planned.len(), kinds.len()), (14, 14), "{kinds:?}");
        assert!(planned.iter().all(|it| it.lasting >= Duration::from_secs(70)));
    }

    #[test]
    fn all_processes_are_asked_to_end() {
        let asked: BTreeSet<_> = ends(7, 200).into_iter().map(|it| format!("{:?}", it.fault)).collect();
        assert_eq!(asked.len(), 10, "{asked:?}");
    }

    #[test]
    fn it_keeps_to_its_time_and_breaks_every_part() {
        for seed in 0..50 {
            let planned = schedule(seed, MINUTES, 1);
            assert!(planned.iter().map(|it| it.after + it.lasting).sum::<Duration>() <= MINUTES);
            let kinds: BTreeSet<String> = planned.iter().map(|it| it.fault.kind().split(' ').next().unwrap().to_owned()).collect();
            for part in ["storefront-ingest", "order-router", "erp-adapter", "inventory-sync", "erp"] {
                assert!(kinds.contains(part), "seed {seed} spares {part}: {kinds:?}");
            }
            assert!(kinds.iter().any(|it| it.starts_with("kafka")) && kinds.iter().any(|it| it.starts_with("postgres")), "{kinds:?}");
        }
    }
}
