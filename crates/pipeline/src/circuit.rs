//! When the other side is away: stop sending, look at short intervals whether it is back, come back in steps.
//!
//! Pure: the caller brings the time. One circuit guards one lane (a connection and a class of operations).

use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
pub struct CircuitSettings {
    /// Consecutive failures of any kind that open it; an outage opens it at once.
    pub failures_max: u32,
    /// Probe interval in the first 30 s: long enough for <= 150 probes in 10 s, short enough to see the return within 0.25 s.
    pub probe_first: Duration,
    /// The slowest probe interval of a long outage.
    pub probe_cap: Duration,
}

impl Default for CircuitSettings {
    fn default() -> Self {
        Self { failures_max: 10, probe_first: Duration::from_millis(150), probe_cap: Duration::from_secs(15) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        since: Instant,
        next_probe: Instant,
        probing: bool,
    },
    /// Back: at most `limit` requests at once, doubled by each success.
    Ramping {
        limit: usize,
    },
}

#[derive(Debug)]
pub struct Circuit {
    settings: CircuitSettings,
    state: State,
    consecutive_failures: u32,
    last_success: Option<Instant>,
}

impl Circuit {
    pub fn new(settings: CircuitSettings) -> Self {
        Self { settings, state: State::Closed, consecutive_failures: 0, last_success: None }
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

    /// A request came through. A straggler that was sent before the circuit opened does not close it: only a probe does.
    pub fn succeeded(&mut self, now: Instant, slots: usize) {
        self.last_success = Some(now);
        self.consecutive_failures = 0;
        if let State::Ramping { limit } = self.state {
            self.state = if limit >= slots { State::Closed } else { State::Ramping { limit: limit * 2 } };
        }
    }

    /// A request failed in a way that says nothing about the other side as a whole, unless it keeps happening.
    pub fn failed(&mut self, now: Instant) {
        self.consecutive_failures += 1;
        if self.consecutive_failures >= self.settings.failures_max {
            self.open(now);
        }
    }

    /// The other side is away.
    pub fn open(&mut self, now: Instant) {
        if !self.is_open() {
            self.state = State::Open { since: now, next_probe: now + self.settings.probe_first, probing: false };
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

    pub fn probed(&mut self, success: bool, now: Instant) {
        let State::Open { since, .. } = self.state else { return };
        if success {
            self.last_success = Some(now);
            self.consecutive_failures = 0;
            self.state = State::Ramping { limit: 1 };
        } else {
            self.state = State::Open { since, next_probe: now + self.interval(now - since), probing: false };
        }
    }

    /// When [`Circuit::wants_probe`] becomes true next.
    pub fn next_probe(&self) -> Option<Instant> {
        match self.state {
            State::Open { next_probe, probing: false, .. } => Some(next_probe),
            _ => None,
        }
    }

    /// Whether anything came through after `instant`: without that, a failing key says nothing about itself.
    pub fn succeeded_after(&self, instant: Instant) -> bool {
        self.last_success.is_some_and(|last| last > instant)
    }

    /// Constant for 30 s, then it doubles every 30 s up to the cap.
    fn interval(&self, open_for: Duration) -> Duration {
        let doublings = u32::try_from(open_for.as_secs() / 30).unwrap_or(u32::MAX).min(16);
        self.settings.probe_first.saturating_mul(1 << doublings).min(self.settings.probe_cap)
    }
}

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
        circuit.open(start);
        let mut probes = Vec::new();
        for millis in 0..10_000 {
            if circuit.wants_probe(at(start, millis)) {
                probes.push(millis);
                circuit.probed(false, at(start, millis));
            }
        }
        assert!(probes.len() <= 150, "{} probes", probes.len());
        assert!(probes.windows(2).all(|pair| pair[1] - pair[0] <= 250));
    }

    #[test]
    fn it_comes_back_in_steps_and_only_by_a_probe() {
        let start = Instant::now();
        let mut circuit = Circuit::new(CircuitSettings::default());
        circuit.open(start);
        circuit.succeeded(at(start, 1), 8);
        assert!(circuit.is_open(), "a straggler does not close it");
        assert!(circuit.wants_probe(at(start, 150)));
        circuit.probed(true, at(start, 151));
        let limits: Vec<_> = (0..5)
            .map(|step| {
                let limit = circuit.limit(8);
                circuit.succeeded(at(start, 152 + step), 8);
                limit
            })
            .collect();
        assert_eq!(limits, [1, 2, 4, 8, 8]);
    }

    #[test]
    fn one_failing_probe_keeps_it_open() {
        let start = Instant::now();
        let mut circuit = Circuit::new(CircuitSettings::default());
        circuit.open(start);
        assert!(circuit.wants_probe(at(start, 200)));
        assert!(!circuit.wants_probe(at(start, 201)), "one probe at a time");
        circuit.probed(false, at(start, 202));
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
        circuit.succeeded(start, 4);
        for _ in 0..2 {
            circuit.failed(start);
        }
        assert!(!circuit.is_open());
        circuit.failed(start);
        assert!(circuit.is_open());
    }

    #[test]
    fn a_long_outage_is_probed_ever_more_slowly_up_to_the_cap() {
        let circuit = Circuit::new(CircuitSettings::default());
        let intervals: Vec<_> = [0, 29, 30, 60, 600].map(|secs| circuit.interval(Duration::from_secs(secs)).as_millis()).into();
        assert_eq!(intervals, [150, 150, 300, 600, 15_000]);
    }
}
