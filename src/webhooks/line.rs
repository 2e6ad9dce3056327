//! A channel with a cursor: reads the journal behind it, starts attempts while there is a receiver, and writes down what
//! comes of them.

use std::collections::HashSet;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::breaker::{Breaker, Permit};
use super::client::{Answered, Receiver};
use super::delivery::Delivery;
use super::dispatcher::Dispatcher;
use super::lane::{Fate, Key, Note, Outcome, Row, Step, Way};
use super::lanes::Lanes;
use super::order::told;
use super::reading::{AbortOnDrop, Batch, look_up, look_up_again, read};
use super::trail::{Attempt, Letter, State, Trail};
use super::verdict::Failure;
use super::waits::{Moment, longest};
use crate::config::AfterLastTry;
use crate::domain::Timestamp;
use crate::limits::{BREAKER_OPEN, CURSOR_SAVE, DRAIN, WEBHOOK_SLOW, WEBHOOK_WINDOW};
use crate::metrics::AttemptOutcome;

/// A channel with a cursor.
pub(super) struct Line<'d> {
    pub(super) channel: &'d mut Dispatcher,
    pub(super) lanes: Lanes,
    pub(super) breaker: Breaker,
    pub(super) attempts: JoinSet<Ended>,
    /// The cursor as it is in the book.
    saved: u64,
    /// Whether the book has something that was not handed to the operating system.
    pub(super) is_dirty: bool,
    /// Nothing is remembered of deliveries behind this position but what this line did.
    fresh_after: u64,
    /// Who waits until no attempt is under way.
    pub(super) quiet: Vec<oneshot::Sender<()>>,
    /// When it was opened, by the wall clock and by elapsed time.
    opened: (Timestamp, Instant),
    /// The position that was seen last to be the oldest that is not settled, and since when.
    pub(super) oldest: Option<(u64, Timestamp)>,
}

/// An attempt that ended.
pub(super) struct Ended {
    key: Key,
    delivery: Delivery,
    /// What was known of the delivery before.
    trail: Trail,
    begun: Timestamp,
    /// Whether it says something of the receiver as a whole: the first attempt of a new delivery.
    is_first: bool,
    is_probe: bool,
    answered: Answered,
    /// Who was told.
    receiver: Arc<dyn Receiver>,
}

/// Why a line ended.
pub(super) enum End {
    Stopped,
    /// Its cursor and what waits are dropped.
    Closed(oneshot::Sender<()>),
}

impl<'d> Line<'d> {
    /// The channel where its book has it. One that had no receiver is told what happens from now on.
    pub(super) fn open(channel: &'d mut Dispatcher) -> Result<Line<'d>, Error> {
        let (book, journal) = (&channel.book, &channel.journal);
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
        let latest = now.steady.plus(longest(&channel.rules.retry_waits));
        let mut again = book.again(now)?;
        again.iter_mut().for_each(|(_, until)| *until = latest.min(*until));
        let mut rows = book.rows(now)?;
        for (_, row) in &mut rows {
            row.until = row.until.map(|until| latest.min(until));
            // Its dead delivery was dropped just before the end. A setting releases no lane: it may be forgotten at this start only.
            if row.until.is_none() && book.letter(row.next)?.is_none() {
                *row = Row { next: row.next.saturating_add(1), failed: 0, tried: 0, until: Some(now.steady) };
            }
        }
        let (name, waiting, again_waiting) = (channel.name(), rows.len(), again.len());
        let blocked = rows.iter().filter(|(_, row)| row.until.is_none()).count();
        if blocked > 0 && channel.rules.after_last_try == AfterLastTry::Continue {
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
        Ok(Line {
            lanes: Lanes::new(channel.rules.clone(), cursor, rows, again),
            breaker: Breaker::default(),
            attempts: JoinSet::new(),
            saved: cursor,
            is_dirty: false,
            fresh_after: book.last_trail()?,
            quiet: Vec::new(),
            opened,
            oldest: None,
            channel,
        })
    }

    /// Sends until `stop`, or until it is closed.
    pub(super) async fn run(mut self, stop: &CancellationToken) -> Result<End, Error> {
        let (sender, mut batches) = mpsc::channel(1);
        let reading = read(self.channel.journal.clone(), self.channel.form, self.lanes.read(), sender);
        let reading = AbortOnDrop(tokio::spawn(stop.clone().run_until_cancelled_owned(reading)));
        let mut save = interval(CURSOR_SAVE);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            self.start().await?;
            if self.attempts.is_empty() {
                self.quiet.drain(..).for_each(|done| told(done, ()));
            }
            let (has_room, next) = (self.lanes.unsettled() < WEBHOOK_WINDOW, self.next_due());
            let now = self.now().steady;
            let is_to_save = self.is_dirty || self.lanes.cursor() != self.saved || !self.attempts.is_empty();
            tokio::select! {
                () = &mut stopped => break,
                Some(ended) = self.attempts.join_next() => self.finish(ended)?,
                Some(order) = self.channel.orders.recv() => if let Some(end) = self.obey(order)? {
                    return Ok(end);
                },
                batch = batches.recv(), if has_room => match batch {
                    Some(Ok(Batch { mut deliveries, position })) => {
                        self.take_out_settled(&mut deliveries)?;
                        let notes = self.lanes.take_in(deliveries, position);
                        self.write(&notes)?;
                    }
                    Some(Err(error)) => return Err(error.into()),
                    // The reader is told to stop at the same moment.
                    None if stop.is_cancelled() => break,
                    None => return Err(Error::ReaderEnded),
                },
                () = due(next, now) => {}
                _ = save.tick(), if is_to_save => self.save().await?,
            }
        }
        drop(reading);
        self.drain().await?;
        self.save().await?;
        Ok(End::Stopped)
    }

    pub(super) fn now(&self) -> Moment {
        let (wall, at) = self.opened;
        Moment { wall: (self.channel.now)(), steady: wall.plus(at.elapsed()) }
    }

    /// The receiver that may be sent to, with room for one more attempt.
    fn open_receiver(&self) -> Option<&Arc<dyn Receiver>> {
        let is_open = !self.channel.is_paused && self.attempts.len() < self.channel.max_in_flight;
        self.channel.receiver.as_ref().filter(|_| is_open)
    }

    /// Starts what may be started.
    async fn start(&mut self) -> Result<(), Error> {
        while let Some(receiver) = self.open_receiver().cloned() {
            let now = self.now();
            let is_probe = match self.breaker.permit(now.steady) {
                Permit::Attempt => false,
                Permit::Probe => true,
                Permit::Wait(_) => return Ok(()),
            };
            match self.lanes.step(now.steady) {
                Some(Step::Try { key, delivery, attempt }) => {
                    self.attempt(receiver, key, delivery, attempt == 1, is_probe)?;
                }
                Some(Step::Refill { account, after, most }) => {
                    let (journal, form, read) = (self.channel.journal.clone(), self.channel.form, self.lanes.read());
                    let looking = spawn_blocking(move || look_up(&journal, form, account, after, most, read));
                    let (deliveries, is_all) = looking.await??;
                    let notes = self.lanes.refill(account, deliveries, is_all);
                    self.write(&notes)?;
                }
                Some(Step::RefillAgain(account)) => {
                    let Dispatcher { journal, form, book, .. } = &*self.channel;
                    let (journal, form, book) = (journal.clone(), *form, book.clone());
                    let looking = spawn_blocking(move || look_up_again(&journal, form, &book, account, now));
                    self.lanes.refill_again(account, looking.await??);
                }
                Some(Step::Write(notes)) => self.write(&notes)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Takes out what is over already: the cursor in the book may be behind what is remembered.
    fn take_out_settled(&self, deliveries: &mut Vec<Delivery>) -> Result<(), Error> {
        if deliveries.first().is_none_or(|first| first.position > self.fresh_after) {
            return Ok(());
        }
        let mut settled = HashSet::new();
        for Delivery { position, .. } in deliveries.iter().take_while(|it| it.position <= self.fresh_after) {
            // A dead one that its lane waits for has a row, by which the lane goes on.
            let is_settled = |trail: &Trail| trail.is_over() || trail.state == State::Dead;
            settled.extend(self.channel.book.trail(*position)?.filter(is_settled).map(|_| *position));
        }
        deliveries.retain(|delivery| !settled.contains(&delivery.position));
        Ok(())
    }

    fn attempt(
        &mut self,
        receiver: Arc<dyn Receiver>,
        key: Key,
        delivery: Delivery,
        is_first: bool,
        is_probe: bool,
    ) -> Result<(), Error> {
        let is_first = is_first && key.way == Way::First;
        let is_fresh = is_first && delivery.position > self.fresh_after;
        let known = if is_fresh { None } else { self.channel.book.trail(delivery.position)? };
        let begun = self.now().wall;
        let trail = known.unwrap_or_else(|| Trail::new(State::Pending, begun));
        if is_probe {
            self.breaker.probe();
        }
        let form = self.channel.form;
        self.attempts.spawn(async move {
            let number = u32::try_from(trail.count() + 1).unwrap_or(u32::MAX);
            let answered = receiver.attempt(&form, &delivery, number).await;
            Ended { key, delivery, trail, begun, is_first, is_probe, answered, receiver }
        });
        Ok(())
    }

    /// Writes down what came of an attempt, and goes on.
    fn finish(&mut self, ended: Result<Ended, JoinError>) -> Result<(), Error> {
        let Ended { key, delivery, mut trail, begun, is_first, is_probe, answered, receiver } = ended?;
        let (now, channel) = (self.now(), self.channel.name());
        let Delivery { account, position, .. } = delivery;
        let failure = answered.verdict.as_ref().err().cloned();
        let (metrics, of) = (self.channel.journal.metrics().clone(), self.channel.form.channel);
        metrics.webhook_attempts.at((of, failure.as_ref().map_or(AttemptOutcome::Taken, Failure::outcome))).inc();
        metrics.webhook_seconds.at(of).took(answered.took);
        // What another receiver said before it was exchanged says nothing of this one.
        let is_present = self.channel.receiver.as_ref().is_some_and(|it| it.url() == receiver.url());
        let is_gone = is_present && failure.as_ref().is_some_and(Failure::is_gone);
        let outcome = match failure {
            None => Outcome::Taken,
            Some(_) if is_gone => Outcome::Spared(Duration::ZERO),
            Some(_) if is_probe => Outcome::Spared(BREAKER_OPEN),
            Some(_) => Outcome::Failed { retry_after: answered.retry_after },
        };
        if is_probe {
            self.breaker.probed(failure.is_none(), now.steady);
        } else if self.breaker.attempted(is_first, failure.is_none(), now.steady) {
            tracing::warn!(channel, seconds = BREAKER_OPEN.as_secs(), "the breaker opens: most first attempts fail");
        }
        let (fate, notes) = self.lanes.finished(key, outcome, now.steady);
        let is_new = trail.state == State::Pending;
        let (state, next) = match fate {
            Fate::Delivered => (State::Delivered, None),
            Fate::Waiting(until) => (State::Waiting, Some(now.wait_until(until).end)),
            Fate::Dead => (State::Dead, None),
            Fate::Dropped => (State::Dropped, None),
        };
        let attempt = Attempt::new(begun, answered, next);
        let attempts = trail.count() + 1;
        if attempts > 1 {
            metrics.webhook_retries.at(of).inc();
        }
        if let Some(failure) = &failure {
            tracing::warn!(channel, %account, position, attempt = attempts, %failure, "a webhook failed");
        }
        // A lane with a row goes on by its row, which must not be in the store without what it is about.
        if is_new && state == State::Delivered && notes.is_empty() {
            self.channel.book.put_taken(position, attempt);
        } else {
            if fate == Fate::Dropped {
                trail.reason = self.channel.book.trail(position)?.and_then(|trail| trail.reason);
            }
            trail.add(attempt, state, now.wall);
            self.channel.book.put_trail(position, &trail)?;
        }
        match (fate, failure) {
            (Fate::Dead, Some(failure)) => {
                let letter = Letter::new(&delivery, attempts, failure.to_string(), now.wall);
                self.channel.book.put_letter(position, &letter)?;
                metrics.webhook_dead.at(of).inc();
                tracing::error!(channel, %account, position, attempts, "a webhook is dead: no attempt is left");
            }
            // It may have been dead before.
            (Fate::Delivered, _) if !is_new => self.channel.book.remove_letter(position)?,
            (Fate::Delivered | Fate::Waiting(_) | Fate::Dead | Fate::Dropped, _) => {}
        }
        self.write(&notes)?;
        self.is_dirty = true;
        if is_gone && !self.channel.is_paused {
            self.channel.is_paused = true;
            // If it is told already, one word is enough.
            let _told = self.channel.gone.try_send(receiver.url().clone());
        }
        Ok(())
    }

    pub(super) fn write(&mut self, notes: &[Note]) -> Result<(), Error> {
        self.is_dirty |= !notes.is_empty();
        Ok(notes.iter().try_for_each(|note| self.channel.book.write(note, self.now()))?)
    }

    /// When something is to be started that cannot be started yet.
    fn next_due(&self) -> Option<Timestamp> {
        self.open_receiver()?;
        match self.breaker.permit(self.now().steady) {
            Permit::Attempt | Permit::Probe => self.lanes.next_due(),
            Permit::Wait(until) => until,
        }
    }

    /// Hands what was noted to the operating system, and moves the cursor in the book to where it is. A kill sends again
    /// what was delivered since.
    async fn save(&mut self) -> Result<(), Error> {
        let notes = self.lanes.hold_slow(self.now().steady, WEBHOOK_SLOW);
        self.write(&notes)?;
        let (cursor, book) = (self.lanes.cursor(), self.channel.book.clone());
        if cursor != self.saved {
            spawn_blocking(move || book.set_cursor(cursor)).await??;
        } else if self.is_dirty {
            spawn_blocking(move || book.flush()).await??;
        }
        (self.saved, self.is_dirty) = (cursor, false);
        Ok(())
    }

    /// Waits for the attempts under way; those that take too long are made again after the next start.
    async fn drain(&mut self) -> Result<(), Error> {
        let deadline = sleep(DRAIN);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                ended = self.attempts.join_next() => match ended {
                    Some(ended) => self.finish(ended)?,
                    None => return Ok(()),
                },
                () = &mut deadline => return Ok(()),
            }
        }
    }
}

/// Waits until a moment of elapsed time, where it is `now`; for ever if there is none.
async fn due(moment: Option<Timestamp>, now: Timestamp) {
    match moment {
        Some(moment) => sleep(moment.since(now)).await,
        None => pending().await,
    }
}
