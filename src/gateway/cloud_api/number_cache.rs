//! The id of each number at Meta, and its status when it was last read.
//!
//! The journal does not record ids. The list returns ids and statuses, 100 numbers per call. So it is requested if an id
//! is unknown, or if many accounts look up their numbers at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep_until};

use super::call_error::GraphCallError;
use super::graph_client::GraphClient;
use super::graph_response::PhoneNumber;
use super::meta_codes::GraphErrorClass;
use super::throttle::WorkDeadline;
use crate::domain::AccountNumber;
use crate::limits::GRAPH_LIST_THRESHOLD;

/// The cache of all numbers.
#[derive(Default)]
pub(super) struct NumberCache {
    cached: Mutex<CachedNumbers>,
    /// Held while the list is requested, so that all tasks that need it share one request.
    listing: tokio::sync::Mutex<()>,
    lookups: AtomicUsize,
}

#[derive(Default)]
struct CachedNumbers {
    numbers: HashMap<AccountNumber, PhoneNumber>,
    /// When the last complete list was requested.
    listed_at: Option<Instant>,
}

/// Counts a lookup while it is under way.
struct LookupGuard<'n>(&'n AtomicUsize);

impl NumberCache {
    /// Looks up the number of an account at Meta. The data is never older than this call. `None` if the number is not in
    /// the list.
    pub(super) async fn lookup(
        &self,
        graph: &GraphClient,
        work: &WorkDeadline,
        account: AccountNumber,
    ) -> Result<Option<PhoneNumber>, GraphCallError> {
        let started = Instant::now();
        let lookup = LookupGuard::begin(&self.lookups);
        if let (Some(id), true) = (self.id(account), lookup.is_few()) {
            match graph.get_number(work, &id).await {
                Ok(number) if number.account == Some(account) => {
                    self.lock().numbers.insert(account, number.clone());
                    return Ok(Some(number));
                }
                // The id now belongs to another number.
                Ok(_) => self.forget(account),
                Err(failure) if failure.error_class() == Some(GraphErrorClass::NotFound) => self.forget(account),
                Err(failure) => return Err(failure),
            }
        }
        let _listing = self.lock_listing(graph, work).await?;
        let is_new = self.lock().listed_at.is_some_and(|listed| listed >= started);
        if !is_new {
            self.refresh(graph, work).await?;
        }
        Ok(self.lock().numbers.get(&account).cloned())
    }

    /// Lists all numbers at Meta. The data is never older than this call.
    pub(super) async fn list(
        &self,
        graph: &GraphClient,
        work: &WorkDeadline,
    ) -> Result<Vec<PhoneNumber>, GraphCallError> {
        let started = Instant::now();
        let _listing = self.lock_listing(graph, work).await?;
        let is_new = self.lock().listed_at.is_some_and(|listed| listed >= started);
        if !is_new {
            self.refresh(graph, work).await?;
        }
        Ok(self.lock().numbers.values().cloned().collect())
    }

    /// Waits for the lock on the list request, until the work's deadline or cancellation.
    async fn lock_listing(
        &self,
        graph: &GraphClient,
        work: &WorkDeadline,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, GraphCallError> {
        tokio::select! {
            guard = self.listing.lock() => Ok(guard),
            () = work.cancel.cancelled() => Err(GraphCallError::Cancelled),
            () = sleep_until(work.deadline) => Err(graph.not_sent_error("the list of numbers did not arrive in time")),
        }
    }

    /// Inserts a number that was just added at Meta.
    pub(super) fn insert(&self, account: AccountNumber, number: PhoneNumber) {
        self.lock().numbers.insert(account, number);
    }

    async fn refresh(&self, graph: &GraphClient, work: &WorkDeadline) -> Result<(), GraphCallError> {
        let listed = Some(Instant::now());
        let numbers = graph.list(work).await?;
        let by_account = |number: PhoneNumber| Some((number.account?, number));
        let numbers = numbers.into_iter().filter_map(by_account).collect();
        *self.lock() = CachedNumbers { numbers, listed_at: listed };
        Ok(())
    }

    fn id(&self, account: AccountNumber) -> Option<String> {
        self.lock().numbers.get(&account).map(|number| number.id.clone())
    }

    fn forget(&self, account: AccountNumber) {
        self.lock().numbers.remove(&account);
    }

    // Each change is one step, so a panic elsewhere leaves the cache consistent.
    fn lock(&self) -> MutexGuard<'_, CachedNumbers> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LookupGuard<'_> {
    fn begin(count: &AtomicUsize) -> LookupGuard<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        LookupGuard(count)
    }

    fn is_few(&self) -> bool {
        self.0.load(Ordering::Relaxed) < GRAPH_LIST_THRESHOLD
    }
}

impl Drop for LookupGuard<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
