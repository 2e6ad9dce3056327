//! Which delivery may be tried when. Pure: events come in from the journal, outcomes from the attempts, and the time as
//! an argument. It is elapsed time (`waits`), which nobody sets.
//!
//! Each account is a lane: its deliveries are tried one at a time, in the order of its events, and lanes do not wait
//! for each other. A lane that *flows* keeps what was read of it in memory, and the channel's cursor stays before it.
//! Once an attempt fails, or takes long, or much is behind it, the lane is *held*: a row in the book says where it
//! stands, the cursor goes on, and what follows in the lane is not kept but read again from the journal when its time
//! comes. So what is in memory is bounded however far behind a receiver is: the journal is the queue.
//!
//! What somebody asked to have sent *again* has a lane of its own beside the account's, whose queue is in the book. The
//! two do not wait for each other, but never have attempts under way at once.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use super::delivery::Delivery;
use super::lane::{
    AttemptResult, DeliveryLane, DeliveryLaneKey, DeliveryOutcome, DeliveryPolicy, InFlightAttempt, LaneChange,
    LaneCounts, LaneKind, LaneMode, LaneRow, LaneSet, SchedulerStep,
};
use super::retry_schedule;
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::domain::{AccountNumber, Timestamp};
use crate::limits::WEBHOOK_REFILL_EVENTS;

/// The lanes of one channel.
pub(super) struct DeliveryScheduler {
    policy: DeliveryPolicy,
    pub(super) lanes: LaneSet,
    /// The position up to which the journal was read.
    read_position: u64,
    /// Positions of what the flowing lanes have in memory.
    pending_positions: BTreeSet<u64>,
    /// Lanes whose next delivery may be tried, the longest waiting first.
    ready: VecDeque<AccountNumber>,
    /// Likewise, of what is sent again.
    ready_redeliveries: VecDeque<AccountNumber>,
    /// When something may be sent again next.
    next_redelivery_at: Timestamp,
    /// Held lanes by the time of their next attempt.
    pub(super) waiting: BTreeSet<(Timestamp, DeliveryLaneKey)>,
    /// Accounts with an attempt under way.
    pub(super) in_flight: HashMap<AccountNumber, InFlightAttempt>,
    /// Lanes that were ready while their account's other lane had an attempt under way.
    parked: HashSet<DeliveryLaneKey>,
}

impl DeliveryScheduler {
    /// The lanes as a book has them: read up to `cursor`, some of them held, some accounts with something to be sent
    /// again, due then.
    pub(super) fn new(
        rules: DeliveryPolicy,
        cursor: u64,
        rows: impl IntoIterator<Item = (AccountNumber, LaneRow)>,
        again: impl IntoIterator<Item = (AccountNumber, Timestamp)>,
    ) -> DeliveryScheduler {
        let mut lanes = DeliveryScheduler {
            policy: rules,
            lanes: LaneSet::default(),
            read_position: cursor,
            pending_positions: BTreeSet::new(),
            ready: VecDeque::new(),
            ready_redeliveries: VecDeque::new(),
            next_redelivery_at: Timestamp(0),
            waiting: BTreeSet::new(),
            in_flight: HashMap::new(),
            parked: HashSet::new(),
        };
        for (account, row) in rows {
            let key = DeliveryLaneKey { account, kind: LaneKind::New };
            lanes.waiting.extend(row.due_at.map(|until| (until, key)));
            lanes.lanes.insert(key, DeliveryLane::from_row(row));
        }
        for (account, until) in again {
            let key = DeliveryLaneKey { account, kind: LaneKind::Redelivery };
            lanes.waiting.insert((until, key));
            lanes.lanes.insert(key, DeliveryLane::for_redelivery(until));
        }
        lanes
    }

    /// Takes in what was read of the journal, up to `position`.
    pub(super) fn ingest(&mut self, deliveries: Vec<Delivery>, position: u64) -> Vec<LaneChange> {
        let mut notes = Vec::new();
        for delivery in deliveries {
            let key = DeliveryLaneKey { account: delivery.account, kind: LaneKind::New };
            let begun = || self.ready.push_back(key.account);
            let lane = self.lanes.get_or_create(key, delivery.position, begun);
            if lane.mode() != LaneMode::InMemory {
                continue;
            }
            if lane.queue.len() < WEBHOOK_REFILL_EVENTS {
                self.pending_positions.insert(delivery.position);
                lane.queue.push_back(delivery);
            } else {
                // One account must not fill the window that is there for all.
                notes.extend(self.store_lane(key, 1, Timestamp(0)));
            }
        }
        self.read_position = position;
        notes
    }

    /// What is to be done next, if anything may be done yet.
    pub(super) fn next_step(&mut self, now: Timestamp) -> Option<SchedulerStep> {
        while let Some((_, key)) = self.waiting.first().copied().filter(|(until, _)| *until <= now) {
            self.waiting.pop_first();
            self.make_ready(key);
        }
        let key = self.next_ready(now)?;
        let lane = self.lanes.get_mut(key)?;
        if self.policy.deliver == DeliveryMode::Latest && lane.is_untried() && lane.queue.len() > 1 {
            let notes = self.supersede(key);
            self.ready.push_front(key.account);
            return Some(SchedulerStep::Write(notes));
        }
        Some(match (lane.queue.front(), key.kind) {
            (Some(delivery), way) => {
                lane.attempts = lane.attempts.saturating_add(1);
                self.in_flight.insert(
                    key.account,
                    InFlightAttempt { kind: way, since: now, is_discarded: false, is_retry_requested: false },
                );
                if way == LaneKind::Redelivery {
                    // What a late look missed is made up for, but not more than a second of it.
                    let earliest = Timestamp(now.0.saturating_sub(1_000_000));
                    self.next_redelivery_at =
                        self.next_redelivery_at.max(earliest).plus(self.policy.redelivery_interval);
                }
                SchedulerStep::Attempt { key, delivery: delivery.clone(), attempt: lane.attempts }
            }
            (None, LaneKind::New) => {
                // Of a lane that is in the middle of a delivery, what follows may yet be superseded.
                let is_single = self.policy.deliver == DeliveryMode::Latest && !lane.is_untried();
                let most = if is_single { 1 } else { WEBHOOK_REFILL_EVENTS };
                SchedulerStep::Refill { account: key.account, after: lane.next_position().saturating_sub(1), most }
            }
            (None, LaneKind::Redelivery) => SchedulerStep::RefillRedelivery(key.account),
        })
    }

    /// Refills a held lane with what follows in it; `is_all` if there is no more. If nothing follows, it flows again.
    pub(super) fn refill(
        &mut self,
        account: AccountNumber,
        deliveries: Vec<Delivery>,
        is_all: bool,
    ) -> Vec<LaneChange> {
        let key = DeliveryLaneKey { account, kind: LaneKind::New };
        let flow = self.lanes.get(key).map(DeliveryLane::mode);
        let standing = flow
            .zip(deliveries.first())
            .and_then(|(flow, first)| self.lanes.update_position(key, first.position, flow));
        let Some(lane) = standing else {
            self.lanes.remove(key);
            return vec![LaneChange::RemoveRow { account }];
        };
        lane.queue = deliveries.into();
        self.ready.push_front(account);
        if self.policy.deliver != DeliveryMode::Latest || !lane.is_untried() || lane.queue.len() == 1 {
            return Vec::new();
        }
        let mut notes = self.supersede(key);
        if let Some(lane) = self.lanes.get_mut(key) {
            if !is_all {
                // The last of these may be superseded too.
                lane.queue.clear();
            }
            notes.extend(lane.row_change(account));
        }
        notes
    }

    /// Refills the lane of what is sent again: with the first such delivery and how often it has failed. If there is
    /// none the lane is done.
    pub(super) fn refill_redelivery(&mut self, account: AccountNumber, found: Option<(Delivery, u32)>) {
        let key = DeliveryLaneKey { account, kind: LaneKind::Redelivery };
        match (self.lanes.get_mut(key), found) {
            (Some(lane), Some((delivery, failed))) => {
                (lane.failed, lane.attempts) = (failed, failed);
                lane.queue = VecDeque::from([delivery]);
                self.ready_redeliveries.push_front(account);
            }
            (_, None) | (None, _) => self.lanes.remove(key),
        }
    }

    /// Goes on after an attempt.
    pub(super) fn finish_attempt(
        &mut self,
        key: DeliveryLaneKey,
        outcome: AttemptResult,
        now: Timestamp,
    ) -> (DeliveryOutcome, Vec<LaneChange>) {
        let trying = self.in_flight.remove(&key.account);
        let is_dropped = trying.is_some_and(|trying| trying.is_discarded);
        let is_asked_for = trying.is_some_and(|trying| trying.is_retry_requested);
        for way in [LaneKind::New, LaneKind::Redelivery] {
            let key = DeliveryLaneKey { kind: way, ..key };
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
            // As if it were asked for now: it has all its attempts before it.
            AttemptResult::Deferred(_) | AttemptResult::Failed { .. } if is_asked_for => {
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

    /// Holds the lanes whose attempts have been under way for longer than `slow`, so that the cursor goes on.
    pub(super) fn store_slow_lanes(&mut self, now: Timestamp, slow: Duration) -> Vec<LaneChange> {
        let is_slow = |(account, InFlightAttempt { kind: way, since, .. }): (&AccountNumber, &InFlightAttempt)| {
            let key = DeliveryLaneKey { account: *account, kind: *way };
            let flows = self.lanes.get(key).is_some_and(|lane| lane.mode() == LaneMode::InMemory);
            (flows && now.since(*since) > slow).then_some(key)
        };
        let slow: Vec<DeliveryLaneKey> = self.in_flight.iter().filter_map(is_slow).collect();
        slow.into_iter().flat_map(|key| self.store_lane(key, 1, now)).collect()
    }

    /// The position up to which everything is settled or has a row.
    pub(super) fn cursor(&self) -> u64 {
        self.pending_positions.first().map_or(self.read_position, |first| first - 1)
    }

    /// The position up to which the journal was read.
    pub(super) fn read_position(&self) -> u64 {
        self.read_position
    }

    /// How many deliveries the flowing lanes have in memory.
    pub(super) fn pending_count(&self) -> usize {
        self.pending_positions.len()
    }

    /// When something is to be done next that waits for its time.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.first().map(|(until, _)| *until);
        let again = self.may_redeliver().then_some(self.next_redelivery_at);
        waiting.into_iter().chain(again).min()
    }

    /// How the lanes are.
    pub(super) fn counts(&self) -> LaneCounts {
        let counts = self.lanes.counts();
        LaneCounts { oldest: counts.oldest.into_iter().chain(self.pending_positions.first().copied()).min(), ..counts }
    }

    pub(super) fn make_ready(&mut self, key: DeliveryLaneKey) {
        match key.kind {
            LaneKind::New => self.ready.push_back(key.account),
            LaneKind::Redelivery => self.ready_redeliveries.push_back(key.account),
        }
    }

    /// Whether something is to be sent again, and not too much of it is under way.
    fn may_redeliver(&self) -> bool {
        let is_again = |trying: &&InFlightAttempt| trying.kind == LaneKind::Redelivery;
        !self.ready_redeliveries.is_empty()
            && self.in_flight.values().filter(is_again).count() < self.policy.max_redeliveries_in_flight
    }

    /// The lane that has been ready for longest and whose account has no attempt under way.
    fn next_ready(&mut self, now: Timestamp) -> Option<DeliveryLaneKey> {
        loop {
            let may_send_again = self.next_redelivery_at <= now && self.may_redeliver();
            let again = if may_send_again { self.ready_redeliveries.pop_front() } else { None };
            let key = match again {
                Some(account) => DeliveryLaneKey { account, kind: LaneKind::Redelivery },
                None => DeliveryLaneKey { account: self.ready.pop_front()?, kind: LaneKind::New },
            };
            if !self.in_flight.contains_key(&key.account) {
                return Some(key);
            }
            self.parked.insert(key);
        }
    }

    /// Takes all out of a lane's queue but the last.
    fn supersede(&mut self, key: DeliveryLaneKey) -> Vec<LaneChange> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        let Some(last) = lane.queue.pop_back() else { return Vec::new() };
        let superseded = std::mem::replace(&mut lane.queue, VecDeque::from([last.clone()]));
        let flow = lane.mode();
        self.lanes.update_position(key, last.position, flow);
        let note = |delivery: Delivery| {
            self.pending_positions.remove(&delivery.position);
            LaneChange::MarkSuperseded { delivery, by: last.position }
        };
        superseded.into_iter().map(note).collect()
    }

    /// The next delivery is settled, and whatever follows may be tried.
    fn complete(&mut self, key: DeliveryLaneKey, now: Timestamp) -> Vec<LaneChange> {
        let account = key.account;
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        let Some(delivery) = lane.queue.pop_front() else { return Vec::new() };
        let position = delivery.position;
        (lane.failed, lane.attempts) = (0, 0);
        if key.kind == LaneKind::Redelivery {
            self.ready_redeliveries.push_back(account);
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
            // What was read again is sent before another lane's is read, so that little is in memory.
            (LaneMode::Stored(_) | LaneMode::Blocked, false) => self.ready.push_front(account),
            (LaneMode::Stored(_) | LaneMode::Blocked, true) => self.ready.push_back(account),
        }
        let lane = self.lanes.update_position(key, position + 1, LaneMode::Stored(now));
        lane.and_then(|lane| lane.row_change(account)).into_iter().collect()
    }

    /// Gives a lane its row, and keeps the first few of its deliveries; the others are read again later.
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
