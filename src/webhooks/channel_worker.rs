//! The worker of a channel with a cursor: reads the journal, starts attempts, and stores their results.

use std::collections::HashSet;
use std::future::{pending, ready};
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::attempt_log::{AttemptLog, DeliveryState};
use super::channel_command::reply;
use super::channel_context::ChannelContext;
use super::circuit_breaker::{AttemptPermit, CircuitBreaker};
use super::delivery::Delivery;
use super::delivery_scheduler::DeliveryScheduler;
use super::journal_reader::{AbortOnDrop, DeliveryBatch, read_account_deliveries, read_batches, read_first_redelivery};
use super::lane::{DeliveryLaneKey, LaneChange, LaneKind, LaneRow, SchedulerStep};
use super::receiver_client::Receiver;
use super::response_check::AttemptResponse;
use super::retry_schedule::{Moment, longest_wait};
use crate::config::DeadLetterPolicy;
use crate::domain::Timestamp;
use crate::limits::{
    CURSOR_SAVE_INTERVAL, DRAIN_TIMEOUT, WEBHOOK_REFILLS_PER_TURN, WEBHOOK_SLOW_ATTEMPT, WEBHOOK_WINDOW,
};

/// The worker of one channel.
pub(super) struct ChannelWorker<'d> {
    pub(super) channel: &'d mut ChannelContext,
    pub(super) lanes: DeliveryScheduler,
    pub(super) breaker: CircuitBreaker,
    pub(super) attempts: JoinSet<FinishedAttempt>,
    /// The cursor in the delivery store.
    saved_cursor: u64,
    /// Whether the delivery store has writes that are not flushed to the operating system.
    pub(super) is_dirty: bool,
    /// The last position with a log entry when the worker opened. This worker wrote all later entries.
    logged_up_to: u64,
    /// Requesters that wait until no attempt is in flight.
    pub(super) idle_waiters: Vec<oneshot::Sender<()>>,
    /// When the worker opened, by the wall clock and by elapsed time.
    opened: (Timestamp, Instant),
    /// The position of the oldest pending delivery, and the time when it became the oldest.
    pub(super) oldest_pending: Option<(u64, Timestamp)>,
}

/// An attempt that ended.
pub(super) struct FinishedAttempt {
    pub(super) key: DeliveryLaneKey,
    pub(super) delivery: Delivery,
    /// The attempts before this one.
    pub(super) log: AttemptLog,
    pub(super) begun: Timestamp,
    /// Whether this is the first attempt of a new delivery. Only these count for the circuit breaker.
    pub(super) is_first: bool,
    pub(super) is_probe: bool,
    pub(super) response: AttemptResponse,
    pub(super) receiver: Arc<dyn Receiver>,
}

/// Why a worker ended.
pub(super) enum WorkerExit {
    Stopped,
    /// Drop the cursor and all pending deliveries, then answer.
    Closed(oneshot::Sender<()>),
}

impl<'d> ChannelWorker<'d> {
    /// Opens a channel at its stored cursor. A channel without a cursor starts at the end of the journal.
    pub(super) fn open(channel: &'d mut ChannelContext) -> Result<ChannelWorker<'d>, Error> {
        let (store, journal) = (&channel.store, &channel.journal);
        // A cursor beyond the end means that the journal was restored from an earlier backup.
        let cursor = match store.cursor()?.filter(|cursor| *cursor <= journal.head()) {
            Some(cursor) => cursor,
            None => {
                store.set_cursor(journal.head())?;
                journal.head()
            }
        };
        let wall = (channel.now)();
        let (opened, now) = ((wall, Instant::now()), Moment { wall, steady: wall });
        // Rows of old formats do not store the length of a wait.
        let latest = now.steady.plus(longest_wait(&channel.policy.retry_waits));
        let mut again = store.redelivery_accounts(now)?;
        again.iter_mut().for_each(|(_, until)| *until = latest.min(*until));
        let mut rows = store.lane_rows(now)?;
        for (_, row) in &mut rows {
            row.due_at = row.due_at.map(|until| latest.min(until));
            // Its dead letter was dropped just before the last stop, so unblock the lane. A changed setting does not.
            if row.due_at.is_none() && store.dead_letter(row.next_position)?.is_none() {
                *row = LaneRow {
                    next_position: row.next_position.saturating_add(1),
                    failed: 0,
                    attempts: 0,
                    due_at: Some(now.steady),
                };
            }
        }
        let (name, waiting, again_waiting) = (channel.name(), rows.len(), again.len());
        let blocked = rows.iter().filter(|(_, row)| row.due_at.is_none()).count();
        if blocked > 0 && channel.policy.after_last_try == DeadLetterPolicy::Continue {
            tracing::warn!(
                channel = name,
                blocked,
                "accounts are blocked by a dead letter, because webhooks.after_last_try was block; resolve it with \
                 `muster webhooks replay` or `muster webhooks drop`"
            );
        }
        if channel.receiver.is_some() {
            tracing::info!(channel = name, cursor, waiting, again = again_waiting, "the channel has a receiver");
        } else {
            let unread = journal.head() - cursor;
            tracing::warn!(
                channel = name,
                cursor,
                unread,
                waiting,
                again = again_waiting,
                "the channel has no receiver, and its deliveries wait; `muster webhooks close` drops them"
            );
        }
        Ok(ChannelWorker {
            lanes: DeliveryScheduler::new(channel.policy.clone(), cursor, rows, again),
            breaker: CircuitBreaker::default(),
            attempts: JoinSet::new(),
            saved_cursor: cursor,
            is_dirty: false,
            logged_up_to: store.last_logged_position()?,
            idle_waiters: Vec::new(),
            opened,
            oldest_pending: None,
            channel,
        })
    }

    /// Delivers until `stop`, or until the channel is closed.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<WorkerExit, Error> {
        let (sender, mut batches) = mpsc::channel(1);
        let reading = read_batches(
            self.channel.journal.clone(),
            self.channel.payloads.clone(),
            self.lanes.read_position(),
            sender,
        );
        let reading = AbortOnDrop(tokio::spawn(stop.clone().run_until_cancelled_owned(reading)));
        let mut save = interval(CURSOR_SAVE_INTERVAL);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            let has_more = self.start_attempts().await?;
            if self.attempts.is_empty() {
                self.idle_waiters.drain(..).for_each(|done| reply(done, ()));
            }
            let (has_room, next) = (self.lanes.pending_count() < WEBHOOK_WINDOW, self.next_due());
            let now = self.now().steady;
            let is_to_save = self.is_dirty || self.lanes.cursor() != self.saved_cursor || !self.attempts.is_empty();
            tokio::select! {
                () = &mut stopped => break,
                Some(ended) = self.attempts.join_next() => self.finish_attempt(ended)?,
                Some(command) = self.channel.commands.recv() => if let Some(end) = self.handle_command(command)? {
                    return Ok(end);
                },
                batch = batches.recv(), if has_room => match batch {
                    Some(Ok(DeliveryBatch { mut deliveries, position })) => {
                        self.remove_completed(&mut deliveries)?;
                        let changes = self.lanes.ingest(deliveries, position);
                        self.write_changes(&changes)?;
                    }
                    Some(Err(error)) => return Err(error.into()),
                    // The reader stops on the same token.
                    None if stop.is_cancelled() => break,
                    None => return Err(Error::ReaderEnded),
                },
                () = sleep_until_due(next, now) => {}
                () = ready(()), if has_more => {}
                _ = save.tick(), if is_to_save => self.save_progress().await?,
            }
        }
        drop(reading);
        self.drain().await?;
        self.save_progress().await?;
        Ok(WorkerExit::Stopped)
    }

    pub(super) fn now(&self) -> Moment {
        let (wall, at) = self.opened;
        Moment { wall: (self.channel.now)(), steady: wall.plus(at.elapsed()) }
    }

    /// The receiver, if the channel is not paused and one more attempt may be in flight.
    fn available_receiver(&self) -> Option<&Arc<dyn Receiver>> {
        let is_open = !self.channel.is_paused && self.attempts.len() < self.channel.max_in_flight;
        self.channel.receiver.as_ref().filter(|_| is_open)
    }

    /// Starts attempts until nothing is due or the limit is reached. Returns early, with true, if it read many lanes whose
    /// attempts must wait for their turn.
    async fn start_attempts(&mut self) -> Result<bool, Error> {
        let mut refills = 0;
        while let Some(receiver) = self.available_receiver().cloned() {
            let now = self.now();
            let is_probe = match self.breaker.permit(now.steady) {
                AttemptPermit::Attempt => false,
                AttemptPermit::Probe => true,
                AttemptPermit::Wait(_) => return Ok(false),
            };
            if refills == WEBHOOK_REFILLS_PER_TURN {
                return Ok(true);
            }
            match self.lanes.next_step(now.steady) {
                Some(SchedulerStep::Attempt { key, delivery, attempt }) => {
                    self.start_attempt(receiver, key, delivery, attempt == 1, is_probe)?;
                }
                Some(SchedulerStep::Refill { account, after, most }) => {
                    let (journal, payloads, read) =
                        (self.channel.journal.clone(), self.channel.payloads.clone(), self.lanes.read_position());
                    let reading = spawn_blocking(move || {
                        read_account_deliveries(&journal, &payloads, account, after, most, read)
                    });
                    let (deliveries, is_all) = reading.await??;
                    let changes = self.lanes.refill(account, deliveries, is_all);
                    self.write_changes(&changes)?;
                    refills += 1;
                }
                Some(SchedulerStep::RefillRedelivery(account)) => {
                    let ChannelContext { journal, payloads, store, .. } = &*self.channel;
                    let (journal, payloads, store) = (journal.clone(), payloads.clone(), store.clone());
                    let reading =
                        spawn_blocking(move || read_first_redelivery(&journal, &payloads, &store, account, now));
                    self.lanes.refill_redelivery(account, reading.await??);
                }
                Some(SchedulerStep::Write(changes)) => self.write_changes(&changes)?,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Removes deliveries that the log shows as completed: the stored cursor may be behind the log.
    fn remove_completed(&self, deliveries: &mut Vec<Delivery>) -> Result<(), Error> {
        if deliveries.first().is_none_or(|first| first.position > self.logged_up_to) {
            return Ok(());
        }
        let mut completed = HashSet::new();
        for Delivery { position, .. } in deliveries.iter().take_while(|it| it.position <= self.logged_up_to) {
            // A dead delivery that blocks its lane has a row; the lane continues from the row.
            let is_completed = |log: &AttemptLog| log.is_over() || log.state == DeliveryState::Dead;
            completed.extend(self.channel.store.attempt_log(*position)?.filter(is_completed).map(|_| *position));
        }
        deliveries.retain(|delivery| !completed.contains(&delivery.position));
        Ok(())
    }

    fn start_attempt(
        &mut self,
        receiver: Arc<dyn Receiver>,
        key: DeliveryLaneKey,
        delivery: Delivery,
        is_first: bool,
        is_probe: bool,
    ) -> Result<(), Error> {
        let is_first = is_first && key.kind == LaneKind::New;
        let is_fresh = is_first && delivery.position > self.logged_up_to;
        let known = if is_fresh { None } else { self.channel.store.attempt_log(delivery.position)? };
        let begun = self.now().wall;
        let log = known.unwrap_or_else(|| AttemptLog::new(DeliveryState::Pending, begun));
        if is_probe {
            self.breaker.start_probe();
        }
        let payloads = self.channel.payloads.clone();
        self.attempts.spawn(async move {
            let number = u32::try_from(log.attempt_count() + 1).unwrap_or(u32::MAX);
            let response = receiver.attempt(&payloads, &delivery, number).await;
            FinishedAttempt { key, delivery, log, begun, is_first, is_probe, response, receiver }
        });
        Ok(())
    }

    pub(super) fn write_changes(&mut self, changes: &[LaneChange]) -> Result<(), Error> {
        self.is_dirty |= !changes.is_empty();
        Ok(changes.iter().try_for_each(|change| self.channel.store.apply_change(change, self.now()))?)
    }

    /// When the next attempt can start; `None` if nothing waits for a time.
    fn next_due(&self) -> Option<Timestamp> {
        self.available_receiver()?;
        match self.breaker.permit(self.now().steady) {
            AttemptPermit::Attempt | AttemptPermit::Probe => self.lanes.next_due(),
            AttemptPermit::Wait(until) => until,
        }
    }

    /// Flushes the delivery store and saves the cursor. After a kill, deliveries since the last save are sent again.
    async fn save_progress(&mut self) -> Result<(), Error> {
        let changes = self.lanes.store_slow_lanes(self.now().steady, WEBHOOK_SLOW_ATTEMPT);
        self.write_changes(&changes)?;
        let (cursor, store) = (self.lanes.cursor(), self.channel.store.clone());
        if cursor != self.saved_cursor {
            spawn_blocking(move || store.set_cursor(cursor)).await??;
        } else if self.is_dirty {
            spawn_blocking(move || store.flush()).await??;
        }
        (self.saved_cursor, self.is_dirty) = (cursor, false);
        Ok(())
    }

    /// Waits for the attempts in flight, at most for [`DRAIN_TIMEOUT`]. The next start repeats unfinished attempts.
    async fn drain(&mut self) -> Result<(), Error> {
        let deadline = sleep(DRAIN_TIMEOUT);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                ended = self.attempts.join_next() => match ended {
                    Some(ended) => self.finish_attempt(ended)?,
                    None => return Ok(()),
                },
                () = &mut deadline => return Ok(()),
            }
        }
    }
}

/// Sleeps until `moment`, or for ever if it is `None`. Both arguments are in elapsed time.
async fn sleep_until_due(moment: Option<Timestamp>, now: Timestamp) {
    match moment {
        Some(moment) => sleep(moment.since(now)).await,
        None => pending().await,
    }
}
