//! Which number has which id at Meta, and how each stands, as it was seen last.
//!
//! Ids are not on record: the list tells them, and tells how 100 numbers stand in one call. So it is asked for where an id
//! is not known, and where many accounts wait for a look at their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep_until};

use super::answer::Number;
use super::brake::Wish;
use super::failure::Failure;
use super::graph::Graph;
use super::table::Verdict;
use crate::domain::AccountNumber;
use crate::limits::GRAPH_LOOKS_BY_LIST;

/// The numbers of the account.
#[derive(Default)]
pub(super) struct Numbers {
    known: Mutex<Known>,
    /// Held while the list is asked for, so that all who need it wait for one.
    listing: tokio::sync::Mutex<()>,
    looking: AtomicUsize,
}

#[derive(Default)]
struct Known {
    numbers: HashMap<AccountNumber, Number>,
    /// When the list was asked for that they are from.
    listed: Option<Instant>,
}

/// One who is looking, for as long as that takes.
struct Looking<'n>(&'n AtomicUsize);

impl Numbers {
    /// How the number of an account stands, seen after this was called; none if it is not in the list.
    pub(super) async fn look(
        &self,
        graph: &Graph,
        wish: &Wish,
        account: AccountNumber,
    ) -> Result<Option<Number>, Failure> {
        let begun = Instant::now();
        let looking = Looking::begin(&self.looking);
        if let (Some(id), true) = (self.id(account), looking.are_few()) {
            match graph.look(wish, &id).await {
                Ok(number) if number.account == Some(account) => {
                    self.lock().numbers.insert(account, number.clone());
                    return Ok(Some(number));
                }
                // The id is another's by now, or nobody's.
                Ok(_) => self.forget(account),
                Err(failure) if failure.verdict() == Some(Verdict::NotThere) => self.forget(account),
                Err(failure) => return Err(failure),
            }
        }
        let _listing = self.turn(graph, wish).await?;
        let is_new = self.lock().listed.is_some_and(|listed| listed >= begun);
        if !is_new {
            self.list_now(graph, wish).await?;
        }
        Ok(self.lock().numbers.get(&account).cloned())
    }

    /// All numbers, seen after this was called.
    pub(super) async fn list(&self, graph: &Graph, wish: &Wish) -> Result<Vec<Number>, Failure> {
        let begun = Instant::now();
        let _listing = self.turn(graph, wish).await?;
        let is_new = self.lock().listed.is_some_and(|listed| listed >= begun);
        if !is_new {
            self.list_now(graph, wish).await?;
        }
        Ok(self.lock().numbers.values().cloned().collect())
    }

    /// The turn to ask for the list, or to find that another has just done so; not for longer than it is waited for.
    async fn turn(&self, graph: &Graph, wish: &Wish) -> Result<tokio::sync::MutexGuard<'_, ()>, Failure> {
        tokio::select! {
            turn = self.listing.lock() => Ok(turn),
            () = wish.is_over.cancelled() => Err(Failure::Over),
            () = sleep_until(wish.until) => Err(graph.held_up("the list of numbers did not come in time")),
        }
    }

    /// A number that was just added.
    pub(super) fn added(&self, account: AccountNumber, number: Number) {
        self.lock().numbers.insert(account, number);
    }

    async fn list_now(&self, graph: &Graph, wish: &Wish) -> Result<(), Failure> {
        let listed = Some(Instant::now());
        let numbers = graph.list(wish).await?;
        let by_account = |number: Number| Some((number.account?, number));
        let numbers = numbers.into_iter().filter_map(by_account).collect();
        *self.lock() = Known { numbers, listed };
        Ok(())
    }

    fn id(&self, account: AccountNumber) -> Option<String> {
        self.lock().numbers.get(&account).map(|number| number.id.clone())
    }

    fn forget(&self, account: AccountNumber) {
        self.lock().numbers.remove(&account);
    }

    // What it holds is replaced whole, so a panic elsewhere leaves it whole.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Looking<'_> {
    fn begin(count: &AtomicUsize) -> Looking<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Looking(count)
    }

    fn are_few(&self) -> bool {
        self.0.load(Ordering::Relaxed) < GRAPH_LOOKS_BY_LIST
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
