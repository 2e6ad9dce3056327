//! Commands of operators to the scheduler: redeliver, retry now, discard. Pure.

use super::delivery_scheduler::DeliveryScheduler;
use super::lane::{DeliveryLane, DeliveryLaneKey, InFlightAttempt, LaneChange, LaneKind, LaneMode};
use crate::domain::{AccountNumber, Timestamp};

impl DeliveryScheduler {
    /// Makes an account's redelivery lane ready. The delivery itself is in the delivery store.
    pub(super) fn queue_redelivery(&mut self, account: AccountNumber) {
        let key = DeliveryLaneKey { account, kind: LaneKind::Redelivery };
        match self.lanes.get(key) {
            None => {
                self.lanes.insert(key, DeliveryLane::for_redelivery(Timestamp(0)));
                self.make_ready(key);
            }
            // A redelivery that waits for a retry becomes ready too: an operator asked for it.
            Some(lane) => {
                if let LaneMode::Stored(until) = lane.mode()
                    && self.waiting.remove(&(until, key))
                {
                    self.make_ready(key);
                }
            }
        }
    }

    /// Makes a delivery due now if it waits for a retry or blocks its lane. If an attempt is in flight and fails,
    /// another one follows at once. Returns `None` if the delivery is in another state.
    pub(super) fn retry_now(
        &mut self,
        account: AccountNumber,
        position: u64,
        now: Timestamp,
    ) -> Option<Vec<LaneChange>> {
        let in_flight = self.in_flight_attempt(account, position);
        let retried = in_flight.map(|attempt| {
            attempt.is_retry_requested = true;
            attempt.kind
        });
        if retried == Some(LaneKind::New) {
            return Some(Vec::new());
        }
        // A redelivery in flight does not unblock the other lane, which may wait for the same delivery after a crash.
        let key = DeliveryLaneKey { account, kind: LaneKind::New };
        let Some(lane) = self.lanes.get_mut(key).filter(|lane| lane.next_position() == position) else {
            return retried.map(|_| Vec::new());
        };
        match lane.mode() {
            LaneMode::Blocked => lane.failed = 0,
            LaneMode::Stored(until) if self.waiting.remove(&(until, key)) => {}
            // The lane is ready, or its attempt is in flight.
            LaneMode::Stored(_) => return Some(Vec::new()),
            LaneMode::InMemory => return retried.map(|_| Vec::new()),
        }
        let row = self.lanes.update_position(key, position, LaneMode::Stored(now))?.row_change(account);
        self.make_ready(key);
        Some(row.into_iter().collect())
    }

    /// Discards a dead delivery that blocks its lane or is queued for redelivery. An attempt in flight continues, but
    /// no other attempt follows it.
    pub(super) fn discard(&mut self, account: AccountNumber, position: u64, now: Timestamp) -> Vec<LaneChange> {
        let [new, redelivery] = [LaneKind::New, LaneKind::Redelivery].map(|kind| DeliveryLaneKey { account, kind });
        let in_flight = self.in_flight_attempt(account, position);
        let discarded = in_flight.map(|attempt| {
            attempt.is_discarded = true;
            attempt.kind
        });
        if discarded == Some(LaneKind::New) {
            return Vec::new();
        }
        // A redelivery in flight does not unblock the other lane, which may wait for the same delivery after a crash.
        if let Some(lane) = self.lanes.get_mut(redelivery).filter(|lane| discarded.is_none() && lane.is_next(position))
        {
            // The next redelivery is read from the delivery store.
            lane.queue.clear();
        }
        let Some(lane) = self.lanes.get_mut(new).filter(|lane| lane.next_position() == position) else {
            return Vec::new();
        };
        let is_ready = match lane.mode() {
            LaneMode::InMemory => return Vec::new(),
            LaneMode::Stored(until) => !self.waiting.remove(&(until, new)),
            LaneMode::Blocked => false,
        };
        (lane.failed, lane.attempts) = (0, 0);
        lane.queue.clear();
        let row = self
            .lanes
            .update_position(new, position + 1, LaneMode::Stored(now))
            .and_then(|lane| lane.row_change(account));
        if !is_ready {
            self.make_ready(new);
        }
        row.into_iter().collect()
    }

    /// The attempt of this delivery that is in flight, if there is one.
    fn in_flight_attempt(&mut self, account: AccountNumber, position: u64) -> Option<&mut InFlightAttempt> {
        let in_flight = self.in_flight.get_mut(&account)?;
        let lane = self.lanes.get(DeliveryLaneKey { account, kind: in_flight.kind })?;
        lane.is_next(position).then_some(in_flight)
    }
}
