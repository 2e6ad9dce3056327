//! Whether the store has failed. A failure is final: the store remembers it and rejects every later write.

#[cfg(test)]
use std::sync::Mutex;
use std::sync::OnceLock;

use tokio_util::sync::CancellationToken;

use super::Error;

/// The first failure of a store.
#[derive(Default)]
pub(super) struct FailureLatch {
    first: OnceLock<Error>,
    signal: CancellationToken,
    /// How many more writes succeed in a test; the next one fails.
    #[cfg(test)]
    pub(super) writes_left: Mutex<Option<u64>>,
}

impl FailureLatch {
    /// Returns `outcome`, and remembers an error that is a failure of the store.
    pub(super) fn latch<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        outcome.inspect_err(|error| {
            if error.is_failure() {
                // Later failures follow from the first.
                let _later = self.first.set(error.clone());
                self.signal.cancel();
            }
        })
    }

    /// The error of a store that has failed.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.first.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Runs a write unless the store has failed. A write after a failure could be lost unnoticed.
    pub(super) fn write<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.check()?;
        self.latch(self.try_write(write))
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

    /// Runs a write whose error does not fail the store. Tests inject errors here.
    pub(super) fn try_write<T>(&self, write: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        #[cfg(test)]
        super::tests::take_write_permit(&self.writes_left)?;
        write()
    }
}
