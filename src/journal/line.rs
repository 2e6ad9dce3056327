//! Appends whose order is known before they are: the commands of one request are decided side by side, and their events
//! stand in the journal in the order of the request all the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::writer::{Queue, Waiting};
use super::{Append, Error, Journal, Recorded};
use crate::limits::LINE_PART;

/// A place in a line. It goes to the writer once all before it are taken or given up.
///
/// So whoever holds one keeps those behind it waiting, and whoever makes lines hands out all places of one before those
/// of the next: otherwise two could wait for each other.
pub struct Turn {
    line: Arc<Line>,
    place: usize,
}

struct Line {
    places: Mutex<Places>,
    queue: Queue,
}

/// The places of a line that the writer does not have yet.
struct Places {
    /// None as long as a turn is neither taken nor given up; then the append, if there is one.
    open: VecDeque<Option<Option<Waiting>>>,
    /// How many were before these.
    gone: usize,
}

impl Journal {
    /// Places for so many appends.
    pub fn line(&self, turns: usize) -> Vec<Turn> {
        let places = Mutex::new(Places { open: (0..turns).map(|_| None).collect(), gone: 0 });
        let line = Arc::new(Line { places, queue: self.queue.clone() });
        (0..turns).map(|place| Turn { line: line.clone(), place }).collect()
    }
}

impl Turn {
    /// As [`Journal::append`], in this place.
    pub async fn append(self, append: Append) -> Result<Vec<Recorded>, Error> {
        if append.events.is_empty() {
            return Ok(Vec::new());
        }
        let (waiting, answered) = Waiting::new(append)?;
        self.line.fill(self.place, Some(waiting));
        answered.await.map_err(|_| Error::Closed)?
    }
}

/// Given up, unless it was taken.
impl Drop for Turn {
    fn drop(&mut self) {
        self.line.fill(self.place, None);
    }
}

impl Line {
    /// Fills a place that is not filled, and sends on what stands in front and is complete: in parts of some size,
    /// because each wakes the writer.
    fn fill(&self, place: usize, waiting: Option<Waiting>) {
        // A panic while the lock is held leaves whole places.
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = place.checked_sub(places.gone) else { return };
        if let Some(open) = places.open.get_mut(open).filter(|open| open.is_none()) {
            *open = Some(waiting);
        }
        let complete = places.open.iter().take_while(|place| place.is_some()).count();
        if complete > 0 && (complete >= LINE_PART || complete == places.open.len()) {
            places.gone += complete;
            let part: Vec<Waiting> = places.open.drain(..complete).flatten().flatten().collect();
            // While the lock is held, so that the parts arrive in their order.
            self.queue.send(part);
        }
    }
}
