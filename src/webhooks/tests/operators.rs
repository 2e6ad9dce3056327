//! What operators do while deliveries fail, and what a kill leaves: nothing is sent that was given up, nothing that was
//! taken is sent again.

use std::sync::Arc;
use std::time::Duration;

use super::super::attempt_log::DeliveryState;
use super::super::channel_command::ChannelCommand;
use super::super::receiver_client::Receiver;
use super::fixture::{AttemptResponse, ChannelFixture, SECOND, account, failed, gone, now, taken};
use crate::config::{DeadLetterPolicy, DeliveryMode};
use crate::limits::{ATTEMPTS_PER_DELIVERY, CURSOR_SAVE_INTERVAL};
use crate::testkit::clock::wait_until;

fn slowly(answered: AttemptResponse, seconds: u64) -> AttemptResponse {
    AttemptResponse { took: Duration::from_secs(seconds), ..answered }
}

fn state(fixture: &ChannelFixture, position: u64) -> Option<DeliveryState> {
    fixture.book.attempt_log(position).unwrap().map(|trail| trail.state)
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_needs_two_attempts_takes_its_dead_letter_away() {
    let mut fixture = ChannelFixture::new(|_, attempt, _| if attempt < 3 { failed() } else { taken() });
    (fixture.rules.after_last_try, fixture.rules.retry_waits) = (DeadLetterPolicy::Block, vec![SECOND]);
    fixture.happen(1, 2).await;
    let running = fixture.start();
    wait_until(10 * SECOND).await;
    assert_eq!((fixture.arrivals(), fixture.letters()), (2, 1));
    running.order(|done| ChannelCommand::Redeliver { which: vec![(account(0), 1)], done }).await;
    wait_until(20 * SECOND).await;
    running.stop().await;
    assert_eq!((state(&fixture, 1), fixture.arrivals()), (Some(DeliveryState::Delivered), 3 + 2));
    assert_eq!(fixture.letters(), 1, "only the next one's");
}

/// Who mends the receiver and asks once more, while the attempt that hangs is still on its way, need not ask again.
#[tokio::test(start_paused = true)]
async fn what_is_asked_for_while_it_is_on_its_way_is_tried_again_at_once() {
    for waits in [vec![], vec![3_600 * SECOND]] {
        let mut fixture = ChannelFixture::new(|_, attempt, at| match attempt {
            _ if at > 100 * SECOND => taken(),
            1 => failed(),
            _ => slowly(failed(), 10),
        });
        fixture.rules.retry_waits = waits;
        fixture.happen(1, 1).await;
        let running = fixture.start();
        let again =
            async || running.order(|done| ChannelCommand::Redeliver { which: vec![(account(0), 1)], done }).await;
        wait_until(95 * SECOND).await;
        again().await;
        wait_until(101 * SECOND).await;
        again().await;
        wait_until(110 * SECOND).await;
        running.stop().await;
        assert_eq!(
            (state(&fixture, 1), fixture.letters()),
            (Some(DeliveryState::Delivered), 0),
            "{}",
            fixture.timeline()
        );
    }
}

/// Whether it waits for its retry or is on its way, and whether lanes wait for what is dead: a delivery that is given up
/// is not sent any more.
#[tokio::test(start_paused = true)]
async fn what_is_given_up_is_not_sent_again() {
    for after_last_try in [DeadLetterPolicy::Continue, DeadLetterPolicy::Block] {
        for asked_after in [Duration::from_millis(500), 2 * SECOND] {
            let mut fixture = ChannelFixture::new(|_, _, _| slowly(failed(), 1));
            (fixture.rules.after_last_try, fixture.rules.retry_waits) = (after_last_try, vec![10 * SECOND]);
            fixture.happen(1, 1).await;
            let running = fixture.start();
            wait_until(60 * SECOND).await;
            assert_eq!((fixture.arrivals(), fixture.letters()), (2, 1));
            running.order(|done| ChannelCommand::Redeliver { which: vec![(account(0), 1)], done }).await;
            wait_until(60 * SECOND + asked_after).await;
            // As an operator's request does it.
            super::super::redelivery::drop_dead_letter(&fixture.book, 1, "no use").unwrap();
            running.order(|done| ChannelCommand::Discard { which: vec![(account(0), 1)], done }).await;
            fixture.happen(1, 1).await;
            wait_until(600 * SECOND).await;
            running.stop().await;
            let trail = fixture.book.attempt_log(1).unwrap().unwrap();
            assert_eq!(
                (trail.state, trail.reason.as_deref()),
                (DeliveryState::Dropped, Some("no use")),
                "{after_last_try:?}"
            );
            assert_eq!(
                (trail.attempt_count(), fixture.letters()),
                (3, 1),
                "one more attempt, and the next one's letter"
            );
            assert_eq!(fixture.arrivals(), 3 + 2, "{}", fixture.timeline());
        }
    }
}

/// One account is slow, so that the cursor stays behind; the service is killed, and receives nothing new.
#[tokio::test(start_paused = true)]
async fn what_was_taken_before_a_kill_is_not_sent_after_it() {
    for deliver in [DeliveryMode::All, DeliveryMode::Latest] {
        let mut fixture = ChannelFixture::new(|delivery, _, _| match (delivery.account, delivery.version) {
            (slow, _) if slow == account(0) => slowly(taken(), 1),
            // It is dead at once.
            (failing, 2) if failing == account(1) => failed(),
            _ => taken(),
        });
        (fixture.rules.deliver, fixture.rules.retry_waits) = (deliver, Vec::new());
        fixture.happen(50, 4).await;
        let running = fixture.start();
        wait_until(Duration::from_millis(900)).await;
        assert!(fixture.book.cursor().unwrap() < Some(4), "the cursor waits for the slow one");
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

/// A lane that goes on by its row: the row is in the store at once, and so is what became of the delivery before it.
#[tokio::test(start_paused = true)]
async fn a_kill_forgets_nothing_of_a_lane_that_was_held() {
    let mut fixture = ChannelFixture::new(
        |delivery, attempt, _| if (delivery.version, attempt) == (1, 1) { failed() } else { taken() },
    );
    fixture.rules.retry_waits = vec![SECOND];
    fixture.happen(1, 3).await;
    let running = fixture.start();
    wait_until(Duration::from_millis(850)).await;
    while fixture.arrivals() < 4 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fixture.kill(running).await;
    let row = fixture.book.lane_row(account(0), now()).unwrap();
    for position in 1..=3 {
        let is_known = state(&fixture, position) == Some(DeliveryState::Delivered);
        let is_sent_again = row.is_some_and(|row| row.next_position <= position);
        assert!(is_known || is_sent_again, "nothing is known of {position}, and it is not sent again: {row:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_waits_for_an_operator_does_so_whatever_one_start_sets() {
    let mut fixture = ChannelFixture::new(|delivery, _, _| if delivery.version == 1 { failed() } else { taken() });
    (fixture.rules.after_last_try, fixture.rules.retry_waits) = (DeadLetterPolicy::Block, Vec::new());
    fixture.happen(2, 2).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    running.stop().await;
    assert_eq!((fixture.arrivals(), fixture.letters()), (2, 2));
    fixture.rules.after_last_try = DeadLetterPolicy::Continue;
    let running = fixture.start();
    wait_until(2 * SECOND).await;
    assert_eq!(fixture.arrivals(), 2, "neither goes on by itself");
    super::super::redelivery::drop_dead_letter(&fixture.book, 1, "no use").unwrap();
    running.order(|done| ChannelCommand::Discard { which: vec![(account(0), 1)], done }).await;
    // The first event of the second account is behind both of the first.
    running.order(|done| ChannelCommand::Redeliver { which: vec![(account(1), 3)], done }).await;
    wait_until(3 * SECOND).await;
    running.stop().await;
    assert_eq!(fixture.taken().into_values().collect::<Vec<_>>(), [[2], [2]]);
    assert_eq!(fixture.letters(), 1, "the second one is dead once more, and waited for no more");
}

#[tokio::test(start_paused = true)]
async fn what_is_sent_again_leaves_room_for_what_is_new() {
    let fixture = ChannelFixture::new(|delivery, attempt, _| {
        slowly(taken(), if attempt > 1 && delivery.version == 1 { 30 } else { 0 })
    });
    fixture.happen(200, 1).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    let which = (0..200).map(|number| (account(number), number + 1)).collect();
    running.order(|done| ChannelCommand::Redeliver { which, done }).await;
    wait_until(3 * SECOND).await;
    let before = fixture.arrivals();
    assert_eq!(before, 200 + fixture.rules.max_redeliveries_in_flight);
    fixture.happen_to(300..301, 1).await;
    wait_until(4 * SECOND).await;
    assert_eq!(fixture.taken()[&account(300)], [1], "at once");
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_last_word_of_a_receiver_that_was_exchanged_is_not_heard() {
    let fixture = ChannelFixture::new(|_, _, _| slowly(gone(), 10));
    fixture.happen(1, 1).await;
    let running = fixture.start();
    wait_until(SECOND).await;
    let other = super::fixture::Scripted {
        script: |_, _, _| taken(),
        url: "http://other/".parse().unwrap(),
        ..fixture.receiver.clone()
    };
    let receiver: Option<Arc<dyn Receiver>> = Some(Arc::new(other));
    running.order(|done| ChannelCommand::Configure { receiver, is_paused: false, done }).await;
    wait_until(60 * SECOND).await;
    running.stop().await;
    assert_eq!(fixture.taken()[&account(0)], [1]);
}

#[tokio::test(start_paused = true)]
async fn only_the_last_attempts_are_remembered_one_by_one() {
    let mut fixture = ChannelFixture::new(|_, _, _| failed());
    fixture.rules.retry_waits = vec![SECOND; ATTEMPTS_PER_DELIVERY + 20];
    fixture.happen(1, 1).await;
    let running = fixture.start();
    wait_until(600 * SECOND).await;
    running.stop().await;
    let trail = fixture.book.attempt_log(1).unwrap().unwrap();
    assert_eq!((trail.attempts.len(), trail.earlier_attempts), (ATTEMPTS_PER_DELIVERY, 21));
    let last = fixture.receiver.arrived.lock().unwrap().last().map(|arrival| arrival.attempt);
    assert_eq!(last, Some(ATTEMPTS_PER_DELIVERY as u32 + 21));
    assert!(CURSOR_SAVE_INTERVAL < SECOND, "each was saved");
}
