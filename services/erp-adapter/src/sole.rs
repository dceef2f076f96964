//! Work that one process per target does: capture and relay. The others wait for it to go.

use std::time::Duration;

use store::Store;
use store::effects::Sole;

use crate::capture::Capture;
use crate::ledger::Signals;
use crate::relay::{Publish, Relay};

const WAIT: Duration = Duration::from_secs(1);

/// Never ends by itself. It can be dropped at any point.
pub async fn run<P: Publish>(capture: &Capture, relay: &Relay<P>, signals: &Signals) {
    let store = &capture.store;
    let name = format!("erp-adapter/{}", capture.target);
    loop {
        let mut sole = first(store, &name).await;
        tracing::info!(erp = %capture.target, "this process captures its stock");
        tokio::select! {
            () = capture.run(signals) => {}
            () = relay.run(signals) => {}
            () = until_lost(&mut sole) => tracing::warn!(erp = %capture.target, "the database was away, another process may capture now"),
        }
        // From now on another one tells.
        capture.metrics.capture_age(0.0);
        relay.metrics.outbox(0, 0.0);
    }
}

/// Waits to be the only one.
async fn first(store: &Store, name: &str) -> Sole {
    loop {
        match Sole::new(store, name).await {
            Ok(mut sole) => {
                while let Ok(is_ours) = sole.is_ours().await {
                    if is_ours {
                        return sole;
                    }
                    tokio::time::sleep(WAIT).await;
                }
            }
            Err(error) => tracing::debug!(%error, name, "the database is away"),
        }
        tokio::time::sleep(WAIT).await;
    }
}

async fn until_lost(sole: &mut Sole) {
    while sole.is_ours().await.is_ok() {
        tokio::time::sleep(WAIT).await;
    }
}
