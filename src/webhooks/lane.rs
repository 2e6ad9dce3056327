//! One account's lane, all of them counted, and the words of [`Lanes`](super::lanes::Lanes): what is to be done, and what
//! became of it. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::delivery::Delivery;
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::domain::{AccountNumber, Timestamp};

/// What an operator may set.
#[derive(Clone, Debug)]
pub(super) struct DeliveryPolicy {
    /// The wait after the first failed attempt of a delivery, after the second, and so on.
    pub(super) retry_waits: Vec<Duration>,
    pub(super) after_last_try: DeadLetterPolicy,
    pub(super) deliver: DeliveryMode,
    /// The time between two deliveries that are sent again.
    pub(super) redelivery_interval: Duration,
    /// How many of them may be under way, so that what is new need not wait for them.
    pub(super) max_redeliveries_in_flight: usize,
}

/// Which of an account's two lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum LaneKind {
    /// Events as they happen.
    New,
    /// What is sent again.
    Redelivery,
}

/// Which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DeliveryLaneKey {
    pub(super) account: AccountNumber,
    pub(super) kind: LaneKind,
}

/// One account's deliveries.
pub(super) struct DeliveryLane {
    /// Where the lane stands: everything before is settled. The position of the next delivery, or one before it.
    next_position: u64,
    /// Failed attempts of the next delivery that count.
    pub(super) failed: u32,
    /// Attempts of the next delivery.
    pub(super) attempts: u32,
    /// What was read, in order. All that there is in a flowing lane; of a held one, what was read last.
    pub(super) queue: VecDeque<Delivery>,
    mode: LaneMode,
}

/// The lanes of a channel, counted as they change: a million accounts may wait, and nobody walks them to say how many.
#[derive(Default)]
pub(super) struct LaneSet {
    lanes: HashMap<DeliveryLaneKey, DeliveryLane>,
    blocked: u64,
    redelivering: u64,
    /// Where the lanes stand that have a row.
    stored: BTreeSet<(u64, AccountNumber)>,
}

/// How a lane goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneMode {
    /// By itself.
    InMemory,
    /// By its row; the next attempt is due then.
    Stored(Timestamp),
    /// Not before its dead delivery is replayed or dropped.
    Blocked,
}

/// The row of a lane that does not flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LaneRow {
    /// Where it stands: everything before is settled.
    pub(super) next_position: u64,
    /// Failed attempts of the next delivery that count.
    pub(super) failed: u32,
    /// Attempts of the next delivery.
    pub(super) attempts: u32,
    /// When the next attempt is due, by elapsed time; none if the lane is blocked.
    pub(super) due_at: Option<Timestamp>,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum SchedulerStep {
    /// Try a delivery, and say how it [finished](super::lanes::Lanes::finished).
    Attempt {
        key: DeliveryLaneKey,
        delivery: Delivery,
        /// From 1.
        attempt: u32,
    },
    /// Read what follows in a held lane, at most `most`, up to the position that was [read](super::lanes::Lanes::read), and
    /// [refill](super::lanes::Lanes::refill) it.
    Refill {
        account: AccountNumber,
        /// The position after which to read.
        after: u64,
        most: usize,
    },
    /// Look up what is to be sent again first, and [refill](super::lanes::Lanes::refill_again) the lane.
    RefillRedelivery(AccountNumber),
    /// Write these down; then there may be more.
    Write(Vec<LaneChange>),
}

/// What is to be written down before anything else is done with the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum LaneChange {
    /// The row of a held lane.
    PutRow { account: AccountNumber, row: LaneRow },
    /// The lane is held no longer: its row goes.
    RemoveRow { account: AccountNumber },
    /// What is sent again waits for its next attempt.
    PutRedelivery { account: AccountNumber, position: u64, failed: u32, until: Timestamp },
    /// What was to be sent again is settled.
    RemoveRedelivery { account: AccountNumber, position: u64 },
    /// A delivery is not sent, because a later one says more.
    MarkSuperseded { delivery: Delivery, by: u64 },
}

/// How an attempt ended, as far as lanes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptResult {
    /// The receiver has it.
    Succeeded,
    /// It has not.
    Failed {
        /// How long it wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// It has not, which is no fault of the delivery: the attempt does not count, the next is due after so long.
    Deferred(Duration),
}

/// What became of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryOutcome {
    Delivered,
    /// The next attempt is due then, by elapsed time.
    Waiting(Timestamp),
    /// No attempt is left.
    Dead,
    /// It was dead and is given up, whatever became of the attempt that was under way.
    Dropped,
}

/// An account's attempt under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct InFlightAttempt {
    pub(super) kind: LaneKind,
    pub(super) since: Timestamp,
    /// Whether the delivery was given up meanwhile.
    pub(super) is_discarded: bool,
    /// Whether somebody asked meanwhile that it is sent again.
    pub(super) is_retry_requested: bool,
}

/// How the lanes are, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LaneCounts {
    /// Accounts that wait for a retry.
    pub(super) waiting: u64,
    /// Accounts whose lane is blocked by a dead delivery.
    pub(super) blocked: u64,
    /// Accounts with something to be sent again.
    pub(super) redelivering: u64,
    /// Where the lane stands that is furthest behind, if one is behind what was read.
    pub(super) oldest: Option<u64>,
}

impl DeliveryLane {
    /// A lane as its row has it.
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

    /// A lane of what is sent again.
    pub(super) fn for_redelivery(until: Timestamp) -> DeliveryLane {
        DeliveryLane { next_position: 0, failed: 0, attempts: 0, queue: VecDeque::new(), mode: LaneMode::Stored(until) }
    }

    /// Where it stands.
    pub(super) fn next_position(&self) -> u64 {
        self.next_position
    }

    /// How it goes on.
    pub(super) fn mode(&self) -> LaneMode {
        self.mode
    }

    /// Whether this delivery is in memory, and the next.
    pub(super) fn is_next(&self, position: u64) -> bool {
        self.queue.front().is_some_and(|front| front.position == position)
    }

    /// Whether no attempt of the next delivery was made.
    pub(super) fn is_untried(&self) -> bool {
        self.attempts == 0
    }

    /// Its row; a flowing lane has none.
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

    /// A lane, to change what it has in memory. Where it stands, and how it goes on, is changed by
    /// [`stand`](Counted::stand).
    pub(super) fn get_mut(&mut self, key: DeliveryLaneKey) -> Option<&mut DeliveryLane> {
        self.lanes.get_mut(&key)
    }

    /// A lane, which begins to flow at `next` if there is none.
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
        if let Some(DeliveryLane { next_position: next, mode: flow, .. }) = self.lanes.remove(&key) {
            self.remove_from_counts(key, next, flow);
        }
    }

    /// A lane stands there now, and goes on so.
    pub(super) fn update_position(
        &mut self,
        key: DeliveryLaneKey,
        next: u64,
        flow: LaneMode,
    ) -> Option<&mut DeliveryLane> {
        let lane = self.lanes.get(&key)?;
        self.remove_from_counts(key, lane.next_position, lane.mode);
        self.add_to_counts(key, next, flow);
        let lane = self.lanes.get_mut(&key)?;
        (lane.next_position, lane.mode) = (next, flow);
        Some(lane)
    }

    /// How the lanes are; the oldest is of those that have a row.
    pub(super) fn counts(&self) -> LaneCounts {
        let oldest = self.stored.first().map(|(next, _)| *next);
        LaneCounts {
            waiting: self.stored.len() as u64 - self.blocked,
            blocked: self.blocked,
            redelivering: self.redelivering,
            oldest,
        }
    }

    fn add_to_counts(&mut self, key: DeliveryLaneKey, next: u64, flow: LaneMode) {
        match (key.kind, flow) {
            (LaneKind::Redelivery, _) => self.redelivering += 1,
            (LaneKind::New, LaneMode::InMemory) => {}
            (LaneKind::New, LaneMode::Stored(_) | LaneMode::Blocked) => {
                self.blocked += u64::from(flow == LaneMode::Blocked);
                self.stored.insert((next, key.account));
            }
        }
    }

    fn remove_from_counts(&mut self, key: DeliveryLaneKey, next: u64, flow: LaneMode) {
        match (key.kind, flow) {
            (LaneKind::Redelivery, _) => self.redelivering -= 1,
            (LaneKind::New, LaneMode::InMemory) => {}
            (LaneKind::New, LaneMode::Stored(_) | LaneMode::Blocked) => {
                self.blocked -= u64::from(flow == LaneMode::Blocked);
                self.stored.remove(&(next, key.account));
            }
        }
    }

    /// The same, by a walk over all of them.
    #[cfg(test)]
    pub(super) fn recount(&self) -> LaneCounts {
        let mut counted = LaneSet::default();
        self.lanes.iter().for_each(|(key, lane)| counted.add_to_counts(*key, lane.next_position, lane.mode));
        counted.counts()
    }
}
