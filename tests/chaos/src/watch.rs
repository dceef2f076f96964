//! What is looked at all the time, whatever is broken: whether the account balances against the offsets that are committed, and
//! whether any partition stands still.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::Installation;
use store::account::Progress;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What was seen that must never be.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Looks that had an answer.
    pub(crate) looks: u64,
    /// Account checks that did not hold.
    pub(crate) unbalanced: Vec<String>,
    /// Partitions of which nothing was read for too long although there was something.
    pub(crate) stuck: Vec<String>,
}

/// Until it is told to stop. What cannot be asked right now is asked later. `still_max`: for how long a partition may stand still.
pub(crate) async fn watch(it: &Installation, still_max: Duration, stop: CancellationToken) -> Seen {
    let (mut seen, mut standing, mut pause) = (Seen::default(), Standing::default(), PAUSE);
    while stop.run_until_cancelled(sleep(pause)).await.is_some() {
        let begun = Instant::now();
        if let Some(Ok(account)) = stop.run_until_cancelled(it.try_account()).await {
            seen.looks += 1;
            let failing = account.checks.iter().filter(|it| !it.holds);
            seen.unbalanced.extend(failing.map(|it| format!("{}: {}", it.name, it.detail)));
        }
        if let Some(Ok(scope)) = stop.run_until_cancelled(it.scope()).await {
            seen.stuck.extend(standing.look(&scope.progress, still_max, Instant::now()));
        }
        // What is asked grows with the run; the asking must not become its load.
        pause = PAUSE.max(begun.elapsed());
    }
    seen
}

/// Where each partition is that has something to read, and since when.
#[derive(Default)]
struct Standing(BTreeMap<(String, String, i32), (i64, Instant)>);

impl Standing {
    /// Those that stand still for longer than they may, each once.
    fn look(&mut self, progress: &[Progress], still_max: Duration, now: Instant) -> Vec<String> {
        let mut stuck = Vec::new();
        for it in progress {
            let place = (it.group.clone(), it.topic.clone(), it.partition);
            if !it.is_behind() {
                self.0.remove(&place);
                continue;
            }
            let standing = self.0.entry(place).or_insert((it.next(), now));
            if standing.0 != it.next() {
                *standing = (it.next(), now);
            } else if now.duration_since(standing.1) > still_max {
                stuck.push(format!("{} stood still at {} of {} in {}[{}]", it.group, it.next(), it.end, it.topic, it.partition));
                standing.1 = now;
            }
        }
        stuck
    }
}

const PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_something_to_read_and_does_not_is_told() {
        let at = |committed, end| {
            let (group, topic) = ("router".to_owned(), "orders".to_owned());
            [Progress { group, topic, partition: 0, committed: Some(committed), start: 0, end }]
        };
        let (mut standing, begun) = (Standing::default(), Instant::now());
        let mut look = |progress: [Progress; 1], seconds| {
            standing.look(&progress, Duration::from_secs(60), begun + Duration::from_secs(seconds)).len()
        };
        assert_eq!([look(at(5, 5), 0), look(at(5, 5), 100)], [0, 0], "there was nothing to read");
        assert_eq!([look(at(5, 9), 101), look(at(6, 9), 161), look(at(6, 9), 221), look(at(6, 9), 222)], [0, 0, 0, 1]);
        assert_eq!([look(at(9, 9), 300), look(at(9, 11), 400)], [0, 0]);
    }
}
