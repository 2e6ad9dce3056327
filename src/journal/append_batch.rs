//! Appends whose order is known before they are: the commands of one request are decided side by side, and their events
//! stand in the journal in the order of the request all the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::writer::{QueuedAppend, WriterQueue};
use super::{AppendRequest, Error, Journal, JournalRecord};
use crate::limits::APPEND_BATCH_CHUNK;

/// A place in a line. It goes to the writer once all before it are taken or given up.
///
/// So whoever holds one keeps those behind it waiting, and whoever makes lines hands out all places of one before those
/// of the next: otherwise two could wait for each other.
pub struct AppendSlot {
    batch: Arc<AppendBatch>,
    index: usize,
}

struct AppendBatch {
    pending: Mutex<PendingSlots>,
    queue: WriterQueue,
}

/// The places of a line that the writer does not have yet.
struct PendingSlots {
    /// None as long as a turn is neither taken nor given up; then the append, if there is one.
    slots: VecDeque<Option<Option<QueuedAppend>>>,
    /// How many were before these.
    sent: usize,
}

impl Journal {
    /// Places for so many appends.
    pub fn reserve_slots(&self, turns: usize) -> Vec<AppendSlot> {
        let places = Mutex::new(PendingSlots { slots: (0..turns).map(|_| None).collect(), sent: 0 });
        let line = Arc::new(AppendBatch { pending: places, queue: self.queue.clone() });
        (0..turns).map(|place| AppendSlot { batch: line.clone(), index: place }).collect()
    }
}

impl AppendSlot {
    /// As [`Journal::append`], in this place.
    pub async fn append(self, append: AppendRequest) -> Result<Vec<JournalRecord>, Error> {
        if append.events.is_empty() {
            return Ok(Vec::new());
        }
        let (waiting, answered) = QueuedAppend::new(append)?;
        self.batch.fill_slot(self.index, Some(waiting));
        answered.await.map_err(|_| Error::Closed)?
    }
}

/// Given up, unless it was taken.
impl Drop for AppendSlot {
    fn drop(&mut self) {
        self.batch.fill_slot(self.index, None);
    }
}

impl AppendBatch {
    /// Fills a place that is not filled, and sends on what stands in front and is complete: in parts of some size,
    /// because each wakes the writer.
    fn fill_slot(&self, place: usize, waiting: Option<QueuedAppend>) {
        // A panic while the lock is held leaves whole places.
        let mut places = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = place.checked_sub(places.sent) else { return };
        if let Some(open) = places.slots.get_mut(open).filter(|open| open.is_none()) {
            *open = Some(waiting);
        }
        let complete = places.slots.iter().take_while(|place| place.is_some()).count();
        if complete > 0 && (complete >= APPEND_BATCH_CHUNK || complete == places.slots.len()) {
            places.sent += complete;
            let part: Vec<QueuedAppend> = places.slots.drain(..complete).flatten().flatten().collect();
            // While the lock is held, so that the parts arrive in their order.
            self.queue.send(part);
        }
    }
}
