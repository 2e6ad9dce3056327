//! The order of deliveries, under any mixture of failures, slow attempts, late cursors, pauses, redeliveries, dead
//! letters, and crashes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;

use super::super::delivery::Delivery;
use super::super::delivery_scheduler::DeliveryScheduler;
use super::super::lane::{
    AttemptResult, DeliveryLaneKey, DeliveryOutcome, DeliveryPolicy, LaneChange, LaneKind, LaneRow, SchedulerStep,
};
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::domain::{AccountNumber, Timestamp};
use crate::journal::RequestId;

const RETRY_WAITS: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(30)];

/// One action on the model of a channel.
#[derive(Clone, Copy, Debug)]
enum ModelAction {
    /// Read this many events of the journal.
    Read(usize),
    /// Start at most this many attempts.
    Start(usize),
    /// End one of the attempts in flight.
    Finish { which: usize, end: AttemptEnd },
    /// Redeliver a completed delivery, or retry a waiting one now.
    Redeliver(usize),
    /// Discard the dead deliveries that block their lanes.
    Drop,
    /// Store slow lanes, and save the cursor.
    Save,
    /// Let this many milliseconds pass.
    Wait(u64),
    /// Kill the process, and start it again.
    Crash,
}

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum AttemptEnd {
    Succeeded,
    Failed,
    Deferred,
}

/// A channel whose journal, delivery store and receiver are in memory.
struct ChannelModel {
    policy: DeliveryPolicy,
    /// The account of each event; the position of the first is 1.
    journal: Vec<AccountNumber>,
    lanes: DeliveryScheduler,
    now: Timestamp,
    in_flight: Vec<(DeliveryLaneKey, Delivery, u32)>,
    cursor: u64,
    rows: HashMap<AccountNumber, LaneRow>,
    redeliveries: BTreeMap<(AccountNumber, u64), (u32, Timestamp)>,
    completed: BTreeSet<u64>,
    superseded: BTreeSet<u64>,
    dead: BTreeSet<u64>,
    tried: BTreeSet<u64>,
}

impl ChannelModel {
    fn new(journal: Vec<AccountNumber>, policy: DeliveryPolicy) -> ChannelModel {
        ChannelModel {
            lanes: DeliveryScheduler::new(policy.clone(), 0, [], []),
            policy,
            journal,
            now: Timestamp(0),
            in_flight: Vec::new(),
            cursor: 0,
            rows: HashMap::new(),
            redeliveries: BTreeMap::new(),
            completed: BTreeSet::new(),
            superseded: BTreeSet::new(),
            dead: BTreeSet::new(),
            tried: BTreeSet::new(),
        }
    }

    fn apply(&mut self, action: ModelAction) {
        assert_eq!(self.lanes.lanes.counts(), self.lanes.lanes.recount(), "before {action:?}");
        match action {
            ModelAction::Read(events) => self.read(events),
            ModelAction::Start(most) => self.start(most),
            ModelAction::Finish { which, end } if !self.in_flight.is_empty() => {
                self.finish(which % self.in_flight.len(), end);
            }
            ModelAction::Finish { .. } => {}
            ModelAction::Redeliver(which) => self.redeliver(which),
            ModelAction::Drop => {
                for position in self.dead.clone() {
                    let account = self.journal[position as usize - 1];
                    let changes = self.lanes.discard(account, position, self.now);
                    self.dead.remove(&position);
                    self.completed.insert(position);
                    self.write(changes);
                }
            }
            ModelAction::Save => {
                let changes = self.lanes.store_slow_lanes(self.now, Duration::from_millis(20));
                self.write(changes);
                self.cursor = self.lanes.cursor();
            }
            ModelAction::Wait(millis) => self.now = self.now.plus(Duration::from_millis(millis)),
            ModelAction::Crash => {
                self.in_flight.clear();
                let mut redeliveries: BTreeMap<AccountNumber, Timestamp> = BTreeMap::new();
                for ((account, _), (_, until)) in &self.redeliveries {
                    redeliveries.entry(*account).or_insert(*until);
                }
                self.lanes = DeliveryScheduler::new(self.policy.clone(), self.cursor, self.rows.clone(), redeliveries);
            }
        }
        self.check();
    }

    fn events(&self, after: u64) -> impl Iterator<Item = Delivery> {
        let delivery = |(account, position): (&AccountNumber, u64)| Delivery {
            account: *account,
            position,
            version: position,
            request: RequestId(0),
            at: Timestamp(0),
            is_resync: position.is_multiple_of(3),
            body: Bytes::new(),
        };
        self.journal.iter().zip(1..).skip(after as usize).map(delivery)
    }

    fn channel_deliveries(&self, after: u64) -> impl Iterator<Item = Delivery> {
        // The channel does not deliver every fifth event.
        self.events(after).filter(|delivery| !delivery.position.is_multiple_of(5))
    }

    fn read(&mut self, events: usize) {
        let after = self.lanes.read_position();
        let to = (after + events as u64).min(self.journal.len() as u64);
        let deliveries = self.channel_deliveries(after).take_while(|it| it.position <= to).collect();
        let changes = self.lanes.ingest(deliveries, to);
        self.write(changes);
    }

    fn start(&mut self, most: usize) {
        let mut started = 0;
        while started < most {
            match self.lanes.next_step(self.now) {
                Some(SchedulerStep::Attempt { key, delivery, attempt }) => {
                    started += 1;
                    let same = |it: &&(DeliveryLaneKey, Delivery, u32)| it.0.account == key.account;
                    assert_eq!(self.in_flight.iter().find(same), None, "one attempt at a time");
                    if key.kind == LaneKind::New {
                        let before = self.channel_deliveries(0).take_while(|it| it.position < delivery.position);
                        for earlier in before.filter(|it| it.account == delivery.account) {
                            let is_over = self.completed.contains(&earlier.position);
                            assert!(is_over, "{delivery:?} overtakes {earlier:?}");
                        }
                    } else {
                        let is_over = self.completed.contains(&delivery.position);
                        assert!(is_over, "{delivery:?} is sent again before it is settled");
                    }
                    self.tried.insert(delivery.position);
                    self.in_flight.push((key, delivery, attempt));
                }
                Some(SchedulerStep::Refill { account, after, most }) => {
                    let read = self.lanes.read_position();
                    let follows = self.channel_deliveries(after).take_while(|it| it.position <= read);
                    let mut follows: Vec<Delivery> = follows.filter(|it| it.account == account).collect();
                    // Pages of two, so that all branches run.
                    let is_all = follows.len() <= most.min(2);
                    follows.truncate(most.min(2));
                    let changes = self.lanes.refill(account, follows, is_all);
                    self.write(changes);
                }
                Some(SchedulerStep::RefillRedelivery(account)) => {
                    let first =
                        self.redeliveries.range((account, 0)..).next().filter(|((owner, _), _)| *owner == account);
                    let found = first.map(|((_, position), (failed, _))| (*position, *failed));
                    let found = found.map(|(position, failed)| (self.events(position - 1).next().unwrap(), failed));
                    self.lanes.refill_redelivery(account, found);
                }
                Some(SchedulerStep::Write(changes)) => self.write(changes),
                None => return,
            }
        }
    }

    fn finish(&mut self, which: usize, end: AttemptEnd) {
        let (key, delivery, attempt) = self.in_flight.remove(which);
        let result = match end {
            AttemptEnd::Succeeded => AttemptResult::Succeeded,
            AttemptEnd::Failed => AttemptResult::Failed { retry_after: None },
            AttemptEnd::Deferred => AttemptResult::Deferred(Duration::from_millis(5)),
        };
        let (outcome, changes) = self.lanes.finish_attempt(key, result, self.now);
        match (outcome, end) {
            (DeliveryOutcome::Delivered, AttemptEnd::Succeeded) => drop(self.completed.insert(delivery.position)),
            (DeliveryOutcome::Dropped, AttemptEnd::Failed | AttemptEnd::Deferred) => {
                assert!(self.completed.contains(&delivery.position));
            }
            (DeliveryOutcome::Waiting(until), AttemptEnd::Failed | AttemptEnd::Deferred) => assert!(until >= self.now),
            (DeliveryOutcome::Dead, AttemptEnd::Failed) => {
                assert!(attempt as usize > RETRY_WAITS.len(), "it is given up too early");
                if self.policy.after_last_try == DeadLetterPolicy::Block && key.kind == LaneKind::New {
                    self.dead.insert(delivery.position);
                } else {
                    self.completed.insert(delivery.position);
                }
            }
            wrong => panic!("{wrong:?}"),
        }
        self.write(changes);
    }

    fn redeliver(&mut self, which: usize) {
        let known: Vec<u64> = self.completed.iter().chain(&self.dead).copied().collect();
        let waiting = self.rows.values().map(|row| row.next_position);
        let known: Vec<u64> = known.into_iter().chain(waiting).filter(|it| *it <= self.journal.len() as u64).collect();
        if known.is_empty() {
            return;
        }
        let position = known[which % known.len()];
        let account = self.journal[position as usize - 1];
        match self.lanes.retry_now(account, position, self.now) {
            Some(changes) => self.write(changes),
            None if self.completed.contains(&position) => {
                self.redeliveries.insert((account, position), (0, Timestamp(0)));
                self.lanes.queue_redelivery(account);
            }
            None => {}
        }
    }

    fn write(&mut self, changes: impl IntoIterator<Item = LaneChange>) {
        for change in changes {
            match change {
                LaneChange::PutRow { account, row } => drop(self.rows.insert(account, row)),
                LaneChange::RemoveRow { account } => drop(self.rows.remove(&account)),
                LaneChange::PutRedelivery { account, position, failed, until } => {
                    self.redeliveries.insert((account, position), (failed, until));
                }
                LaneChange::RemoveRedelivery { account, position } => {
                    self.redeliveries.remove(&(account, position));
                }
                LaneChange::MarkSuperseded { delivery, by } => {
                    assert!(by > delivery.position, "only a later one says more");
                    assert_eq!(self.policy.deliver, DeliveryMode::Latest);
                    self.completed.insert(delivery.position);
                    self.superseded.insert(delivery.position);
                }
            }
        }
    }

    /// Every delivery before the saved cursor is completed or has a row, so a restart loses no delivery.
    fn check(&self) {
        for delivery in self.channel_deliveries(0).take_while(|it| it.position <= self.cursor) {
            let has_row = self.rows.get(&delivery.account).is_some_and(|row| row.next_position <= delivery.position);
            let Delivery { position, .. } = delivery;
            assert!(self.completed.contains(&position) || has_row, "a restart forgets position {position}");
        }
    }

    /// Whether neither the stored rows nor the lanes have work left.
    fn is_done(&self) -> bool {
        let is_clean = self.rows.is_empty() && self.redeliveries.is_empty() && self.lanes.next_due().is_none();
        self.cursor == self.journal.len() as u64 && is_clean
    }

    /// Runs to the end: all attempts succeed, and dead deliveries are discarded.
    fn drain(&mut self) {
        for _ in 0..20 * (self.journal.len() + 10) {
            self.apply(ModelAction::Read(7));
            self.apply(ModelAction::Start(3));
            self.apply(ModelAction::Finish { which: 0, end: AttemptEnd::Succeeded });
            self.apply(ModelAction::Drop);
            self.apply(ModelAction::Save);
            if self.in_flight.is_empty()
                && let Some(due) = self.lanes.next_due()
            {
                self.now = self.now.max(due);
            }
            if self.in_flight.is_empty() && self.is_done() {
                break;
            }
        }
        let left: Vec<u64> = self.channel_deliveries(0).map(|it| it.position).collect();
        let left: Vec<_> = left.into_iter().filter(|position| !self.completed.contains(position)).collect();
        // A delivery without a next due time would be left here.
        assert_eq!(left, Vec::<u64>::new(), "never told");
        assert_eq!((self.cursor, self.rows.len()), (self.journal.len() as u64, 0), "the book is not clean");
        assert_eq!((self.lanes.pending_count(), self.lanes.next_due(), self.redeliveries.len()), (0, None, 0));
        for account in self.journal.iter().collect::<BTreeSet<_>>() {
            let last = self.channel_deliveries(0).filter(|it| it.account == *account).last();
            assert!(last.is_none_or(|last| !self.superseded.contains(&last.position)), "the last state is told");
        }
    }
}

fn deliver_all(after_last_try: DeadLetterPolicy) -> DeliveryPolicy {
    DeliveryPolicy {
        retry_waits: RETRY_WAITS.to_vec(),
        after_last_try,
        deliver: DeliveryMode::All,
        redelivery_interval: Duration::ZERO,
        max_redeliveries_in_flight: 1,
    }
}

/// After a crash a delivery may be both a redelivery and the next new one. A command during the redelivery's attempt also
/// unblocks the lane of the new one.
#[test]
fn a_command_during_a_redelivery_unblocks_the_same_new_delivery() {
    use ModelAction::{Crash, Read, Redeliver, Start};
    for command in [ModelAction::Drop, Redeliver(0)] {
        let mut model = ChannelModel::new(
            vec![AccountNumber::from_stored(8_618_210_001).unwrap()],
            deliver_all(DeadLetterPolicy::Block),
        );
        let finish = |end| ModelAction::Finish { which: 0, end };
        // The cursor is not saved before the crash, so the delivered event is read again.
        for action in [Read(1), Start(1), finish(AttemptEnd::Succeeded), Redeliver(0), Crash, Read(1)] {
            model.apply(action);
        }
        // A redelivery comes first. It is deferred while the attempts of the new delivery are used up.
        while model.dead.is_empty() {
            for end in [AttemptEnd::Deferred, AttemptEnd::Failed] {
                model.apply(Start(1));
                model.apply(finish(end));
            }
            model.apply(ModelAction::Wait(60));
        }
        model.apply(Start(1));
        assert_eq!(model.in_flight.first().map(|(key, _, _)| key.kind), Some(LaneKind::Redelivery));
        model.apply(command);
        model.apply(finish(AttemptEnd::Succeeded));
        model.drain();
    }
}

fn actions() -> impl Strategy<Value = Vec<ModelAction>> {
    let end =
        prop_oneof![4 => Just(AttemptEnd::Succeeded), 4 => Just(AttemptEnd::Failed), 1 => Just(AttemptEnd::Deferred)];
    let action = prop_oneof![
        4 => (1..12_usize).prop_map(ModelAction::Read),
        6 => (1..5_usize).prop_map(ModelAction::Start),
        6 => (any::<usize>(), end).prop_map(|(which, end)| ModelAction::Finish { which, end }),
        2 => any::<usize>().prop_map(ModelAction::Redeliver),
        1 => Just(ModelAction::Drop),
        2 => Just(ModelAction::Save),
        3 => (1..40_u64).prop_map(ModelAction::Wait),
        1 => Just(ModelAction::Crash),
    ];
    prop::collection::vec(action, 0..150)
}

fn policy() -> impl Strategy<Value = DeliveryPolicy> {
    let deliver = prop_oneof![Just(DeliveryMode::All), Just(DeliveryMode::Latest)];
    let after_last_try = prop_oneof![Just(DeadLetterPolicy::Continue), Just(DeadLetterPolicy::Block)];
    (deliver, after_last_try).prop_map(|(deliver, after_last_try)| DeliveryPolicy {
        retry_waits: RETRY_WAITS.to_vec(),
        after_last_try,
        deliver,
        redelivery_interval: Duration::from_millis(1),
        max_redeliveries_in_flight: 1,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_event_is_delivered_in_order(
        accounts in prop::collection::vec(0..5_u64, 0..60),
        actions in actions(),
        policy in policy(),
    ) {
        let accounts = accounts.into_iter().map(|index| AccountNumber::from_stored(8_618_210_000 + index).unwrap());
        let mut model = ChannelModel::new(accounts.collect(), policy);
        actions.into_iter().for_each(|action| model.apply(action));
        model.drain();
    }
}

/// The lane of an account with too many deliveries is stored, so that others are read.
#[test]
fn one_account_does_not_fill_the_window() {
    let account = |index: u64| AccountNumber::from_stored(8_618_210_000 + index).unwrap();
    let mut journal = vec![account(0); 1_000];
    journal.push(account(1));
    let mut model = ChannelModel::new(journal, deliver_all(DeadLetterPolicy::Continue));
    model.apply(ModelAction::Read(1_001));
    assert_eq!(model.lanes.pending_count(), 1, "only the other account's");
    model.drain();
}
