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
use super::lane::{Counted, Counts, Fate, Flow, Key, Lane, Note, Outcome, Row, Rules, Step, Trying, Way};
use super::waits;
use crate::config::{AfterLastTry, Deliver};
use crate::domain::{AccountNumber, Timestamp};
use crate::limits::WEBHOOK_REFILL;

/// The lanes of one channel.
pub(super) struct Lanes {
    rules: Rules,
    pub(super) lanes: Counted,
    /// The position up to which the journal was read.
    read: u64,
    /// Positions of what the flowing lanes have in memory.
    unsettled: BTreeSet<u64>,
    /// Lanes whose next delivery may be tried, the longest waiting first.
    ready: VecDeque<AccountNumber>,
    /// Likewise, of what is sent again.
    ready_again: VecDeque<AccountNumber>,
    /// When something may be sent again next.
    again_from: Timestamp,
    /// Held lanes by the time of their next attempt.
    pub(super) waiting: BTreeSet<(Timestamp, Key)>,
    /// Accounts with an attempt under way.
    pub(super) trying: HashMap<AccountNumber, Trying>,
    /// Lanes that were ready while their account's other lane had an attempt under way.
    parked: HashSet<Key>,
}

impl Lanes {
    /// The lanes as a book has them: read up to `cursor`, some of them held, some accounts with something to be sent
    /// again, due then.
    pub(super) fn new(
        rules: Rules,
        cursor: u64,
        rows: impl IntoIterator<Item = (AccountNumber, Row)>,
        again: impl IntoIterator<Item = (AccountNumber, Timestamp)>,
    ) -> Lanes {
        let mut lanes = Lanes {
            rules,
            lanes: Counted::default(),
            read: cursor,
            unsettled: BTreeSet::new(),
            ready: VecDeque::new(),
            ready_again: VecDeque::new(),
            again_from: Timestamp(0),
            waiting: BTreeSet::new(),
            trying: HashMap::new(),
            parked: HashSet::new(),
        };
        for (account, row) in rows {
            let key = Key { account, way: Way::First };
            lanes.waiting.extend(row.until.map(|until| (until, key)));
            lanes.lanes.insert(key, Lane::held(row));
        }
        for (account, until) in again {
            let key = Key { account, way: Way::Again };
            lanes.waiting.insert((until, key));
            lanes.lanes.insert(key, Lane::again(until));
        }
        lanes
    }

    /// Takes in what was read of the journal, up to `position`.
    pub(super) fn take_in(&mut self, deliveries: Vec<Delivery>, position: u64) -> Vec<Note> {
        let mut notes = Vec::new();
        for delivery in deliveries {
            let key = Key { account: delivery.account, way: Way::First };
            let begun = || self.ready.push_back(key.account);
            let lane = self.lanes.get_or_begin(key, delivery.position, begun);
            if lane.flow() != Flow::Flowing {
                continue;
            }
            if lane.queue.len() < WEBHOOK_REFILL {
                self.unsettled.insert(delivery.position);
                lane.queue.push_back(delivery);
            } else {
                // One account must not fill the window that is there for all.
                notes.extend(self.hold(key, 1, Timestamp(0)));
            }
        }
        self.read = position;
        notes
    }

    /// What is to be done next, if anything may be done yet.
    pub(super) fn step(&mut self, now: Timestamp) -> Option<Step> {
        while let Some((_, key)) = self.waiting.first().copied().filter(|(until, _)| *until <= now) {
            self.waiting.pop_first();
            self.make_ready(key);
        }
        let key = self.next_ready(now)?;
        let lane = self.lanes.get_mut(key)?;
        if self.rules.deliver == Deliver::Latest && lane.is_untried() && lane.queue.len() > 1 {
            let notes = self.supersede(key);
            self.ready.push_front(key.account);
            return Some(Step::Write(notes));
        }
        Some(match (lane.queue.front(), key.way) {
            (Some(delivery), way) => {
                lane.tried = lane.tried.saturating_add(1);
                self.trying.insert(key.account, Trying { way, since: now, is_dropped: false, is_asked_for: false });
                if way == Way::Again {
                    // What a late look missed is made up for, but not more than a second of it.
                    let earliest = Timestamp(now.0.saturating_sub(1_000_000));
                    self.again_from = self.again_from.max(earliest).plus(self.rules.again_every);
                }
                Step::Try { key, delivery: delivery.clone(), attempt: lane.tried }
            }
            (None, Way::First) => {
                // Of a lane that is in the middle of a delivery, what follows may yet be superseded.
                let is_single = self.rules.deliver == Deliver::Latest && !lane.is_untried();
                let most = if is_single { 1 } else { WEBHOOK_REFILL };
                Step::Refill { account: key.account, after: lane.next().saturating_sub(1), most }
            }
            (None, Way::Again) => Step::RefillAgain(key.account),
        })
    }

    /// Refills a held lane with what follows in it; `is_all` if there is no more. If nothing follows, it flows again.
    pub(super) fn refill(&mut self, account: AccountNumber, deliveries: Vec<Delivery>, is_all: bool) -> Vec<Note> {
        let key = Key { account, way: Way::First };
        let flow = self.lanes.get(key).map(Lane::flow);
        let standing =
            flow.zip(deliveries.first()).and_then(|(flow, first)| self.lanes.stand(key, first.position, flow));
        let Some(lane) = standing else {
            self.lanes.remove(key);
            return vec![Note::Release { account }];
        };
        lane.queue = deliveries.into();
        self.ready.push_front(account);
        if self.rules.deliver != Deliver::Latest || !lane.is_untried() || lane.queue.len() == 1 {
            return Vec::new();
        }
        let mut notes = self.supersede(key);
        if let Some(lane) = self.lanes.get_mut(key) {
            if !is_all {
                // The last of these may be superseded too.
                lane.queue.clear();
            }
            notes.extend(lane.row(account));
        }
        notes
    }

    /// Refills the lane of what is sent again: with the first such delivery and how often it has failed. If there is
    /// none the lane is done.
    pub(super) fn refill_again(&mut self, account: AccountNumber, found: Option<(Delivery, u32)>) {
        let key = Key { account, way: Way::Again };
        match (self.lanes.get_mut(key), found) {
            (Some(lane), Some((delivery, failed))) => {
                (lane.failed, lane.tried) = (failed, failed);
                lane.queue = VecDeque::from([delivery]);
                self.ready_again.push_front(account);
            }
            (_, None) | (None, _) => self.lanes.remove(key),
        }
    }

    /// Goes on after an attempt.
    pub(super) fn finished(&mut self, key: Key, outcome: Outcome, now: Timestamp) -> (Fate, Vec<Note>) {
        let trying = self.trying.remove(&key.account);
        let is_dropped = trying.is_some_and(|trying| trying.is_dropped);
        let is_asked_for = trying.is_some_and(|trying| trying.is_asked_for);
        for way in [Way::First, Way::Again] {
            let key = Key { way, ..key };
            if self.parked.remove(&key) {
                self.make_ready(key);
            }
        }
        let Some(lane) = self.lanes.get_mut(key) else { return (Fate::Delivered, Vec::new()) };
        let position = lane.queue.front().map_or(lane.next(), |front| front.position);
        let wait = match outcome {
            Outcome::Taken => return (Fate::Delivered, self.settle(key, now)),
            Outcome::Spared(_) | Outcome::Failed { .. } if is_dropped => return (Fate::Dropped, self.settle(key, now)),
            // As if it were asked for now: it has all its attempts before it.
            Outcome::Spared(_) | Outcome::Failed { .. } if is_asked_for => {
                lane.failed = 0;
                Some(Duration::ZERO)
            }
            Outcome::Spared(wait) => Some(wait),
            Outcome::Failed { retry_after } => {
                let wait = waits::after(&self.rules.retry_waits, position, lane.failed, retry_after);
                lane.failed = lane.failed.saturating_add(1);
                wait
            }
        };
        match wait {
            Some(wait) => {
                let until = now.plus(wait);
                self.waiting.insert((until, key));
                (Fate::Waiting(until), self.hold(key, 0, until))
            }
            None if key.way == Way::First && self.rules.after_last_try == AfterLastTry::Block => {
                let held = self.hold(key, 0, now);
                let blocked = self.lanes.stand(key, position, Flow::Blocked).and_then(|lane| lane.row(key.account));
                (Fate::Dead, blocked.map_or(held, |row| vec![row]))
            }
            None => (Fate::Dead, self.settle(key, now)),
        }
    }

    /// Holds the lanes whose attempts have been under way for longer than `slow`, so that the cursor goes on.
    pub(super) fn hold_slow(&mut self, now: Timestamp, slow: Duration) -> Vec<Note> {
        let is_slow = |(account, Trying { way, since, .. }): (&AccountNumber, &Trying)| {
            let key = Key { account: *account, way: *way };
            let flows = self.lanes.get(key).is_some_and(|lane| lane.flow() == Flow::Flowing);
            (flows && now.since(*since) > slow).then_some(key)
        };
        let slow: Vec<Key> = self.trying.iter().filter_map(is_slow).collect();
        slow.into_iter().flat_map(|key| self.hold(key, 1, now)).collect()
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

    /// When something is to be done next that waits for its time.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let waiting = self.waiting.first().map(|(until, _)| *until);
        let again = self.may_send_again().then_some(self.again_from);
        waiting.into_iter().chain(again).min()
    }

    /// How the lanes are.
    pub(super) fn counts(&self) -> Counts {
        let counts = self.lanes.counts();
        Counts { oldest: counts.oldest.into_iter().chain(self.unsettled.first().copied()).min(), ..counts }
    }

    pub(super) fn make_ready(&mut self, key: Key) {
        match key.way {
            Way::First => self.ready.push_back(key.account),
            Way::Again => self.ready_again.push_back(key.account),
        }
    }

    /// Whether something is to be sent again, and not too much of it is under way.
    fn may_send_again(&self) -> bool {
        let is_again = |trying: &&Trying| trying.way == Way::Again;
        !self.ready_again.is_empty() && self.trying.values().filter(is_again).count() < self.rules.again_at_once
    }

    /// The lane that has been ready for longest and whose account has no attempt under way.
    fn next_ready(&mut self, now: Timestamp) -> Option<Key> {
        loop {
            let may_send_again = self.again_from <= now && self.may_send_again();
            let again = if may_send_again { self.ready_again.pop_front() } else { None };
            let key = match again {
                Some(account) => Key { account, way: Way::Again },
                None => Key { account: self.ready.pop_front()?, way: Way::First },
            };
            if !self.trying.contains_key(&key.account) {
                return Some(key);
            }
            self.parked.insert(key);
        }
    }

    /// Takes all out of a lane's queue but the last.
    fn supersede(&mut self, key: Key) -> Vec<Note> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        let Some(last) = lane.queue.pop_back() else { return Vec::new() };
        let superseded = std::mem::replace(&mut lane.queue, VecDeque::from([last.clone()]));
        let flow = lane.flow();
        self.lanes.stand(key, last.position, flow);
        let note = |delivery: Delivery| {
            self.unsettled.remove(&delivery.position);
            Note::Supersede { delivery, by: last.position }
        };
        superseded.into_iter().map(note).collect()
    }

    /// The next delivery is settled, and whatever follows may be tried.
    fn settle(&mut self, key: Key, now: Timestamp) -> Vec<Note> {
        let account = key.account;
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        let Some(delivery) = lane.queue.pop_front() else { return Vec::new() };
        let position = delivery.position;
        (lane.failed, lane.tried) = (0, 0);
        if key.way == Way::Again {
            self.ready_again.push_back(account);
            return vec![Note::SentAgain { account, position }];
        }
        self.unsettled.remove(&position);
        match (lane.flow(), lane.queue.is_empty()) {
            (Flow::Flowing, true) => {
                self.lanes.remove(key);
                return Vec::new();
            }
            (Flow::Flowing, false) => {
                self.lanes.stand(key, position + 1, Flow::Flowing);
                self.ready.push_back(account);
                return Vec::new();
            }
            // What was read again is sent before another lane's is read, so that little is in memory.
            (Flow::Held(_) | Flow::Blocked, false) => self.ready.push_front(account),
            (Flow::Held(_) | Flow::Blocked, true) => self.ready.push_back(account),
        }
        let lane = self.lanes.stand(key, position + 1, Flow::Held(now));
        lane.and_then(|lane| lane.row(account)).into_iter().collect()
    }

    /// Gives a lane its row, and keeps the first few of its deliveries; the others are read again later.
    fn hold(&mut self, key: Key, keep: usize, until: Timestamp) -> Vec<Note> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        for delivery in &lane.queue {
            self.unsettled.remove(&delivery.position);
        }
        let position = lane.queue.front().map_or(lane.next(), |first| first.position);
        lane.queue.truncate(keep);
        let Some(lane) = self.lanes.stand(key, position, Flow::Held(until)) else { return Vec::new() };
        match key.way {
            Way::First => lane.row(key.account).into_iter().collect(),
            Way::Again => vec![Note::Postpone { account: key.account, position, failed: lane.failed, until }],
        }
    }
}
