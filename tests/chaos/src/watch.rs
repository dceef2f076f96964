//! What is looked at all the time, whatever is broken: whether the account balances against the offsets that are committed.

use std::time::{Duration, Instant};

use e2e::Installation;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What was seen that must never be.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Looks that had an answer.
    pub(crate) looks: u64,
    /// Account checks that did not hold.
    pub(crate) unbalanced: Vec<String>,
}

/// Until it is told to stop. What cannot be asked right now is asked later.
pub(crate) async fn watch(it: &Installation, stop: CancellationToken) -> Seen {
    let (mut seen, mut pause) = (Seen::default(), PAUSE);
    while stop.run_until_cancelled(sleep(pause)).await.is_some() {
        let begun = Instant::now();
        if let Some(Ok(account)) = stop.run_until_cancelled(it.try_account()).await {
            seen.looks += 1;
            let failing = account.checks.iter().filter(|it| !it.holds);
            seen.unbalanced.extend(failing.map(|it| format!("{}: {}", it.name, it.detail)));
        }
        // What is asked grows with the run; the asking must not become its load.
        pause = PAUSE.max(begun.elapsed());
    }
    seen
}

const PAUSE: Duration = Duration::from_millis(500);
