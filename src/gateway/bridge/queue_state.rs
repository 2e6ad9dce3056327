//! Commands that wait for a gateway, and those that it was given. Pure: time is handed in. It is elapsed time, so that a wall
//! clock that is set ends no lease and no command.
//!
//! Each account has a lane, in which its commands stand in the order in which they were wished. The first of a lane is
//! given out; those behind it wait until it is settled, so that nothing of an account overtakes anything else of it. Lanes
//! take turns. What is given out is leased: it is settled by its lease, put back, or given out again once the lease is over.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::queued_command::QueuedCommand;
use crate::clock::Moment;
use crate::domain::{AccountNumber, Timestamp};

/// The queue.
pub(super) struct QueueState {
    lanes: HashMap<LaneKey, CommandLane>,
    /// The lanes whose first command may be given out, by when, and in turn.
    ready: BTreeMap<(Timestamp, u64), LaneKey>,
    leases: HashMap<u64, LaneKey>,
    /// When each lease is over.
    lease_ends: BTreeSet<(Timestamp, u64)>,
    /// When each command is over.
    deadlines: BTreeMap<(Timestamp, u64), LaneKey>,
    ids: HashSet<String>,
    capacity: usize,
    expired: ExpiredCounts,
    /// How many turns, commands and leases there were: each has a number of its own.
    last_number: u64,
}

/// Whose commands stand in a lane; none for those to the gateway itself.
type LaneKey = Option<AccountNumber>;

/// The commands of one lane. There is one at least.
struct CommandLane {
    commands: VecDeque<LaneEntry>,
    head: HeadState,
}

/// How it stands with the first command of a lane.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeadState {
    /// It may be given out, in this turn.
    Ready(Timestamp, u64),
    /// It is given out, until then.
    Leased(u64, Timestamp),
}

struct LaneEntry {
    number: u64,
    command: QueuedCommand,
    /// How many times it was given out.
    deliveries: u32,
    /// A later wish is in its place: it is not given out again.
    is_superseded: bool,
}

/// What became of a command that was to be queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PushOutcome {
    /// It waits.
    Added,
    /// It waits, in the place of an earlier one that nobody wishes any more.
    Replaced,
    /// It is there already.
    Duplicate,
    /// It is not queued: a later wish of its account is there.
    Superseded,
    /// It is not queued: there is no room.
    Full,
}

/// A command that is given out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LeasedCommand {
    pub(super) lease: u64,
    pub(super) expires_at: Moment,
    /// The how many-th time it is given out, from 1.
    pub(super) delivery: u32,
    pub(super) command: QueuedCommand,
}

/// What ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ExpiredCounts {
    /// Leases that were over.
    pub(super) leases: usize,
    /// Commands whose deadline was over.
    pub(super) commands: usize,
}

impl QueueState {
    /// A queue with room for so many commands.
    pub(super) fn new(capacity: usize) -> QueueState {
        QueueState {
            lanes: HashMap::new(),
            ready: BTreeMap::new(),
            leases: HashMap::new(),
            lease_ends: BTreeSet::new(),
            deadlines: BTreeMap::new(),
            ids: HashSet::new(),
            capacity,
            expired: ExpiredCounts::default(),
            last_number: 0,
        }
    }

    /// How many commands there are, given out or not.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Puts a command behind those of its lane. One that opens or closes a session takes the place of an earlier one that
    /// was not given out, and one that was is not given out again.
    pub(super) fn push(&mut self, order: QueuedCommand, now: Timestamp) -> PushOutcome {
        self.expire(now);
        let lane = order.account;
        if self.ids.contains(&order.id) {
            self.extend(lane, &order);
            return PushOutcome::Duplicate;
        }
        let number = self.next_number();
        if let (Some(session), Some(standing)) = (order.session_number(), self.lanes.get_mut(&lane)) {
            let is_later = |there: &LaneEntry| there.command.session_number().is_some_and(|it| it > session);
            if standing.commands.iter().any(is_later) {
                return PushOutcome::Superseded;
            }
            let is_leased = matches!(standing.head, HeadState::Leased(..));
            let is_there = |there: &LaneEntry| there.command.session_number().is_some() && !there.is_superseded;
            let first_free = usize::from(is_leased);
            if let Some(given) = standing.commands.front_mut().filter(|front| is_leased && is_there(front)) {
                given.is_superseded = true;
            }
            let at = (first_free..standing.commands.len()).find(|at| is_there(&standing.commands[*at]));
            if let Some(place) = at.and_then(|at| standing.commands.get_mut(at)) {
                self.ids.remove(&place.command.id);
                self.deadlines.remove(&(place.command.deadline.steady, place.number));
                self.ids.insert(order.id.clone());
                self.deadlines.insert((order.deadline.steady, number), lane);
                *place = LaneEntry { number, command: order, deliveries: 0, is_superseded: false };
                return PushOutcome::Replaced;
            }
        }
        if self.ids.len() >= self.capacity {
            return PushOutcome::Full;
        }
        self.ids.insert(order.id.clone());
        self.deadlines.insert((order.deadline.steady, number), lane);
        let waiting = LaneEntry { number, command: order, deliveries: 0, is_superseded: false };
        match self.lanes.get_mut(&lane) {
            Some(standing) => standing.commands.push_back(waiting),
            None => {
                self.ready.insert((now, number), lane);
                let first = HeadState::Ready(now, number);
                self.lanes.insert(lane, CommandLane { commands: VecDeque::from([waiting]), head: first });
            }
        }
        PushOutcome::Added
    }

    /// Gives out the next command, if there is one whose turn it is, until the time that `until` says for it.
    pub(super) fn lease_next(
        &mut self,
        now: Timestamp,
        until: impl FnOnce(&QueuedCommand) -> Moment,
    ) -> Option<LeasedCommand> {
        self.expire(now);
        let ((due, turn), lane) = self.ready.first_key_value().map(|(turn, lane)| (*turn, *lane))?;
        let lease = self.next_number();
        let standing = self.lanes.get_mut(&lane).filter(|_| due <= now)?;
        self.ready.remove(&(due, turn));
        let first = standing.commands.front_mut()?;
        first.deliveries = first.deliveries.saturating_add(1);
        let until = until(&first.command);
        let given =
            LeasedCommand { lease, expires_at: until, delivery: first.deliveries, command: first.command.clone() };
        standing.head = HeadState::Leased(lease, until.steady);
        self.leases.insert(lease, lane);
        self.lease_ends.insert((until.steady, lease));
        Some(given)
    }

    /// The command that is leased so, if the lease is not over.
    pub(super) fn leased_command(&self, lease: u64, now: Timestamp) -> Option<&QueuedCommand> {
        let standing = self.lanes.get(self.leases.get(&lease)?)?;
        let is_live = matches!(standing.head, HeadState::Leased(_, until) if now < until);
        standing.commands.front().map(|first| &first.command).filter(|_| is_live)
    }

    /// Settles the command that is leased so; none if the lease is over, or never was.
    pub(super) fn complete(&mut self, lease: u64, now: Timestamp) -> Option<QueuedCommand> {
        self.leased_command(lease, now)?;
        let lane = self.end_lease(lease)?;
        self.drop_first(lane, now)
    }

    /// Takes back a command that was given out, to be given out again from `due` on. One that nobody wishes any more is
    /// over.
    pub(super) fn requeue(&mut self, lease: u64, now: Timestamp, due: Timestamp) {
        let Some(lane) = self.end_lease(lease) else { return };
        let is_over = |first: &LaneEntry| first.is_superseded || first.command.deadline.steady <= now;
        if self.lanes.get(&lane).and_then(|standing| standing.commands.front()).is_some_and(is_over) {
            self.drop_first(lane, now);
        } else {
            self.make_ready(lane, due);
        }
    }

    /// Takes a command out that nobody waits for any more.
    pub(super) fn withdraw(&mut self, id: &str, lane: LaneKey, now: Timestamp) {
        let Some(standing) = self.lanes.get(&lane) else { return };
        let Some(at) = standing.commands.iter().position(|waiting| waiting.command.id == id) else { return };
        match standing.head {
            HeadState::Leased(lease, _) if at == 0 => drop(self.end_lease(lease)),
            HeadState::Ready(due, turn) if at == 0 => drop(self.ready.remove(&(due, turn))),
            HeadState::Leased(..) | HeadState::Ready(..) => {}
        }
        self.drop_at(lane, at, now);
    }

    /// What has ended by itself since this was asked last.
    pub(super) fn take_expired_counts(&mut self) -> ExpiredCounts {
        std::mem::take(&mut self.expired)
    }

    /// Ends what is over: leases, and commands that are not given out.
    fn expire(&mut self, now: Timestamp) {
        while let Some((until, lease)) = self.lease_ends.first().copied().filter(|(until, _)| *until <= now) {
            self.expired.leases += 1;
            self.requeue(lease, now, until);
        }
        while let Some((&(deadline, number), lane)) = self.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            let lane = *lane;
            self.deadlines.remove(&(deadline, number));
            let Some(standing) = self.lanes.get(&lane) else { continue };
            let Some(at) = standing.commands.iter().position(|waiting| waiting.number == number) else { continue };
            match standing.head {
                // Whoever has it may still settle it; it ends with its lease.
                HeadState::Leased(..) if at == 0 => continue,
                HeadState::Ready(due, turn) if at == 0 => drop(self.ready.remove(&(due, turn))),
                HeadState::Leased(..) | HeadState::Ready(..) => {}
            }
            self.expired.commands += 1;
            self.drop_at(lane, at, now);
        }
    }

    /// When there is next something to give out, or something is over; none if that is never.
    pub(super) fn next_wakeup(&self, now: Timestamp) -> Option<Timestamp> {
        let ready = self.ready.first_key_value().map(|((due, _), _)| *due.max(&now));
        let end = self.lease_ends.first().map(|(until, _)| *until);
        let late = self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline);
        [ready, end, late].into_iter().flatten().min()
    }

    /// How many commands are given out.
    pub(super) fn leases(&self) -> usize {
        self.leases.len()
    }

    /// A command that is wished again has the later one of both deadlines.
    fn extend(&mut self, lane: LaneKey, order: &QueuedCommand) {
        let there =
            self.lanes.get_mut(&lane).and_then(|it| it.commands.iter_mut().find(|it| it.command.id == order.id));
        if let Some(there) = there.filter(|there| there.command.deadline.steady < order.deadline.steady) {
            self.deadlines.remove(&(there.command.deadline.steady, there.number));
            there.command.deadline = order.deadline;
            self.deadlines.insert((order.deadline.steady, there.number), lane);
        }
    }

    fn end_lease(&mut self, lease: u64) -> Option<LaneKey> {
        let lane = self.leases.remove(&lease)?;
        if let Some(HeadState::Leased(_, until)) = self.lanes.get(&lane).map(|standing| standing.head) {
            self.lease_ends.remove(&(until, lease));
        }
        Some(lane)
    }

    /// Drops the first command of a lane whose lease has ended; the next one comes to the end of the line.
    fn drop_first(&mut self, lane: LaneKey, now: Timestamp) -> Option<QueuedCommand> {
        self.drop_at(lane, 0, now)
    }

    /// Drops a command. If it was the first, its lane is neither ready nor leased at that moment.
    fn drop_at(&mut self, lane: LaneKey, at: usize, now: Timestamp) -> Option<QueuedCommand> {
        let standing = self.lanes.get_mut(&lane)?;
        let waiting = standing.commands.remove(at)?;
        self.ids.remove(&waiting.command.id);
        self.deadlines.remove(&(waiting.command.deadline.steady, waiting.number));
        if standing.commands.is_empty() {
            self.lanes.remove(&lane);
        } else if at == 0 {
            self.make_ready(lane, now);
        }
        Some(waiting.command)
    }

    /// Lets the first command of a lane be given out from `due` on, behind those whose turn it is before.
    fn make_ready(&mut self, lane: LaneKey, due: Timestamp) {
        let turn = self.next_number();
        if let Some(standing) = self.lanes.get_mut(&lane) {
            standing.head = HeadState::Ready(due, turn);
            self.ready.insert((due, turn), lane);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}
