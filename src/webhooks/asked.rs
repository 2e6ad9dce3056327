//! What operators ask of the lanes: to send again, to try at once, to give up. Pure.

use super::lane::{Flow, Key, Lane, Note, Way};
use super::lanes::Lanes;
use crate::domain::{AccountNumber, Timestamp};

impl Lanes {
    /// Something of an account is to be sent again.
    pub(super) fn again(&mut self, account: AccountNumber) {
        let key = Key { account, way: Way::Again };
        match self.lanes.get(key) {
            None => {
                self.lanes.insert(key, Lane::again(Timestamp(0)));
                self.make_ready(key);
            }
            // What waits for its retry is looked up again too: somebody asks for it.
            Some(lane) => {
                if let Flow::Held(until) = lane.flow()
                    && self.waiting.remove(&(until, key))
                {
                    self.make_ready(key);
                }
            }
        }
    }

    /// Tries a delivery at once that waits for its retry, or that blocks its lane; one that is on its way is tried again if
    /// it fails. None if this one does none of it.
    pub(super) fn wake(&mut self, account: AccountNumber, position: u64, now: Timestamp) -> Option<Vec<Note>> {
        if self.is_under_way(account, position)
            && let Some(trying) = self.trying.get_mut(&account)
        {
            trying.is_asked_for = true;
            return Some(Vec::new());
        }
        let key = Key { account, way: Way::First };
        let lane = self.lanes.get_mut(key).filter(|lane| lane.next() == position)?;
        match lane.flow() {
            Flow::Blocked => lane.failed = 0,
            Flow::Held(until) if self.waiting.remove(&(until, key)) => {}
            // It is tried already, or at once.
            Flow::Held(_) => return Some(Vec::new()),
            Flow::Flowing => return None,
        }
        let row = self.lanes.stand(key, position, Flow::Held(now))?.row(account);
        self.make_ready(key);
        Some(row.into_iter().collect())
    }

    /// Gives up a dead delivery, whether it blocks its lane or is about to be sent again. An attempt under way goes on,
    /// but no other follows it.
    pub(super) fn skip(&mut self, account: AccountNumber, position: u64, now: Timestamp) -> Vec<Note> {
        if self.is_under_way(account, position)
            && let Some(trying) = self.trying.get_mut(&account)
        {
            trying.is_dropped = true;
            return Vec::new();
        }
        let [first, again] = [Way::First, Way::Again].map(|way| Key { account, way });
        if let Some(lane) = self.lanes.get_mut(again).filter(|lane| lane.is_before(position)) {
            // What is to be sent instead is looked up in the book.
            lane.queue.clear();
        }
        let Some(lane) = self.lanes.get_mut(first).filter(|lane| lane.next() == position) else { return Vec::new() };
        let is_ready = match lane.flow() {
            Flow::Flowing => return Vec::new(),
            Flow::Held(until) => !self.waiting.remove(&(until, first)),
            Flow::Blocked => false,
        };
        (lane.failed, lane.tried) = (0, 0);
        lane.queue.clear();
        let row = self.lanes.stand(first, position + 1, Flow::Held(now)).and_then(|lane| lane.row(account));
        if !is_ready {
            self.make_ready(first);
        }
        row.into_iter().collect()
    }

    /// Whether an attempt of this delivery is under way.
    fn is_under_way(&self, account: AccountNumber, position: u64) -> bool {
        let lane = self.trying.get(&account).and_then(|trying| self.lanes.get(Key { account, way: trying.way }));
        lane.is_some_and(|lane| lane.is_before(position))
    }
}
