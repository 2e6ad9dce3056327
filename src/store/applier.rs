//! The thread that gives committed changes to the engine, and syncs it.
//!
//! Nothing that is answered waits for it, except when too much waits for the engine. Readers see committed changes
//! before, among the pending ones.

use std::time::Instant;

use super::Error;
use super::apply_queue::Batch;
use super::committer::Committer;
use super::progress::Progress;
use super::write_ahead_log::EntryId;
use crate::limits::{STORE_COMMIT_WITHIN, STORE_SYNC_BYTES, STORE_SYNC_EVERY};

/// What the applier has done.
struct Applier<'c> {
    committer: &'c Committer,
    /// The last entry whose changes the engine has.
    applied: EntryId,
    /// The entry of the row *synced*, which is durable after the next sync.
    synced: EntryId,
    /// Bytes applied since the last sync.
    unsynced_bytes: usize,
    last_sync: Instant,
}

/// Applies committed changes until the queue is closed or the store fails. `synced` is the engine's row at the start.
pub(super) fn run(committer: &Committer, synced: EntryId) {
    let applier = Applier { committer, applied: synced, synced, unsynced_bytes: 0, last_sync: Instant::now() };
    let outcome = applier.run();
    // The latch tells everybody else.
    let _ended = committer.failure_latch.latch(outcome);
    committer.queue.end();
}

impl Applier<'_> {
    fn run(mut self) -> Result<(), Error> {
        let queue = &self.committer.queue;
        let mut last_commit = Instant::now();
        loop {
            let work = queue.take(STORE_COMMIT_WITHIN);
            #[cfg(test)]
            if work.is_killed {
                return Ok(());
            }
            for batch in work.batches {
                self.apply(&batch)?;
                queue.finish_batch(&batch);
            }
            if work.is_closing || last_commit.elapsed() >= STORE_COMMIT_WITHIN {
                self.committer.commit_pending()?;
                last_commit = Instant::now();
            }
            if work.is_sync_requested || self.is_sync_due() {
                self.sync()?;
                queue.finish_syncs(work.syncs_requested);
            }
            if work.is_closing && queue.is_empty() {
                if self.applied != self.synced {
                    self.sync()?;
                }
                // The row of the last sync, too.
                return self.committer.engine.sync();
            }
        }
    }

    fn apply(&mut self, batch: &Batch) -> Result<(), Error> {
        let engine = &*self.committer.engine;
        batch.changes.changes.iter().try_for_each(|change| engine.apply(change))?;
        Progress::Applied.save(engine, &batch.through)?;
        self.committer.pending.forget_applied(&batch.changes);
        self.applied = batch.through;
        self.unsynced_bytes += batch.bytes();
        Ok(())
    }

    fn is_sync_due(&self) -> bool {
        let is_long_ago = self.last_sync.elapsed() >= STORE_SYNC_EVERY;
        self.applied != self.synced && (is_long_ago || self.unsynced_bytes >= STORE_SYNC_BYTES)
    }

    /// Syncs the engine, and puts the row that says so.
    fn sync(&mut self) -> Result<(), Error> {
        let engine = &*self.committer.engine;
        engine.sync()?;
        // Now the row of the sync before is durable too, so no start needs what it covers.
        self.committer.release(self.synced.number);
        Progress::Synced.save(engine, &self.applied)?;
        (self.synced, self.unsynced_bytes, self.last_sync) = (self.applied, 0, Instant::now());
        Ok(())
    }
}
