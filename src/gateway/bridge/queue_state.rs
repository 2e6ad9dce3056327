//! Waiting and leased commands. Pure: the caller passes the time. It is elapsed time, so that setting the wall clock ends
//! no lease and no command.
//!
//! Each account has a lane with its commands in the order of their requests. Only the first command of a lane is leased;
//! the others wait until it is completed, so that commands of one account stay in order. Lanes take turns. A lease ends
//! when its command is completed or requeued, or when it expires. A requeued or expired command is leased again later.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::queued_command::QueuedCommand;
use crate::clock::Moment;
use crate::domain::{AccountNumber, Timestamp};

/// The queue.
pub(super) struct QueueState {
    lanes: HashMap<LaneKey, CommandLane>,
    /// The lanes whose first command may be leased, by due time, then by turn.
    ready: BTreeMap<(Timestamp, u64), LaneKey>,
    leases: HashMap<u64, LaneKey>,
    /// When each lease expires.
    lease_ends: BTreeSet<(Timestamp, u64)>,
    /// When each command expires.
    deadlines: BTreeMap<(Timestamp, u64), LaneKey>,
    ids: HashSet<String>,
    capacity: usize,
    expired: ExpiredCounts,
    /// The last number given to a turn, a command or a lease. Numbers are unique across all three.
    last_number: u64,
}

/// The account of a lane. `None` for commands to the gateway itself.
type LaneKey = Option<AccountNumber>;

/// The commands of one lane. Never empty.
struct CommandLane {
    commands: VecDeque<LaneEntry>,
    head: HeadState,
}

/// The state of the first command of a lane.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HeadState {
    /// It may be leased from this time on, in this turn.
    Ready(Timestamp, u64),
    /// It is leased under this number until this time.
    Leased(u64, Timestamp),
}

struct LaneEntry {
    number: u64,
    command: QueuedCommand,
    /// How many times the command was leased.
    deliveries: u32,
    /// A later command replaces it: it is not delivered again.
    is_superseded: bool,
}

/// The result of queuing a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PushOutcome {
    /// It is queued.
    Added,
    /// It is queued in the place of an earlier command that it supersedes.
    Replaced,
    /// A command with this id is queued already.
    Duplicate,
    /// It is not queued: a later command of its account is queued.
    Superseded,
    /// It is not queued: the queue is full.
    Full,
}

/// A leased command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LeasedCommand {
    pub(super) lease: u64,
    pub(super) expires_at: Moment,
    /// Delivery number, 1-based.
    pub(super) delivery: u32,
    pub(super) command: QueuedCommand,
}

/// How many leases and commands expired.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct ExpiredCounts {
    /// Leases that expired.
    pub(super) leases: usize,
    /// Commands whose deadline passed.
    pub(super) commands: usize,
}

impl QueueState {
    /// An empty queue for at most `capacity` commands.
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

    /// The number of commands, leased or waiting.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Queues a command at the end of its lane. A command that opens or closes a session replaces an earlier waiting one.
    /// An earlier leased one is marked as superseded.
    pub(super) fn push(&mut self, command: QueuedCommand, now: Timestamp) -> PushOutcome {
        self.expire(now);
        let key = command.account;
        if self.ids.contains(&command.id) {
            self.extend(key, &command);
            return PushOutcome::Duplicate;
        }
        let number = self.next_number();
        if let (Some(session), Some(lane)) = (command.session_number(), self.lanes.get_mut(&key)) {
            let is_later = |existing: &LaneEntry| existing.command.session_number().is_some_and(|it| it > session);
            if lane.commands.iter().any(is_later) {
                return PushOutcome::Superseded;
            }
            let is_leased = matches!(lane.head, HeadState::Leased(..));
            let is_current =
                |existing: &LaneEntry| existing.command.session_number().is_some() && !existing.is_superseded;
            let first_free = usize::from(is_leased);
            if let Some(leased) = lane.commands.front_mut().filter(|front| is_leased && is_current(front)) {
                leased.is_superseded = true;
            }
            let at = (first_free..lane.commands.len()).find(|at| is_current(&lane.commands[*at]));
            if let Some(slot) = at.and_then(|at| lane.commands.get_mut(at)) {
                self.ids.remove(&slot.command.id);
                self.deadlines.remove(&(slot.command.deadline.steady, slot.number));
                self.ids.insert(command.id.clone());
                self.deadlines.insert((command.deadline.steady, number), key);
                *slot = LaneEntry { number, command, deliveries: 0, is_superseded: false };
                return PushOutcome::Replaced;
            }
        }
        if self.ids.len() >= self.capacity {
            return PushOutcome::Full;
        }
        self.ids.insert(command.id.clone());
        self.deadlines.insert((command.deadline.steady, number), key);
        let entry = LaneEntry { number, command, deliveries: 0, is_superseded: false };
        match self.lanes.get_mut(&key) {
            Some(lane) => lane.commands.push_back(entry),
            None => {
                self.ready.insert((now, number), key);
                let first = HeadState::Ready(now, number);
                self.lanes.insert(key, CommandLane { commands: VecDeque::from([entry]), head: first });
            }
        }
        PushOutcome::Added
    }

    /// Leases the next due command, if there is one. `until` computes the end of its lease.
    pub(super) fn lease_next(
        &mut self,
        now: Timestamp,
        until: impl FnOnce(&QueuedCommand) -> Moment,
    ) -> Option<LeasedCommand> {
        self.expire(now);
        let ((due, turn), key) = self.ready.first_key_value().map(|(turn, key)| (*turn, *key))?;
        let lease = self.next_number();
        let lane = self.lanes.get_mut(&key).filter(|_| due <= now)?;
        self.ready.remove(&(due, turn));
        let first = lane.commands.front_mut()?;
        first.deliveries = first.deliveries.saturating_add(1);
        let until = until(&first.command);
        let leased =
            LeasedCommand { lease, expires_at: until, delivery: first.deliveries, command: first.command.clone() };
        lane.head = HeadState::Leased(lease, until.steady);
        self.leases.insert(lease, key);
        self.lease_ends.insert((until.steady, lease));
        Some(leased)
    }

    /// The command of a lease that has not expired.
    pub(super) fn leased_command(&self, lease: u64, now: Timestamp) -> Option<&QueuedCommand> {
        let lane = self.lanes.get(self.leases.get(&lease)?)?;
        let is_live = matches!(lane.head, HeadState::Leased(_, until) if now < until);
        lane.commands.front().map(|first| &first.command).filter(|_| is_live)
    }

    /// Completes the command of a lease. `None` if the lease has expired or never existed.
    pub(super) fn complete(&mut self, lease: u64, now: Timestamp) -> Option<QueuedCommand> {
        self.leased_command(lease, now)?;
        let key = self.end_lease(lease)?;
        self.drop_first(key, now)
    }

    /// Ends a lease and makes its command due again at `due`. A superseded or expired command is dropped instead.
    pub(super) fn requeue(&mut self, lease: u64, now: Timestamp, due: Timestamp) {
        let Some(key) = self.end_lease(lease) else { return };
        let is_over = |first: &LaneEntry| first.is_superseded || first.command.deadline.steady <= now;
        if self.lanes.get(&key).and_then(|lane| lane.commands.front()).is_some_and(is_over) {
            self.drop_first(key, now);
        } else {
            self.make_ready(key, due);
        }
    }

    /// Removes a command whose requester no longer waits.
    pub(super) fn withdraw(&mut self, id: &str, key: LaneKey, now: Timestamp) {
        let Some(lane) = self.lanes.get(&key) else { return };
        let Some(at) = lane.commands.iter().position(|entry| entry.command.id == id) else { return };
        match lane.head {
            HeadState::Leased(lease, _) if at == 0 => drop(self.end_lease(lease)),
            HeadState::Ready(due, turn) if at == 0 => drop(self.ready.remove(&(due, turn))),
            HeadState::Leased(..) | HeadState::Ready(..) => {}
        }
        self.drop_at(key, at, now);
    }

    /// What has expired since the last call.
    pub(super) fn take_expired_counts(&mut self) -> ExpiredCounts {
        std::mem::take(&mut self.expired)
    }

    /// Ends expired leases, and drops waiting commands whose deadline has passed.
    fn expire(&mut self, now: Timestamp) {
        while let Some((until, lease)) = self.lease_ends.first().copied().filter(|(until, _)| *until <= now) {
            self.expired.leases += 1;
            self.requeue(lease, now, until);
        }
        while let Some((&(deadline, number), key)) = self.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            let key = *key;
            self.deadlines.remove(&(deadline, number));
            let Some(lane) = self.lanes.get(&key) else { continue };
            let Some(at) = lane.commands.iter().position(|entry| entry.number == number) else { continue };
            match lane.head {
                // The gateway may still complete a leased command. The command ends with its lease.
                HeadState::Leased(..) if at == 0 => continue,
                HeadState::Ready(due, turn) if at == 0 => drop(self.ready.remove(&(due, turn))),
                HeadState::Leased(..) | HeadState::Ready(..) => {}
            }
            self.expired.commands += 1;
            self.drop_at(key, at, now);
        }
    }

    /// When the next command is due or something expires. `None` if the queue is empty.
    pub(super) fn next_wakeup(&self, now: Timestamp) -> Option<Timestamp> {
        let ready = self.ready.first_key_value().map(|((due, _), _)| *due.max(&now));
        let end = self.lease_ends.first().map(|(until, _)| *until);
        let deadline = self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline);
        [ready, end, deadline].into_iter().flatten().min()
    }

    /// The number of leased commands.
    pub(super) fn leases(&self) -> usize {
        self.leases.len()
    }

    /// A command that is queued again gets the later of both deadlines.
    fn extend(&mut self, key: LaneKey, command: &QueuedCommand) {
        let existing =
            self.lanes.get_mut(&key).and_then(|it| it.commands.iter_mut().find(|it| it.command.id == command.id));
        if let Some(existing) = existing.filter(|existing| existing.command.deadline.steady < command.deadline.steady) {
            self.deadlines.remove(&(existing.command.deadline.steady, existing.number));
            existing.command.deadline = command.deadline;
            self.deadlines.insert((command.deadline.steady, existing.number), key);
        }
    }

    fn end_lease(&mut self, lease: u64) -> Option<LaneKey> {
        let key = self.leases.remove(&lease)?;
        if let Some(HeadState::Leased(_, until)) = self.lanes.get(&key).map(|lane| lane.head) {
            self.lease_ends.remove(&(until, lease));
        }
        Some(key)
    }

    /// Drops the first command of a lane after its lease has ended. The lane then takes the last turn.
    fn drop_first(&mut self, key: LaneKey, now: Timestamp) -> Option<QueuedCommand> {
        self.drop_at(key, 0, now)
    }

    /// Drops a command. Before the first command of a lane is dropped, the caller ends its lease or its turn.
    fn drop_at(&mut self, key: LaneKey, at: usize, now: Timestamp) -> Option<QueuedCommand> {
        let lane = self.lanes.get_mut(&key)?;
        let entry = lane.commands.remove(at)?;
        self.ids.remove(&entry.command.id);
        self.deadlines.remove(&(entry.command.deadline.steady, entry.number));
        if lane.commands.is_empty() {
            self.lanes.remove(&key);
        } else if at == 0 {
            self.make_ready(key, now);
        }
        Some(entry.command)
    }

    /// Makes the first command of a lane due at `due`, behind the lanes with earlier turns.
    fn make_ready(&mut self, key: LaneKey, due: Timestamp) {
        let turn = self.next_number();
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.head = HeadState::Ready(due, turn);
            self.ready.insert((due, turn), key);
        }
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}
