//! What operators ask of the lanes: to send again, to try at once, to give up. Pure.

use super::delivery_scheduler::DeliveryScheduler;
use super::lane::{DeliveryLane, DeliveryLaneKey, LaneChange, LaneKind, LaneMode};
use crate::domain::{AccountNumber, Timestamp};

impl DeliveryScheduler {
    /// Something of an account is to be sent again.
    pub(super) fn queue_redelivery(&mut self, account: AccountNumber) {
        let key = DeliveryLaneKey { account, kind: LaneKind::Redelivery };
        match self.lanes.get(key) {
            None => {
                self.lanes.insert(key, DeliveryLane::for_redelivery(Timestamp(0)));
                self.make_ready(key);
            }
            // What waits for its retry is looked up again too: somebody asks for it.
            Some(lane) => {
                if let LaneMode::Stored(until) = lane.mode()
                    && self.waiting.remove(&(until, key))
                {
                    self.make_ready(key);
                }
            }
        }
    }

    /// Tries a delivery at once that waits for its retry, or that blocks its lane; one that is on its way is tried again if
    /// it fails. None if this one does none of it.
    pub(super) fn retry_now(
        &mut self,
        account: AccountNumber,
        position: u64,
        now: Timestamp,
    ) -> Option<Vec<LaneChange>> {
        if self.is_in_flight(account, position)
            && let Some(trying) = self.in_flight.get_mut(&account)
        {
            trying.is_retry_requested = true;
            return Some(Vec::new());
        }
        let key = DeliveryLaneKey { account, kind: LaneKind::New };
        let lane = self.lanes.get_mut(key).filter(|lane| lane.next_position() == position)?;
        match lane.mode() {
            LaneMode::Blocked => lane.failed = 0,
            LaneMode::Stored(until) if self.waiting.remove(&(until, key)) => {}
            // It is tried already, or at once.
            LaneMode::Stored(_) => return Some(Vec::new()),
            LaneMode::InMemory => return None,
        }
        let row = self.lanes.update_position(key, position, LaneMode::Stored(now))?.row_change(account);
        self.make_ready(key);
        Some(row.into_iter().collect())
    }

    /// Gives up a dead delivery, whether it blocks its lane or is about to be sent again. An attempt under way goes on,
    /// but no other follows it.
    pub(super) fn discard(&mut self, account: AccountNumber, position: u64, now: Timestamp) -> Vec<LaneChange> {
        if self.is_in_flight(account, position)
            && let Some(trying) = self.in_flight.get_mut(&account)
        {
            trying.is_discarded = true;
            return Vec::new();
        }
        let [first, again] = [LaneKind::New, LaneKind::Redelivery].map(|way| DeliveryLaneKey { account, kind: way });
        if let Some(lane) = self.lanes.get_mut(again).filter(|lane| lane.is_next(position)) {
            // What is to be sent instead is looked up in the book.
            lane.queue.clear();
        }
        let Some(lane) = self.lanes.get_mut(first).filter(|lane| lane.next_position() == position) else {
            return Vec::new();
        };
        let is_ready = match lane.mode() {
            LaneMode::InMemory => return Vec::new(),
            LaneMode::Stored(until) => !self.waiting.remove(&(until, first)),
            LaneMode::Blocked => false,
        };
        (lane.failed, lane.attempts) = (0, 0);
        lane.queue.clear();
        let row = self
            .lanes
            .update_position(first, position + 1, LaneMode::Stored(now))
            .and_then(|lane| lane.row_change(account));
        if !is_ready {
            self.make_ready(first);
        }
        row.into_iter().collect()
    }

    /// Whether an attempt of this delivery is under way.
    fn is_in_flight(&self, account: AccountNumber, position: u64) -> bool {
        let lane = self
            .in_flight
            .get(&account)
            .and_then(|trying| self.lanes.get(DeliveryLaneKey { account, kind: trying.kind }));
        lane.is_some_and(|lane| lane.is_next(position))
    }
}
