//! Commits: pending changes go into the write-ahead log, and from there to the applier.
//!
//! Many wait for one commit. While one is being synced, the changes of the next one gather.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Error;
use super::apply_queue::{ApplyQueue, Batch};
use super::data_directory::DataDirectory;
use super::durable_mark::DurableMark;
use super::engine::Engine;
use super::failure_latch::FailureLatch;
use super::pending_changes::{NumberedChanges, PendingChanges};
use super::progress::Progress;
use super::write_ahead_log::{EntryId, WriteAheadLog};
use crate::metrics::Metrics;

/// What a commit promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Durability {
    /// The changes survive a killed process.
    Written,
    /// The changes survive a power cut.
    Synced,
}

/// Commits pending changes.
pub(super) struct Committer {
    pub(super) engine: Arc<dyn Engine>,
    pub(super) pending: Arc<PendingChanges>,
    pub(super) queue: ApplyQueue,
    pub(super) failure_latch: FailureLatch,
    pub(super) metrics: Metrics,
    state: Mutex<CommitState>,
}

struct CommitState {
    log: CommitLog,
    /// The number of the last change in the log.
    written: u64,
    /// The number of the last durable change.
    synced: u64,
    /// Changes in the log that are not durable.
    unsynced: NumberedChanges,
}

/// Where commits are made durable.
pub(super) enum CommitLog {
    /// Nowhere: the store is in memory.
    #[cfg(test)]
    Memory,
    /// The directory has no log yet. The first commit creates it.
    Missing(Arc<DataDirectory>),
    Open(WriteAheadLog, DurableMark),
}

impl Committer {
    pub(super) fn new(engine: Arc<dyn Engine>, log: CommitLog, metrics: Metrics) -> Committer {
        let pending = Arc::new(PendingChanges::new(engine.clone()));
        let state = CommitState { log, written: 0, synced: 0, unsynced: NumberedChanges::default() };
        Committer {
            engine,
            pending,
            queue: ApplyQueue::default(),
            failure_latch: FailureLatch::default(),
            metrics,
            state: Mutex::new(state),
        }
    }

    /// Commits the changes up to number `up_to`. Waits while too much waits for the engine.
    pub(super) fn commit(&self, up_to: u64, durability: Durability) -> Result<(), Error> {
        self.queue.wait_for_room();
        loop {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.is_done(up_to, durability) {
                return self.failure_latch.check();
            }
            if !state.log.is_full() || self.queue.has_ended() {
                return self.failure_latch.write(|| state.commit(self, durability));
            }
            drop(state);
            self.queue.sync_and_wait();
        }
    }

    /// Commits all pending changes. Never waits for the applier, because the applier calls it.
    pub(super) fn commit_pending(&self) -> Result<(), Error> {
        let last = self.pending.last();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_done(last, Durability::Synced) {
            return Ok(());
        }
        self.failure_latch.write(|| state.commit(self, Durability::Synced))
    }

    /// Allows files of the log to be used again: the engine holds the entries up to this number durably.
    pub(super) fn release(&self, number: u64) {
        if let CommitLog::Open(log, _) = &mut self.state.lock().unwrap_or_else(PoisonError::into_inner).log {
            log.release(number);
        }
    }

    /// Bytes of the log's files.
    pub(super) fn log_bytes(&self) -> u64 {
        match &self.state.lock().unwrap_or_else(PoisonError::into_inner).log {
            #[cfg(test)]
            CommitLog::Memory => 0,
            CommitLog::Missing(_) => 0,
            CommitLog::Open(log, _) => log.disk_bytes(),
        }
    }
}

impl CommitState {
    fn is_done(&self, up_to: u64, durability: Durability) -> bool {
        match durability {
            Durability::Written => self.written >= up_to,
            Durability::Synced => self.synced >= up_to,
        }
    }

    fn commit(&mut self, committer: &Committer, durability: Durability) -> Result<(), Error> {
        let taken = committer.pending.take_unlogged();
        let mut log = self.log.get_or_create(&*committer.engine)?;
        if let (Some((log, _)), false) = (&mut log, taken.changes.is_empty()) {
            log.write(&taken.changes)?;
        }
        self.written = taken.last();
        self.unsynced.append(taken);
        if durability == Durability::Written {
            return Ok(());
        }
        let through = match log {
            None => EntryId::default(),
            Some((log, mark)) => {
                let started = Instant::now();
                log.sync()?;
                committer.metrics.sync_seconds.observe_duration(started.elapsed());
                mark.set(&log.last())?;
                log.last()
            }
        };
        self.synced = self.written;
        committer.queue.push(Batch { changes: std::mem::take(&mut self.unsynced), through });
        Ok(())
    }
}

impl CommitLog {
    /// The log and its mark; `None` for a store in memory.
    fn get_or_create(&mut self, engine: &dyn Engine) -> Result<Option<(&mut WriteAheadLog, &mut DurableMark)>, Error> {
        if let CommitLog::Missing(directory) = self {
            let log = WriteAheadLog::create(&directory.log_path(), directory.id())?;
            // Before the marker: a start of this format requires both rows.
            Progress::Applied.save(engine, &log.last())?;
            Progress::Synced.save(engine, &log.last())?;
            engine.sync()?;
            let mark = DurableMark::open(&directory.sidecar_path())?;
            directory.upgrade()?;
            *self = CommitLog::Open(log, mark);
        }
        Ok(match self {
            #[cfg(test)]
            CommitLog::Memory => None,
            CommitLog::Missing(_) => None,
            CommitLog::Open(log, mark) => Some((log, mark)),
        })
    }

    fn is_full(&self) -> bool {
        match self {
            #[cfg(test)]
            CommitLog::Memory => false,
            CommitLog::Missing(_) => false,
            CommitLog::Open(log, _) => log.is_full(),
        }
    }
}
