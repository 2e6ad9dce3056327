//! Appends whose order is reserved in advance. The commands of one request are decided concurrently, but their events
//! enter the journal in the order of the request.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::writer::{QueuedAppend, WriterQueue};
use super::{AppendRequest, Error, Journal, JournalRecord};
use crate::limits::APPEND_BATCH_CHUNK;

/// A slot in a batch. Its append goes to the writer once every earlier slot is filled or dropped.
///
/// A slot that is held delays the later slots. Queue the commands of two batches in the same order for every account:
/// otherwise each may wait for a slot of the other.
pub struct AppendSlot {
    batch: Arc<AppendBatch>,
    index: usize,
}

struct AppendBatch {
    pending: Mutex<PendingSlots>,
    queue: WriterQueue,
}

/// The slots of a batch that were not sent to the writer yet.
struct PendingSlots {
    /// `None` is an open slot, `Some(None)` a dropped slot, `Some(Some(_))` a filled slot.
    slots: VecDeque<Option<Option<QueuedAppend>>>,
    /// How many slots were sent before these.
    sent: usize,
}

impl Journal {
    /// Reserves a batch of `count` slots.
    pub fn reserve_slots(&self, count: usize) -> Vec<AppendSlot> {
        let pending = Mutex::new(PendingSlots { slots: (0..count).map(|_| None).collect(), sent: 0 });
        let batch = Arc::new(AppendBatch { pending, queue: self.queue.clone() });
        (0..count).map(|index| AppendSlot { batch: batch.clone(), index }).collect()
    }
}

impl AppendSlot {
    /// Like [`Journal::append`], at the position of this slot in the batch.
    pub async fn append(self, append: AppendRequest) -> Result<Vec<JournalRecord>, Error> {
        if append.events.is_empty() {
            return Ok(Vec::new());
        }
        let (queued, result) = QueuedAppend::new(append)?;
        self.batch.fill_slot(self.index, Some(queued));
        result.await.map_err(|_| Error::Closed)?
    }
}

/// Dropping a slot without an append releases it.
impl Drop for AppendSlot {
    fn drop(&mut self) {
        self.batch.fill_slot(self.index, None);
    }
}

impl AppendBatch {
    /// Fills an open slot. Sends the completed slots at the front when there are `APPEND_BATCH_CHUNK`, or no others are left.
    /// Larger parts wake the writer less often.
    fn fill_slot(&self, index: usize, append: Option<QueuedAppend>) {
        // A panic cannot leave a slot half written, so a poisoned lock is safe to use.
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(offset) = index.checked_sub(pending.sent) else { return };
        if let Some(open) = pending.slots.get_mut(offset).filter(|slot| slot.is_none()) {
            *open = Some(append);
        }
        let complete = pending.slots.iter().take_while(|slot| slot.is_some()).count();
        if complete > 0 && (complete >= APPEND_BATCH_CHUNK || complete == pending.slots.len()) {
            pending.sent += complete;
            let part: Vec<QueuedAppend> = pending.slots.drain(..complete).flatten().flatten().collect();
            // Sent under the lock, so that the parts arrive in order.
            self.queue.send(part);
        }
    }
}
