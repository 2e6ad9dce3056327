//! Decides which delivery may be tried, and when. Pure: deliveries, attempt results and the time are arguments. The
//! time is elapsed time (`retry_schedule`), which no operator can set.
//!
//! Each account has a lane. Its deliveries are tried one at a time, in the order of its events. Lanes do not wait for
//! each other.
//!
//! An *in-memory* lane keeps its deliveries in memory, and the channel's cursor stays before them. A lane becomes
//! *stored* when an attempt fails or takes long, or when many deliveries follow. A stored lane has a row in the
//! delivery store with its next position. The cursor moves on, and later deliveries are read again from the journal
//! when they are due. The journal is the queue, so memory stays bounded even if a receiver is far behind.
//!
//! An account's *redeliveries* have a second lane. Its queue is in the delivery store. The two lanes do not wait for
//! each other, but only one of them has an attempt in flight at a time.
//!
//! A *resync* tells an account's present state again. It is a new delivery, in its account's order. An operator may cause
//! a million of them, so they are paced: together with redeliveries, only so many are started in a second. Their lanes are
//! stored, so that they hold back no other account. A new delivery behind a resync ends its wait.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::delivery::Delivery;
use super::lane::{
    AttemptResult, DeliveryLane, DeliveryLaneKey, DeliveryOutcome, DeliveryPolicy, InFlightAttempt, LaneChange,
    LaneCounts, LaneKind, LaneMode, LaneRow, LaneSet, SchedulerStep,
};
use super::paced_queue::PacedQueue;
use super::retry_schedule;
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::domain::{AccountNumber, Timestamp};
use crate::limits::{WEBHOOK_REFILL_EVENTS, WEBHOOK_WINDOW};

/// The lanes of one channel.
pub(super) struct DeliveryScheduler {
    policy: DeliveryPolicy,
    pub(super) lanes: LaneSet,
    /// The position up to which the journal was read.
    read_position: u64,
    /// Positions of the deliveries in the in-memory lanes.
    pending_positions: BTreeSet<u64>,
    /// Lanes whose next delivery may be tried, in the order in which they became ready.
    ready: VecDeque<AccountNumber>,
    /// Ready redelivery lanes, and lanes whose next delivery is a resync.
    paced: PacedQueue,
    /// Stored lanes by the time of their next attempt.
    pub(super) waiting: BTreeSet<(Timestamp, DeliveryLaneKey)>,
    /// Accounts with an attempt in flight.
    pub(super) in_flight: HashMap<AccountNumber, InFlightAttempt>,
    /// Lanes that became ready while their account's other lane had an attempt in flight.
    parked: HashSet<DeliveryLaneKey>,
}

impl DeliveryScheduler {
    /// Restores the lanes from the delivery store. `cursor` is the position up to which the journal was read, and
    /// `rows` are the stored lanes. `redeliveries` has each account with redeliveries, and the time when its first one
    /// is due.
    pub(super) fn new(
        policy: DeliveryPolicy,
        cursor: u64,
        rows: impl IntoIterator<Item = (AccountNumber, LaneRow)>,
        redeliveries: impl IntoIterator<Item = (AccountNumber, Timestamp)>,
    ) -> DeliveryScheduler {
        let mut lanes = DeliveryScheduler {
            policy,
            lanes: LaneSet::default(),
            read_position: cursor,
            pending_positions: BTreeSet::new(),
            ready: VecDeque::new(),
            paced: PacedQueue::new(),
            waiting: BTreeSet::new(),
            in_flight: HashMap::new(),
            parked: HashSet::new(),
        };
        for (account, row) in rows {
            let key = DeliveryLaneKey { account, kind: LaneKind::New };
            lanes.waiting.extend(row.due_at.map(|until| (until, key)));
            lanes.lanes.insert(key, DeliveryLane::from_row(row));
        }
        for (account, until) in redeliveries {
            let key = DeliveryLaneKey { account, kind: LaneKind::Redelivery };
            lanes.waiting.insert((until, key));
            lanes.lanes.insert(key, DeliveryLane::for_redelivery(until));
        }
        lanes
    }

    /// Ingests deliveries that were read from the journal, up to `position`.
    pub(super) fn ingest(&mut self, deliveries: Vec<Delivery>, position: u64) -> Vec<LaneChange> {
        let mut changes = Vec::new();
        for delivery in deliveries {
            let key = DeliveryLaneKey { account: delivery.account, kind: LaneKind::New };
            let begun = || {
                if delivery.is_resync {
                    self.paced.add_resync(delivery.position, key.account);
                } else {
                    self.ready.push_back(key.account);
                }
            };
            let lane = self.lanes.get_or_create(key, delivery.position, begun);
            if lane.mode() != LaneMode::InMemory {
                if !delivery.is_resync && self.paced.remove_resync(lane.next_position(), key.account) {
                    self.ready.push_back(key.account);
                }
            } else if lane.queue.len() < WEBHOOK_REFILL_EVENTS && !delivery.is_resync {
                self.pending_positions.insert(delivery.position);
                lane.queue.push_back(delivery);
            } else {
                // One account must not fill the window of all accounts, and neither must resyncs.
                changes.extend(self.store_lane(key, 1, Timestamp(0)));
            }
        }
        self.read_position = position;
        changes
    }

    /// The next step, if one is due.
    pub(super) fn next_step(&mut self, now: Timestamp) -> Option<SchedulerStep> {
        // After a restart a million lanes may be due. A new delivery must not wait until all of them are read again.
        while self.ready.len() < WEBHOOK_WINDOW
            && let Some((until, key)) = self.waiting.first().copied()
            && until <= now
        {
            self.waiting.pop_first();
            self.make_ready(key);
        }
        let key = self.next_ready(now)?;
        let lane = self.lanes.get_mut(key)?;
        if self.policy.deliver == DeliveryMode::Latest && lane.is_untried() && lane.queue.len() > 1 {
            let changes = self.supersede(key);
            self.ready.push_front(key.account);
            return Some(SchedulerStep::Write(changes));
        }
        Some(match (lane.queue.front(), key.kind) {
            (Some(delivery), kind) => {
                lane.attempts = lane.attempts.saturating_add(1);
                let is_paced = kind == LaneKind::Redelivery || delivery.is_resync;
                self.in_flight.insert(key.account, InFlightAttempt::new(kind, is_paced, now));
                if is_paced {
                    self.paced.note_start(kind, now, self.policy.redelivery_interval);
                }
                SchedulerStep::Attempt { key, delivery: delivery.clone(), attempt: lane.attempts }
            }
            (None, LaneKind::New) => {
                // While the next delivery is being retried, later ones may still be superseded: read only one.
                let is_single = self.policy.deliver == DeliveryMode::Latest && !lane.is_untried();
                let most = if is_single { 1 } else { WEBHOOK_REFILL_EVENTS };
                SchedulerStep::Refill { account: key.account, after: lane.next_position().saturating_sub(1), most }
            }
            (None, LaneKind::Redelivery) => SchedulerStep::RefillRedelivery(key.account),
        })
    }

    /// Refills a stored lane with its next deliveries. If `is_all`, no more deliveries follow. If `deliveries` is
    /// empty, the lane and its row are removed.
    pub(super) fn refill(
        &mut self,
        account: AccountNumber,
        deliveries: Vec<Delivery>,
        is_all: bool,
    ) -> Vec<LaneChange> {
        let key = DeliveryLaneKey { account, kind: LaneKind::New };
        let mode = self.lanes.get(key).map(DeliveryLane::mode);
        let updated = mode
            .zip(deliveries.first())
            .and_then(|(mode, first)| self.lanes.update_position(key, first.position, mode));
        let Some(lane) = updated else {
            self.lanes.remove(key);
            return vec![LaneChange::RemoveRow { account }];
        };
        lane.queue = deliveries.into();
        if lane.has_only_resyncs() {
            self.await_turn(key);
            return Vec::new();
        }
        self.ready.push_front(account);
        if self.policy.deliver != DeliveryMode::Latest || !lane.is_untried() || lane.queue.len() == 1 {
            return Vec::new();
        }
        let mut changes = self.supersede(key);
        if let Some(lane) = self.lanes.get_mut(key) {
            if !is_all {
                // A later delivery may supersede the last of these too.
                lane.queue.clear();
            }
            changes.extend(lane.row_change(account));
        }
        changes
    }

    /// Refills a redelivery lane with its first delivery and that delivery's number of failed attempts. `None` removes
    /// the lane.
    pub(super) fn refill_redelivery(&mut self, account: AccountNumber, found: Option<(Delivery, u32)>) {
        let key = DeliveryLaneKey { account, kind: LaneKind::Redelivery };
        match (self.lanes.get_mut(key), found) {
            (Some(lane), Some((delivery, failed))) => {
                (lane.failed, lane.attempts) = (failed, failed);
                lane.queue = VecDeque::from([delivery]);
                self.paced.push_redelivery_first(account);
            }
            (_, None) | (None, _) => self.lanes.remove(key),
        }
    }

    /// Updates the lane after an attempt. Returns the outcome of the delivery and the changes to store.
    pub(super) fn finish_attempt(
        &mut self,
        key: DeliveryLaneKey,
        outcome: AttemptResult,
        now: Timestamp,
    ) -> (DeliveryOutcome, Vec<LaneChange>) {
        let in_flight = self.in_flight.remove(&key.account);
        let is_dropped = in_flight.is_some_and(|in_flight| in_flight.is_discarded);
        let is_retry_requested = in_flight.is_some_and(|in_flight| in_flight.is_retry_requested);
        for kind in [LaneKind::New, LaneKind::Redelivery] {
            let key = DeliveryLaneKey { kind, ..key };
            if self.parked.remove(&key) {
                self.make_ready(key);
            }
        }
        let Some(lane) = self.lanes.get_mut(key) else { return (DeliveryOutcome::Delivered, Vec::new()) };
        let position = lane.queue.front().map_or(lane.next_position(), |front| front.position);
        let wait = match outcome {
            AttemptResult::Succeeded => return (DeliveryOutcome::Delivered, self.complete(key, now)),
            AttemptResult::Deferred(_) | AttemptResult::Failed { .. } if is_dropped => {
                return (DeliveryOutcome::Dropped, self.complete(key, now));
            }
            // Handle the request as if it came now: the delivery gets all its attempts again.
            AttemptResult::Deferred(_) | AttemptResult::Failed { .. } if is_retry_requested => {
                lane.failed = 0;
                Some(Duration::ZERO)
            }
            AttemptResult::Deferred(wait) => Some(wait),
            AttemptResult::Failed { retry_after } => {
                let wait = retry_schedule::retry_wait(&self.policy.retry_waits, position, lane.failed, retry_after);
                lane.failed = lane.failed.saturating_add(1);
                wait
            }
        };
        match wait {
            Some(wait) => {
                let until = now.plus(wait);
                self.waiting.insert((until, key));
                (DeliveryOutcome::Waiting(until), self.store_lane(key, 0, until))
            }
            None if key.kind == LaneKind::New && self.policy.after_last_try == DeadLetterPolicy::Block => {
                let held = self.store_lane(key, 0, now);
                let blocked = self
                    .lanes
                    .update_position(key, position, LaneMode::Blocked)
                    .and_then(|lane| lane.row_change(key.account));
                (DeliveryOutcome::Dead, blocked.map_or(held, |row| vec![row]))
            }
            None => (DeliveryOutcome::Dead, self.complete(key, now)),
        }
    }

    /// Stores the lanes whose attempts have been in flight for longer than `slow`, so that the cursor can move on.
    pub(super) fn store_slow_lanes(&mut self, now: Timestamp, slow: Duration) -> Vec<LaneChange> {
        let is_slow = |(account, InFlightAttempt { kind, since, .. }): (&AccountNumber, &InFlightAttempt)| {
            let key = DeliveryLaneKey { account: *account, kind: *kind };
            let flows = self.lanes.get(key).is_some_and(|lane| lane.mode() == LaneMode::InMemory);
            (flows && now.since(*since) > slow).then_some(key)
        };
        let slow: Vec<DeliveryLaneKey> = self.in_flight.iter().filter_map(is_slow).collect();
        slow.into_iter().flat_map(|key| self.store_lane(key, 1, now)).collect()
    }

    /// Every delivery up to this position is completed, or its lane has a row in the delivery store.
    pub(super) fn cursor(&self) -> u64 {
        self.pending_positions.first().map_or(self.read_position, |first| first - 1)
    }

    /// The position up to which the journal was read.
    pub(super) fn read_position(&self) -> u64 {
        self.read_position
    }

    /// The number of deliveries in the in-memory lanes.
    pub(super) fn pending_count(&self) -> usize {
        self.pending_positions.len()
    }

    /// The earliest time at which a waiting step is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.first().map(|(until, _)| *until);
        let paced = self.paced.next_at().filter(|_| self.has_paced_slot());
        waiting.into_iter().chain(paced).min()
    }

    /// The counts of the lanes.
    pub(super) fn counts(&self) -> LaneCounts {
        let counts = self.lanes.counts();
        LaneCounts { oldest: counts.oldest.into_iter().chain(self.pending_positions.first().copied()).min(), ..counts }
    }

    pub(super) fn make_ready(&mut self, key: DeliveryLaneKey) {
        match key.kind {
            LaneKind::New => self.ready.push_back(key.account),
            LaneKind::Redelivery => self.paced.push_redelivery(key.account),
        }
    }

    /// Whether one more redelivery or resync may be in flight.
    fn has_paced_slot(&self) -> bool {
        let in_flight = self.in_flight.values().filter(|in_flight| in_flight.is_paced).count();
        in_flight < self.policy.max_redeliveries_in_flight
    }

    /// The next ready lane whose account has no attempt in flight. A redelivery or a resync comes first, if it may start.
    fn next_ready(&mut self, now: Timestamp) -> Option<DeliveryLaneKey> {
        loop {
            let may_start_paced = self.paced.next_at().is_some_and(|at| at <= now) && self.has_paced_slot();
            let paced = if may_start_paced { self.paced.pop() } else { None };
            let key = match paced {
                Some(key) => key,
                None => DeliveryLaneKey { account: self.ready.pop_front()?, kind: LaneKind::New },
            };
            let is_resync =
                key.kind == LaneKind::New && self.lanes.get(key).is_some_and(DeliveryLane::has_only_resyncs);
            if self.in_flight.contains_key(&key.account) {
                self.parked.insert(key);
            } else if is_resync && paced.is_none() {
                self.await_turn(key);
            } else {
                return Some(key);
            }
        }
    }

    /// Lets a stored lane wait until its resync may be sent.
    fn await_turn(&mut self, key: DeliveryLaneKey) {
        if let Some(lane) = self.lanes.get_mut(key)
            && !self.paced.add_resync(lane.next_position(), key.account)
        {
            // It is not the first one. Its deliveries use no memory, and are read again when it is.
            lane.queue.clear();
        }
    }

    /// Removes all deliveries except the last from a lane's queue, and marks the removed ones as superseded.
    fn supersede(&mut self, key: DeliveryLaneKey) -> Vec<LaneChange> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        let Some(last) = lane.queue.pop_back() else { return Vec::new() };
        let superseded = std::mem::replace(&mut lane.queue, VecDeque::from([last.clone()]));
        let mode = lane.mode();
        self.lanes.update_position(key, last.position, mode);
        let change = |delivery: Delivery| {
            self.pending_positions.remove(&delivery.position);
            LaneChange::MarkSuperseded { delivery, by: last.position }
        };
        superseded.into_iter().map(change).collect()
    }

    /// Completes a lane's next delivery. The delivery after it may then be tried.
    fn complete(&mut self, key: DeliveryLaneKey, now: Timestamp) -> Vec<LaneChange> {
        let account = key.account;
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        let Some(delivery) = lane.queue.pop_front() else { return Vec::new() };
        let position = delivery.position;
        (lane.failed, lane.attempts) = (0, 0);
        if key.kind == LaneKind::Redelivery {
            self.paced.push_redelivery(account);
            return vec![LaneChange::RemoveRedelivery { account, position }];
        }
        self.pending_positions.remove(&position);
        match (lane.mode(), lane.queue.is_empty()) {
            (LaneMode::InMemory, true) => {
                self.lanes.remove(key);
                return Vec::new();
            }
            (LaneMode::InMemory, false) => {
                self.lanes.update_position(key, position + 1, LaneMode::InMemory);
                self.ready.push_back(account);
                return Vec::new();
            }
            // A lane that still has deliveries in memory goes first, so that few stored lanes use memory.
            (LaneMode::Stored(_) | LaneMode::Blocked, false) => self.ready.push_front(account),
            (LaneMode::Stored(_) | LaneMode::Blocked, true) => self.ready.push_back(account),
        }
        let lane = self.lanes.update_position(key, position + 1, LaneMode::Stored(now));
        lane.and_then(|lane| lane.row_change(account)).into_iter().collect()
    }

    /// Stores a lane: gives it a row and keeps its first `keep` deliveries. The others are read again later.
    fn store_lane(&mut self, key: DeliveryLaneKey, keep: usize, until: Timestamp) -> Vec<LaneChange> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        for delivery in &lane.queue {
            self.pending_positions.remove(&delivery.position);
        }
        let position = lane.queue.front().map_or(lane.next_position(), |first| first.position);
        lane.queue.truncate(keep);
        let Some(lane) = self.lanes.update_position(key, position, LaneMode::Stored(until)) else { return Vec::new() };
        match key.kind {
            LaneKind::New => lane.row_change(key.account).into_iter().collect(),
            LaneKind::Redelivery => {
                vec![LaneChange::PutRedelivery { account: key.account, position, failed: lane.failed, until }]
            }
        }
    }
}
