//! The task of one channel: handles commands, and runs a [`ChannelWorker`] once the channel has a cursor.

use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Error;
use super::channel_command::{ChannelCommand, ChannelStatus, reply};
use super::channel_context::ChannelContext;
use super::channel_worker::{ChannelWorker, WorkerExit};
use super::delivery_store::DeliveryStore;
use super::journal_reader::AbortOnDrop;
use super::lane::LaneChange;
use super::retention::Retention;
use super::retry_schedule::{Moment, RetryWait};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::limits::{ATTEMPTS_PRUNE_BATCH, ATTEMPTS_PRUNE_INTERVAL};

/// Supervises one channel.
pub(super) struct ChannelSupervisor {
    pub(super) channel: ChannelContext,
    pub(super) keep_attempts: Duration,
    /// The clock that decides how old stored attempts are.
    pub(super) trusted: Clock,
}

impl ChannelSupervisor {
    /// Runs until `stop`. Then waits for the attempts in flight, at most for
    /// [`DRAIN_TIMEOUT`](crate::limits::DRAIN_TIMEOUT).
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let retention = self.channel.store.retention(self.keep_attempts)?;
        self.channel.store.put_retention(retention)?;
        if let Some(left) = retention.shorter_after() {
            tracing::warn!(
                channel = self.channel.name(),
                kept_seconds = retention.in_force().as_secs(),
                set_seconds = self.keep_attempts.as_secs(),
                counts_after_seconds = left.as_secs(),
                "webhooks.keep_attempts was shortened; it takes effect after this much more running time, and then \
                 older attempts are deleted. To keep them, set the previous value"
            );
        }
        let forgetting = prune_attempts(self.channel.store.clone(), retention, self.trusted);
        let _forgetting = AbortOnDrop(tokio::spawn(forgetting));
        loop {
            // A channel with a cursor runs a worker even without a receiver, so that its pending deliveries stay
            // visible.
            if self.channel.receiver.is_some() || self.channel.store.cursor()?.is_some() {
                match ChannelWorker::open(&mut self.channel)?.run(&stop).await? {
                    WorkerExit::Stopped => return Ok(()),
                    WorkerExit::Closed(done) => {
                        self.channel.store.close()?;
                        reply(done, ());
                    }
                }
            }
            match stop.run_until_cancelled(self.channel.commands.recv()).await {
                Some(Some(command)) => self.handle_command(command)?,
                Some(None) | None => return Ok(()),
            }
        }
    }

    /// Handles a command while the channel has no cursor.
    fn handle_command(&mut self, command: ChannelCommand) -> Result<(), Error> {
        match command {
            ChannelCommand::Configure { receiver, is_paused, done } => {
                (self.channel.receiver, self.channel.is_paused) = (receiver, is_paused);
                reply(done, ());
            }
            ChannelCommand::Redeliver { which, done } => {
                for (account, position) in which {
                    self.channel.store.put_redelivery(account, position, 0, RetryWait::NONE)?;
                }
                reply(done, ());
            }
            ChannelCommand::Discard { which, done } => {
                for (account, position) in which {
                    let wall = (self.channel.now)();
                    self.channel.store.apply_change(
                        &LaneChange::RemoveRedelivery { account, position },
                        Moment { wall, steady: wall },
                    )?;
                }
                reply(done, ());
            }
            ChannelCommand::Close { done } => {
                self.channel.store.close()?;
                reply(done, ());
            }
            ChannelCommand::GetStatus { done } => {
                let wall = (self.channel.now)();
                reply(done, ChannelStatus::without_cursor(Moment { wall, steady: wall }));
            }
        }
        Ok(())
    }
}

/// Periodically removes the attempts of completed deliveries once they are older than the retention. It only logs
/// errors, because other code ends the service when the store fails.
async fn prune_attempts(store: DeliveryStore, mut retention: Retention, trusted: Clock) {
    loop {
        sleep(ATTEMPTS_PRUNE_INTERVAL).await;
        let passed = retention.after(ATTEMPTS_PRUNE_INTERVAL);
        if passed != retention
            && let Err(error) = store.put_retention(passed)
        {
            tracing::warn!(%error, "the start of the new webhooks.keep_attempts was not stored");
            continue;
        }
        retention = passed;
        let keep = u64::try_from(retention.in_force().as_micros()).unwrap_or(u64::MAX);
        let before = Timestamp(trusted().0.saturating_sub_unsigned(keep));
        for prune in [DeliveryStore::prune_attempt_logs, DeliveryStore::prune_successes] {
            let mut from = Some(0);
            while let Some(position) = from {
                let store = store.clone();
                from = match spawn_blocking(move || prune(&store, position, before, ATTEMPTS_PRUNE_BATCH)).await {
                    Ok(Ok(next)) => next,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "old attempts were not deleted");
                        None
                    }
                    Err(_) => return,
                }
            }
        }
    }
}
