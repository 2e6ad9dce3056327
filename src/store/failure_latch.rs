//! Whether the store has failed. A failure is final: the store remembers it and refuses every later write.

use std::sync::{Mutex, OnceLock, PoisonError};

use tokio_util::sync::CancellationToken;

use super::Error;

/// The first failure of a store.
#[derive(Default)]
pub(super) struct FailureLatch {
    first: OnceLock<Error>,
    signal: CancellationToken,
    /// Held during each sync. A disk reports an error once: a sync beside the one that got it would find nothing wrong.
    syncing: Mutex<()>,
    /// How many more writes succeed; the one after them fails.
    #[cfg(test)]
    pub(super) writes_left: Mutex<Option<u64>>,
}

impl FailureLatch {
    /// Passes `outcome` on. An error that is a failure of the store is remembered.
    pub(super) fn latch<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.inspect_err(|error| {
            if error.is_failure() {
                // A later one follows from the first.
                let _later = self.first.set(error.clone());
                self.signal.cancel();
            }
        })
    }

    /// Carries out a write, unless the store has failed: what is written after a failure could be lost unnoticed.
    pub(super) fn write<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        match self.first.get() {
            Some(error) => Err(error.clone()),
            None => self.latch(self.try_write(write)),
        }
    }

    /// As [`write`](Failure::write), for one that ends in a sync.
    pub(super) fn sync<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(write)
    }

    /// Waits for the first failure.
    pub(super) async fn wait(&self) -> Error {
        loop {
            self.signal.cancelled().await;
            if let Some(error) = self.first.get() {
                return error.clone();
            }
        }
    }

    /// Carries out a write whose error is no failure of the store. Tests make one fail here.
    pub(super) fn try_write<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        #[cfg(test)]
        super::tests::take_write_permit(&self.writes_left)?;
        write()
    }
}
