//! What is looked at all the time, whatever is broken: committed offsets and the services' own word on their health.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use e2e::Installation;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What was seen that must never be.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Looks that had an answer.
    pub(crate) looks: u64,
    /// Committed offsets that went back.
    pub(crate) backward: Vec<String>,
    /// Account checks that did not hold.
    pub(crate) unbalanced: Vec<String>,
}

/// Until it is told to stop. What cannot be asked right now is asked later.
pub(crate) async fn watch(it: &Installation, stop: CancellationToken) -> Seen {
    let (mut seen, mut furthest) = (Seen::default(), BTreeMap::new());
    let mut pause = PAUSE;
    while stop.run_until_cancelled(sleep(pause)).await.is_some() {
        let begun = Instant::now();
        let Some(Ok(scope)) = stop.run_until_cancelled(it.scope()).await else { continue };
        seen.looks += 1;
        for place in &scope.progress {
            let Some(committed) = place.committed else { continue };
            let name = format!("{} in {}[{}]", place.group, place.topic, place.partition);
            let before = furthest.insert(name.clone(), committed).unwrap_or(committed);
            if committed < before {
                seen.backward.push(format!("{name}: {before}, then {committed}"));
            }
        }
        if let Some(Ok(account)) = stop.run_until_cancelled(it.try_account()).await {
            let failing = account.checks.iter().filter(|it| !it.holds);
            seen.unbalanced.extend(failing.map(|it| format!("{}: {}", it.name, it.detail)));
        }
        // What is asked grows with the run; the asking must not become its load.
        pause = PAUSE.max(begun.elapsed());
    }
    seen
}

const PAUSE: Duration = Duration::from_millis(500);
