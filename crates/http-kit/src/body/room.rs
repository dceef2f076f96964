//! Memory for bodies of which nobody knows yet who sent them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::BodyError;

/// How many bytes all bodies of a server may have in memory together.
#[derive(Debug, Clone)]
pub struct Room(Arc<Semaphore>);

impl Room {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// For one body. What it takes is free again when this is dropped.
    pub fn share(&self) -> Share {
        Share(Arc::clone(&self.0).try_acquire_many_owned(0).expect("nothing always fits"))
    }
}

/// What one body has taken.
#[derive(Debug)]
pub struct Share(OwnedSemaphorePermit);

impl Share {
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::NoRoom)?;
        let more = Arc::clone(self.0.semaphore()).try_acquire_many_owned(bytes).map_err(|_| BodyError::NoRoom)?;
        self.0.merge(more);
        Ok(())
    }
}
