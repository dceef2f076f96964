//! When the other side is away: stop sending, look at short intervals whether it is back, come back in steps.
//!
//! Pure: the caller brings the time. One circuit guards a connection, or one family of operations on it.

use std::time::{Duration, Instant};

use rand::Rng as _;

#[derive(Debug, Clone)]
pub struct CircuitSettings {
    /// Consecutive failures of any kind that open it; an outage opens it at once.
    pub failures_max: u32,
    /// So many failures among the last 64 requests open it as well.
    pub failures_of_64: u32,
    /// Probe interval in the first 30 s: long enough for <= 150 requests in 10 s with those that were on their way, short enough to
    /// see the return within 0.25 s.
    pub probe_first: Duration,
    /// The slowest probe interval of a long outage.
    pub probe_cap: Duration,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self { failures_max: 10, failures_of_64: 32, probe_first: Duration::from_millis(100), probe_cap: Duration::from_secs(15) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        next_probe: Instant,
        probing: bool,
    },
    /// Back: at most `limit` requests at once, a quarter at first, doubled by each success.
    Ramping {
        limit: usize,
    },
}

#[derive(Debug)]
pub struct Circuit {
    settings: CircuitSettings,
    state: State,
    /// Since when nothing has come through but probes. A target that answers those and refuses all else is away, and stays so.
    away_since: Option<Instant>,
    consecutive_failures: u32,
    /// One bit per request since it was last opened, the last one lowest: set where it failed.
    outcomes: u64,
}

impl Circuit {
    pub fn new(settings: CircuitSettings) -> Self {
        Self { settings, state: State::Closed, away_since: None, consecutive_failures: 0, outcomes: 0 }
    }

    /// How many requests may be on the wire of `slots`.
    pub fn limit(&self, slots: usize) -> usize {
        match self.state {
            State::Closed => slots,
            State::Open { .. } => 0,
            State::Ramping { limit } => limit.min(slots),
        }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open { .. })
    }

    /// From the first failure until a request came through; between them it may be tried now and then.
    pub fn is_away(&self) -> bool {
        self.away_since.is_some()
    }

    /// A request came through. A straggler that was sent before the circuit opened does not close it: only a probe does.
    pub fn succeeded(&mut self, slots: usize) {
        self.consecutive_failures = 0;
        self.outcomes <<= 1;
        if !self.is_open() {
            self.away_since = None;
        }
        if let State::Ramping { limit } = self.state {
            self.state = if limit >= slots { State::Closed } else { State::Ramping { limit: limit * 2 } };
        }
    }

    /// A request failed in a way that says nothing about the other side as a whole, unless it keeps happening.
    pub fn failed(&mut self, now: Instant) {
        self.consecutive_failures += 1;
        self.outcomes = self.outcomes << 1 | 1;
        let is_ill = self.consecutive_failures >= self.settings.failures_max || self.outcomes.count_ones() >= self.settings.failures_of_64;
        if is_ill {
            self.open(now, None);
        }
    }

    /// The other side is away. `retry_after`: it said for how long, and is not asked before.
    pub fn open(&mut self, now: Instant, retry_after: Option<Duration>) {
        self.away_since.get_or_insert(now);
        self.outcomes = 0;
        let asked = now + retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        match &mut self.state {
            State::Open { next_probe, .. } => *next_probe = asked.max(*next_probe),
            _ => self.state = State::Open { next_probe: asked.max(self.next_look(now)), probing: false },
        }
    }

    /// True once per interval while open: the caller probes and reports with [`Circuit::probed`].
    pub fn wants_probe(&mut self, now: Instant) -> bool {
        match &mut self.state {
            State::Open { next_probe, probing, .. } if !*probing && *next_probe <= now => {
                *probing = true;
                true
            }
            _ => false,
        }
    }

    pub fn is_probing(&self) -> bool {
        matches!(self.state, State::Open { probing: true, .. })
    }

    pub fn probed(&mut self, success: bool, now: Instant, slots: usize) {
        let State::Open { next_probe, .. } = self.state else { return };
        if success {
            self.consecutive_failures = 0;
            self.state = State::Ramping { limit: slots.div_ceil(4) };
        } else {
            self.state = State::Open { next_probe: next_probe.max(self.next_look(now)), probing: false };
        }
    }

    /// When [`Circuit::wants_probe`] becomes true next.
    pub fn next_probe(&self) -> Option<Instant> {
        match self.state {
            State::Open { next_probe, probing: false, .. } => Some(next_probe),
            _ => None,
        }
    }

    /// Processes that lost the same target at the same moment must not ask it at the same moments.
    fn next_look(&self, now: Instant) -> Instant {
        let away_for = self.away_since.map_or(Duration::ZERO, |since| now - since);
        now + self.interval(away_for).mul_f64(rand::rng().random_range(0.85..=1.15))
    }

    /// By how long nothing has come through: constant for 30 s, then it doubles every 30 s up to the cap.
    fn interval(&self, away_for: Duration) -> Duration {
        let doublings = u32::try_from(away_for.as_secs() / 30).unwrap_or(u32::MAX).min(16);
        self.settings.probe_first.saturating_mul(1 << doublings).min(self.settings.probe_cap)
    }
}

/// Nobody waits longer for what a target once said. Shorter than what the client obeys at all: a probe costs little.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn an_outage_of_ten_seconds_is_probed_often_and_rarely_enough() {
        let start = Instant::now();
        let mut circuit = Circuit::new(CircuitSettings::default());
        circuit.open(start, None);
        let mut probes = Vec::new();
        for millis in 0..10_000 {
            if circuit.wants_probe(at(start, millis)) {
                probes.push(millis);
                circuit.probed(false, at(start, millis), 8);
            }
        }
        assert!(probes.len() <= 150, "{} probes", probes.len());
        assert!(probes.windows(2).all(|pair| pair[1] - pair[0] <= 250));
    }

    #[test]
    fn it_comes_back_in_steps_and_only_by_a_probe() {
        let start = Instant::now();
        let mut circuit = Circuit::new(CircuitSettings::default());
        circuit.open(start, None);
        circuit.succeeded(8);
        assert!(circuit.is_open(), "a straggler does not close it");
        assert!(circuit.wants_probe(at(start, 180)));
        circuit.probed(true, at(start, 181), 8);
        assert!(circuit.is_away(), "a probe is no request");
        let limits: Vec<_> = (0..5)
            .map(|_| {
                let limit = circuit.limit(8);
                circuit.succeeded(8);
                limit
            })
            .collect();
        assert_eq!(limits, [2, 4, 8, 8, 8]);
        assert!(!circuit.is_away());
    }

    #[test]
    fn a_target_that_answers_probes_and_refuses_all_else_is_asked_ever_more_slowly() {
        let start = Instant::now();
        let mut circuit = Circuit::new(CircuitSettings::default());
        let (mut requests, mut now) = (0, start);
        while now - start < Duration::from_secs(600) {
            circuit.open(now, None);
            now = circuit.next_probe().expect("it is open");
            assert!(circuit.wants_probe(now));
            circuit.probed(true, now, 8);
            assert!(circuit.is_away() && circuit.limit(8) == 2);
            requests += 1;
        }
        // 300 in the first 30 s, then half as many in as long, and so on down to one in 15 s.
        assert!((450..800).contains(&requests), "{requests}");
        circuit.succeeded(8);
        circuit.open(now, None);
        assert!(circuit.next_probe().unwrap() - now < Duration::from_millis(200), "the next outage is another one");
    }

    #[test]
    fn a_target_that_says_for_how_long_is_not_asked_before() {
        let start = Instant::now();
        let mut circuit = Circuit::new(CircuitSettings::default());
        circuit.open(start, Some(Duration::from_secs(7)));
        assert!(!circuit.wants_probe(at(start, 6_999)) && circuit.wants_probe(at(start, 7_000)));
        // A straggler hears it while a probe is on its way.
        circuit.open(at(start, 7_001), Some(Duration::from_secs(7)));
        circuit.probed(false, at(start, 7_002), 8);
        assert!(!circuit.wants_probe(at(start, 14_000)) && circuit.wants_probe(at(start, 14_001)));
        circuit.open(at(start, 14_002), Some(Duration::from_secs(86_400)));
        circuit.probed(false, at(start, 14_003), 8);
        assert!(circuit.wants_probe(at(start, 14_002 + 900_000)), "a day is too much to ask");
    }

    #[test]
    fn one_failing_probe_keeps_it_open() {
        let start = Instant::now();
        let mut circuit = Circuit::new(CircuitSettings::default());
        circuit.open(start, None);
        assert!(circuit.wants_probe(at(start, 200)));
        assert!(!circuit.wants_probe(at(start, 201)), "one probe at a time");
        circuit.probed(false, at(start, 202), 8);
        assert!(circuit.is_open());
        assert_eq!(circuit.limit(8), 0);
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_starts_the_count_again() {
        let start = Instant::now();
        let mut circuit = Circuit::new(CircuitSettings { failures_max: 3, ..CircuitSettings::default() });
        for _ in 0..2 {
            circuit.failed(start);
        }
        circuit.succeeded(4);
        for _ in 0..2 {
            circuit.failed(start);
        }
        assert!(!circuit.is_open());
        circuit.failed(start);
        assert!(circuit.is_open());
    }

    #[test]
    fn every_other_failure_opens_it_and_every_third_does_not() {
        let start = Instant::now();
        let opens_after = |nth: u32| {
            let mut circuit = Circuit::new(CircuitSettings::default());
            (0..1_000).find(|request| {
                if request % nth == 0 {
                    circuit.failed(start)
                } else {
                    circuit.succeeded(4)
                }
                circuit.is_open()
            })
        };
        assert_eq!(opens_after(2), Some(62), "as soon as half of 64 have failed");
        assert_eq!(opens_after(3), None);
    }

    #[test]
    fn a_long_outage_is_probed_ever_more_slowly_up_to_the_cap() {
        let circuit = Circuit::new(CircuitSettings::default());
        let intervals: Vec<_> = [0, 29, 30, 60, 600].map(|secs| circuit.interval(Duration::from_secs(secs)).as_millis()).into();
        assert_eq!(intervals, [100, 100, 200, 400, 15_000]);
    }
}
