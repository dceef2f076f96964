//! When a partition makes letter after letter: stop writing them, and look now and then whether things go well again.
//!
//! A wrong release or setting must not drain a topic into the letters. Pure: the caller brings the time. One breaker guards one
//! partition of one assignment; a restart or a rebalance begins with a new one.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Letters in a row of one partition: the next one opens the breaker.
    pub run_max: usize,
    /// The share of letters is taken over so many settled records.
    pub window: usize,
    /// More than this share of them were letters: the next one opens the breaker. 1 never does.
    pub share_max: f64,
    /// From the opening to the first probe; doubled by each probe that fails.
    #[serde(with = "humantime_serde")]
    pub cooldown_first: Duration,
    #[serde(with = "humantime_serde")]
    pub cooldown_cap: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            run_max: 50,
            window: 200,
            share_max: 0.5,
            cooldown_first: Duration::from_secs(60),
            cooldown_cap: Duration::from_secs(15 * 60),
        }
    }
}

impl BreakerSettings {
    /// What is wrong with them; `table`: what they stand under in the settings.
    pub fn problems(&self, table: &str) -> Vec<String> {
        let mut problems = Vec::new();
        if self.run_max == 0 || self.window == 0 {
            problems.push(format!("{table}: run_max and window must be above zero, or no record could ever become a letter"));
        }
        if !(0.0..=1.0).contains(&self.share_max) || self.share_max == 0.0 {
            problems.push(format!("{table}.share_max is {}: it is a share, above 0 and at most 1", self.share_max));
        }
        if self.cooldown_first.is_zero() || self.cooldown_cap < self.cooldown_first {
            problems.push(format!("{table}: cooldown_first must be above zero and cooldown_cap not below it"));
        }
        problems
    }
}

/// The answer to a record that would be a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permit {
    /// Write it.
    Granted,
    /// This one opened the breaker: it waits, and so does its partition.
    Opened,
    /// It is open: the record waits.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    /// This one record is tried.
    Probing {
        arrival: u64,
    },
}

#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: State,
    /// Letters in a row.
    run: usize,
    /// The last settled records, true = a letter.
    recent: VecDeque<bool>,
    letters: usize,
    cooldown: Duration,
    /// Settled since it closed: one that opens again at once has not recovered, and waits longer.
    since_closed: usize,
}

impl Breaker {
    pub fn new(settings: BreakerSettings) -> Self {
        let cooldown = settings.cooldown_first;
        Self { settings, state: State::Closed, run: 0, recent: VecDeque::new(), letters: 0, cooldown, since_closed: 0 }
    }

    pub fn is_open(&self) -> bool {
        self.state != State::Closed
    }

    /// Asked before a letter is written, which counts as written when it is granted: many may be on their way at once.
    pub fn ask(&mut self, arrival: u64, now: Instant) -> Permit {
        match self.state {
            State::Closed if self.is_too_much() => {
                self.open(now);
                Permit::Opened
            }
            State::Closed => {
                self.count(true);
                Permit::Granted
            }
            State::Probing { arrival: probe } if probe == arrival => {
                self.open(now);
                Permit::Refused
            }
            State::Open { .. } | State::Probing { .. } => Permit::Refused,
        }
    }

    /// A record was settled without a letter. True: it was the probe, and the breaker is closed again. Others that were under way
    /// when it opened say nothing: among many bad records there are some good ones.
    pub fn settled(&mut self, arrival: u64) -> bool {
        match self.state {
            State::Closed => {
                self.count(false);
                false
            }
            State::Probing { arrival: probe } if probe == arrival => {
                self.close();
                true
            }
            State::Open { .. } | State::Probing { .. } => false,
        }
    }

    /// A record turned out to be among the letters already: as a probe it was no probe.
    pub fn passed_over(&mut self, arrival: u64, now: Instant) {
        if self.state == (State::Probing { arrival }) {
            self.state = State::Open { until: now };
        }
    }

    /// True while one record may be tried: [`Breaker::probe`] says which.
    pub fn wants_probe(&self, now: Instant) -> bool {
        matches!(self.state, State::Open { until } if until <= now)
    }

    pub fn probe(&mut self, arrival: u64) {
        self.state = State::Probing { arrival };
    }

    /// There is nothing to try just now.
    pub fn put_off(&mut self, until: Instant) {
        self.state = State::Open { until };
    }

    /// Begins anew.
    pub fn close(&mut self) {
        self.state = State::Closed;
        (self.run, self.letters, self.since_closed) = (0, 0, 0);
        self.recent.clear();
    }

    /// When [`Breaker::wants_probe`] becomes true.
    pub fn next_probe(&self) -> Option<Instant> {
        match self.state {
            State::Open { until } => Some(until),
            State::Closed | State::Probing { .. } => None,
        }
    }

    /// Letters in a row, for the log.
    pub fn run(&self) -> usize {
        self.run
    }

    fn is_too_much(&self) -> bool {
        let is_full = self.recent.len() >= self.settings.window;
        #[expect(clippy::cast_precision_loss, reason = "a share of a few hundred records")]
        let share = self.letters as f64 / self.settings.window as f64;
        self.run >= self.settings.run_max || (is_full && share > self.settings.share_max)
    }

    fn open(&mut self, now: Instant) {
        self.state = State::Open { until: now + self.cooldown };
        self.cooldown = (self.cooldown * 2).min(self.settings.cooldown_cap);
    }

    fn count(&mut self, is_letter: bool) {
        self.run = if is_letter { self.run + 1 } else { 0 };
        self.recent.push_back(is_letter);
        self.letters += usize::from(is_letter);
        if self.recent.len() > self.settings.window {
            self.letters -= usize::from(self.recent.pop_front() == Some(true));
        }
        self.since_closed += 1;
        // As long as it takes to see a bad share: it may be too much again with the very next letter.
        if self.since_closed > self.settings.window && !self.is_too_much() {
            self.cooldown = self.settings.cooldown_first;
        }
    }
}

#[cfg(test)]
mod tests;
