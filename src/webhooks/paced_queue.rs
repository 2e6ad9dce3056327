//! The redeliveries and resyncs of a channel that wait for their turn, and the time of the next one. Pure.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::lane::{DeliveryLaneKey, LaneKind};
use crate::domain::{AccountNumber, Timestamp};

/// The queue. Redeliveries and resyncs take turns.
pub(super) struct PacedQueue {
    /// Redelivery lanes, in the order in which they became ready.
    redeliveries: VecDeque<AccountNumber>,
    /// Stored lanes whose next delivery is a resync, by its position.
    resyncs: BTreeSet<(u64, AccountNumber)>,
    /// The earliest time of the next attempt.
    next_at: Timestamp,
    is_resync_turn: bool,
}

impl PacedQueue {
    pub(super) fn new() -> PacedQueue {
        PacedQueue {
            redeliveries: VecDeque::new(),
            resyncs: BTreeSet::new(),
            next_at: Timestamp(0),
            is_resync_turn: false,
        }
    }

    pub(super) fn push_redelivery(&mut self, account: AccountNumber) {
        self.redeliveries.push_back(account);
    }

    pub(super) fn push_redelivery_first(&mut self, account: AccountNumber) {
        self.redeliveries.push_front(account);
    }

    /// Adds a lane whose next delivery, at `position`, is a resync. Returns whether it is the first one.
    pub(super) fn add_resync(&mut self, position: u64, account: AccountNumber) -> bool {
        self.resyncs.insert((position, account));
        self.resyncs.first() == Some(&(position, account))
    }

    /// Removes a lane that [`add_resync`](PacedQueue::add_resync) added. Returns whether it was there.
    pub(super) fn remove_resync(&mut self, position: u64, account: AccountNumber) -> bool {
        self.resyncs.remove(&(position, account))
    }

    /// When the next lane may start; `None` if no lane waits.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        (!self.redeliveries.is_empty() || !self.resyncs.is_empty()).then_some(self.next_at)
    }

    /// Removes the lane whose turn it is.
    pub(super) fn pop(&mut self) -> Option<DeliveryLaneKey> {
        let (account, kind) = if self.resyncs.is_empty() || (!self.is_resync_turn && !self.redeliveries.is_empty()) {
            (self.redeliveries.pop_front()?, LaneKind::Redelivery)
        } else {
            (self.resyncs.pop_first()?.1, LaneKind::New)
        };
        Some(DeliveryLaneKey { account, kind })
    }

    /// Notes that an attempt was started at `now`. The next one may start `interval` later.
    pub(super) fn note_start(&mut self, kind: LaneKind, now: Timestamp, interval: Duration) {
        // A late start makes up for missed ones, but only for those of the last second.
        let earliest = Timestamp(now.0.saturating_sub(1_000_000));
        self.next_at = self.next_at.max(earliest).plus(interval);
        self.is_resync_turn = kind == LaneKind::Redelivery;
    }
}
