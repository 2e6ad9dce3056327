//! Idempotency: a caller that repeats a request with the same `Idempotency-Key` gets the stored response.
//!
//! | file | contents |
//! |---|---|
//! | `repeat_decision` | whether a request repeats an earlier one, and what to do with it. Pure |
//! | `idempotency_record` | the record of a request and its response, and its encoding. Pure |
//! | `idempotency_store` | the records in the store; in memory, a queue by age for each API key |
//! | `key_locks` | runs requests with the same `Idempotency-Key` one after the other |
//! | `fuzz` | fuzz target of the encoding; only tests compile it |
//!
//! A request with an `Idempotency-Key` is recorded before it is executed: its fingerprint, its request id and the
//! journal's last position. The store writes in order: if an event of the request is durable, its record is durable too.
//! The response is added to the record, and is durable before the caller gets it. So if the record has no response after a
//! crash, the caller got no final response. The events of the request are found by its request id.
//!
//! An `Idempotency-Key` is the text that the caller sends. Its scope, [`KeyScope`], adds the caller and the endpoint. A
//! table key is the key of an entry in the store. The vault's request key makes the fingerprints.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod idempotency_record;
mod idempotency_store;
mod key_locks;
mod repeat_decision;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

pub use idempotency_record::{KeyScope, RequestStart, StoredResponse};

use crate::clock::Clock;
use crate::journal::{self, Journal};
use crate::limits::{IDEMPOTENCY_EXPIRY_INTERVAL, IDEMPOTENT_REQUESTS_IN_FLIGHT};
use crate::store::{self, Store};
use crate::vault::RequestFingerprint;
use idempotency_record::IdempotencyRecord;
use idempotency_store::IdempotencyStore;
use key_locks::{KeyLock, KeyLocks};
use repeat_decision::{KeyDecision, decide_key};

/// The idempotency records. Cheap to clone.
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

/// What to do with a request that has an `Idempotency-Key`.
pub enum IdempotencyLookup {
    /// Repeat the stored response.
    Completed(StoredResponse),
    /// Execute the request: it is new, or it was begun before but has no response.
    InFlight(InFlightRecord),
}

/// The record of a request in flight. Other requests of the same scope wait until this is dropped.
pub struct InFlightRecord {
    records: IdempotencyRecords,
    scope: KeyScope,
    record: IdempotencyRecord,
    /// Whether the request was begun before, with an unknown result.
    pub is_resumed: bool,
    is_cancelled: bool,
    _lock: KeyLock,
    _permit: OwnedSemaphorePermit,
}

/// Why a request with an `Idempotency-Key` is rejected.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `Idempotency-Key` was used for another request.
    #[error(
        "this Idempotency-Key was used for a request with another body or query; repeat that request unchanged, or use \
         another key"
    )]
    KeyReused,
    /// Too many requests with an `Idempotency-Key` are in flight.
    #[error(
        "{IDEMPOTENT_REQUESTS_IN_FLIGHT} requests with an Idempotency-Key are in progress, which is the limit; retry \
         shortly"
    )]
    TooManyInFlight,
    /// The API key's capacity for stored responses is used up.
    #[error(
        "this API key has reached the limit of stored responses; try again later, or send the request without \
         Idempotency-Key"
    )]
    NoCapacity {
        /// Seconds until there may be capacity.
        seconds: u64,
    },
    /// The stored record has an unknown format.
    #[error("the record of this Idempotency-Key was written by a newer program; use that program, or a newer one")]
    Unreadable,
    /// The store failed for good.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The journal failed for good before the response was durable.
    #[error(transparent)]
    Journal(#[from] journal::Error),
}

impl IdempotencyRecords {
    /// Opens the records in `store`. The commits of `journal` make them durable.
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

    /// Looks up a request by its scope and fingerprint, and records it with `intent` if it is new. Waits while another
    /// request of the same scope is in flight.
    pub async fn begin(
        &self,
        scope: KeyScope,
        fingerprint: RequestFingerprint,
        intent: RequestStart,
    ) -> Result<IdempotencyLookup, Error> {
        let IdempotencyInner { store, key_locks, in_flight_permits, now, .. } = &*self.inner;
        let permit = in_flight_permits.clone().try_acquire_owned().map_err(|_| Error::TooManyInFlight)?;
        let lock = key_locks.lock(scope).await;
        let new = IdempotencyRecord { at: now(), fingerprint, intent, response: None };
        let (record, is_resumed) = loop {
            match decide_key(store.begin(scope, &new)?, &fingerprint, new.at) {
                KeyDecision::Mismatch => return Err(Error::KeyReused),
                KeyDecision::Replay(response) => return Ok(IdempotencyLookup::Completed(response)),
                KeyDecision::Resume(record) => break (record, true),
                KeyDecision::Begin => break (new, false),
                KeyDecision::Expired(at) => store.remove(at, scope)?,
            }
        };
        Ok(IdempotencyLookup::InFlight(InFlightRecord {
            records: self.clone(),
            scope,
            record,
            is_resumed,
            is_cancelled: false,
            _lock: lock,
            _permit: permit,
        }))
    }

    /// Periodically removes expired records, until `stop`.
    pub async fn expire_periodically(self, stop: CancellationToken) {
        // Until the existing records are counted, they take no capacity and are not removed.
        let records = self.clone();
        let outcome = tokio::task::spawn_blocking(move || records.inner.store.count_existing()).await;
        if let Ok(Err(error)) = outcome {
            tracing::error!(%error, "the stored responses could not be counted");
        }
        while stop.run_until_cancelled(sleep(IDEMPOTENCY_EXPIRY_INTERVAL)).await.is_some() {
            while !stop.is_cancelled() && self.expire_some().await {}
        }
    }

    /// Removes a batch of expired records. Returns whether there may be more.
    async fn expire_some(&self) -> bool {
        let records = self.clone();
        let outcome =
            tokio::task::spawn_blocking(move || records.inner.store.remove_expired((records.inner.now)())).await;
        match outcome {
            Ok(Ok(has_more)) => has_more,
            Ok(Err(error)) => {
                tracing::error!(%error, "expired responses could not be deleted");
                false
            }
            Err(_) => false,
        }
    }
}

impl InFlightRecord {
    /// The request id, and the journal position when the request was begun.
    pub fn intent(&self) -> RequestStart {
        self.record.intent
    }

    /// Stores the response. It is durable when this returns.
    pub async fn complete(mut self, response: StoredResponse) -> Result<(), Error> {
        self.record.response = Some(response);
        let IdempotencyInner { store, journal, .. } = &*self.records.inner;
        store.put_response(self.scope, &self.record)?;
        Ok(journal.sync().await?)
    }

    /// Removes the record, because nothing was executed. The `Idempotency-Key` is then free for another request.
    pub fn cancel(mut self) -> Result<(), Error> {
        self.records.inner.store.remove(self.record.at, self.scope)?;
        self.is_cancelled = true;
        Ok(())
    }
}

impl Drop for InFlightRecord {
    fn drop(&mut self) {
        // A resumed record is in the queue already, or `count_existing` will add it.
        if !self.is_resumed && !self.is_cancelled {
            self.records.inner.store.queue_for_expiry(self.record.at, self.scope);
        }
    }
}
