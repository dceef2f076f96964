//! What a run shares with whoever started it.

use tokio_util::sync::CancellationToken;

use crate::health::{Liveness, Readiness};

/// Clones share one life.
#[derive(Clone, Default)]
pub struct Life {
    /// Cancelled when the service shall stop.
    pub stop: CancellationToken,
    pub readiness: Readiness,
    pub liveness: Liveness,
}

impl Life {
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, ..Self::default() }
    }
}
