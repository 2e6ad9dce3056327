//! What callers were answered, for those who ask the same again because they did not hear it.
//!
//! | file | what it knows |
//! |---|---|
//! | `row` | a request and its answer as bytes, and what follows for whoever asks again. Pure |
//! | `book` | the rows in the store, and in memory which of each API key is the oldest |
//! | `turns` | requests with the same key, one after the other |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! A request with a key is written down before anything is done for it: by its fingerprint, under which request id, and how
//! long the journal was. The store's log is in order, so whatever event the request leads to, this is there too. Its answer
//! is put beside it, and is durable before anybody hears it. So after a kill there is the answer, or a request that was
//! begun and that nobody was answered, whose events are found by its request id.

mod book;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod row;
mod turns;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use row::{Given, Intent, Scope};

use crate::clock::Clock;
use crate::journal::{self, Journal};
use crate::limits::{ANSWERS_FORGET, KEYED_UNDER_WAY};
use crate::store::{self, Store};
use crate::vault::RequestFingerprint;
use book::Book;
use row::{Follows, Row, follows};
use turns::{Turn, Turns};

/// The answers that are kept. Cheap to clone.
#[derive(Clone)]
pub struct Answers {
    inner: Arc<Inner>,
}

struct Inner {
    book: Book,
    journal: Journal,
    turns: Arc<Turns>,
    places: Arc<Semaphore>,
    now: Clock,
}

/// What is to be done about a request with a key.
pub enum Asked {
    /// It was answered.
    Answered(Given),
    /// It is new, or was begun before and never answered.
    Begun(Begun),
}

/// A request that was begun. Nobody else has its key until this is dropped.
pub struct Begun {
    answers: Answers,
    scope: Scope,
    row: Row,
    /// Whether it was begun before, and what came of it is not known.
    pub is_old: bool,
    is_withdrawn: bool,
    _turn: Turn,
    _place: OwnedSemaphorePermit,
}

/// Why a request with a key is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key was used for something else.
    #[error(
        "Idempotency-Key was used before, for a request with another body or another query; repeat that request as it \
         was, or choose another key"
    )]
    OtherRequest,
    /// Too many are under way.
    #[error("{KEYED_UNDER_WAY} requests with an Idempotency-Key are under way, which is the limit; try again shortly")]
    UnderWay,
    /// There is no room for one more answer.
    #[error(
        "so many answers to this API key were kept of late that there is no room for another; try again later, or send this without \
         Idempotency-Key"
    )]
    Full {
        /// After how many seconds there may be.
        seconds: u64,
    },
    /// Another program wrote what is kept.
    #[error("what is kept under an Idempotency-Key was written by another program; use that one, or a newer one")]
    Unreadable,
    /// The store failed. Final.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The journal ended before the answer was durable. Final.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl Answers {
    /// The answers in `store`, by this clock. They are durable with the commits of its `journal`.
    pub fn open(store: &Store, journal: Journal, now: Clock) -> Answers {
        let inner = Inner {
            book: Book::new(store.clone(), now()),
            journal,
            turns: Arc::default(),
            places: Arc::new(Semaphore::new(KEYED_UNDER_WAY)),
            now,
        };
        Answers { inner: Arc::new(inner) }
    }

    /// Asks for a request of this fingerprint. Waits while another with the same key is under way. One that is new is
    /// begun with `intent`.
    pub async fn ask(&self, scope: Scope, print: RequestFingerprint, intent: Intent) -> Result<Asked, Error> {
        let Inner { book, turns, places, now, .. } = &*self.inner;
        let place = places.clone().try_acquire_owned().map_err(|_| Error::UnderWay)?;
        let turn = turns.take(scope).await;
        let new = Row { at: now(), print, intent, answer: None };
        let (row, is_old) = loop {
            match follows(book.begin(scope, &new)?, &print, new.at) {
                Follows::Other => return Err(Error::OtherRequest),
                Follows::Answered(given) => return Ok(Asked::Answered(given)),
                Follows::GoOn(row) => break (row, true),
                Follows::Begin => break (new, false),
                Follows::Over(at) => book.forget(at, scope)?,
            }
        };
        let (answers, is_withdrawn) = (self.clone(), false);
        Ok(Asked::Begun(Begun { answers, scope, row, is_old, is_withdrawn, _turn: turn, _place: place }))
    }

    /// Forgets what is over, until `stop`.
    pub async fn keep_forgetting(self, stop: CancellationToken) {
        // The first round finds out how much there is.
        let answers = self.clone();
        let counted = tokio::task::spawn_blocking(move || answers.inner.book.count()).await;
        if let Ok(Err(error)) = counted {
            tracing::error!(%error, "the answers that are kept could not be counted");
        }
        while stop.run_until_cancelled(sleep(ANSWERS_FORGET)).await.is_some() {
            while !stop.is_cancelled() && self.forget().await {}
        }
    }

    /// Forgets some of what is over; says whether there may be more.
    async fn forget(&self) -> bool {
        let answers = self.clone();
        let forgotten =
            tokio::task::spawn_blocking(move || answers.inner.book.forget_over((answers.inner.now)())).await;
        match forgotten {
            Ok(Ok(has_more)) => has_more,
            Ok(Err(error)) => {
                tracing::error!(%error, "answers that are over could not be forgotten");
                false
            }
            Err(_) => false,
        }
    }
}

impl Begun {
    /// Under which request id it was begun, and how long the journal was then.
    pub fn intent(&self) -> Intent {
        self.row.intent
    }

    /// Keeps its answer. Durable when it returns.
    pub async fn answer(mut self, given: Given) -> Result<(), Error> {
        self.row.answer = Some(given);
        let Inner { book, journal, .. } = &*self.answers.inner;
        book.answer(self.scope, &self.row)?;
        Ok(journal.settle().await?)
    }

    /// Forgets it: nothing was done for it, and its key may be used for anything.
    pub fn withdraw(mut self) -> Result<(), Error> {
        self.answers.inner.book.forget(self.row.at, self.scope)?;
        self.is_withdrawn = true;
        Ok(())
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // One that is old is in the line already.
        if !self.is_old && !self.is_withdrawn {
            self.answers.inner.book.line_up(self.row.at, self.scope);
        }
    }
}
