//! What an ERP's log says of an outage.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::erp::{Effect, Log};
use crate::stats::percentile;

/// Commands as they were due, and when the ERP was away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) begun: Instant,
    pub(super) lambda: f64,
    /// From here to the outage nothing was the matter.
    pub(super) steady_from: Instant,
    pub(super) away: Instant,
    pub(super) back: Instant,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    pub(super) commands: usize,
    pub(super) lambda: f64,
    pub(super) mu: f64,
    /// Seconds from the return until no more waited than before the outage.
    pub(super) drained: f64,
    pub(super) formula: f64,
    /// Seconds from the return until the first command arrived that was done.
    pub(super) first_success: f64,
    pub(super) calls: u64,
    pub(super) most_at_once: usize,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) reordered: u64,
    pub(super) letters: u64,
    pub(super) more_mb: f64,
}

impl Account {
    pub(super) fn of(log: &Log, stream: &Stream, commands: &[(String, u64)], slots: usize) -> anyhow::Result<Self> {
        let after: Vec<&Effect> = log.effects.iter().filter(|it| it.arrived >= stream.back).collect();
        let first = after.iter().map(|it| it.arrived).min().context("nothing was done after the return")?;
        let worked: Duration = after.iter().map(|it| it.done - it.arrived).sum();
        let mu = slots as f64 * after.len() as f64 / worked.as_secs_f64();
        let outage = (stream.back - stream.away).as_secs_f64();
        let (lost, doubled, reordered) = wrong(&log.effects, commands);
        Ok(Self {
            commands: commands.len(),
            lambda: stream.lambda,
            mu,
            drained: (stream.caught_up(log).context("it has not caught up")? - stream.back).as_secs_f64(),
            formula: stream.lambda * outage / (mu - stream.lambda),
            first_success: (first - stream.back).as_secs_f64(),
            most_at_once: log.most_at_once,
            lost,
            doubled,
            reordered,
            ..Self::default()
        })
    }

    pub(super) fn ratio(&self) -> f64 {
        self.drained / self.formula
    }
}

impl Stream {
    fn due(&self, at: Instant) -> f64 {
        (at.saturating_duration_since(self.begun).as_secs_f64() * self.lambda).floor() + 1.0
    }

    /// When no more commands waited than nine times in ten before the outage.
    pub(super) fn caught_up(&self, log: &Log) -> Option<Instant> {
        let mut done: Vec<Instant> = log.effects.iter().map(|it| it.done).collect();
        done.sort_unstable();
        let waiting: Vec<(Instant, f64)> = done.iter().enumerate().map(|(before, at)| (*at, self.due(*at) - before as f64 - 1.0)).collect();
        let mut usual: Vec<f64> =
            waiting.iter().filter(|(at, _)| (self.steady_from..self.away).contains(at)).map(|(_, count)| *count).collect();
        if usual.is_empty() {
            return None;
        }
        // How many wait goes up and down.
        let usual = percentile(&mut usual, 0.9);
        waiting.iter().find(|(at, count)| *at >= self.back && *count <= usual).map(|(at, _)| *at)
    }
}

/// Lost, doubled and reordered.
fn wrong(effects: &[Effect], commands: &[(String, u64)]) -> (u64, u64, u64) {
    let mut keys: HashMap<&str, Vec<&Effect>> = HashMap::new();
    for effect in effects {
        keys.entry(&effect.key).or_default().push(effect);
    }
    let times = |(key, sequence): &(String, u64)| {
        keys.get(key.as_str()).map_or(0, |effects| effects.iter().filter(|it| it.sequence == *sequence).count() as u64)
    };
    let lost = commands.iter().filter(|it| times(it) == 0).count() as u64;
    let doubled = commands.iter().map(|it| times(it).saturating_sub(1)).sum();
    let mut reordered = 0;
    for effects in keys.values_mut() {
        effects.sort_by_key(|it| it.arrived);
        let is_out_of_turn = |pair: &&[&Effect]| pair[1].sequence < pair[0].sequence || pair[1].arrived < pair[0].done;
        reordered += effects.windows(2).filter(is_out_of_turn).count() as u64;
    }
    (lost, doubled, reordered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(start: Instant, sequence: u64, arrived: u64, done: u64) -> Effect {
        let at = |millis| start + Duration::from_millis(millis);
        Effect { key: "k".to_owned(), sequence, arrived: at(arrived), done: at(done) }
    }

    #[test]
    fn what_is_missing_double_or_out_of_turn_is_counted() {
        let start = Instant::now();
        let commands: Vec<_> = (1..=3).map(|it| ("k".to_owned(), it)).collect();
        let good = [effect(start, 1, 0, 10), effect(start, 2, 10, 20), effect(start, 3, 30, 40)];
        assert_eq!(wrong(&good, &commands), (0, 0, 0));
        assert_eq!(wrong(&good[..2], &commands), (1, 0, 0));
        assert_eq!(wrong(&[good[0].clone(), good[1].clone(), good[2].clone(), effect(start, 3, 50, 60)], &commands), (0, 1, 0));
        assert_eq!(wrong(&[good[0].clone(), effect(start, 2, 9, 19), good[2].clone()], &commands), (0, 0, 1));
        assert_eq!(wrong(&[good[0].clone(), effect(start, 3, 11, 19), effect(start, 2, 21, 29)], &commands), (0, 0, 1));
    }

    /// 10 a second, each done 50 ms after it was due; away from 2 s to 3 s, then 20 a second.
    #[test]
    fn it_has_caught_up_when_no_more_wait_than_before() {
        let start = Instant::now();
        let mut log = Log::default();
        log.effects.extend((0..20).map(|it| effect(start, it, it * 100, it * 100 + 50)));
        log.effects.extend((0..60).map(|it| effect(start, 20 + it, 3_000, 3_050 + it * 50)));
        let at = |millis| start + Duration::from_millis(millis);
        let stream = Stream { begun: start, lambda: 10.0, steady_from: at(1_000), away: at(2_000), back: at(3_000) };
        let caught_up = stream.caught_up(&log).unwrap() - stream.back;
        assert!((950..=1_100).contains(&caught_up.as_millis()), "{caught_up:?}");
        log.effects.truncate(30);
        assert_eq!(stream.caught_up(&log), None);
    }
}
