//! SIGTERM and SIGINT.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::exit::Exit;

/// A token that the first SIGTERM or SIGINT cancels. The second ends the process at once, whatever is still running: being
/// killed is something that all our work survives.
pub fn stop_token() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
            }
        };
        let signal = next().await;
        tracing::info!(signal, "stopping; a second signal ends the process at once");
        stopped.cancel();
        let signal = next().await;
        tracing::warn!(signal, "ending at once, unfinished work is left to the next start");
        std::process::exit(Exit::LeftOver.code().into());
    });
    Ok(stop)
}
