//! Committed changes on their way to the engine.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keyspace::RowChange;
use super::pending_changes::NumberedChanges;
use super::write_ahead_log::EntryId;
use crate::limits::STORE_QUEUED_BYTES;

/// Committed changes.
pub(super) struct Batch {
    pub(super) changes: NumberedChanges,
    /// The last entry of the write-ahead log that holds them.
    pub(super) through: EntryId,
}

/// Committed changes that wait for the applier.
#[derive(Default)]
pub(super) struct ApplyQueue {
    state: Mutex<ApplyQueueState>,
    /// Notified of every change of the state.
    changed: Condvar,
}

#[derive(Default)]
struct ApplyQueueState {
    batches: VecDeque<Batch>,
    /// Bytes of the batches, and of the one that is being applied.
    bytes: usize,
    /// How many syncs of the engine were requested, and how many of these requests are fulfilled.
    syncs_requested: u64,
    syncs_done: u64,
    is_closing: bool,
    /// The applier has ended: it was closed, or the store failed.
    has_ended: bool,
    /// A test ends the applier as a killed process would.
    #[cfg(test)]
    is_killed: bool,
}

/// What the applier has to do.
pub(super) struct Work {
    pub(super) batches: VecDeque<Batch>,
    /// How many syncs were requested so far.
    pub(super) syncs_requested: u64,
    /// Whether one of these requests is not fulfilled.
    pub(super) is_sync_requested: bool,
    pub(super) is_closing: bool,
    #[cfg(test)]
    pub(super) is_killed: bool,
}

impl ApplyQueue {
    /// Queues a batch.
    pub(super) fn push(&self, batch: Batch) {
        let mut state = self.lock();
        state.bytes += batch.bytes();
        state.batches.push_back(batch);
        self.changed.notify_all();
    }

    /// Waits while more than [`STORE_QUEUED_BYTES`] wait.
    pub(super) fn wait_for_room(&self) {
        self.wait_while(|state| state.bytes > STORE_QUEUED_BYTES && !state.has_ended);
    }

    /// Waits until the engine has durably what was committed before the call, or the applier has ended.
    pub(super) fn sync_and_wait(&self) {
        let mut state = self.lock();
        state.syncs_requested += 1;
        let ticket = state.syncs_requested;
        self.changed.notify_all();
        drop(state);
        self.wait_while(|state| state.syncs_done < ticket && !state.has_ended);
    }

    /// Whether the applier has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().has_ended
    }

    /// Asks the applier to end once everything is durable in the engine.
    pub(super) fn close(&self) {
        self.lock().is_closing = true;
        self.changed.notify_all();
    }

    /// Waits for work, at most as long as `timeout`, and takes it.
    pub(super) fn take(&self, timeout: Duration) -> Work {
        let is_idle = |state: &mut ApplyQueueState| {
            state.batches.is_empty() && state.syncs_requested == state.syncs_done && !state.is_closing
        };
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, is_idle);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        Work {
            batches: std::mem::take(&mut state.batches),
            syncs_requested: state.syncs_requested,
            is_sync_requested: state.syncs_requested > state.syncs_done,
            is_closing: state.is_closing,
            #[cfg(test)]
            is_killed: state.is_killed,
        }
    }

    /// Notes that a batch has been applied.
    pub(super) fn finish_batch(&self, batch: &Batch) {
        self.lock().bytes -= batch.bytes();
        self.changed.notify_all();
    }

    /// Notes that the engine was synced after this many requests.
    pub(super) fn finish_syncs(&self, requested: u64) {
        self.lock().syncs_done = requested;
        self.changed.notify_all();
    }

    /// Whether batches wait.
    pub(super) fn is_empty(&self) -> bool {
        self.lock().batches.is_empty()
    }

    /// Notes that the applier has ended.
    pub(super) fn end(&self) {
        self.lock().has_ended = true;
        self.changed.notify_all();
    }

    /// Ends the applier at once, as a killed process would.
    #[cfg(test)]
    pub(super) fn kill(&self) {
        self.lock().is_killed = true;
        self.changed.notify_all();
        self.wait_while(|state| !state.has_ended);
    }

    fn wait_while(&self, mut condition: impl FnMut(&ApplyQueueState) -> bool) {
        let state = self.changed.wait_while(self.lock(), |state| condition(state));
        drop(state.unwrap_or_else(PoisonError::into_inner));
    }

    fn lock(&self) -> MutexGuard<'_, ApplyQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Batch {
    /// Bytes of its keys and values.
    pub(super) fn bytes(&self) -> usize {
        self.changes.changes.iter().map(RowChange::len).sum()
    }
}
