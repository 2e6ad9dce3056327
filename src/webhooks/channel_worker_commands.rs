//! What a channel with a cursor does when it is asked.

use std::time::Duration;

use super::Error;
use super::channel_command::{ChannelCommand, ChannelStatus, reply};
use super::channel_worker::{ChannelWorker, WorkerExit};
use super::circuit_breaker;
use super::lane::LaneChange;
use super::retry_schedule::RetryWait;
use crate::domain::Timestamp;

impl ChannelWorker<'_> {
    /// Obeys; says so if the line ends by it.
    pub(super) fn handle_command(&mut self, order: ChannelCommand) -> Result<Option<WorkerExit>, Error> {
        match order {
            ChannelCommand::Configure { receiver, is_paused, done } => {
                let is_held = is_paused || receiver.is_none();
                (self.supervisor.receiver, self.supervisor.is_paused) = (receiver, is_paused);
                // While it is held nothing may arrive; otherwise the next attempt is made as it is to be.
                if is_held { self.idle_waiters.push(done) } else { reply(done, ()) }
            }
            ChannelCommand::Close { done } => return Ok(Some(WorkerExit::Closed(done))),
            ChannelCommand::Redeliver { which, done } => {
                let now = self.now();
                for (account, position) in which {
                    match self.lanes.retry_now(account, position, now.steady) {
                        Some(notes) => self.write_changes(&notes)?,
                        None => {
                            self.supervisor.store.put_redelivery(account, position, 0, RetryWait::NONE)?;
                            self.lanes.queue_redelivery(account);
                        }
                    }
                }
                self.is_dirty = true;
                reply(done, ());
            }
            ChannelCommand::Discard { which, done } => {
                for (account, position) in which {
                    let mut notes = self.lanes.discard(account, position, self.now().steady);
                    // It may be dropped while it is to be sent again.
                    notes.push(LaneChange::RemoveRedelivery { account, position });
                    self.write_changes(&notes)?;
                }
                reply(done, ());
            }
            ChannelCommand::GetStatus { done } => reply(done, self.status()),
        }
        Ok(None)
    }

    /// How the channel is.
    fn status(&mut self) -> ChannelStatus {
        let (now, cursor, counts) = (self.now(), self.lanes.cursor(), self.lanes.counts());
        let unread = (cursor < self.supervisor.journal.head()).then_some(cursor + 1);
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
            has_receiver: self.supervisor.receiver.is_some(),
            cursor: Some(cursor),
            counts,
            oldest_for: self.oldest_pending.map_or(Duration::ZERO, |(_, since)| now.steady.since(since)),
            in_flight: self.attempts.len(),
            breaker,
            recent_attempts: self.breaker.recent_attempts(now.steady),
        }
    }
}
