//! Which number has which id at Meta, and how each stands, as it was seen last.
//!
//! Ids are not on record: the list tells them, and tells how 100 numbers stand in one call. So it is asked for where an id
//! is not known, and where many accounts wait for a look at their own.

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

/// The numbers of the account.
#[derive(Default)]
pub(super) struct NumberCache {
    cached: Mutex<CachedNumbers>,
    /// Held while the list is asked for, so that all who need it wait for one.
    listing: tokio::sync::Mutex<()>,
    lookups: AtomicUsize,
}

#[derive(Default)]
struct CachedNumbers {
    numbers: HashMap<AccountNumber, PhoneNumber>,
    /// When the list was asked for that they are from.
    listed_at: Option<Instant>,
}

/// One who is looking, for as long as that takes.
struct LookupGuard<'n>(&'n AtomicUsize);

impl NumberCache {
    /// How the number of an account stands, seen after this was called; none if it is not in the list.
    pub(super) async fn lookup(
        &self,
        graph: &GraphClient,
        wish: &WorkDeadline,
        account: AccountNumber,
    ) -> Result<Option<PhoneNumber>, GraphCallError> {
        let begun = Instant::now();
        let looking = LookupGuard::begin(&self.lookups);
        if let (Some(id), true) = (self.id(account), looking.is_few()) {
            match graph.get_number(wish, &id).await {
                Ok(number) if number.account == Some(account) => {
                    self.lock().numbers.insert(account, number.clone());
                    return Ok(Some(number));
                }
                // The id is another's by now, or nobody's.
                Ok(_) => self.forget(account),
                Err(failure) if failure.error_class() == Some(GraphErrorClass::NotFound) => self.forget(account),
                Err(failure) => return Err(failure),
            }
        }
        let _listing = self.lock_listing(graph, wish).await?;
        let is_new = self.lock().listed_at.is_some_and(|listed| listed >= begun);
        if !is_new {
            self.refresh(graph, wish).await?;
        }
        Ok(self.lock().numbers.get(&account).cloned())
    }

    /// All numbers, seen after this was called.
    pub(super) async fn list(
        &self,
        graph: &GraphClient,
        wish: &WorkDeadline,
    ) -> Result<Vec<PhoneNumber>, GraphCallError> {
        let begun = Instant::now();
        let _listing = self.lock_listing(graph, wish).await?;
        let is_new = self.lock().listed_at.is_some_and(|listed| listed >= begun);
        if !is_new {
            self.refresh(graph, wish).await?;
        }
        Ok(self.lock().numbers.values().cloned().collect())
    }

    /// The turn to ask for the list, or to find that another has just done so; not for longer than it is waited for.
    async fn lock_listing(
        &self,
        graph: &GraphClient,
        wish: &WorkDeadline,
    ) -> Result<tokio::sync::MutexGuard<'_, ()>, GraphCallError> {
        tokio::select! {
            turn = self.listing.lock() => Ok(turn),
            () = wish.cancel.cancelled() => Err(GraphCallError::Cancelled),
            () = sleep_until(wish.deadline) => Err(graph.held_up_error("the list of numbers did not come in time")),
        }
    }

    /// A number that was just added.
    pub(super) fn insert(&self, account: AccountNumber, number: PhoneNumber) {
        self.lock().numbers.insert(account, number);
    }

    async fn refresh(&self, graph: &GraphClient, wish: &WorkDeadline) -> Result<(), GraphCallError> {
        let listed = Some(Instant::now());
        let numbers = graph.list(wish).await?;
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

    // What it holds is replaced whole, so a panic elsewhere leaves it whole.
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
