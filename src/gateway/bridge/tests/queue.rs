//! The queue under random operations: no command is lost, leased twice at once, or leased after its deadline.

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

/// The length of a lease.
const LEASE: Duration = Duration::from_secs(30);
/// A deadline that no case reaches.
const LONG: Duration = Duration::from_secs(1_000_000);

#[derive(Clone, Debug)]
enum Step {
    /// Queues a connect or a disconnect of an account.
    Presence {
        account: u64,
        session: u32,
        opens: bool,
        is_long: bool,
    },
    /// Queues a page request. It has a lane of its own, and no command supersedes it.
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

/// A moment whose elapsed time differs from its wall clock time.
fn at(steady: Timestamp) -> Moment {
    Moment { wall: Timestamp(-steady.0), steady }
}

/// The model of a command in the queue.
#[derive(Clone, Debug)]
struct ModelCommand {
    command: QueuedCommand,
    deliveries: u32,
    /// Its lease with its end, while it has one.
    lease: Option<(u64, Timestamp)>,
    is_superseded: bool,
}

#[derive(Default)]
struct Model {
    known: BTreeMap<String, ModelCommand>,
    leases: Vec<u64>,
}

impl Model {
    /// Ends leases and commands that have expired.
    fn sweep(&mut self, now: Timestamp) {
        for known in self.known.values_mut() {
            known.lease = known.lease.filter(|(_, until)| *until > now);
        }
        self.known.retain(|_, it| it.lease.is_some() || (it.command.deadline.steady > now && !it.is_superseded));
    }

    fn push(&mut self, command: &QueuedCommand) -> PushOutcome {
        if self.known.contains_key(&command.id) {
            let known = self.known.get_mut(&command.id).unwrap();
            known.command.deadline = at(known.command.deadline.steady.max(command.deadline.steady));
            return PushOutcome::Duplicate;
        }
        let mut queued = PushOutcome::Added;
        if let Some(session) = command.session_number() {
            let of_lane = |it: &&ModelCommand| it.command.account == command.account;
            let is_later = |it: &ModelCommand| it.command.session_number().is_some_and(|it| it > session);
            if self.known.values().filter(of_lane).any(is_later) {
                return PushOutcome::Superseded;
            }
            let before = self.known.len();
            let is_other =
                |it: &ModelCommand| it.command.account != command.account || it.command.session_number().is_none();
            self.known.retain(|_, it| is_other(it) || it.lease.is_some());
            self.known.values_mut().filter(|it| !is_other(it)).for_each(|it| it.is_superseded = true);
            queued = if self.known.len() < before { PushOutcome::Replaced } else { queued };
        }
        let known = ModelCommand { command: command.clone(), deliveries: 0, lease: None, is_superseded: false };
        self.known.insert(command.id.clone(), known);
        queued
    }

    /// Checks that the leased command was not leased already.
    fn lease(&mut self, leased: &LeasedCommand, now: Timestamp) {
        let is_leased = |it: &ModelCommand| it.command.account == leased.command.account && it.lease.is_some();
        assert!(!self.known.values().any(is_leased), "{leased:?} has another of its lane given out beside it");
        let known = self.known.get_mut(&leased.command.id).unwrap_or_else(|| panic!("{leased:?} is over"));
        known.deliveries += 1;
        assert_eq!((leased.delivery, &leased.command), (known.deliveries, &known.command));
        assert!(known.command.deadline.steady > now, "{leased:?} is given out after its deadline");
        known.lease = Some((leased.lease, leased.expires_at.steady));
        self.leases.push(leased.lease);
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
    payload: CommandPayload,
) -> QueuedCommand {
    let deadline = at(now.plus(if is_long { LONG } else { Duration::from_secs(20) }));
    QueuedCommand { id, account, deadline, payload }
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
                    let (id, payload) = if opens {
                        (format!("connect-{number}-{session}"), CommandPayload::Disconnect { session: Some(session) })
                    } else {
                        (format!("disconnect-{number}-{session}"), CommandPayload::Disconnect { session: Some(session) })
                    };
                    let command = command(id, Some(account(number)), now, is_long, payload);
                    prop_assert_eq!(queue.push(command.clone(), now), model.push(&command));
                }
                Step::Request { number, is_long } => {
                    let payload = CommandPayload::ListSessions { after: None, limit: number };
                    let command = command(format!("list_sessions-{number}"), None, now, is_long, payload);
                    prop_assert_eq!(queue.push(command.clone(), now), model.push(&command));
                }
                Step::Lease => {
                    if let Some(leased) = queue.lease_next(now, |_| at(now.plus(LEASE))) {
                        model.lease(&leased, now);
                    }
                }
                Step::Complete { which } => {
                    let Some(lease) = model.leases.get(which).copied() else { continue };
                    let expected = model.of_lease(lease);
                    let completed = queue.complete(lease, now).map(|command| command.id);
                    prop_assert_eq!(&completed, &expected, "a lease that is over settles nothing, a live one its command");
                    completed.iter().for_each(|id| drop(model.known.remove(id)));
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
        // All leases and short deadlines have expired. The other commands can be leased.
        now = now.plus(LEASE + COMMAND_RETRY_WAIT_MAX + Duration::from_secs(20));
        model.sweep(now);
        let mut left = BTreeSet::new();
        while let Some(leased) = queue.lease_next(now, |_| at(now.plus(LEASE))) {
            model.lease(&leased, now);
            prop_assert!(queue.complete(leased.lease, now).is_some());
            model.known.remove(&leased.command.id);
            left.insert(leased.command.id);
        }
        prop_assert!(model.known.is_empty(), "lost: {:?}, after {left:?}", model.known);
        prop_assert_eq!((queue.len(), queue.leases(), queue.next_wakeup(now)), (0, 0, None));
    }
}

/// Accounts take turns, however many commands one of them has.
#[test]
fn lanes_take_turns() {
    let (mut queue, now) = (QueueState::new(100), Timestamp(0));
    let payload = |number: u64, limit| CommandPayload::ListSessions { after: Some(account(number)), limit };
    for (number, attempt) in [(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (2, 2)] {
        let command =
            command(format!("{number}-{attempt}"), Some(account(number)), now, true, payload(number, attempt));
        assert_eq!(queue.push(command, now), PushOutcome::Added);
    }
    let mut turns = Vec::new();
    while let Some(leased) = queue.lease_next(now, |_| at(now.plus(LEASE))) {
        queue.complete(leased.lease, now);
        turns.push(leased.command.id);
    }
    assert_eq!(turns, ["1-1", "2-1", "3-1", "1-2", "2-2", "1-3"]);
}

/// A full queue accepts no command and changes nothing. A command that replaces another needs no room.
#[test]
fn a_full_queue_takes_no_more() {
    let (mut queue, now) = (QueueState::new(2), Timestamp(0));
    let close = |number: u64, session| {
        let payload = CommandPayload::Disconnect { session: Some(session) };
        command(format!("disconnect-{number}-{session}"), Some(account(number)), now, true, payload)
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

/// Setting the wall clock changes no lease and no deadline. The times that are sent follow the wall clock.
#[tokio::test(start_paused = true)]
async fn setting_the_wall_clock_changes_no_deadline() {
    clock::start();
    let queue = CommandQueue::new(Metrics::default(), clock::moment);
    let command = |id: &str, lasts| {
        let payload = CommandPayload::ListSessions { after: None, limit: 1 };
        QueuedCommand { id: id.to_owned(), account: None, deadline: clock::moment().plus(lasts), payload }
    };
    let year = 365 * 86_400;
    set_offset(year);
    queue.push(command("a", 3 * LEASE));
    let leased = queue.lease_commands(9, |now, _| now.plus(LEASE));
    assert_eq!(leased[0].expires_at.wall, clock::now().plus(LEASE));
    for wall in [3 * year, 0, year] {
        set_offset(wall);
        assert!(
            queue.leased_command(leased[0].lease).is_some()
                && queue.lease_commands(9, |now, _| now.plus(LEASE)).is_empty()
        );
    }
    set_offset(0);
    advance(LEASE).await;
    assert!(queue.leased_command(leased[0].lease).is_none(), "its time has elapsed");
    let again = queue.lease_commands(9, |now, _| now.plus(LEASE));
    assert_eq!((again[0].delivery, again[0].command.id.as_str()), (2, "a"));
    advance(2 * LEASE).await;
    assert!(queue.lease_commands(9, |now, _| now.plus(LEASE)).is_empty(), "its deadline is over");
}
