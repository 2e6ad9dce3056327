//! Commands of operators while deliveries fail and while the service is killed. No discarded delivery is sent, and no
//! delivered one is sent again.

use std::sync::Arc;
use std::time::Duration;

use super::super::attempt_log::DeliveryState;
use super::super::channel_command::ChannelCommand;
use super::super::receiver_client::Receiver;
use super::fixture::{AttemptResponse, ChannelFixture, SECOND, account, failed, gone, now, taken};
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::limits::{ATTEMPTS_PER_DELIVERY, CURSOR_SAVE_INTERVAL};
use crate::testkit::clock::wait_until;

fn slowly(response: AttemptResponse, seconds: u64) -> AttemptResponse {
    AttemptResponse { took: Duration::from_secs(seconds), ..response }
}

fn state(fixture: &ChannelFixture, position: u64) -> Option<DeliveryState> {
    fixture.store.attempt_log(position).unwrap().map(|log| log.state)
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_needs_two_attempts_removes_its_dead_letter() {
    let mut fixture = ChannelFixture::new(|_, attempt, _| if attempt < 3 { failed() } else { taken() });
    (fixture.policy.after_last_try, fixture.policy.retry_waits) = (DeadLetterPolicy::Block, vec![SECOND]);
    fixture.append_events(1, 2).await;
    let running = fixture.start();
    wait_until(10 * SECOND).await;
    assert_eq!((fixture.arrivals(), fixture.dead_letters()), (2, 1));
    running.send(|done| ChannelCommand::Redeliver { which: vec![(account(0), 1)], done }).await;
    wait_until(20 * SECOND).await;
    running.stop().await;
    assert_eq!((state(&fixture, 1), fixture.arrivals()), (Some(DeliveryState::Delivered), 3 + 2));
    assert_eq!(fixture.dead_letters(), 1, "only the next one's");
}

/// An operator fixes the receiver and requests a redelivery while an old attempt still hangs. One request is enough.
#[tokio::test(start_paused = true)]
async fn a_redelivery_requested_during_an_attempt_is_tried_at_once() {
    for waits in [vec![], vec![3_600 * SECOND]] {
        let mut fixture = ChannelFixture::new(|_, attempt, at| match attempt {
            _ if at > 100 * SECOND => taken(),
            1 => failed(),
            _ => slowly(failed(), 10),
        });
        fixture.policy.retry_waits = waits;
        fixture.append_events(1, 1).await;
        let running = fixture.start();
        let again =
            async || running.send(|done| ChannelCommand::Redeliver { which: vec![(account(0), 1)], done }).await;
        wait_until(95 * SECOND).await;
        again().await;
        wait_until(101 * SECOND).await;
        again().await;
        wait_until(110 * SECOND).await;
        running.stop().await;
        assert_eq!(
            (state(&fixture, 1), fixture.dead_letters()),
            (Some(DeliveryState::Delivered), 0),
            "{}",
            fixture.timeline()
        );
    }
}

/// A discarded delivery is not sent again, whether it waits for a retry or is in flight, in both dead-letter policies.
#[tokio::test(start_paused = true)]
async fn a_discarded_delivery_is_not_sent_again() {
    for after_last_try in [DeadLetterPolicy::Continue, DeadLetterPolicy::Block] {
        for asked_after in [Duration::from_millis(500), 2 * SECOND] {
            let mut fixture = ChannelFixture::new(|_, _, _| slowly(failed(), 1));
            (fixture.policy.after_last_try, fixture.policy.retry_waits) = (after_last_try, vec![10 * SECOND]);
            fixture.append_events(1, 1).await;
            let running = fixture.start();
            wait_until(60 * SECOND).await;
            assert_eq!((fixture.arrivals(), fixture.dead_letters()), (2, 1));
            running.send(|done| ChannelCommand::Redeliver { which: vec![(account(0), 1)], done }).await;
            wait_until(60 * SECOND + asked_after).await;
            // The two steps of an operator's request.
            super::super::redelivery::drop_dead_letter(&fixture.store, 1, "no use").unwrap();
            running.send(|done| ChannelCommand::Discard { which: vec![(account(0), 1)], done }).await;
            fixture.append_events(1, 1).await;
            wait_until(600 * SECOND).await;
            running.stop().await;
            let log = fixture.store.attempt_log(1).unwrap().unwrap();
            assert_eq!(
                (log.state, log.reason.as_deref()),
                (DeliveryState::Dropped, Some("no use")),
                "{after_last_try:?}"
            );
            assert_eq!(
                (log.attempt_count(), fixture.dead_letters()),
                (3, 1),
                "one more attempt, and the next one's letter"
            );
            assert_eq!(fixture.arrivals(), 3 + 2, "{}", fixture.timeline());
        }
    }
}

/// One account is slow, so the cursor stays behind when the service is killed.
#[tokio::test(start_paused = true)]
async fn a_delivery_before_a_kill_is_not_sent_after_it() {
    for deliver in [DeliveryMode::All, DeliveryMode::Latest] {
        let mut fixture = ChannelFixture::new(|delivery, _, _| match (delivery.account, delivery.version) {
            (slow, _) if slow == account(0) => slowly(taken(), 1),
            // Dead after the first attempt.
            (failing, 2) if failing == account(1) => failed(),
            _ => taken(),
        });
        (fixture.policy.deliver, fixture.policy.retry_waits) = (deliver, Vec::new());
        fixture.append_events(50, 4).await;
        let running = fixture.start();
        wait_until(Duration::from_millis(900)).await;
        assert!(fixture.store.cursor().unwrap() < Some(4), "the cursor waits for the slow one");
        let arrived = fixture.arrivals();
        fixture.kill(running).await;
        let running = fixture.start();
        wait_until(20 * SECOND).await;
        running.stop().await;
        let again: Vec<_> = fixture.receiver.arrived.lock().unwrap()[arrived..].to_vec();
        assert!(again.iter().all(|arrival| arrival.delivery.account == account(0)), "{}", fixture.timeline());
        for versions in fixture.taken().values() {
            assert!(versions.is_sorted() && versions.last() == Some(&4), "{versions:?}");
        }
    }
}

/// The row of a stored lane is written to the store at once. So is the log of the delivery before it.
#[tokio::test(start_paused = true)]
async fn a_kill_forgets_nothing_of_a_stored_lane() {
    let mut fixture = ChannelFixture::new(
        |delivery, attempt, _| if (delivery.version, attempt) == (1, 1) { failed() } else { taken() },
    );
    fixture.policy.retry_waits = vec![SECOND];
    fixture.append_events(1, 3).await;
    let running = fixture.start();
    wait_until(Duration::from_millis(850)).await;
    while fixture.arrivals() < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.kill(running).await;
    let row = fixture.store.lane_row(account(0), now()).unwrap();
    for position in 1..=3 {
        let is_known = state(&fixture, position) == Some(DeliveryState::Delivered);
        let is_sent_again = row.is_some_and(|row| row.next_position <= position);
        assert!(is_known || is_sent_again, "nothing is known of {position}, and it is not sent again: {row:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_blocked_lane_stays_blocked_when_the_policy_changes() {
    let mut fixture = ChannelFixture::new(|delivery, _, _| if delivery.version == 1 { failed() } else { taken() });
    (fixture.policy.after_last_try, fixture.policy.retry_waits) = (DeadLetterPolicy::Block, Vec::new());
    fixture.append_events(2, 2).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    running.stop().await;
    assert_eq!((fixture.arrivals(), fixture.dead_letters()), (2, 2));
    fixture.policy.after_last_try = DeadLetterPolicy::Continue;
    let running = fixture.start();
    wait_until(2 * SECOND).await;
    assert_eq!(fixture.arrivals(), 2, "neither goes on by itself");
    super::super::redelivery::drop_dead_letter(&fixture.store, 1, "no use").unwrap();
    running.send(|done| ChannelCommand::Discard { which: vec![(account(0), 1)], done }).await;
    // Position 3 is the first event of the second account.
    running.send(|done| ChannelCommand::Redeliver { which: vec![(account(1), 3)], done }).await;
    wait_until(3 * SECOND).await;
    running.stop().await;
    assert_eq!(fixture.taken().into_values().collect::<Vec<_>>(), [[2], [2]]);
    assert_eq!(fixture.dead_letters(), 1, "the second one is dead once more, and waited for no more");
}

#[tokio::test(start_paused = true)]
async fn redeliveries_leave_capacity_for_new_deliveries() {
    let fixture = ChannelFixture::new(|delivery, attempt, _| {
        slowly(taken(), if attempt > 1 && delivery.version == 1 { 30 } else { 0 })
    });
    fixture.append_events(200, 1).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    let which = (0..200).map(|number| (account(number), number + 1)).collect();
    running.send(|done| ChannelCommand::Redeliver { which, done }).await;
    wait_until(3 * SECOND).await;
    let before = fixture.arrivals();
    assert_eq!(before, 200 + fixture.policy.max_redeliveries_in_flight);
    fixture.append_events_to(300..301, 1).await;
    wait_until(4 * SECOND).await;
    assert_eq!(fixture.taken()[&account(300)], [1], "at once");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_late_410_of_a_replaced_receiver_is_ignored() {
    let fixture = ChannelFixture::new(|_, _, _| slowly(gone(), 10));
    fixture.append_events(1, 1).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    let other = super::fixture::ScriptedReceiver {
        script: |_, _, _| taken(),
        url: "http://other/".parse().unwrap(),
        ..fixture.receiver.clone()
    };
    let receiver: Option<Arc<dyn Receiver>> = Some(Arc::new(other));
    running.send(|done| ChannelCommand::Configure { receiver, is_paused: false, done }).await;
    wait_until(60 * SECOND).await;
    running.stop().await;
    assert_eq!(fixture.taken()[&account(0)], [1]);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_attempts_are_listed() {
    let mut fixture = ChannelFixture::new(|_, _, _| failed());
    fixture.policy.retry_waits = vec![SECOND; ATTEMPTS_PER_DELIVERY + 20];
    fixture.append_events(1, 1).await;
    let running = fixture.start();
    wait_until(600 * SECOND).await;
    running.stop().await;
    let log = fixture.store.attempt_log(1).unwrap().unwrap();
    assert_eq!((log.attempts.len(), log.earlier_attempts), (ATTEMPTS_PER_DELIVERY, 21));
    let last = fixture.receiver.arrived.lock().unwrap().last().map(|arrival| arrival.attempt);
    assert_eq!(last, Some(ATTEMPTS_PER_DELIVERY as u32 + 21));
    assert!(CURSOR_SAVE_INTERVAL < SECOND, "each was saved");
}
