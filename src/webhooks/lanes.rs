//! Which delivery may be tried when. Pure: events come in from the journal, outcomes from the attempts, and the time as
//! an argument.
//!
//! Each account is a lane: its deliveries are tried one at a time, in the order of its events, and lanes do not wait
//! for each other. A lane that *flows* keeps what was read of it in memory, and the channel's cursor stays before it.
//! Once an attempt fails, or takes long, the lane is *held*: a row in the book says where it stands, the cursor goes
//! on, and what follows in the lane is not kept but read again from the journal when its time comes. So what is in
//! memory is bounded however far behind a receiver is: the journal is the queue.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::delivery::Delivery;
use super::verdict::Failure;
use crate::domain::{AccountNumber, Timestamp};

/// The lanes of one channel.
pub(super) struct Lanes {
    /// The wait after the first failed attempt of a delivery, after the second, and so on.
    retry_waits: Vec<Duration>,
    lanes: HashMap<AccountNumber, Lane>,
    /// The position up to which the journal was read.
    read: u64,
    /// Positions of what the flowing lanes have in memory.
    unsettled: BTreeSet<u64>,
    /// Lanes whose next delivery may be tried, the longest waiting first.
    ready: VecDeque<AccountNumber>,
    /// Held lanes by the time of their next attempt.
    waiting: BTreeSet<(Timestamp, AccountNumber)>,
    /// Lanes with an attempt under way, and since when.
    trying: HashMap<AccountNumber, Timestamp>,
}

/// One account's deliveries.
struct Lane {
    /// Where the lane stands: everything before is settled. The position of the next delivery, or one before it.
    next: u64,
    /// Failed attempts of the next delivery.
    failed: u32,
    /// What was read, in order. All that there is in a flowing lane; of a held one, what was read last.
    queue: VecDeque<Delivery>,
    is_held: bool,
}

/// The row of a held lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where it stands: everything before is settled.
    pub(super) next: u64,
    /// Failed attempts of the next delivery.
    pub(super) failed: u32,
    /// When the next attempt is due.
    pub(super) until: Timestamp,
}

/// What is to be done now.
#[derive(Debug)]
pub(super) enum Step {
    /// Try a delivery, and say how it [finished](Lanes::finished).
    Try {
        delivery: Delivery,
        /// The how many-th attempt it is, from 1.
        attempt: u32,
    },
    /// Read what follows in a held lane, up to the position that was [read](Lanes::read), and [refill](Lanes::refill)
    /// it.
    Refill {
        account: AccountNumber,
        /// The position after which to read.
        after: u64,
    },
}

/// What is to be written down before anything else is done with the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Note {
    /// The row of a held lane.
    Hold { account: AccountNumber, row: Row },
    /// The lane is held no longer: its row goes.
    Release { account: AccountNumber },
    /// A delivery that failed for good.
    Bury { delivery: Delivery, attempts: u32, failure: Failure, at: Timestamp },
}

impl Lanes {
    /// The lanes as a book has them: read up to `cursor`, some of them held.
    pub(super) fn new(
        retry_waits: Vec<Duration>,
        cursor: u64,
        rows: impl IntoIterator<Item = (AccountNumber, Row)>,
    ) -> Lanes {
        let (mut lanes, mut waiting) = (HashMap::new(), BTreeSet::new());
        for (account, Row { next, failed, until }) in rows {
            waiting.insert((until, account));
            lanes.insert(account, Lane { next, failed, queue: VecDeque::new(), is_held: true });
        }
        let (unsettled, ready, trying) = (BTreeSet::new(), VecDeque::new(), HashMap::new());
        Lanes { retry_waits, lanes, read: cursor, unsettled, ready, waiting, trying }
    }

    /// Takes in what was read of the journal, up to `position`.
    pub(super) fn take_in(&mut self, deliveries: Vec<Delivery>, position: u64) {
        for delivery in deliveries {
            let account = delivery.account;
            let lane = self.lanes.entry(account).or_insert_with(|| {
                self.ready.push_back(account);
                Lane { next: delivery.position, failed: 0, queue: VecDeque::new(), is_held: false }
            });
            if !lane.is_held {
                self.unsettled.insert(delivery.position);
                lane.queue.push_back(delivery);
            }
        }
        self.read = position;
    }

    /// What is to be done next, if anything may be done yet.
    pub(super) fn step(&mut self, now: Timestamp) -> Option<Step> {
        while let Some((_, account)) = self.waiting.first().copied().filter(|(until, _)| *until <= now) {
            self.waiting.pop_first();
            self.ready.push_back(account);
        }
        let account = self.ready.pop_front()?;
        let lane = self.lanes.get(&account)?;
        Some(match lane.queue.front() {
            Some(delivery) => {
                self.trying.insert(account, now);
                Step::Try { delivery: delivery.clone(), attempt: lane.failed + 1 }
            }
            None => Step::Refill { account, after: lane.next.saturating_sub(1) },
        })
    }

    /// Refills a held lane. If nothing follows, it flows again.
    pub(super) fn refill(&mut self, account: AccountNumber, deliveries: Vec<Delivery>) -> Option<Note> {
        match (self.lanes.get_mut(&account), deliveries.first()) {
            (Some(lane), Some(first)) => {
                lane.next = first.position;
                lane.queue = deliveries.into();
                self.ready.push_front(account);
                None
            }
            (_, None) | (None, _) => {
                self.lanes.remove(&account);
                Some(Note::Release { account })
            }
        }
    }

    /// Goes on after an attempt.
    pub(super) fn finished(
        &mut self,
        account: AccountNumber,
        outcome: Result<(), Failure>,
        now: Timestamp,
    ) -> Vec<Note> {
        self.trying.remove(&account);
        let failed = self.lanes.get(&account).map_or(0, |lane| lane.failed);
        match (outcome, self.retry_waits.get(failed as usize)) {
            (Ok(()), _) => self.settle(account, now, |_| None),
            (Err(_), Some(wait)) => {
                let until = now.plus(*wait);
                self.waiting.insert((until, account));
                self.hold(account, 0, |lane| {
                    lane.failed += 1;
                    until
                })
            }
            (Err(failure), None) => self
                .settle(account, now, |delivery| Some(Note::Bury { delivery, attempts: failed + 1, failure, at: now })),
        }
    }

    /// Holds the lanes whose attempts have been under way for longer than `slow`, so that the cursor goes on.
    pub(super) fn hold_slow(&mut self, now: Timestamp, slow: Duration) -> Vec<Note> {
        let is_slow = |(account, since): (&AccountNumber, &Timestamp)| {
            let flows = self.lanes.get(account).is_some_and(|lane| !lane.is_held);
            (flows && now.since(*since) > slow).then_some(*account)
        };
        let slow: Vec<AccountNumber> = self.trying.iter().filter_map(is_slow).collect();
        slow.into_iter().flat_map(|account| self.hold(account, 1, |_| now)).collect()
    }

    /// The position up to which everything is settled or has a row.
    pub(super) fn cursor(&self) -> u64 {
        self.unsettled.first().map_or(self.read, |first| first - 1)
    }

    /// The position up to which the journal was read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// How many deliveries the flowing lanes have in memory.
    pub(super) fn unsettled(&self) -> usize {
        self.unsettled.len()
    }

    /// When the next held lane is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// The next delivery is settled, and whatever follows may be tried.
    fn settle(
        &mut self,
        account: AccountNumber,
        now: Timestamp,
        bury: impl FnOnce(Delivery) -> Option<Note>,
    ) -> Vec<Note> {
        let Some(lane) = self.lanes.get_mut(&account) else { return Vec::new() };
        let Some(delivery) = lane.queue.pop_front() else { return Vec::new() };
        self.unsettled.remove(&delivery.position);
        lane.next = delivery.position + 1;
        lane.failed = 0;
        let (next, is_held, is_drained) = (lane.next, lane.is_held, lane.queue.is_empty());
        if is_held || !is_drained {
            self.ready.push_back(account);
        } else {
            self.lanes.remove(&account);
        }
        let row = is_held.then_some(Note::Hold { account, row: Row { next, failed: 0, until: now } });
        bury(delivery).into_iter().chain(row).collect()
    }

    /// Gives a lane its row, and keeps the first few of its deliveries; the others are read again later.
    fn hold(&mut self, account: AccountNumber, keep: usize, until: impl FnOnce(&mut Lane) -> Timestamp) -> Vec<Note> {
        let Some(lane) = self.lanes.get_mut(&account) else { return Vec::new() };
        for delivery in &lane.queue {
            self.unsettled.remove(&delivery.position);
        }
        lane.next = lane.queue.front().map_or(lane.next, |first| first.position);
        lane.queue.truncate(keep);
        lane.is_held = true;
        let until = until(lane);
        vec![Note::Hold { account, row: Row { next: lane.next, failed: lane.failed, until } }]
    }
}
