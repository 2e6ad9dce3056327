//! How a channel worker handles the end of an attempt.

use std::time::Duration;

use tokio::task::JoinError;

use super::Error;
use super::attempt_log::{DeadLetter, DeliveryAttempt, DeliveryState};
use super::channel_worker::{ChannelWorker, FinishedAttempt};
use super::delivery::Delivery;
use super::lane::{AttemptResult, DeliveryOutcome};
use super::response_check::{AttemptFailure, AttemptResponse};
use crate::limits::BREAKER_OPEN;
use crate::metrics::AttemptOutcome;

impl ChannelWorker<'_> {
    /// Stores the result of an attempt and updates its lane.
    pub(super) fn finish_attempt(&mut self, ended: Result<FinishedAttempt, JoinError>) -> Result<(), Error> {
        let FinishedAttempt { key, delivery, mut log, begun, is_first, is_probe, response, receiver } = ended?;
        let (now, channel) = (self.now(), self.channel.name());
        let Delivery { account, position, .. } = delivery;
        let failure = response.verdict.as_ref().err().cloned();
        // A response of a replaced receiver must not pause the present one.
        let is_present = self.channel.receiver.as_ref().is_some_and(|it| it.url() == receiver.url());
        let is_gone = is_present && failure.as_ref().is_some_and(AttemptFailure::is_gone);
        let result = match failure {
            None => AttemptResult::Succeeded,
            Some(_) if is_gone => AttemptResult::Deferred(Duration::ZERO),
            Some(_) if is_probe => AttemptResult::Deferred(BREAKER_OPEN),
            Some(_) => AttemptResult::Failed { retry_after: response.retry_after },
        };
        if is_probe {
            self.breaker.finish_probe(failure.is_none(), now.steady);
        } else if self.breaker.record_attempt(is_first, failure.is_none(), now.steady) {
            tracing::warn!(channel, seconds = BREAKER_OPEN.as_secs(), "circuit breaker open: most first attempts fail");
        }
        let (outcome, changes) = self.lanes.finish_attempt(key, result, now.steady);
        let is_new = log.state == DeliveryState::Pending;
        let (state, next) = match outcome {
            DeliveryOutcome::Delivered => (DeliveryState::Delivered, None),
            DeliveryOutcome::Waiting(until) => (DeliveryState::Waiting, Some(now.wait_until(until).end)),
            DeliveryOutcome::Dead => (DeliveryState::Dead, None),
            DeliveryOutcome::Dropped => (DeliveryState::Dropped, None),
        };
        let attempts = log.attempt_count() + 1;
        self.observe_attempt(&delivery, attempts, &response);
        let attempt = DeliveryAttempt::new(begun, response, next);
        // The success log is written later. If a lane has a row, its log must be stored before the row.
        if is_new && state == DeliveryState::Delivered && changes.is_empty() {
            self.channel.store.put_success(position, attempt);
        } else {
            if outcome == DeliveryOutcome::Dropped {
                log.reason = self.channel.store.attempt_log(position)?.and_then(|log| log.reason);
            }
            log.add(attempt, state, now.wall);
            self.channel.store.put_attempt_log(position, &log)?;
        }
        match (outcome, failure) {
            (DeliveryOutcome::Dead, Some(failure)) => {
                let letter = DeadLetter::new(&delivery, attempts, failure.to_string(), now.wall);
                self.channel.store.put_dead_letter(position, &letter)?;
                self.channel.journal.metrics().webhook_dead.with(self.channel.payloads.channel).inc();
                tracing::error!(channel, %account, position, attempts, "a delivery failed for good: it is a dead letter");
            }
            // A redelivered delivery may have a dead letter.
            (DeliveryOutcome::Delivered, _) if !is_new => self.channel.store.remove_dead_letter(position)?,
            (
                DeliveryOutcome::Delivered
                | DeliveryOutcome::Waiting(_)
                | DeliveryOutcome::Dead
                | DeliveryOutcome::Dropped,
                _,
            ) => {}
        }
        self.write_changes(&changes)?;
        self.is_dirty = true;
        if is_gone && !self.channel.is_paused {
            self.channel.is_paused = true;
            // A full channel already holds the same message.
            let _full = self.channel.gone_urls.try_send(receiver.url().clone());
        }
        Ok(())
    }

    /// Counts an attempt, and logs its failure. `number` is the attempt number, 1-based.
    fn observe_attempt(&self, delivery: &Delivery, number: u64, response: &AttemptResponse) {
        let (metrics, channel) = (self.channel.journal.metrics(), self.channel.payloads.channel);
        let failure = response.verdict.as_ref().err();
        metrics
            .webhook_attempts
            .with((channel, failure.map_or(AttemptOutcome::Accepted, AttemptFailure::outcome)))
            .inc();
        metrics.webhook_seconds.with(channel).observe_duration(response.took);
        if number > 1 {
            metrics.webhook_retries.with(channel).inc();
        }
        if let Some(failure) = failure {
            let (channel, account, position) = (self.channel.name(), delivery.account, delivery.position);
            tracing::warn!(channel, %account, position, attempt = number, %failure, "a delivery attempt failed");
        }
    }
}
