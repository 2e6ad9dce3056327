//! The queue under anything that may happen to it: nothing is lost, nothing is given to two, nothing after its deadline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use tokio::time::advance;

use super::super::command_queue::CommandQueue;
use super::super::queue_state::{LeasedCommand, PushOutcome, QueueState};
use super::super::queued_command::{CommandPayload, QueuedCommand};
use crate::clock::Moment;
use crate::domain::{AccountNumber, Timestamp};
use crate::limits::COMMAND_RETRY_WAIT_MAX;
use crate::metrics::Metrics;
use crate::testkit::clock::{self, set_offset};

/// How long a lease lasts here.
const LEASE: Duration = Duration::from_secs(30);
/// Commands whose deadline no case reaches.
const LONG: Duration = Duration::from_secs(1_000_000);

#[derive(Clone, Debug)]
enum Step {
    /// A session of an account is wished open or closed.
    Presence {
        account: u64,
        session: u32,
        opens: bool,
        is_long: bool,
    },
    /// A page of sessions is asked for: one in a lane of its own, which nothing supersedes.
    Request {
        number: u32,
        is_long: bool,
    },
    Lease,
    Complete {
        which: usize,
    },
    Requeue {
        which: usize,
        wait: u64,
    },
    Withdraw {
        number: u32,
    },
    Wait {
        milliseconds: u64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4_u64, 1..5_u32, any::<bool>(), any::<bool>())
            .prop_map(|(account, session, opens, is_long)| Step::Presence { account, session, opens, is_long }),
        2 => (0..6_u32, any::<bool>()).prop_map(|(number, is_long)| Step::Request { number, is_long }),
        6 => Just(Step::Lease),
        3 => (0..6_usize).prop_map(|which| Step::Complete { which }),
        2 => (0..6_usize, 0..10_000_u64).prop_map(|(which, wait)| Step::Requeue { which, wait }),
        1 => (0..6_u32).prop_map(|number| Step::Withdraw { number }),
        4 => (0..40_000_u64).prop_map(|milliseconds| Step::Wait { milliseconds }),
    ]
}

fn account(number: u64) -> AccountNumber {
    AccountNumber::from_stored(861_821_726_000 + number).unwrap()
}

/// A moment of elapsed time, for which the wall clock says something else.
fn at(steady: Timestamp) -> Moment {
    Moment { wall: Timestamp(-steady.0), steady }
}

/// What is known of a command that is not over.
#[derive(Clone, Debug)]
struct ModelCommand {
    command: QueuedCommand,
    given: u32,
    /// Its lease and the end of it, while it has one.
    lease: Option<(u64, Timestamp)>,
    is_superseded: bool,
}

#[derive(Default)]
struct Model {
    known: BTreeMap<String, ModelCommand>,
    leases: Vec<u64>,
}

impl Model {
    /// Leases and deadlines that are over end.
    fn sweep(&mut self, now: Timestamp) {
        for known in self.known.values_mut() {
            known.lease = known.lease.filter(|(_, until)| *until > now);
        }
        self.known.retain(|_, it| it.lease.is_some() || (it.command.deadline.steady > now && !it.is_superseded));
    }

    fn push(&mut self, order: &QueuedCommand) -> PushOutcome {
        if self.known.contains_key(&order.id) {
            let known = self.known.get_mut(&order.id).unwrap();
            known.command.deadline = at(known.command.deadline.steady.max(order.deadline.steady));
            return PushOutcome::Duplicate;
        }
        let mut queued = PushOutcome::Added;
        if let Some(session) = order.session_number() {
            let of_lane = |it: &&ModelCommand| it.command.account == order.account;
            let is_later = |it: &ModelCommand| it.command.session_number().is_some_and(|it| it > session);
            if self.known.values().filter(of_lane).any(is_later) {
                return PushOutcome::Superseded;
            }
            let before = self.known.len();
            let is_other =
                |it: &ModelCommand| it.command.account != order.account || it.command.session_number().is_none();
            self.known.retain(|_, it| is_other(it) || it.lease.is_some());
            self.known.values_mut().filter(|it| !is_other(it)).for_each(|it| it.is_superseded = true);
            queued = if self.known.len() < before { PushOutcome::Replaced } else { queued };
        }
        let known = ModelCommand { command: order.clone(), given: 0, lease: None, is_superseded: false };
        self.known.insert(order.id.clone(), known);
        queued
    }

    /// What is given out must be one that nobody has.
    fn lease(&mut self, given: &LeasedCommand, now: Timestamp) {
        let is_leased = |it: &ModelCommand| it.command.account == given.command.account && it.lease.is_some();
        assert!(!self.known.values().any(is_leased), "{given:?} has another of its lane given out beside it");
        let known = self.known.get_mut(&given.command.id).unwrap_or_else(|| panic!("{given:?} is over"));
        known.given += 1;
        assert_eq!((given.delivery, &given.command), (known.given, &known.command));
        assert!(known.command.deadline.steady > now, "{given:?} is given out after its deadline");
        known.lease = Some((given.lease, given.expires_at.steady));
        self.leases.push(given.lease);
    }

    fn of_lease(&self, lease: u64) -> Option<String> {
        let has = |(_, it): &(&String, &ModelCommand)| it.lease.is_some_and(|(it, _)| it == lease);
        self.known.iter().find(has).map(|(id, _)| id.clone())
    }
}

fn command(
    id: String,
    account: Option<AccountNumber>,
    now: Timestamp,
    is_long: bool,
    wish: CommandPayload,
) -> QueuedCommand {
    let deadline = at(now.plus(if is_long { LONG } else { Duration::from_secs(20) }));
    QueuedCommand { id, account, deadline, payload: wish }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_doubled_or_late(steps in prop::collection::vec(step(), 1..80)) {
        let (mut queue, mut model, mut now) = (QueueState::new(1_000), Model::default(), Timestamp(1_000_000));
        for step in steps {
            model.sweep(now);
            match step {
                Step::Presence { account: number, session, opens, is_long } => {
                    let (id, wish) = if opens {
                        (format!("connect-{number}-{session}"), CommandPayload::Disconnect { session: Some(session) })
                    } else {
                        (format!("disconnect-{number}-{session}"), CommandPayload::Disconnect { session: Some(session) })
                    };
                    let order = command(id, Some(account(number)), now, is_long, wish);
                    prop_assert_eq!(queue.push(order.clone(), now), model.push(&order));
                }
                Step::Request { number, is_long } => {
                    let wish = CommandPayload::ListSessions { after: None, limit: number };
                    let order = command(format!("list_sessions-{number}"), None, now, is_long, wish);
                    prop_assert_eq!(queue.push(order.clone(), now), model.push(&order));
                }
                Step::Lease => {
                    if let Some(given) = queue.lease_next(now, |_| at(now.plus(LEASE))) {
                        model.lease(&given, now);
                    }
                }
                Step::Complete { which } => {
                    let Some(lease) = model.leases.get(which).copied() else { continue };
                    let expected = model.of_lease(lease);
                    let settled = queue.complete(lease, now).map(|order| order.id);
                    prop_assert_eq!(&settled, &expected, "a lease that is over settles nothing, a live one its command");
                    settled.iter().for_each(|id| drop(model.known.remove(id)));
                }
                Step::Requeue { which, wait } => {
                    let Some(lease) = model.leases.get(which).copied() else { continue };
                    queue.requeue(lease, now, now.plus(Duration::from_millis(wait)));
                    let id = model.of_lease(lease);
                    id.iter().for_each(|id| model.known.get_mut(id).unwrap().lease = None);
                    model.sweep(now);
                }
                Step::Withdraw { number } => {
                    let id = format!("list_sessions-{number}");
                    queue.withdraw(&id, None, now);
                    model.known.remove(&id);
                }
                Step::Wait { milliseconds } => now = now.plus(Duration::from_millis(milliseconds)),
            }
        }
        // All leases end, all short deadlines are over; all else comes out.
        now = now.plus(LEASE + COMMAND_RETRY_WAIT_MAX + Duration::from_secs(20));
        model.sweep(now);
        let mut left = BTreeSet::new();
        while let Some(given) = queue.lease_next(now, |_| at(now.plus(LEASE))) {
            model.lease(&given, now);
            prop_assert!(queue.complete(given.lease, now).is_some());
            model.known.remove(&given.command.id);
            left.insert(given.command.id);
        }
        prop_assert!(model.known.is_empty(), "lost: {:?}, after {left:?}", model.known);
        prop_assert_eq!((queue.len(), queue.leases(), queue.next_wakeup(now)), (0, 0, None));
    }
}

/// Each account has its turn, however much another wants.
#[test]
fn lanes_take_turns() {
    let (mut queue, now) = (QueueState::new(100), Timestamp(0));
    let code = |account_: u64, attempt| CommandPayload::ListSessions { after: Some(account(account_)), limit: attempt };
    for (number, attempt) in [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (2, 2)] {
        let order = command(format!("{number}-{attempt}"), Some(account(number)), now, true, code(number, attempt));
        assert_eq!(queue.push(order, now), PushOutcome::Added);
    }
    let mut turns = Vec::new();
    while let Some(given) = queue.lease_next(now, |_| at(now.plus(LEASE))) {
        queue.complete(given.lease, now);
        turns.push(given.command.id);
    }
    assert_eq!(turns, ["1-1", "2-1", "3-1", "1-2", "2-2", "1-3"]);
}

/// Beyond the bound nothing is taken, and nothing that is there is touched; what takes another's place needs no room.
#[test]
fn a_full_queue_takes_no_more() {
    let (mut queue, now) = (QueueState::new(2), Timestamp(0));
    let close = |number: u64, session| {
        let wish = CommandPayload::Disconnect { session: Some(session) };
        command(format!("disconnect-{number}-{session}"), Some(account(number)), now, true, wish)
    };
    let queued = [(1, 1), (2, 1), (3, 1), (2, 2), (2, 2), (1, 2)]
        .map(|(number, session)| queue.push(close(number, session), now));
    let expected = [
        PushOutcome::Added,
        PushOutcome::Added,
        PushOutcome::Full,
        PushOutcome::Replaced,
        PushOutcome::Duplicate,
        PushOutcome::Replaced,
    ];
    assert_eq!((queued, queue.len()), (expected, 2));
    assert_eq!(queue.push(close(1, 1), now), PushOutcome::Superseded);
}

/// A wall clock that is set ends no lease and no command, and makes none longer; what is sent is by that clock.
#[tokio::test(start_paused = true)]
async fn a_wall_clock_that_is_set() {
    clock::start();
    let line = CommandQueue::new(Metrics::default(), clock::moment);
    let command = |id: &str, lasts| {
        let payload = CommandPayload::ListSessions { after: None, limit: 1 };
        QueuedCommand { id: id.to_owned(), account: None, deadline: clock::moment().plus(lasts), payload }
    };
    let year = 365 * 86_400;
    set_offset(year);
    line.push(command("a", 3 * LEASE));
    let given = line.lease_commands(9, |now, _| now.plus(LEASE));
    assert_eq!(given[0].expires_at.wall, clock::now().plus(LEASE));
    for wall in [3 * year, 0, year] {
        set_offset(wall);
        assert!(
            line.leased_command(given[0].lease).is_some()
                && line.lease_commands(9, |now, _| now.plus(LEASE)).is_empty()
        );
    }
    set_offset(0);
    advance(LEASE).await;
    assert!(line.leased_command(given[0].lease).is_none(), "its time has elapsed");
    let again = line.lease_commands(9, |now, _| now.plus(LEASE));
    assert_eq!((again[0].delivery, again[0].command.id.as_str()), (2, "a"));
    advance(2 * LEASE).await;
    assert!(line.lease_commands(9, |now, _| now.plus(LEASE)).is_empty(), "its deadline is over");
}
