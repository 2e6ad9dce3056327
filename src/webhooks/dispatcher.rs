//! The task of one channel: reads the journal behind its cursor, starts attempts, writes down what comes of them.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Error;
use super::book::Book;
use super::client::Client;
use super::delivery::{Delivery, Form};
use super::lanes::{Lanes, Note, Step};
use super::verdict::Failure;
use crate::clock;
use crate::domain::{AccountNumber, Timestamp};
use crate::journal::{self, Journal, Stream};
use crate::limits::{CURSOR_SAVE, DRAIN, READ_RECORDS, WEBHOOK_REFILL, WEBHOOK_SLOW, WEBHOOK_WINDOW};

/// One channel with a receiver.
pub(super) struct Dispatcher {
    pub(super) form: Form,
    pub(super) journal: Journal,
    pub(super) book: Book,
    pub(super) lanes: Lanes,
    pub(super) client: Arc<Client>,
    pub(super) max_in_flight: usize,
    /// The cursor as it is in the book.
    pub(super) saved: u64,
}

/// What was read of the journal in one go.
struct Batch {
    deliveries: Vec<Delivery>,
    /// The position up to which it was read.
    position: u64,
}

/// How an attempt ended; an error means that it panicked.
type Finished = Result<(AccountNumber, Result<(), Failure>), JoinError>;

impl Dispatcher {
    /// Runs until `stop`; then waits for the attempts under way for at most [`DRAIN`].
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let (sender, mut batches) = mpsc::channel(1);
        let reading = read(self.journal.clone(), self.form, self.lanes.read(), sender);
        let reading = tokio::spawn(stop.clone().run_until_cancelled_owned(reading));
        let mut attempts = JoinSet::new();
        let mut save = interval(CURSOR_SAVE);
        save.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stopped = stop.cancelled();
        tokio::pin!(stopped);
        loop {
            self.start(&mut attempts).await?;
            let has_room = self.lanes.unsettled() < WEBHOOK_WINDOW;
            tokio::select! {
                () = &mut stopped => break,
                Some(finished) = attempts.join_next() => self.finish(finished)?,
                batch = batches.recv(), if has_room => match batch {
                    Some(Ok(Batch { deliveries, position })) => self.lanes.take_in(deliveries, position),
                    Some(Err(error)) => return Err(error.into()),
                    // The reader is told to stop at the same moment.
                    None if stop.is_cancelled() => break,
                    None => return Err(Error::ReaderEnded),
                },
                () = due(self.lanes.next_due()), if attempts.len() < self.max_in_flight => {}
                _ = save.tick() => self.save().await?,
            }
        }
        reading.abort();
        self.drain(attempts).await?;
        self.save().await
    }

    /// Starts what may be started.
    async fn start(&mut self, attempts: &mut JoinSet<(AccountNumber, Result<(), Failure>)>) -> Result<(), Error> {
        while attempts.len() < self.max_in_flight {
            match self.lanes.step(clock::now()) {
                Some(Step::Try { delivery, attempt }) => {
                    let (client, form) = (self.client.clone(), self.form);
                    attempts.spawn(async move {
                        let outcome = client.attempt(&form, &delivery).await;
                        if let Err(failure) = &outcome {
                            let Delivery { account, position, .. } = delivery;
                            let channel = form.channel.short_name();
                            tracing::warn!(channel, ?account, position, attempt, %failure, "a webhook failed");
                        }
                        (delivery.account, outcome)
                    });
                }
                Some(Step::Refill { account, after }) => {
                    let deliveries = self.look_up(account, after).await?;
                    let note = self.lanes.refill(account, deliveries);
                    self.write(note)?;
                }
                None => break,
            }
        }
        Ok(())
    }

    /// What the channel tells of one account after a position, as far as the journal was read.
    async fn look_up(&self, account: AccountNumber, after: u64) -> Result<Vec<Delivery>, Error> {
        let (journal, form, read) = (self.journal.clone(), self.form, self.lanes.read());
        spawn_blocking(move || {
            let mut after = after;
            // A page of events may hold none that this channel tells.
            loop {
                let records = journal.history_after(Stream::Account(account), after, WEBHOOK_REFILL)?;
                let deliveries = records.iter().take_while(|record| record.position <= read);
                let deliveries: Vec<Delivery> = deliveries.filter_map(|record| form.delivery(record)).collect();
                match records.last() {
                    Some(last) if deliveries.is_empty() && last.position < read => after = last.position,
                    Some(_) | None => return Ok(deliveries),
                }
            }
        })
        .await?
    }

    fn finish(&mut self, finished: Finished) -> Result<(), Error> {
        let (account, outcome) = finished?;
        let notes = self.lanes.finished(account, outcome, clock::now());
        self.write(notes)
    }

    fn write(&self, notes: impl IntoIterator<Item = Note>) -> Result<(), Error> {
        for note in notes {
            self.book.write(&note)?;
            if let Note::Bury { delivery: Delivery { account, position, .. }, attempts, .. } = note {
                let channel = self.form.channel.short_name();
                tracing::error!(channel, ?account, position, attempts, "a webhook is dead: no attempt is left");
            }
        }
        Ok(())
    }

    /// Moves the cursor in the book to where it is. A kill sends again what was delivered since.
    async fn save(&mut self) -> Result<(), Error> {
        let notes = self.lanes.hold_slow(clock::now(), WEBHOOK_SLOW);
        self.write(notes)?;
        let cursor = self.lanes.cursor();
        if cursor != self.saved {
            let book = self.book.clone();
            spawn_blocking(move || book.set_cursor(cursor)).await??;
            self.saved = cursor;
        }
        Ok(())
    }

    /// Waits for the attempts under way; those that take too long are made again after the next start.
    async fn drain(&mut self, mut attempts: JoinSet<(AccountNumber, Result<(), Failure>)>) -> Result<(), Error> {
        let deadline = sleep(DRAIN);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                finished = attempts.join_next() => match finished {
                    Some(finished) => self.finish(finished)?,
                    None => return Ok(()),
                },
                () = &mut deadline => return Ok(()),
            }
        }
    }
}

/// Reads the journal after `position` and goes on as it grows, no faster than the batches are taken.
async fn read(journal: Journal, form: Form, mut position: u64, batches: mpsc::Sender<Result<Batch, journal::Error>>) {
    let mut head = journal.follow();
    loop {
        let after = position;
        // The journal lives as long as this handle on it.
        if head.wait_for(|head| *head > after).await.is_err() {
            return;
        }
        let reading = journal.clone();
        let batch = spawn_blocking(move || {
            let records = reading.read_after(after, READ_RECORDS)?;
            let deliveries = records.iter().filter_map(|record| form.delivery(record)).collect();
            Ok(Batch { deliveries, position: records.last().map_or(after, |last| last.position) })
        });
        let Ok(batch) = batch.await else { return };
        if let Ok(batch) = &batch {
            position = batch.position;
        }
        if batches.send(batch).await.is_err() {
            return;
        }
    }
}

/// Waits until a moment of the wall clock; for ever if there is none.
async fn due(moment: Option<Timestamp>) {
    match moment {
        // The wall clock may be set while this waits, so it looks again from time to time.
        Some(moment) => sleep_until(Instant::now() + moment.since(clock::now()).min(Duration::from_secs(1))).await,
        None => pending().await,
    }
}
