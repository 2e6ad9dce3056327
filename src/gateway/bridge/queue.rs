//! Commands that wait for a gateway, and those that it was given. Pure: time is handed in. It is elapsed time, so that a wall
//! clock that is set ends no lease and no command.
//!
//! Each account has a lane, in which its commands stand in the order in which they were wished. The first of a lane is
//! given out; those behind it wait until it is settled, so that nothing of an account overtakes anything else of it. Lanes
//! take turns. What is given out is leased: it is settled by its lease, put back, or given out again once the lease is over.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::orders::Order;
use crate::clock::Moment;
use crate::domain::{AccountNumber, Timestamp};

/// The queue.
pub(super) struct Queue {
    lanes: HashMap<Lane, Standing>,
    /// The lanes whose first command may be given out, by when, and in turn.
    ready: BTreeMap<(Timestamp, u64), Lane>,
    leases: HashMap<u64, Lane>,
    /// When each lease is over.
    ends: BTreeSet<(Timestamp, u64)>,
    /// When each command is over.
    deadlines: BTreeMap<(Timestamp, u64), Lane>,
    ids: HashSet<String>,
    most: usize,
    swept: Swept,
    /// How many turns, commands and leases there were: each has a number of its own.
    drawn: u64,
}

/// Whose commands stand in a lane; none for those to the gateway itself.
type Lane = Option<AccountNumber>;

/// The commands of one lane. There is one at least.
struct Standing {
    commands: VecDeque<Waiting>,
    first: First,
}

/// How it stands with the first command of a lane.
#[derive(Clone, Copy, PartialEq, Eq)]
enum First {
    /// It may be given out, in this turn.
    Ready(Timestamp, u64),
    /// It is given out, until then.
    Leased(u64, Timestamp),
}

struct Waiting {
    number: u64,
    order: Order,
    /// How many times it was given out.
    deliveries: u32,
    /// A later wish is in its place: it is not given out again.
    is_superseded: bool,
}

/// What became of a command that was to be queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Queued {
    /// It waits.
    Added,
    /// It waits, in the place of an earlier one that nobody wishes any more.
    Replaced,
    /// It is there already.
    Known,
    /// It is not queued: a later wish of its account is there.
    Outdated,
    /// It is not queued: there is no room.
    Full,
}

/// A command that is given out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Given {
    pub(super) lease: u64,
    pub(super) until: Moment,
    /// The how many-th time it is given out, from 1.
    pub(super) delivery: u32,
    pub(super) order: Order,
}

/// What ended by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Swept {
    /// Leases that were over.
    pub(super) expired: usize,
    /// Commands whose deadline was over.
    pub(super) late: usize,
}

impl Queue {
    /// A queue with room for so many commands.
    pub(super) fn new(most: usize) -> Queue {
        Queue {
            lanes: HashMap::new(),
            ready: BTreeMap::new(),
            leases: HashMap::new(),
            ends: BTreeSet::new(),
            deadlines: BTreeMap::new(),
            ids: HashSet::new(),
            most,
            swept: Swept::default(),
            drawn: 0,
        }
    }

    /// How many commands there are, given out or not.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Puts a command behind those of its lane. One that opens or closes a session takes the place of an earlier one that
    /// was not given out, and one that was is not given out again.
    pub(super) fn push(&mut self, order: Order, now: Timestamp) -> Queued {
        self.sweep(now);
        let lane = order.account;
        if self.ids.contains(&order.id) {
            self.extend(lane, &order);
            return Queued::Known;
        }
        let number = self.draw();
        if let (Some(session), Some(standing)) = (order.presence(), self.lanes.get_mut(&lane)) {
            let is_later = |there: &Waiting| there.order.presence().is_some_and(|it| it > session);
            if standing.commands.iter().any(is_later) {
                return Queued::Outdated;
            }
            let is_leased = matches!(standing.first, First::Leased(..));
            let is_there = |there: &Waiting| there.order.presence().is_some() && !there.is_superseded;
            let first_free = usize::from(is_leased);
            if let Some(given) = standing.commands.front_mut().filter(|front| is_leased && is_there(front)) {
                given.is_superseded = true;
            }
            let at = (first_free..standing.commands.len()).find(|at| is_there(&standing.commands[*at]));
            if let Some(place) = at.and_then(|at| standing.commands.get_mut(at)) {
                self.ids.remove(&place.order.id);
                self.deadlines.remove(&(place.order.deadline.steady, place.number));
                self.ids.insert(order.id.clone());
                self.deadlines.insert((order.deadline.steady, number), lane);
                *place = Waiting { number, order, deliveries: 0, is_superseded: false };
                return Queued::Replaced;
            }
        }
        if self.ids.len() >= self.most {
            return Queued::Full;
        }
        self.ids.insert(order.id.clone());
        self.deadlines.insert((order.deadline.steady, number), lane);
        let waiting = Waiting { number, order, deliveries: 0, is_superseded: false };
        match self.lanes.get_mut(&lane) {
            Some(standing) => standing.commands.push_back(waiting),
            None => {
                self.ready.insert((now, number), lane);
                let first = First::Ready(now, number);
                self.lanes.insert(lane, Standing { commands: VecDeque::from([waiting]), first });
            }
        }
        Queued::Added
    }

    /// Gives out the next command, if there is one whose turn it is, until the time that `until` says for it.
    pub(super) fn give(&mut self, now: Timestamp, until: impl FnOnce(&Order) -> Moment) -> Option<Given> {
        self.sweep(now);
        let ((due, turn), lane) = self.ready.first_key_value().map(|(turn, lane)| (*turn, *lane))?;
        let lease = self.draw();
        let standing = self.lanes.get_mut(&lane).filter(|_| due <= now)?;
        self.ready.remove(&(due, turn));
        let first = standing.commands.front_mut()?;
        first.deliveries = first.deliveries.saturating_add(1);
        let until = until(&first.order);
        let given = Given { lease, until, delivery: first.deliveries, order: first.order.clone() };
        standing.first = First::Leased(lease, until.steady);
        self.leases.insert(lease, lane);
        self.ends.insert((until.steady, lease));
        Some(given)
    }

    /// The command that is leased so, if the lease is not over.
    pub(super) fn leased(&self, lease: u64, now: Timestamp) -> Option<&Order> {
        let standing = self.lanes.get(self.leases.get(&lease)?)?;
        let is_live = matches!(standing.first, First::Leased(_, until) if now < until);
        standing.commands.front().map(|first| &first.order).filter(|_| is_live)
    }

    /// Settles the command that is leased so; none if the lease is over, or never was.
    pub(super) fn settle(&mut self, lease: u64, now: Timestamp) -> Option<Order> {
        self.leased(lease, now)?;
        let lane = self.end_lease(lease)?;
        self.drop_first(lane, now)
    }

    /// Takes back a command that was given out, to be given out again from `due` on. One that nobody wishes any more is
    /// over.
    pub(super) fn put_back(&mut self, lease: u64, now: Timestamp, due: Timestamp) {
        let Some(lane) = self.end_lease(lease) else { return };
        let is_over = |first: &Waiting| first.is_superseded || first.order.deadline.steady <= now;
        if self.lanes.get(&lane).and_then(|standing| standing.commands.front()).is_some_and(is_over) {
            self.drop_first(lane, now);
        } else {
            self.make_ready(lane, due);
        }
    }

    /// Takes a command out that nobody waits for any more.
    pub(super) fn withdraw(&mut self, id: &str, lane: Lane, now: Timestamp) {
        let Some(standing) = self.lanes.get(&lane) else { return };
        let Some(at) = standing.commands.iter().position(|waiting| waiting.order.id == id) else { return };
        match standing.first {
            First::Leased(lease, _) if at == 0 => drop(self.end_lease(lease)),
            First::Ready(due, turn) if at == 0 => drop(self.ready.remove(&(due, turn))),
            First::Leased(..) | First::Ready(..) => {}
        }
        self.drop_at(lane, at, now);
    }

    /// What has ended by itself since this was asked last.
    pub(super) fn swept(&mut self) -> Swept {
        std::mem::take(&mut self.swept)
    }

    /// Ends what is over: leases, and commands that are not given out.
    fn sweep(&mut self, now: Timestamp) {
        while let Some((until, lease)) = self.ends.first().copied().filter(|(until, _)| *until <= now) {
            self.swept.expired += 1;
            self.put_back(lease, now, until);
        }
        while let Some((&(deadline, number), lane)) = self.deadlines.first_key_value() {
            if deadline > now {
                break;
            }
            let lane = *lane;
            self.deadlines.remove(&(deadline, number));
            let Some(standing) = self.lanes.get(&lane) else { continue };
            let Some(at) = standing.commands.iter().position(|waiting| waiting.number == number) else { continue };
            match standing.first {
                // Whoever has it may still settle it; it ends with its lease.
                First::Leased(..) if at == 0 => continue,
                First::Ready(due, turn) if at == 0 => drop(self.ready.remove(&(due, turn))),
                First::Leased(..) | First::Ready(..) => {}
            }
            self.swept.late += 1;
            self.drop_at(lane, at, now);
        }
    }

    /// When there is next something to give out, or something is over; none if that is never.
    pub(super) fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let ready = self.ready.first_key_value().map(|((due, _), _)| *due.max(&now));
        let end = self.ends.first().map(|(until, _)| *until);
        let late = self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline);
        [ready, end, late].into_iter().flatten().min()
    }

    /// How many commands are given out.
    pub(super) fn leases(&self) -> usize {
        self.leases.len()
    }

    /// A command that is wished again has the later one of both deadlines.
    fn extend(&mut self, lane: Lane, order: &Order) {
        let there = self.lanes.get_mut(&lane).and_then(|it| it.commands.iter_mut().find(|it| it.order.id == order.id));
        if let Some(there) = there.filter(|there| there.order.deadline.steady < order.deadline.steady) {
            self.deadlines.remove(&(there.order.deadline.steady, there.number));
            there.order.deadline = order.deadline;
            self.deadlines.insert((order.deadline.steady, there.number), lane);
        }
    }

    fn end_lease(&mut self, lease: u64) -> Option<Lane> {
        let lane = self.leases.remove(&lease)?;
        if let Some(First::Leased(_, until)) = self.lanes.get(&lane).map(|standing| standing.first) {
            self.ends.remove(&(until, lease));
        }
        Some(lane)
    }

    /// Drops the first command of a lane whose lease has ended; the next one comes to the end of the line.
    fn drop_first(&mut self, lane: Lane, now: Timestamp) -> Option<Order> {
        self.drop_at(lane, 0, now)
    }

    /// Drops a command. If it was the first, its lane is neither ready nor leased at that moment.
    fn drop_at(&mut self, lane: Lane, at: usize, now: Timestamp) -> Option<Order> {
        let standing = self.lanes.get_mut(&lane)?;
        let waiting = standing.commands.remove(at)?;
        self.ids.remove(&waiting.order.id);
        self.deadlines.remove(&(waiting.order.deadline.steady, waiting.number));
        if standing.commands.is_empty() {
            self.lanes.remove(&lane);
        } else if at == 0 {
            self.make_ready(lane, now);
        }
        Some(waiting.order)
    }

    /// Lets the first command of a lane be given out from `due` on, behind those whose turn it is before.
    fn make_ready(&mut self, lane: Lane, due: Timestamp) {
        let turn = self.draw();
        if let Some(standing) = self.lanes.get_mut(&lane) {
            standing.first = First::Ready(due, turn);
            self.ready.insert((due, turn), lane);
        }
    }

    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.drawn
    }
}
