//! The lane of one account, the counted set of lanes, and the types of the
//! [`DeliveryScheduler`](super::delivery_scheduler::DeliveryScheduler): steps, changes and outcomes. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::delivery::Delivery;
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::domain::{AccountNumber, Timestamp};

/// The delivery settings that an operator may change.
#[derive(Clone, Debug)]
pub(super) struct DeliveryPolicy {
    /// The wait after the first failed attempt of a delivery, after the second, and so on.
    pub(super) retry_waits: Vec<Duration>,
    pub(super) after_last_try: DeadLetterPolicy,
    pub(super) deliver: DeliveryMode,
    /// The time between two redeliveries or resyncs.
    pub(super) redelivery_interval: Duration,
    /// The maximum number of redeliveries and resyncs in flight, so that new deliveries do not wait for them.
    pub(super) max_redeliveries_in_flight: usize,
}

/// One of the two lanes of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LaneKind {
    /// Deliveries of new events.
    New,
    /// Deliveries that are sent again.
    Redelivery,
}

/// The key of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DeliveryLaneKey {
    pub(super) account: AccountNumber,
    pub(super) kind: LaneKind,
}

/// The deliveries of one account, of one kind.
pub(super) struct DeliveryLane {
    /// The position of the next delivery, or an earlier position. All deliveries before it are completed.
    next_position: u64,
    /// Failed attempts of the next delivery, without deferred ones.
    pub(super) failed: u32,
    /// Attempts of the next delivery.
    pub(super) attempts: u32,
    /// Deliveries in memory, in order: all pending ones of an in-memory lane, the next few of a stored lane.
    pub(super) queue: VecDeque<Delivery>,
    mode: LaneMode,
}

/// The lanes of a channel. Each change updates the counts, because a million accounts may wait, too many to count on
/// each query.
#[derive(Default)]
pub(super) struct LaneSet {
    lanes: HashMap<DeliveryLaneKey, DeliveryLane>,
    blocked: u64,
    redelivering: u64,
    /// The next positions of the lanes that have a row.
    stored: BTreeSet<(u64, AccountNumber)>,
}

/// Where a lane's next delivery comes from, and whether it may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneMode {
    /// All pending deliveries are in memory.
    InMemory,
    /// The lane has a row. The next attempt is due at this time.
    Stored(Timestamp),
    /// The lane has a row and waits until its dead delivery is replayed or dropped.
    Blocked,
}

/// The row of a stored or blocked lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneRow {
    /// The position of the next delivery. All deliveries before it are completed.
    pub(super) next_position: u64,
    /// Failed attempts of the next delivery, without deferred ones.
    pub(super) failed: u32,
    /// Attempts of the next delivery.
    pub(super) attempts: u32,
    /// When the next attempt is due, by elapsed time; `None` if the lane is blocked.
    pub(super) due_at: Option<Timestamp>,
}

/// The next step of the channel worker.
#[derive(Debug)]
pub(super) enum SchedulerStep {
    /// Attempt a delivery, then call
    /// [`finish_attempt`](super::delivery_scheduler::DeliveryScheduler::finish_attempt).
    Attempt {
        key: DeliveryLaneKey,
        delivery: Delivery,
        /// The attempt number, 1-based.
        attempt: u32,
    },
    /// Read at most `most` events of a stored lane, up to the scheduler's read position. Then
    /// [`refill`](super::delivery_scheduler::DeliveryScheduler::refill) the lane.
    Refill {
        account: AccountNumber,
        /// Read after this position.
        after: u64,
        most: usize,
    },
    /// Read the account's first redelivery, then call
    /// [`refill_redelivery`](super::delivery_scheduler::DeliveryScheduler::refill_redelivery).
    RefillRedelivery(AccountNumber),
    /// Store these changes, then ask for the next step again.
    Write(Vec<LaneChange>),
}

/// A change to the delivery store. Apply it before the account's next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LaneChange {
    /// Write the row of a stored lane.
    PutRow { account: AccountNumber, row: LaneRow },
    /// Remove the row of a lane that is no longer stored.
    RemoveRow { account: AccountNumber },
    /// A redelivery waits for its next attempt.
    PutRedelivery { account: AccountNumber, position: u64, failed: u32, until: Timestamp },
    /// A redelivery is completed.
    RemoveRedelivery { account: AccountNumber, position: u64 },
    /// A delivery is not sent, because the one at position `by` supersedes it.
    MarkSuperseded { delivery: Delivery, by: u64 },
}

/// How an attempt ended, for its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptResult {
    /// The receiver accepted the delivery.
    Succeeded,
    /// The attempt failed.
    Failed {
        /// The receiver's `Retry-After`, if it sent one.
        retry_after: Option<Duration>,
    },
    /// The attempt failed but does not count, because the delivery is not the cause. The next attempt is due after this
    /// time.
    Deferred(Duration),
}

/// The outcome of the delivery after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryOutcome {
    Delivered,
    /// The next attempt is due at this time, by elapsed time.
    Waiting(Timestamp),
    /// No attempt is left.
    Dead,
    /// The attempt failed, and an operator discarded the delivery meanwhile.
    Dropped,
}

/// An account's attempt in flight.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlightAttempt {
    pub(super) kind: LaneKind,
    /// Whether it is a redelivery or a resync.
    pub(super) is_paced: bool,
    pub(super) since: Timestamp,
    /// Whether an operator discarded the delivery during the attempt.
    pub(super) is_discarded: bool,
    /// Whether an operator asked for a retry during the attempt.
    pub(super) is_retry_requested: bool,
}

/// The counts of a channel's lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneCounts {
    /// Accounts that wait for a retry.
    pub(super) waiting: u64,
    /// Accounts whose lane is blocked by a dead delivery.
    pub(super) blocked: u64,
    /// Accounts with redeliveries.
    pub(super) redelivering: u64,
    /// The next position of the lane that is furthest behind the read position, if there is one.
    pub(super) oldest: Option<u64>,
}

impl InFlightAttempt {
    pub(super) fn new(kind: LaneKind, is_paced: bool, since: Timestamp) -> InFlightAttempt {
        InFlightAttempt { kind, is_paced, since, is_discarded: false, is_retry_requested: false }
    }
}

impl DeliveryLane {
    /// A stored or blocked lane from its row.
    pub(super) fn from_row(row: LaneRow) -> DeliveryLane {
        let LaneRow { next_position, failed, attempts, due_at } = row;
        DeliveryLane {
            next_position,
            failed,
            attempts,
            queue: VecDeque::new(),
            mode: due_at.map_or(LaneMode::Blocked, LaneMode::Stored),
        }
    }

    /// A redelivery lane, due at `until`.
    pub(super) fn for_redelivery(until: Timestamp) -> DeliveryLane {
        DeliveryLane { next_position: 0, failed: 0, attempts: 0, queue: VecDeque::new(), mode: LaneMode::Stored(until) }
    }

    pub(super) fn next_position(&self) -> u64 {
        self.next_position
    }

    pub(super) fn mode(&self) -> LaneMode {
        self.mode
    }

    /// Whether this delivery is the next one and in memory.
    pub(super) fn is_next(&self, position: u64) -> bool {
        self.queue.front().is_some_and(|front| front.position == position)
    }

    /// Whether no attempt of the next delivery was made.
    pub(super) fn is_untried(&self) -> bool {
        self.attempts == 0
    }

    /// Whether the deliveries in memory are resyncs. A resync with a new delivery behind it does not wait for its turn,
    /// because the new one would wait too.
    pub(super) fn has_only_resyncs(&self) -> bool {
        !self.queue.is_empty() && self.queue.iter().all(|delivery| delivery.is_resync)
    }

    /// The change that writes the lane's row; `None` for an in-memory lane.
    pub(super) fn row_change(&self, account: AccountNumber) -> Option<LaneChange> {
        let until = match self.mode {
            LaneMode::InMemory => return None,
            LaneMode::Stored(until) => Some(until),
            LaneMode::Blocked => None,
        };
        Some(LaneChange::PutRow {
            account,
            row: LaneRow {
                next_position: self.next_position,
                failed: self.failed,
                attempts: self.attempts,
                due_at: until,
            },
        })
    }
}

impl LaneSet {
    pub(super) fn get(&self, key: DeliveryLaneKey) -> Option<&DeliveryLane> {
        self.lanes.get(&key)
    }

    /// A lane, to change its queue and attempts. Use [`update_position`](LaneSet::update_position) for its position and
    /// mode, which are counted.
    pub(super) fn get_mut(&mut self, key: DeliveryLaneKey) -> Option<&mut DeliveryLane> {
        self.lanes.get_mut(&key)
    }

    /// A lane. If there is none, creates an in-memory lane at `next` and calls `begun`.
    pub(super) fn get_or_create(&mut self, key: DeliveryLaneKey, next: u64, begun: impl FnOnce()) -> &mut DeliveryLane {
        self.lanes.entry(key).or_insert_with(|| {
            begun();
            DeliveryLane {
                next_position: next,
                failed: 0,
                attempts: 0,
                queue: VecDeque::new(),
                mode: LaneMode::InMemory,
            }
        })
    }

    pub(super) fn insert(&mut self, key: DeliveryLaneKey, lane: DeliveryLane) {
        self.remove(key);
        self.add_to_counts(key, lane.next_position, lane.mode);
        self.lanes.insert(key, lane);
    }

    pub(super) fn remove(&mut self, key: DeliveryLaneKey) {
        if let Some(DeliveryLane { next_position: next, mode, .. }) = self.lanes.remove(&key) {
            self.remove_from_counts(key, next, mode);
        }
    }

    /// Sets a lane's next position and mode.
    pub(super) fn update_position(
        &mut self,
        key: DeliveryLaneKey,
        next: u64,
        mode: LaneMode,
    ) -> Option<&mut DeliveryLane> {
        let lane = self.lanes.get(&key)?;
        self.remove_from_counts(key, lane.next_position, lane.mode);
        self.add_to_counts(key, next, mode);
        let lane = self.lanes.get_mut(&key)?;
        (lane.next_position, lane.mode) = (next, mode);
        Some(lane)
    }

    /// The counts. `oldest` covers only the lanes that have a row.
    pub(super) fn counts(&self) -> LaneCounts {
        let oldest = self.stored.first().map(|(next, _)| *next);
        LaneCounts {
            waiting: self.stored.len() as u64 - self.blocked,
            blocked: self.blocked,
            redelivering: self.redelivering,
            oldest,
        }
    }

    fn add_to_counts(&mut self, key: DeliveryLaneKey, next: u64, mode: LaneMode) {
        match (key.kind, mode) {
            (LaneKind::Redelivery, _) => self.redelivering += 1,
            (LaneKind::New, LaneMode::InMemory) => {}
            (LaneKind::New, LaneMode::Stored(_) | LaneMode::Blocked) => {
                self.blocked += u64::from(mode == LaneMode::Blocked);
                self.stored.insert((next, key.account));
            }
        }
    }

    fn remove_from_counts(&mut self, key: DeliveryLaneKey, next: u64, mode: LaneMode) {
        match (key.kind, mode) {
            (LaneKind::Redelivery, _) => self.redelivering -= 1,
            (LaneKind::New, LaneMode::InMemory) => {}
            (LaneKind::New, LaneMode::Stored(_) | LaneMode::Blocked) => {
                self.blocked -= u64::from(mode == LaneMode::Blocked);
                self.stored.remove(&(next, key.account));
            }
        }
    }

    /// The counts, by a walk over all lanes.
    #[cfg(test)]
    pub(super) fn recount(&self) -> LaneCounts {
        let mut counted = LaneSet::default();
        self.lanes.iter().for_each(|(key, lane)| counted.add_to_counts(*key, lane.next_position, lane.mode));
        counted.counts()
    }
}
