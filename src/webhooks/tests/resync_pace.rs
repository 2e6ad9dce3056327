//! Resyncs are paced, hold back nothing else, and stay in their account's order.

use std::time::Duration;

use bytes::Bytes;

use super::super::delivery::Delivery;
use super::super::delivery_scheduler::DeliveryScheduler;
use super::super::lane::{
    AttemptResult, DeliveryLaneKey, DeliveryPolicy, LaneChange, LaneKind, LaneRow, SchedulerStep,
};
use super::fixture::{ChannelFixture, SECOND, account, taken};
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::domain::{AccountNumber, Timestamp};
use crate::journal::RequestId;
use crate::limits::{WEBHOOK_REFILLS_PER_TURN, WEBHOOK_WINDOW};
use crate::testkit::clock::wait_until;

const INTERVAL_MILLIS: u64 = 10;

/// A scheduler with its journal. Every attempt succeeds at once.
struct PacedChannel {
    lanes: DeliveryScheduler,
    journal: Vec<Delivery>,
    now: Timestamp,
    rows: Vec<(AccountNumber, LaneRow)>,
    /// How often a lane was read again.
    refills: usize,
    /// When each attempt was started, in milliseconds.
    started: Vec<(u64, LaneKind, Delivery)>,
}

impl PacedChannel {
    fn new() -> PacedChannel {
        let (journal, rows, started) = (Vec::new(), Vec::new(), Vec::new());
        let lanes = DeliveryScheduler::new(policy(), 0, [], []);
        PacedChannel { lanes, journal, now: Timestamp(0), rows, refills: 0, started }
    }

    fn restart(&mut self) {
        self.lanes = DeliveryScheduler::new(policy(), self.journal.len() as u64, self.rows.drain(..), []);
    }

    fn happen(&mut self, number: u64, is_resync: bool) {
        let position = self.journal.len() as u64 + 1;
        let (account, at, body) = (account(number), Timestamp(0), Bytes::new());
        let delivery = Delivery { account, position, version: position, request: RequestId(0), at, is_resync, body };
        self.journal.push(delivery.clone());
        for change in self.lanes.ingest(vec![delivery], position) {
            if let LaneChange::PutRow { account, row } = change {
                self.rows.push((account, row));
            }
        }
    }

    /// Starts what may be started, each millisecond, for so long.
    fn run(&mut self, millis: u64) {
        for _ in 0..millis {
            while self.take_step() {}
            self.now = self.now.plus(Duration::from_millis(1));
        }
    }

    /// Takes one step. Returns whether there was one.
    fn take_step(&mut self) -> bool {
        match self.lanes.next_step(self.now) {
            Some(SchedulerStep::Attempt { key, delivery, .. }) => {
                self.started.push((self.now.0 as u64 / 1_000, key.kind, delivery));
                self.lanes.finish_attempt(key, AttemptResult::Succeeded, self.now);
            }
            Some(SchedulerStep::Refill { account, after, .. }) => {
                self.refills += 1;
                let is_next = |it: &&Delivery| it.account == account && it.position > after;
                let deliveries = self.journal.iter().filter(is_next).cloned().collect();
                self.lanes.refill(account, deliveries, true);
            }
            Some(SchedulerStep::RefillRedelivery(account)) => {
                let first = self.journal.iter().find(|it| it.account == account).cloned();
                self.lanes.refill_redelivery(account, first.map(|first| (first, 0)));
            }
            Some(SchedulerStep::Write(_)) => {}
            None => return false,
        }
        true
    }

    /// The positions and times of the attempts of an account's new deliveries.
    fn attempts_of(&self, number: u64) -> Vec<(u64, u64)> {
        let is_of =
            |(_, kind, it): &&(u64, LaneKind, Delivery)| *kind == LaneKind::New && it.account == account(number);
        self.started.iter().filter(is_of).map(|(at, _, it)| (it.position, *at)).collect()
    }
}

fn policy() -> DeliveryPolicy {
    DeliveryPolicy {
        retry_waits: Vec::new(),
        after_last_try: DeadLetterPolicy::Continue,
        deliver: DeliveryMode::All,
        redelivery_interval: Duration::from_millis(INTERVAL_MILLIS),
        max_redeliveries_in_flight: 4,
    }
}

#[test]
fn resyncs_are_paced_in_order_and_hold_back_no_other_account() {
    let mut channel = PacedChannel::new();
    let resyncs = WEBHOOK_WINDOW as u64 + 100;
    (0..resyncs).for_each(|number| channel.happen(number, true));
    assert_eq!((channel.lanes.pending_count(), channel.lanes.cursor()), (0, resyncs), "the window stays free");
    channel.run(100);
    channel.happen(9_999_999, false);
    channel.run(100);
    assert_eq!(channel.attempts_of(9_999_999), [(resyncs + 1, 100)], "a new delivery does not wait");
    let times: Vec<(u64, u64)> = (0..20).flat_map(|number| channel.attempts_of(number)).collect();
    let expected: Vec<(u64, u64)> = (0..20).map(|index| (index + 1, index * INTERVAL_MILLIS)).collect();
    assert_eq!(times, expected, "one after the other, in the order of their events");
    channel.run(resyncs * INTERVAL_MILLIS);
    assert_eq!((channel.started.len() as u64, channel.lanes.next_due()), (resyncs + 1, None), "nothing is left");
}

#[test]
fn a_new_delivery_takes_the_resync_before_it_along() {
    let mut channel = PacedChannel::new();
    (0..1_000).for_each(|number| channel.happen(number, true));
    channel.run(5);
    channel.happen(700, false);
    channel.happen(0, false);
    channel.happen(0, true);
    channel.run(1);
    assert_eq!(channel.attempts_of(700), [(701, 5), (1_001, 5)], "both at once, in their order");
    assert_eq!(channel.attempts_of(0), [(1, 0), (1_002, 5)], "the next resync waits for its turn");
    let third = DeliveryLaneKey { account: account(0), kind: LaneKind::New };
    assert!(channel.lanes.lanes.get(third).is_some());
}

#[test]
fn resyncs_and_redeliveries_share_the_pace_and_take_turns() {
    let mut channel = PacedChannel::new();
    (0..50).for_each(|number| channel.happen(number, true));
    // These lanes redeliver the same event without end.
    for number in 1_000..1_003 {
        channel.happen(number, false);
    }
    channel.run(1);
    (1_000..1_003).for_each(|number| channel.lanes.queue_redelivery(account(number)));
    channel.run(40 * INTERVAL_MILLIS);
    let paced: Vec<LaneKind> = channel.started.iter().skip(4).map(|(_, kind, _)| *kind).collect();
    assert_eq!(paced.len(), 40, "together no more than the pace");
    assert!(paced.chunks(2).all(|turn| turn[0] != turn[1]), "{paced:?}");
}

#[test]
fn a_new_delivery_after_a_restart_does_not_wait_for_all_resyncs() {
    let mut channel = PacedChannel::new();
    let resyncs = 3 * WEBHOOK_WINDOW as u64;
    (0..resyncs).for_each(|number| channel.happen(number, true));
    channel.restart();
    channel.take_step();
    channel.happen(9_999_999, false);
    while channel.attempts_of(9_999_999).is_empty() && channel.take_step() {}
    assert!(channel.refills <= WEBHOOK_WINDOW + 1, "{} lanes were read again first", channel.refills);
}

/// After a restart the lanes are read again before it is known that they wait.
#[tokio::test(start_paused = true)]
async fn a_restart_keeps_the_pace_and_loses_no_resync() {
    let mut fixture = ChannelFixture::new(|_, _, _| taken());
    fixture.policy.redelivery_interval = Duration::from_millis(10);
    let resyncs = 3 * WEBHOOK_REFILLS_PER_TURN as u64;
    fixture.append_resyncs(0..resyncs).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    fixture.kill(running).await;
    let before = fixture.arrivals();
    assert!((90..=210).contains(&before), "one second, and the one before it: {before}");

    let running = fixture.start();
    wait_until(2 * SECOND).await;
    let after = fixture.arrivals() - before;
    assert!((90..=210).contains(&after), "{after}");
    fixture.append_events_to(resyncs..resyncs + 1, 1).await;
    wait_until(3 * SECOND).await;
    assert_eq!(fixture.taken()[&account(resyncs)], [1], "a new delivery does not wait");
    wait_until(20 * SECOND).await;
    running.stop().await;
    let taken = fixture.taken();
    assert_eq!(taken.len() as u64, resyncs + 1);
}
