//! A channel with a cursor: reads the journal behind it, starts attempts while there is a receiver, and writes down what
//! comes of them.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::attempt_log::{AttemptLog, DeadLetter, DeliveryAttempt, DeliveryState};
use super::channel_command::reply;
use super::channel_supervisor::ChannelSupervisor;
use super::circuit_breaker::{AttemptPermit, CircuitBreaker};
use super::delivery::Delivery;
use super::delivery_scheduler::DeliveryScheduler;
use super::journal_reader::{AbortOnDrop, DeliveryBatch, read_account_deliveries, read_batches, read_first_redelivery};
use super::lane::{AttemptResult, DeliveryLaneKey, DeliveryOutcome, LaneChange, LaneKind, LaneRow, SchedulerStep};
use super::receiver_client::{AttemptResponse, Receiver};
use super::response_check::AttemptFailure;
use super::retry_schedule::{Moment, longest_wait};
use crate::config::DeadLetterPolicy;
use crate::domain::Timestamp;
use crate::limits::{BREAKER_OPEN, CURSOR_SAVE_INTERVAL, DRAIN_TIMEOUT, WEBHOOK_SLOW_ATTEMPT, WEBHOOK_WINDOW};
use crate::metrics::AttemptOutcome;

/// A channel with a cursor.
pub(super) struct ChannelWorker<'d> {
    pub(super) supervisor: &'d mut ChannelSupervisor,
    pub(super) lanes: DeliveryScheduler,
    pub(super) breaker: CircuitBreaker,
    pub(super) attempts: JoinSet<FinishedAttempt>,
    /// The cursor as it is in the book.
    saved_cursor: u64,
    /// Whether the book has something that was not handed to the operating system.
    pub(super) is_dirty: bool,
    /// Nothing is remembered of deliveries behind this position but what this line did.
    logged_up_to: u64,
    /// Who waits until no attempt is under way.
    pub(super) idle_waiters: Vec<oneshot::Sender<()>>,
    /// When it was opened, by the wall clock and by elapsed time.
    opened: (Timestamp, Instant),
    /// The position that was seen last to be the oldest that is not settled, and since when.
    pub(super) oldest_pending: Option<(u64, Timestamp)>,
}

/// An attempt that ended.
pub(super) struct FinishedAttempt {
    key: DeliveryLaneKey,
    delivery: Delivery,
    /// What was known of the delivery before.
    log: AttemptLog,
    begun: Timestamp,
    /// Whether it says something of the receiver as a whole: the first attempt of a new delivery.
    is_first: bool,
    is_probe: bool,
    response: AttemptResponse,
    /// Who was told.
    receiver: Arc<dyn Receiver>,
}

/// Why a line ended.
pub(super) enum WorkerExit {
    Stopped,
    /// Its cursor and what waits are dropped.
    Closed(oneshot::Sender<()>),
}

impl<'d> ChannelWorker<'d> {
    /// The channel where its book has it. One that had no receiver is told what happens from now on.
    pub(super) fn open(channel: &'d mut ChannelSupervisor) -> Result<ChannelWorker<'d>, Error> {
        let (book, journal) = (&channel.store, &channel.journal);
        // A cursor beyond the end is of a journal that was put back to an earlier backup.
        let cursor = match book.cursor()?.filter(|cursor| *cursor <= journal.head()) {
            Some(cursor) => cursor,
            None => {
                book.set_cursor(journal.head())?;
                journal.head()
            }
        };
        let wall = (channel.now)();
        let (opened, now) = ((wall, Instant::now()), Moment { wall, steady: wall });
        // Rows of old formats do not say how long a wait is.
        let latest = now.steady.plus(longest_wait(&channel.policy.retry_waits));
        let mut again = book.redelivery_accounts(now)?;
        again.iter_mut().for_each(|(_, until)| *until = latest.min(*until));
        let mut rows = book.lane_rows(now)?;
        for (_, row) in &mut rows {
            row.due_at = row.due_at.map(|until| latest.min(until));
            // Its dead delivery was dropped just before the end. A setting releases no lane: it may be forgotten at this start only.
            if row.due_at.is_none() && book.dead_letter(row.next_position)?.is_none() {
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
                "accounts wait for a dead delivery, since webhooks.after_last_try was block; `muster webhooks replay` or \
                 `muster webhooks drop` settles it"
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
                "the channel has no receiver: its deliveries wait for one; `muster webhooks close` drops them"
            );
        }
        Ok(ChannelWorker {
            lanes: DeliveryScheduler::new(channel.policy.clone(), cursor, rows, again),
            breaker: CircuitBreaker::default(),
            attempts: JoinSet::new(),
            saved_cursor: cursor,
            is_dirty: false,
            logged_up_to: book.last_logged_position()?,
            idle_waiters: Vec::new(),
            opened,
            oldest_pending: None,
            supervisor: channel,
        })
    }

    /// Sends until `stop`, or until it is closed.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<WorkerExit, Error> {
        let (sender, mut batches) = mpsc::channel(1);
        let reading =
            read_batches(self.supervisor.journal.clone(), self.supervisor.payloads, self.lanes.read_position(), sender);
        let reading = AbortOnDrop(tokio::spawn(stop.clone().run_until_cancelled_owned(reading)));
        let mut save = interval(CURSOR_SAVE_INTERVAL);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            self.start_attempts().await?;
            if self.attempts.is_empty() {
                self.idle_waiters.drain(..).for_each(|done| reply(done, ()));
            }
            let (has_room, next) = (self.lanes.pending_count() < WEBHOOK_WINDOW, self.next_due());
            let now = self.now().steady;
            let is_to_save = self.is_dirty || self.lanes.cursor() != self.saved_cursor || !self.attempts.is_empty();
            tokio::select! {
                () = &mut stopped => break,
                Some(ended) = self.attempts.join_next() => self.finish_attempt(ended)?,
                Some(order) = self.supervisor.commands.recv() => if let Some(end) = self.handle_command(order)? {
                    return Ok(end);
                },
                batch = batches.recv(), if has_room => match batch {
                    Some(Ok(DeliveryBatch { mut deliveries, position })) => {
                        self.remove_completed(&mut deliveries)?;
                        let notes = self.lanes.ingest(deliveries, position);
                        self.write_changes(&notes)?;
                    }
                    Some(Err(error)) => return Err(error.into()),
                    // The reader is told to stop at the same moment.
                    None if stop.is_cancelled() => break,
                    None => return Err(Error::ReaderEnded),
                },
                () = sleep(next.map_or(Duration::ZERO, |next| next.since(now))), if next.is_some() => {}
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
        Moment { wall: (self.supervisor.now)(), steady: wall.plus(at.elapsed()) }
    }

    /// The receiver that may be sent to, with room for one more attempt.
    fn available_receiver(&self) -> Option<&Arc<dyn Receiver>> {
        let is_open = !self.supervisor.is_paused && self.attempts.len() < self.supervisor.max_in_flight;
        self.supervisor.receiver.as_ref().filter(|_| is_open)
    }

    /// Starts what may be started.
    async fn start_attempts(&mut self) -> Result<(), Error> {
        while let Some(receiver) = self.available_receiver().cloned() {
            let now = self.now();
            let is_probe = match self.breaker.permit(now.steady) {
                AttemptPermit::Attempt => false,
                AttemptPermit::Probe => true,
                AttemptPermit::Wait(_) => return Ok(()),
            };
            match self.lanes.next_step(now.steady) {
                Some(SchedulerStep::Attempt { key, delivery, attempt }) => {
                    self.start_attempt(receiver, key, delivery, attempt == 1, is_probe)?;
                }
                Some(SchedulerStep::Refill { account, after, most }) => {
                    let (journal, form, read) =
                        (self.supervisor.journal.clone(), self.supervisor.payloads, self.lanes.read_position());
                    let looking =
                        spawn_blocking(move || read_account_deliveries(&journal, form, account, after, most, read));
                    let (deliveries, is_all) = looking.await??;
                    let notes = self.lanes.refill(account, deliveries, is_all);
                    self.write_changes(&notes)?;
                }
                Some(SchedulerStep::RefillRedelivery(account)) => {
                    let ChannelSupervisor { journal, payloads: form, store: book, .. } = &*self.supervisor;
                    let (journal, form, book) = (journal.clone(), *form, book.clone());
                    let looking = spawn_blocking(move || read_first_redelivery(&journal, form, &book, account, now));
                    self.lanes.refill_redelivery(account, looking.await??);
                }
                Some(SchedulerStep::Write(notes)) => self.write_changes(&notes)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes out what is over already: the cursor in the book may be behind what is remembered.
    fn remove_completed(&self, deliveries: &mut Vec<Delivery>) -> Result<(), Error> {
        if deliveries.first().is_none_or(|first| first.position > self.logged_up_to) {
            return Ok(());
        }
        let mut settled = HashSet::new();
        for Delivery { position, .. } in deliveries.iter().take_while(|it| it.position <= self.logged_up_to) {
            // A dead one that its lane waits for has a row, by which the lane goes on.
            let is_settled = |trail: &AttemptLog| trail.is_over() || trail.state == DeliveryState::Dead;
            settled.extend(self.supervisor.store.attempt_log(*position)?.filter(is_settled).map(|_| *position));
        }
        deliveries.retain(|delivery| !settled.contains(&delivery.position));
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
        let known = if is_fresh { None } else { self.supervisor.store.attempt_log(delivery.position)? };
        let begun = self.now().wall;
        let trail = known.unwrap_or_else(|| AttemptLog::new(DeliveryState::Pending, begun));
        if is_probe {
            self.breaker.start_probe();
        }
        let form = self.supervisor.payloads;
        self.attempts.spawn(async move {
            let number = u32::try_from(trail.attempt_count() + 1).unwrap_or(u32::MAX);
            let answered = receiver.attempt(&form, &delivery, number).await;
            FinishedAttempt { key, delivery, log: trail, begun, is_first, is_probe, response: answered, receiver }
        });
        Ok(())
    }

    /// Writes down what came of an attempt, and goes on.
    fn finish_attempt(&mut self, ended: Result<FinishedAttempt, JoinError>) -> Result<(), Error> {
        let FinishedAttempt { key, delivery, log: mut trail, begun, is_first, is_probe, response: answered, receiver } =
            ended?;
        let (now, channel) = (self.now(), self.supervisor.name());
        let Delivery { account, position, .. } = delivery;
        let failure = answered.verdict.as_ref().err().cloned();
        let (metrics, of) = (self.supervisor.journal.metrics().clone(), self.supervisor.payloads.channel);
        metrics
            .webhook_attempts
            .with((of, failure.as_ref().map_or(AttemptOutcome::Taken, AttemptFailure::outcome)))
            .inc();
        metrics.webhook_seconds.with(of).observe_duration(answered.took);
        // What another receiver said before it was exchanged says nothing of this one.
        let is_present = self.supervisor.receiver.as_ref().is_some_and(|it| it.url() == receiver.url());
        let is_gone = is_present && failure.as_ref().is_some_and(AttemptFailure::is_gone);
        let outcome = match failure {
            None => AttemptResult::Succeeded,
            Some(_) if is_gone => AttemptResult::Deferred(Duration::ZERO),
            Some(_) if is_probe => AttemptResult::Deferred(BREAKER_OPEN),
            Some(_) => AttemptResult::Failed { retry_after: answered.retry_after },
        };
        if is_probe {
            self.breaker.finish_probe(failure.is_none(), now.steady);
        } else if self.breaker.record_attempt(is_first, failure.is_none(), now.steady) {
            tracing::warn!(channel, seconds = BREAKER_OPEN.as_secs(), "the breaker opens: most first attempts fail");
        }
        let (fate, notes) = self.lanes.finish_attempt(key, outcome, now.steady);
        let is_new = trail.state == DeliveryState::Pending;
        let (state, next) = match fate {
            DeliveryOutcome::Delivered => (DeliveryState::Delivered, None),
            DeliveryOutcome::Waiting(until) => (DeliveryState::Waiting, Some(now.wait_until(until).end)),
            DeliveryOutcome::Dead => (DeliveryState::Dead, None),
            DeliveryOutcome::Dropped => (DeliveryState::Dropped, None),
        };
        let attempt = DeliveryAttempt::new(begun, answered, next);
        let attempts = trail.attempt_count() + 1;
        if attempts > 1 {
            metrics.webhook_retries.with(of).inc();
        }
        if let Some(failure) = &failure {
            tracing::warn!(channel, %account, position, attempt = attempts, %failure, "a webhook failed");
        }
        // A lane with a row goes on by its row, which must not be in the store without what it is about.
        if is_new && state == DeliveryState::Delivered && notes.is_empty() {
            self.supervisor.store.put_success(position, attempt);
        } else {
            if fate == DeliveryOutcome::Dropped {
                trail.reason = self.supervisor.store.attempt_log(position)?.and_then(|trail| trail.reason);
            }
            trail.add(attempt, state, now.wall);
            self.supervisor.store.put_attempt_log(position, &trail)?;
        }
        match (fate, failure) {
            (DeliveryOutcome::Dead, Some(failure)) => {
                let letter = DeadLetter::new(&delivery, attempts, failure.to_string(), now.wall);
                self.supervisor.store.put_dead_letter(position, &letter)?;
                metrics.webhook_dead.with(of).inc();
                tracing::error!(channel, %account, position, attempts, "a webhook is dead: no attempt is left");
            }
            // It may have been dead before.
            (DeliveryOutcome::Delivered, _) if !is_new => self.supervisor.store.remove_dead_letter(position)?,
            (
                DeliveryOutcome::Delivered
                | DeliveryOutcome::Waiting(_)
                | DeliveryOutcome::Dead
                | DeliveryOutcome::Dropped,
                _,
            ) => {}
        }
        self.write_changes(&notes)?;
        self.is_dirty = true;
        if is_gone && !self.supervisor.is_paused {
            self.supervisor.is_paused = true;
            // If it is told already, one word is enough.
            let _told = self.supervisor.gone_urls.try_send(receiver.url().clone());
        }
        Ok(())
    }

    pub(super) fn write_changes(&mut self, notes: &[LaneChange]) -> Result<(), Error> {
        self.is_dirty |= !notes.is_empty();
        Ok(notes.iter().try_for_each(|note| self.supervisor.store.apply_change(note, self.now()))?)
    }

    /// When something is to be started that cannot be started yet.
    fn next_due(&self) -> Option<Timestamp> {
        self.available_receiver()?;
        match self.breaker.permit(self.now().steady) {
            AttemptPermit::Attempt | AttemptPermit::Probe => self.lanes.next_due(),
            AttemptPermit::Wait(until) => until,
        }
    }

    /// Hands what was noted to the operating system, and moves the cursor in the book to where it is. A kill sends again
    /// what was delivered since.
    async fn save_progress(&mut self) -> Result<(), Error> {
        let notes = self.lanes.store_slow_lanes(self.now().steady, WEBHOOK_SLOW_ATTEMPT);
        self.write_changes(&notes)?;
        let (cursor, book) = (self.lanes.cursor(), self.supervisor.store.clone());
        if cursor != self.saved_cursor {
            spawn_blocking(move || book.set_cursor(cursor)).await??;
        } else if self.is_dirty {
            spawn_blocking(move || book.flush()).await??;
        }
        (self.saved_cursor, self.is_dirty) = (cursor, false);
        Ok(())
    }

    /// Waits for the attempts under way; those that take too long are made again after the next start.
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
