//! How a channel worker handles commands.

use std::time::Duration;

use super::Error;
use super::channel_command::{ChannelCommand, ChannelStatus, reply};
use super::channel_worker::{ChannelWorker, WorkerExit};
use super::circuit_breaker;
use super::lane::LaneChange;
use super::retry_schedule::RetryWait;
use crate::domain::Timestamp;

impl ChannelWorker<'_> {
    /// Handles a command. Returns the exit if the command ends the worker.
    pub(super) fn handle_command(&mut self, command: ChannelCommand) -> Result<Option<WorkerExit>, Error> {
        match command {
            ChannelCommand::Configure { receiver, is_paused, done } => {
                let is_held = is_paused || receiver.is_none();
                (self.channel.receiver, self.channel.is_paused) = (receiver, is_paused);
                // If the channel is paused or has no receiver, answer once no attempt is in flight. Otherwise answer
                // now: the next attempt uses the new receiver.
                if is_held { self.idle_waiters.push(done) } else { reply(done, ()) }
            }
            ChannelCommand::Close { done } => return Ok(Some(WorkerExit::Closed(done))),
            ChannelCommand::Redeliver { which, done } => {
                let now = self.now();
                for (account, position) in which {
                    match self.lanes.retry_now(account, position, now.steady) {
                        Some(changes) => self.write_changes(&changes)?,
                        None => {
                            self.channel.store.put_redelivery(account, position, 0, RetryWait::NONE)?;
                            self.lanes.queue_redelivery(account);
                        }
                    }
                }
                self.is_dirty = true;
                reply(done, ());
            }
            ChannelCommand::Discard { which, done } => {
                for (account, position) in which {
                    let mut changes = self.lanes.discard(account, position, self.now().steady);
                    // A dropped delivery may be queued for redelivery.
                    changes.push(LaneChange::RemoveRedelivery { account, position });
                    self.write_changes(&changes)?;
                }
                reply(done, ());
            }
            ChannelCommand::GetStatus { done } => reply(done, self.status()),
        }
        Ok(None)
    }

    /// The current status of the channel.
    fn status(&mut self) -> ChannelStatus {
        let (now, cursor, counts) = (self.now(), self.lanes.cursor(), self.lanes.counts());
        let unread = (cursor < self.channel.journal.head()).then_some(cursor + 1);
        let oldest = counts.oldest.or(unread);
        let is_same = |seen: &(u64, Timestamp)| oldest == Some(seen.0);
        self.oldest_pending =
            self.oldest_pending.filter(is_same).or_else(|| oldest.map(|position| (position, now.steady)));
        let breaker = match self.breaker.state() {
            circuit_breaker::CircuitState::Open { until } => {
                circuit_breaker::CircuitState::Open { until: now.wait_until(until).end }
            }
            state @ (circuit_breaker::CircuitState::Closed | circuit_breaker::CircuitState::Probing) => state,
        };
        ChannelStatus {
            now,
            has_receiver: self.channel.receiver.is_some(),
            cursor: Some(cursor),
            counts,
            oldest_for: self.oldest_pending.map_or(Duration::ZERO, |(_, since)| now.steady.since(since)),
            in_flight: self.attempts.len(),
            breaker,
            recent_attempts: self.breaker.recent_attempts(now.steady),
        }
    }
}
