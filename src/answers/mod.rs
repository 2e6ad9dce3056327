//! What callers were answered, for those who ask the same again because they did not hear it.
//!
//! | file | what it knows |
//! |---|---|
//! | `idempotency_record` | a request and its answer as bytes, and what follows for whoever asks again. Pure |
//! | `idempotency_store` | the rows in the store, and in memory which of each API key is the oldest |
//! | `key_locks` | requests with the same key, one after the other |
//! | `fuzz` | its parsers under any bytes: for tests alone |
//!
//! A request with a key is written down before anything is done for it: by its fingerprint, under which request id, and how
//! long the journal was. The store's log is in order, so whatever event the request leads to, this is there too. Its answer
//! is put beside it, and is durable before anybody hears it. So after a kill there is the answer, or a request that was
//! begun and that nobody was answered, whose events are found by its request id.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod idempotency_record;
mod idempotency_store;
mod key_locks;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use idempotency_record::{KeyScope, RequestIntent, StoredResponse};

use crate::clock::Clock;
use crate::journal::{self, Journal};
use crate::limits::{IDEMPOTENCY_EXPIRY_INTERVAL, IDEMPOTENT_REQUESTS_IN_FLIGHT};
use crate::store::{self, Store};
use crate::vault::RequestFingerprint;
use idempotency_record::{IdempotencyRecord, KeyDecision, decide_key};
use idempotency_store::IdempotencyStore;
use key_locks::{KeyLock, KeyLocks};

/// The answers that are kept. Cheap to clone.
#[derive(Clone)]
pub struct IdempotencyRecords {
    inner: Arc<IdempotencyInner>,
}

struct IdempotencyInner {
    store: IdempotencyStore,
    journal: Journal,
    key_locks: Arc<KeyLocks>,
    in_flight_permits: Arc<Semaphore>,
    now: Clock,
}

/// What is to be done about a request with a key.
pub enum KeyLookup {
    /// It was answered.
    Completed(StoredResponse),
    /// It is new, or was begun before and never answered.
    InFlight(InFlightRecord),
}

/// A request that was begun. Nobody else has its key until this is dropped.
pub struct InFlightRecord {
    records: IdempotencyRecords,
    scope: KeyScope,
    record: IdempotencyRecord,
    /// Whether it was begun before, and what came of it is not known.
    pub is_resumed: bool,
    is_cancelled: bool,
    _turn: KeyLock,
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
    KeyReused,
    /// Too many are under way.
    #[error(
        "{IDEMPOTENT_REQUESTS_IN_FLIGHT} requests with an Idempotency-Key are under way, which is the limit; try again shortly"
    )]
    TooManyInFlight,
    /// There is no room for one more answer.
    #[error(
        "so many answers to this API key were kept of late that there is no room for another; try again later, or send this without \
         Idempotency-Key"
    )]
    NoCapacity {
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

impl IdempotencyRecords {
    /// The answers in `store`, by this clock. They are durable with the commits of its `journal`.
    pub fn open(store: &Store, journal: Journal, now: Clock) -> IdempotencyRecords {
        let inner = IdempotencyInner {
            store: IdempotencyStore::new(store.clone(), now()),
            journal,
            key_locks: Arc::default(),
            in_flight_permits: Arc::new(Semaphore::new(IDEMPOTENT_REQUESTS_IN_FLIGHT)),
            now,
        };
        IdempotencyRecords { inner: Arc::new(inner) }
    }

    /// Asks for a request of this fingerprint. Waits while another with the same key is under way. One that is new is
    /// begun with `intent`.
    pub async fn begin(
        &self,
        scope: KeyScope,
        print: RequestFingerprint,
        intent: RequestIntent,
    ) -> Result<KeyLookup, Error> {
        let IdempotencyInner { store: book, key_locks: turns, in_flight_permits: places, now, .. } = &*self.inner;
        let place = places.clone().try_acquire_owned().map_err(|_| Error::TooManyInFlight)?;
        let turn = turns.lock(scope).await;
        let new = IdempotencyRecord { at: now(), fingerprint: print, intent, response: None };
        let (row, is_old) = loop {
            match decide_key(book.begin(scope, &new)?, &print, new.at) {
                KeyDecision::Mismatch => return Err(Error::KeyReused),
                KeyDecision::Replay(given) => return Ok(KeyLookup::Completed(given)),
                KeyDecision::Resume(row) => break (row, true),
                KeyDecision::Begin => break (new, false),
                KeyDecision::Expired(at) => book.remove(at, scope)?,
            }
        };
        let (answers, is_withdrawn) = (self.clone(), false);
        Ok(KeyLookup::InFlight(InFlightRecord {
            records: answers,
            scope,
            record: row,
            is_resumed: is_old,
            is_cancelled: is_withdrawn,
            _turn: turn,
            _place: place,
        }))
    }

    /// Forgets what is over, until `stop`.
    pub async fn expire_periodically(self, stop: CancellationToken) {
        // The first round finds out how much there is.
        let answers = self.clone();
        let counted = tokio::task::spawn_blocking(move || answers.inner.store.count_existing()).await;
        if let Ok(Err(error)) = counted {
            tracing::error!(%error, "the answers that are kept could not be counted");
        }
        while stop.run_until_cancelled(sleep(IDEMPOTENCY_EXPIRY_INTERVAL)).await.is_some() {
            while !stop.is_cancelled() && self.expire_some().await {}
        }
    }

    /// Forgets some of what is over; says whether there may be more.
    async fn expire_some(&self) -> bool {
        let answers = self.clone();
        let forgotten =
            tokio::task::spawn_blocking(move || answers.inner.store.remove_expired((answers.inner.now)())).await;
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

impl InFlightRecord {
    /// Under which request id it was begun, and how long the journal was then.
    pub fn intent(&self) -> RequestIntent {
        self.record.intent
    }

    /// Keeps its answer. Durable when it returns.
    pub async fn complete(mut self, given: StoredResponse) -> Result<(), Error> {
        self.record.response = Some(given);
        let IdempotencyInner { store: book, journal, .. } = &*self.records.inner;
        book.put_response(self.scope, &self.record)?;
        Ok(journal.sync().await?)
    }

    /// Forgets it: nothing was done for it, and its key may be used for anything.
    pub fn cancel(mut self) -> Result<(), Error> {
        self.records.inner.store.remove(self.record.at, self.scope)?;
        self.is_cancelled = true;
        Ok(())
    }
}

impl Drop for InFlightRecord {
    fn drop(&mut self) {
        // One that is old is in the line already.
        if !self.is_resumed && !self.is_cancelled {
            self.records.inner.store.queue_for_expiry(self.record.at, self.scope);
        }
    }
}
