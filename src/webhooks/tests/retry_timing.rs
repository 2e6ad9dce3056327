//! A channel over hours and days: retry schedules, restarts, outages of the receiver, pauses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use insta::assert_snapshot;

use super::super::attempt_log::DeliveryState;
use super::super::channel_command::ChannelCommand;
use super::super::delivery::Delivery;
use super::super::receiver_client::Receiver;
use super::fixture::{AttemptResponse, ChannelFixture, HOUR, MINUTE, SECOND, account, failed, taken};
use crate::config::DeadLetterPolicy;
use crate::limits::{ATTEMPTS_PRUNE_INTERVAL, BREAKER_OPEN, KEEP_SHORTER_AFTER, RETRY_WAITS};
use crate::testkit::clock::{START_TIME, set_offset, wait_until};

/// A receiver that always fails, twice with a `Retry-After`.
fn never(delivery: &Delivery, attempt: u32, _: Duration) -> AttemptResponse {
    let retry_after = match (delivery.version, attempt) {
        (2, 1) => Some(20 * MINUTE),
        (2, 2) => Some(24 * HOUR),
        _ => None,
    };
    AttemptResponse { retry_after, ..failed() }
}

#[tokio::test(start_paused = true)]
async fn every_wait_of_a_schedule_is_kept_over_restarts() {
    let fixture = ChannelFixture::new(never);
    let running = fixture.start();
    fixture.append_events(1, 2).await;
    wait_until(10 * HOUR).await;
    running.stop().await;
    let timeline = fixture.timeline();
    assert_snapshot!(timeline, @"
    0:00:00.0  861821700000 version 1 attempt 1: not taken
    0:00:11.9  861821700000 version 1 attempt 2: not taken
    0:00:43.6  861821700000 version 1 attempt 3: not taken
    0:03:32.7  861821700000 version 1 attempt 4: not taken
    0:07:34.0  861821700000 version 1 attempt 5: not taken
    0:41:05.9  861821700000 version 1 attempt 6: not taken
    2:35:46.4  861821700000 version 1 attempt 7: not taken
    2:35:46.4  861821700000 version 2 attempt 1: not taken
    2:55:46.4  861821700000 version 2 attempt 2: not taken
    3:55:46.4  861821700000 version 2 attempt 3: not taken
    3:58:11.9  861821700000 version 2 attempt 4: not taken
    4:03:52.5  861821700000 version 2 attempt 5: not taken
    4:30:53.8  861821700000 version 2 attempt 6: not taken
    6:35:42.7  861821700000 version 2 attempt 7: not taken
    ");
    assert_eq!(fixture.dead_letters(), 2);

    let fixture = ChannelFixture::new(never);
    fixture.append_events(1, 2).await;
    for start in 0..(10 * 60 / 7) {
        let running = fixture.start();
        wait_until(7 * MINUTE * (start + 1)).await;
        running.stop().await;
    }
    assert_eq!(fixture.timeline(), timeline);
    assert_eq!(fixture.dead_letters(), 2);
}

/// While the service runs, a change of the wall clock affects neither waits nor the breaker.
#[tokio::test(start_paused = true)]
async fn a_change_of_the_wall_clock_changes_no_wait() {
    let mut moments = Vec::new();
    for leaps in [[0; 3], [-3_600, 0, -86_400], [365 * 86_400, 0, 600]] {
        let fixture = ChannelFixture::new(|_, _, at| if at < 2 * HOUR { failed() } else { taken() });
        let running = fixture.start();
        fixture.append_events(30, 1).await;
        for (at, leap) in [5, 40, 45 * 60].into_iter().zip(leaps) {
            wait_until(at * SECOND).await;
            set_offset(leap);
        }
        wait_until(3 * HOUR).await;
        running.stop().await;
        assert_eq!(fixture.taken().len(), 30);
        // Compare only the times: the runtime decides the order of attempts at the same time.
        let timeline = fixture.timeline();
        moments.push(timeline.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect::<BTreeSet<_>>());
    }
    assert_eq!(moments[0], moments[1], "an hour and a day back");
    assert_eq!(moments[0], moments[2], "a year ahead for a moment, and ten minutes for good");
}

/// After a restart, the time left of a wait is at most its length, even if the wall clock was set far back.
#[tokio::test(start_paused = true)]
async fn a_start_after_the_wall_clock_was_set_back_makes_no_wait_longer() {
    let mut fixture = ChannelFixture::new(|_, attempt, _| if attempt == 1 { failed() } else { taken() });
    set_offset(365 * 24 * 60 * 60);
    fixture.policy.retry_waits = vec![10 * MINUTE];
    fixture.append_events(1, 1).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    running.stop().await;
    set_offset(0);
    let running = fixture.start();
    wait_until(13 * MINUTE).await;
    running.stop().await;
    assert_eq!(fixture.arrivals(), 2, "{}", fixture.timeline());
    assert_eq!(fixture.taken()[&account(0)], [1]);
}

/// The age of a pending delivery grows, even if the wall clock is changed.
#[tokio::test(start_paused = true)]
async fn the_lag_grows_while_a_delivery_waits() {
    let fixture = ChannelFixture::new(|_, _, _| failed());
    fixture.append_events(1, 1).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    let age = async || running.ask(|done| ChannelCommand::GetStatus { done }).await.pending_age(START_TIME);
    assert_eq!(age().await, SECOND);
    set_offset(-7_200);
    wait_until(15 * MINUTE).await;
    assert_eq!(age().await, 15 * MINUTE, "while it waits for its retry");
    running.stop().await;
    let running = fixture.start_with(None);
    wait_until(16 * MINUTE).await;
    // The clock was set back two hours, so the event seems to be in the future.
    let at_first = running.ask(|done| ChannelCommand::GetStatus { done }).await.pending_age(START_TIME);
    wait_until(46 * MINUTE).await;
    let later = running.ask(|done| ChannelCommand::GetStatus { done }).await.pending_age(START_TIME);
    assert_eq!((at_first, later), (Duration::ZERO, 30 * MINUTE), "without a receiver");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_due_while_the_service_is_down_is_made_at_its_start() {
    let fixture = ChannelFixture::new(|_, attempt, _| if attempt < 4 { failed() } else { taken() });
    fixture.append_events(1, 1).await;
    let running = fixture.start();
    wait_until(MINUTE).await;
    running.stop().await;
    assert_eq!(fixture.arrivals(), 3, "{}", fixture.timeline());
    wait_until(8 * HOUR).await;
    let running = fixture.start();
    wait_until(8 * HOUR + SECOND).await;
    running.stop().await;
    let last = fixture.receiver.arrived.lock().unwrap().last().cloned().unwrap();
    assert_eq!((last.at, last.attempt, last.is_taken), (8 * HOUR, 4, true));
}

#[tokio::test(start_paused = true)]
async fn a_night_without_receiver_uses_up_no_attempts() {
    const NIGHT: Duration = Duration::from_secs(8 * 60 * 60);
    let fixture = ChannelFixture::new(|_, _, at| if at < NIGHT { failed() } else { taken() });
    let running = fixture.start();
    fixture.append_events(200, 2).await;
    wait_until(NIGHT / 2).await;
    fixture.append_events(100, 3).await;
    wait_until(NIGHT).await;
    let attempts = fixture.arrivals();
    let probes = NIGHT.as_secs() / BREAKER_OPEN.as_secs();
    assert!((probes as usize / 2..=probes as usize + 64).contains(&attempts), "asked {attempts} times in the night");
    wait_until(NIGHT + BREAKER_OPEN + 2 * RETRY_WAITS[0]).await;
    running.stop().await;
    let taken = fixture.taken();
    assert_eq!(taken.len(), 200);
    for (number, versions) in (0..).zip(taken.values()) {
        assert_eq!(*versions, (1..=if number < 100 { 5 } else { 2 }).collect::<Vec<_>>());
    }
    assert_eq!(fixture.dead_letters(), 0);
}

#[tokio::test(start_paused = true)]
async fn nothing_arrives_on_a_paused_day() {
    let fixture = ChannelFixture::new(|_, attempt, _| if attempt == 1 { failed() } else { taken() });
    let running = fixture.start();
    fixture.append_events(3, 1).await;
    wait_until(SECOND).await;
    assert_eq!(fixture.arrivals(), 3);
    let receiver: Arc<dyn Receiver> = Arc::new(fixture.receiver.clone());
    let configure = |is_paused| {
        let receiver = Some(receiver.clone());
        move |done| ChannelCommand::Configure { receiver, is_paused, done }
    };
    running.send(configure(true)).await;
    wait_until(12 * HOUR).await;
    fixture.append_events(4, 1).await;
    wait_until(24 * HOUR).await;
    assert_eq!(fixture.arrivals(), 3, "{}", fixture.timeline());
    running.send(configure(false)).await;
    wait_until(24 * HOUR + RETRY_WAITS[0] * 2).await;
    running.stop().await;
    assert_eq!(fixture.taken().into_values().collect::<Vec<_>>(), [vec![1, 2], vec![1, 2], vec![1, 2], vec![1]]);
}

#[tokio::test(start_paused = true)]
async fn a_blocked_lane_waits_for_an_operator() {
    let mut fixture = ChannelFixture::new(|_, _, at| if at < 9 * HOUR { failed() } else { taken() });
    fixture.policy.after_last_try = DeadLetterPolicy::Block;
    fixture.append_events(1, 3).await;
    let running = fixture.start();
    wait_until(24 * HOUR).await;
    running.stop().await;
    let attempts = RETRY_WAITS.len() + 1;
    assert_eq!((fixture.arrivals(), fixture.dead_letters()), (attempts, 1));
    let running = fixture.start();
    wait_until(36 * HOUR).await;
    assert_eq!(fixture.arrivals(), attempts);
    running.send(|done| ChannelCommand::Redeliver { which: vec![(account(0), 1)], done }).await;
    wait_until(36 * HOUR + SECOND).await;
    running.stop().await;
    assert_eq!(fixture.taken()[&account(0)], [1, 2, 3]);
    assert_eq!(fixture.dead_letters(), 0);
}

#[tokio::test(start_paused = true)]
async fn attempts_are_pruned_after_their_retention() {
    let mut fixture = ChannelFixture::new(|delivery, _, _| if delivery.version == 2 { failed() } else { taken() });
    fixture.keep_attempts = 3 * HOUR;
    fixture.append_events(1, 2).await;
    let running = fixture.start();
    let state = |position| fixture.store.attempt_log(position).unwrap().map(|log| log.state);
    wait_until(3 * HOUR - SECOND).await;
    assert_eq!(state(1), Some(DeliveryState::Delivered));
    wait_until(3 * HOUR + ATTEMPTS_PRUNE_INTERVAL + SECOND).await;
    assert_eq!((state(1), state(2)), (None, Some(DeliveryState::Dead)), "a dead letter's attempts stay");
    running.stop().await;
}

/// One start with a wrong setting deletes no attempts.
#[tokio::test(start_paused = true)]
async fn a_shorter_time_counts_once_the_service_has_run_with_it() {
    let mut fixture = ChannelFixture::new(|_, _, _| taken());
    fixture.append_events(1, 1).await;
    let running = fixture.start();
    wait_until(2 * HOUR).await;
    running.stop().await;
    fixture.keep_attempts = HOUR;
    let state = |fixture: &ChannelFixture| fixture.store.attempt_log(1).unwrap().map(|log| log.state);
    for end in [12 * HOUR, 2 * HOUR + KEEP_SHORTER_AFTER - MINUTE] {
        let running = fixture.start();
        wait_until(end).await;
        assert_eq!(state(&fixture), Some(DeliveryState::Delivered), "{end:?}");
        running.stop().await;
    }
    let running = fixture.start();
    wait_until(2 * HOUR + KEEP_SHORTER_AFTER + 3 * MINUTE).await;
    assert_eq!(state(&fixture), None);
    running.stop().await;
}
