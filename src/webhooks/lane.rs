//! One account's lane, all of them counted, and the words of [`Lanes`](super::lanes::Lanes): what is to be done, and what
//! became of it. Pure.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::delivery::Delivery;
use crate::config::{AfterLastTry, Deliver};
use crate::domain::{AccountNumber, Timestamp};

/// What an operator may set.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    /// The wait after the first failed attempt of a delivery, after the second, and so on.
    pub(super) retry_waits: Vec<Duration>,
    pub(super) after_last_try: AfterLastTry,
    pub(super) deliver: Deliver,
    /// The time between two deliveries that are sent again.
    pub(super) again_every: Duration,
    /// How many of them may be under way, so that what is new need not wait for them.
    pub(super) again_at_once: usize,
}

/// Which of an account's two lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Way {
    /// Events as they happen.
    First,
    /// What is sent again.
    Again,
}

/// Which lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key {
    pub(super) account: AccountNumber,
    pub(super) way: Way,
}

/// One account's deliveries.
pub(super) struct Lane {
    /// Where the lane stands: everything before is settled. The position of the next delivery, or one before it.
    next: u64,
    /// Failed attempts of the next delivery that count.
    pub(super) failed: u32,
    /// Attempts of the next delivery.
    pub(super) tried: u32,
    /// What was read, in order. All that there is in a flowing lane; of a held one, what was read last.
    pub(super) queue: VecDeque<Delivery>,
    flow: Flow,
}

/// The lanes of a channel, counted as they change: a million accounts may wait, and nobody walks them to say how many.
#[derive(Default)]
pub(super) struct Counted {
    lanes: HashMap<Key, Lane>,
    blocked: u64,
    again: u64,
    /// Where the lanes stand that have a row.
    held: BTreeSet<(u64, AccountNumber)>,
}

/// How a lane goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// By itself.
    Flowing,
    /// By its row; the next attempt is due then.
    Held(Timestamp),
    /// Not before its dead delivery is replayed or dropped.
    Blocked,
}

/// The row of a lane that does not flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it stands: everything before is settled.
    pub(super) next: u64,
    /// Failed attempts of the next delivery that count.
    pub(super) failed: u32,
    /// Attempts of the next delivery.
    pub(super) tried: u32,
    /// When the next attempt is due, by elapsed time; none if the lane is blocked.
    pub(super) until: Option<Timestamp>,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Step {
    /// Try a delivery, and say how it [finished](super::lanes::Lanes::finished).
    Try {
        key: Key,
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
    RefillAgain(AccountNumber),
    /// Write these down; then there may be more.
    Write(Vec<Note>),
}

/// What is to be written down before anything else is done with the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The row of a held lane.
    Hold { account: AccountNumber, row: Row },
    /// The lane is held no longer: its row goes.
    Release { account: AccountNumber },
    /// What is sent again waits for its next attempt.
    Postpone { account: AccountNumber, position: u64, failed: u32, until: Timestamp },
    /// What was to be sent again is settled.
    SentAgain { account: AccountNumber, position: u64 },
    /// A delivery is not sent, because a later one says more.
    Supersede { delivery: Delivery, by: u64 },
}

/// How an attempt ended, as far as lanes care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The receiver has it.
    Taken,
    /// It has not.
    Failed {
        /// How long it wants to be left alone, if it says so.
        retry_after: Option<Duration>,
    },
    /// It has not, which is no fault of the delivery: the attempt does not count, the next is due after so long.
    Spared(Duration),
}

/// What became of the delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
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
pub(super) struct Trying {
    pub(super) way: Way,
    pub(super) since: Timestamp,
    /// Whether the delivery was given up meanwhile.
    pub(super) is_dropped: bool,
    /// Whether somebody asked meanwhile that it is sent again.
    pub(super) is_asked_for: bool,
}

/// How the lanes are, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Accounts that wait for a retry.
    pub(super) waiting: u64,
    /// Accounts whose lane is blocked by a dead delivery.
    pub(super) blocked: u64,
    /// Accounts with something to be sent again.
    pub(super) again: u64,
    /// Where the lane stands that is furthest behind, if one is behind what was read.
    pub(super) oldest: Option<u64>,
}

impl Lane {
    /// A lane as its row has it.
    pub(super) fn held(row: Row) -> Lane {
        let Row { next, failed, tried, until } = row;
        Lane { next, failed, tried, queue: VecDeque::new(), flow: until.map_or(Flow::Blocked, Flow::Held) }
    }

    /// A lane of what is sent again.
    pub(super) fn again(until: Timestamp) -> Lane {
        Lane { next: 0, failed: 0, tried: 0, queue: VecDeque::new(), flow: Flow::Held(until) }
    }

    /// Where it stands.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// How it goes on.
    pub(super) fn flow(&self) -> Flow {
        self.flow
    }

    /// Whether this delivery is in memory, and the next.
    pub(super) fn is_before(&self, position: u64) -> bool {
        self.queue.front().is_some_and(|front| front.position == position)
    }

    /// Whether no attempt of the next delivery was made.
    pub(super) fn is_untried(&self) -> bool {
        self.tried == 0
    }

    /// Its row; a flowing lane has none.
    pub(super) fn row(&self, account: AccountNumber) -> Option<Note> {
        let until = match self.flow {
            Flow::Flowing => return None,
            Flow::Held(until) => Some(until),
            Flow::Blocked => None,
        };
        Some(Note::Hold { account, row: Row { next: self.next, failed: self.failed, tried: self.tried, until } })
    }
}

impl Counted {
    pub(super) fn get(&self, key: Key) -> Option<&Lane> {
        self.lanes.get(&key)
    }

    /// A lane, to change what it has in memory. Where it stands, and how it goes on, is changed by
    /// [`stand`](Counted::stand).
    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut Lane> {
        self.lanes.get_mut(&key)
    }

    /// A lane, which begins to flow at `next` if there is none.
    pub(super) fn get_or_begin(&mut self, key: Key, next: u64, begun: impl FnOnce()) -> &mut Lane {
        self.lanes.entry(key).or_insert_with(|| {
            begun();
            Lane { next, failed: 0, tried: 0, queue: VecDeque::new(), flow: Flow::Flowing }
        })
    }

    pub(super) fn insert(&mut self, key: Key, lane: Lane) {
        self.remove(key);
        self.count(key, lane.next, lane.flow);
        self.lanes.insert(key, lane);
    }

    pub(super) fn remove(&mut self, key: Key) {
        if let Some(Lane { next, flow, .. }) = self.lanes.remove(&key) {
            self.discount(key, next, flow);
        }
    }

    /// A lane stands there now, and goes on so.
    pub(super) fn stand(&mut self, key: Key, next: u64, flow: Flow) -> Option<&mut Lane> {
        let lane = self.lanes.get(&key)?;
        self.discount(key, lane.next, lane.flow);
        self.count(key, next, flow);
        let lane = self.lanes.get_mut(&key)?;
        (lane.next, lane.flow) = (next, flow);
        Some(lane)
    }

    /// How the lanes are; the oldest is of those that have a row.
    pub(super) fn counts(&self) -> Counts {
        let oldest = self.held.first().map(|(next, _)| *next);
        Counts { waiting: self.held.len() as u64 - self.blocked, blocked: self.blocked, again: self.again, oldest }
    }

    fn count(&mut self, key: Key, next: u64, flow: Flow) {
        match (key.way, flow) {
            (Way::Again, _) => self.again += 1,
            (Way::First, Flow::Flowing) => {}
            (Way::First, Flow::Held(_) | Flow::Blocked) => {
                self.blocked += u64::from(flow == Flow::Blocked);
                self.held.insert((next, key.account));
            }
        }
    }

    fn discount(&mut self, key: Key, next: u64, flow: Flow) {
        match (key.way, flow) {
            (Way::Again, _) => self.again -= 1,
            (Way::First, Flow::Flowing) => {}
            (Way::First, Flow::Held(_) | Flow::Blocked) => {
                self.blocked -= u64::from(flow == Flow::Blocked);
                self.held.remove(&(next, key.account));
            }
        }
    }

    /// The same, by a walk over all of them.
    #[cfg(test)]
    pub(super) fn recounted(&self) -> Counts {
        let mut counted = Counted::default();
        self.lanes.iter().for_each(|(key, lane)| counted.count(*key, lane.next, lane.flow));
        counted.counts()
    }
}
