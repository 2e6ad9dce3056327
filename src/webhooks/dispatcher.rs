//! The task of one channel: obeys orders, and runs a [`Line`] once there was a receiver.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Error;
use super::book::Book;
use super::client::Receiver;
use super::delivery::Form;
use super::lane::{Note, Rules};
use super::line::{End, Line};
use super::order::{Live, Order, told};
use super::reading::AbortOnDrop;
use super::retention::Retention;
use super::waits::{Moment, Wait};
use crate::clock::Clock;
use crate::domain::Timestamp;
use crate::journal::Journal;
use crate::limits::{ATTEMPTS_PRUNE, ATTEMPTS_PRUNED};

/// One channel.
pub(super) struct Dispatcher {
    pub(super) form: Form,
    pub(super) journal: Journal,
    pub(super) book: Book,
    pub(super) rules: Rules,
    pub(super) max_in_flight: usize,
    pub(super) keep_attempts: Duration,
    pub(super) now: Clock,
    /// Tells the age of what is remembered.
    pub(super) trusted: Clock,
    pub(super) receiver: Option<Arc<dyn Receiver>>,
    pub(super) is_paused: bool,
    pub(super) orders: mpsc::Receiver<Order>,
    /// Who is told that the receiver there is no more.
    pub(super) gone: mpsc::Sender<Url>,
}

impl Dispatcher {
    /// Runs until `stop`; then waits for the attempts under way for at most [`DRAIN`].
    pub(super) async fn run(mut self, stop: CancellationToken) -> Result<(), Error> {
        let retention = self.book.retention(self.keep_attempts)?;
        self.book.put_retention(retention)?;
        if let Some(left) = retention.shorter_after() {
            tracing::warn!(
                channel = self.name(),
                kept_seconds = retention.in_force().as_secs(),
                set_seconds = self.keep_attempts.as_secs(),
                counts_after_seconds = left.as_secs(),
                "webhooks.keep_attempts is shorter than before: it counts after so much more running time, and older attempts \
                 are forgotten then; set it as it was to keep them"
            );
        }
        let forgetting = forget(self.book.clone(), retention, self.trusted);
        let _forgetting = AbortOnDrop(tokio::spawn(forgetting));
        loop {
            // Without a receiver too: what waits stays, and can be seen.
            if self.receiver.is_some() || self.book.cursor()?.is_some() {
                match Line::open(&mut self)?.run(&stop).await? {
                    End::Stopped => return Ok(()),
                    End::Closed(done) => {
                        self.book.close()?;
                        told(done, ());
                    }
                }
            }
            match stop.run_until_cancelled(self.orders.recv()).await {
                Some(Some(order)) => self.obey(order)?,
                Some(None) | None => return Ok(()),
            }
        }
    }

    /// Obeys while there is no cursor.
    fn obey(&mut self, order: Order) -> Result<(), Error> {
        match order {
            Order::Configure { receiver, is_paused, done } => {
                (self.receiver, self.is_paused) = (receiver, is_paused);
                told(done, ());
            }
            Order::Again { which, done } => {
                for (account, position) in which {
                    self.book.put_again(account, position, 0, Wait::NONE)?;
                }
                told(done, ());
            }
            Order::Skip { which, done } => {
                for (account, position) in which {
                    let wall = (self.now)();
                    self.book.write(&Note::SentAgain { account, position }, Moment { wall, steady: wall })?;
                }
                told(done, ());
            }
            Order::Close { done } => {
                self.book.close()?;
                told(done, ());
            }
            Order::Look { done } => {
                let wall = (self.now)();
                told(done, Live::idle(Moment { wall, steady: wall }));
            }
        }
        Ok(())
    }

    /// The channel's short name.
    pub(super) fn name(&self) -> &'static str {
        self.form.channel.short_name()
    }
}

/// Forgets attempts that are over since so long ago, again and again. What cannot be forgotten is a failure of the store,
/// which is told where it matters.
async fn forget(book: Book, mut retention: Retention, trusted: Clock) {
    loop {
        sleep(ATTEMPTS_PRUNE).await;
        let passed = retention.after(ATTEMPTS_PRUNE);
        if passed != retention
            && let Err(error) = book.put_retention(passed)
        {
            tracing::warn!(%error, "how long attempts are remembered was not written down");
            continue;
        }
        retention = passed;
        let keep = u64::try_from(retention.in_force().as_micros()).unwrap_or(u64::MAX);
        let before = Timestamp(trusted().0.saturating_sub_unsigned(keep));
        for prune in [Book::prune, Book::prune_taken] {
            let mut from = Some(0);
            while let Some(position) = from {
                let book = book.clone();
                from = match spawn_blocking(move || prune(&book, position, before, ATTEMPTS_PRUNED)).await {
                    Ok(Ok(next)) => next,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, "old attempts were not forgotten");
                        None
                    }
                    Err(_) => return,
                }
            }
        }
    }
}
