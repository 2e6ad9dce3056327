//! Looks up numbers at Meta: by kept id, or in the list of all numbers.
//!
//! The list returns ids and statuses, 100 numbers per call. So it is requested if the id of a number is unknown or outdated, or if
//! many accounts look up their numbers at once.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::{Instant, sleep_until};

use super::call_error::GraphCallError;
use super::graph_client::GraphClient;
use super::graph_response::PhoneNumber;
use super::kept_number_ids::KeptNumberIds;
use super::meta_codes::{GraphErrorClass, NumberStatus};
use super::number_matching::{MatchedNumber, MatchedNumbers, NumberConflict, match_numbers};
use super::throttle::WorkDeadline;
use crate::domain::{AccountNumber, GatewayKind};
use crate::limits::GRAPH_LIST_THRESHOLD;
use crate::projections::Roster;

/// Looks up numbers, and remembers the last list.
pub(super) struct NumberCache {
    ids: KeptNumberIds,
    roster: Roster,
    last_list: Mutex<LastList>,
    /// Held while the list is requested, so that all tasks that need it share one request.
    listing: tokio::sync::Mutex<()>,
    lookups: AtomicUsize,
}

/// The last complete list of numbers.
#[derive(Default)]
struct LastList {
    numbers: Vec<PhoneNumber>,
    /// The indices of the numbers that Meta shows in a form of a number, by its canonical form.
    by_form: HashMap<AccountNumber, Vec<usize>>,
    by_id: HashMap<String, usize>,
    /// When it was requested.
    listed_at: Option<Instant>,
}

/// Why the number of an account is not found.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum LookupError {
    /// A call failed.
    #[error(transparent)]
    Call(#[from] GraphCallError),
    /// The number fits two accounts, or the account two numbers.
    #[error(transparent)]
    Conflict(#[from] NumberConflict),
}

/// Counts a lookup while it is under way.
struct LookupGuard<'n>(&'n AtomicUsize);

impl NumberCache {
    pub(super) fn new(ids: KeptNumberIds, roster: Roster) -> NumberCache {
        let (last_list, listing, lookups) = (Mutex::default(), tokio::sync::Mutex::default(), AtomicUsize::new(0));
        NumberCache { ids, roster, last_list, listing, lookups }
    }

    /// Looks up the number of an account at Meta. The data is never older than this call. `None` if the number is not in
    /// the list.
    pub(super) async fn lookup(
        &self,
        graph: &GraphClient,
        work: &WorkDeadline,
        account: AccountNumber,
    ) -> Result<Option<PhoneNumber>, LookupError> {
        let started = Instant::now();
        let lookup = LookupGuard::begin(&self.lookups);
        let in_last_list = || self.find_in_list(account).and_then(Result::ok).map(|number| number.id);
        let id = if lookup.is_few() { self.ids.id(account).or_else(in_last_list) } else { None };
        if let Some(id) = id {
            match graph.get_number(work, &id).await {
                Ok(number) if self.is_number_of(&number, account) => {
                    self.ids.keep(account, &number.id);
                    return Ok(Some(number));
                }
                // The list may have the number with another id.
                Ok(_) => {}
                Err(failure) if failure.error_class() == Some(GraphErrorClass::NotFound) => self.ids.forget(account),
                Err(failure) => return Err(failure.into()),
            }
        }
        self.refresh(graph, work, started).await?;
        let number = self.find_in_list(account).transpose()?;
        if let Some(number) = &number {
            self.ids.keep(account, &number.id);
        }
        Ok(number)
    }

    /// Lists all numbers at Meta, by account. The data is never older than this call.
    pub(super) async fn list(
        &self,
        graph: &GraphClient,
        work: &WorkDeadline,
    ) -> Result<MatchedNumbers, GraphCallError> {
        self.refresh(graph, work, Instant::now()).await?;
        let numbers = self.lock().numbers.clone();
        let accounts = self.roster.accounts_of_gateway(GatewayKind::CloudApi);
        let accounts: Vec<AccountNumber> = accounts.iter().map(|served| served.account).collect();
        Ok(match_numbers(numbers, &accounts, |id| self.ids.owner(id)))
    }

    /// Keeps the id of a number that was added at Meta.
    pub(super) fn keep_id(&self, account: AccountNumber, id: &str) {
        self.ids.keep(account, id);
    }

    /// Whether Meta shows the number of an account as one of `shown`: in any form, or as in the last list.
    pub(super) fn shown_as(&self, shown: &HashSet<AccountNumber>) -> impl Fn(AccountNumber) -> bool + use<> {
        let forms: HashSet<AccountNumber> = shown.iter().map(|number| number.canonical_form()).collect();
        let owner = |number: &PhoneNumber| {
            number
                .shown
                .filter(|shown| forms.contains(&shown.canonical_form()))
                .and_then(|_| self.ids.owner(&number.id))
        };
        let owners: HashSet<AccountNumber> = self.lock().numbers.iter().filter_map(owner).collect();
        move |account| forms.contains(&account.canonical_form()) || owners.contains(&account)
    }

    /// Whether a number that has the account's kept id is still the account's: it was not deleted or moved, and is not the number of
    /// another account.
    fn is_number_of(&self, number: &PhoneNumber, account: AccountNumber) -> bool {
        let is_of_another = |shown: AccountNumber| {
            let forms = [Some(shown), shown.other_form()].into_iter().flatten();
            !shown.is_same_number(account) && forms.into_iter().any(|form| self.is_served(form))
        };
        number.status_meaning().status != NumberStatus::Gone && !number.shown.is_some_and(is_of_another)
    }

    /// The number of an account in the last list.
    fn find_in_list(&self, account: AccountNumber) -> Option<MatchedNumber> {
        let other = account.other_form().filter(|other| self.is_served(*other));
        let mut accounts: Vec<AccountNumber> = [Some(account), other].into_iter().flatten().collect();
        let ids: Vec<String> = accounts.iter().filter_map(|account| self.ids.id(*account)).collect();
        let numbers = self.lock().candidates(account, &ids);
        // A number may be kept for an account that Meta shows in a form of this one.
        let owners = numbers.iter().filter_map(|number| self.ids.owner(&number.id));
        accounts.extend(owners.filter(|owner| self.is_served(*owner)));
        accounts.sort_unstable();
        accounts.dedup();
        match_numbers(numbers, &accounts, |id| self.ids.owner(id)).by_account.remove(&account)
    }

    /// Whether the Cloud API serves this account.
    fn is_served(&self, account: AccountNumber) -> bool {
        self.roster.gateway_of(account) == Some(GatewayKind::CloudApi)
    }

    /// Requests the list, unless the last one was requested after `since`.
    async fn refresh(&self, graph: &GraphClient, work: &WorkDeadline, since: Instant) -> Result<(), GraphCallError> {
        let _listing = self.lock_listing(graph, work).await?;
        if self.lock().listed_at.is_none_or(|listed| listed < since) {
            let listed_at = Instant::now();
            let numbers = graph.list(work).await?;
            *self.lock() = LastList::new(numbers, listed_at);
        }
        Ok(())
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

    // Each change is one step, so a panic elsewhere leaves the list consistent.
    fn lock(&self) -> MutexGuard<'_, LastList> {
        self.last_list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LastList {
    fn new(numbers: Vec<PhoneNumber>, listed_at: Instant) -> LastList {
        let mut by_form: HashMap<AccountNumber, Vec<usize>> = HashMap::new();
        for (index, number) in numbers.iter().enumerate() {
            if let Some(shown) = number.shown {
                by_form.entry(shown.canonical_form()).or_default().push(index);
            }
        }
        let by_id = numbers.iter().enumerate().map(|(index, number)| (number.id.clone(), index)).collect();
        LastList { numbers, by_form, by_id, listed_at: Some(listed_at) }
    }

    /// The numbers that are forms of this account's number, or have one of these ids.
    fn candidates(&self, account: AccountNumber, ids: &[String]) -> Vec<PhoneNumber> {
        let by_form = self.by_form.get(&account.canonical_form()).into_iter().flatten();
        let mut indices: Vec<usize> = by_form.chain(ids.iter().filter_map(|id| self.by_id.get(id))).copied().collect();
        indices.sort_unstable();
        indices.dedup();
        indices.into_iter().filter_map(|index| self.numbers.get(index).cloned()).collect()
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
