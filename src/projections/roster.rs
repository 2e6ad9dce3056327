//! The account list: follows the journal, answers `queryWhatsAppStatus`.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use super::account_counts::AccountCounts;
use super::account_list::AccountList;
use super::roster_checkpoint::RosterCheckpoint;
use super::roster_rows::{RosterRow, RowChunk};
use super::roster_state::{GatewayAssignment, RosterState};
use crate::domain::{AccountNumber, GatewayKind, Labels, OnlineStatus, Status};
use crate::journal::{self, Journal, JournalRecord};
use crate::limits::{READ_RECORDS, ROSTER_CHUNK_ROWS};
use crate::metrics::{AccountState, Metrics, Projection};
use crate::store::{self, Store, StoreId};

/// The account list, kept up to date and rendered. Cheap to clone.
#[derive(Clone)]
pub struct Roster {
    store: StoreId,
    state: Arc<RwLock<RosterState>>,
}

/// An account at a gateway, with its reported state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServedAccount {
    /// Its number.
    pub account: AccountNumber,
    /// Normal or banned.
    pub status: Status,
    /// Online, offline, or in transition.
    pub online_status: OnlineStatus,
    /// Whether it is offline although its callers want it online, and may be reconnected.
    pub may_reconnect: bool,
    /// The version of its last event.
    pub version: u64,
}

/// The checkpoint's name among the store's caches.
const CHECKPOINT: &str = "roster";

impl Roster {
    /// The roster last saved in `store`, or an empty one. [`Roster::catch_up`] brings it up to date.
    pub fn open(store: &Store) -> Roster {
        let saved = store.load_cache(CHECKPOINT).and_then(|bytes| RosterCheckpoint::decode(&bytes, store.id()));
        let roster = Roster::new_empty(store.id());
        *roster.write() = saved.unwrap_or_default();
        roster
    }

    /// Opens the journal of a store, and an up-to-date roster that follows it.
    pub fn open_with_journal(store: &Store) -> Result<(Roster, Journal), journal::Error> {
        let roster = Roster::open(store);
        let follower = roster.clone();
        let journal = Journal::open(store.clone(), Box::new(move |records| follower.apply(records)))?;
        roster.catch_up(&journal)?;
        Ok((roster, journal))
    }

    /// A roster without applied events.
    pub(super) fn new_empty(store: StoreId) -> Roster {
        Roster { store, state: Arc::default() }
    }

    /// An empty roster for the same store.
    pub fn empty(&self) -> Roster {
        Roster::new_empty(self.store)
    }

    /// Applies all journal records after its position. Call it at the start, before anything is appended.
    pub fn catch_up(&self, journal: &Journal) -> Result<(), journal::Error> {
        if self.position() > journal.head() {
            // The journal was restored from an earlier backup, and the checkpoint was not.
            *self.write() = RosterState::default();
        }
        loop {
            let records = journal.read_after(self.position(), READ_RECORDS)?;
            if records.is_empty() {
                return Ok(());
            }
            // A record of a newer program may have changed an account, so a list without it would be wrong.
            for record in records.iter().filter(|record| record.stream.account().is_some()) {
                journal::require_account_event(record)?;
            }
            self.apply(&records);
        }
    }

    /// Applies events in the order of their positions. Events already applied change nothing.
    pub fn apply(&self, records: &[JournalRecord]) {
        let mut state = self.write();
        records.iter().for_each(|record| state.apply(record));
    }

    /// The position of the last event applied; 0 for none.
    pub fn position(&self) -> u64 {
        self.read().progress.position
    }

    /// The current list. It includes the effect of every command that was answered before.
    pub fn list(&self) -> AccountList {
        let (chunks, changed) = {
            let state = self.read();
            (state.rows.chunks(), state.progress.changed)
        };
        AccountList::all(self.store, changed, chunks)
    }

    /// Whether an account has any event. True for every account that has accepted a command.
    pub fn contains(&self, account: AccountNumber) -> bool {
        self.read().rows.contains(account)
    }

    /// The list with one account only. It is empty if the account is unknown.
    pub fn list_one(&self, account: AccountNumber) -> AccountList {
        let row = self.read().rows.get(account);
        AccountList::one(self.store, row)
    }

    /// The list with the wanted accounts only. `name` distinguishes it from lists of other accounts.
    pub fn list_matching(&self, name: &str, is_wanted: impl Fn(AccountNumber) -> bool) -> AccountList {
        let (chunks, changed) = {
            let state = self.read();
            (state.rows.chunks(), state.progress.changed)
        };
        let rows = chunks.iter().flat_map(|chunk| chunk.rows()).filter(|row| is_wanted(row.account));
        AccountList::some(self.store, changed, name, rows.collect())
    }

    /// The accounts that are online or coming online, oldest first. With `include_dropped`, the dropped ones too.
    pub fn desired_online(&self, include_dropped: bool) -> Vec<AccountNumber> {
        let dropped = if include_dropped { self.read().dropped.clone() } else { BTreeSet::new() };
        self.accounts_where(|row| row.online_status.is_desired_online() || dropped.contains(&row.account))
    }

    /// The accounts that are online at this gateway, oldest first.
    pub fn online_at_gateway(&self, gateway: GatewayKind) -> Vec<AccountNumber> {
        let (chunks, assignments) = {
            let state = self.read();
            (state.rows.chunks(), state.gateways.clone())
        };
        let gateway_of =
            |account: &AccountNumber| assignments.get(account).map_or(GatewayKind::UNASSIGNED, |found| found.gateway);
        select_accounts(&chunks, |row| row.online_status == OnlineStatus::Online && gateway_of(&row.account) == gateway)
    }

    /// The gateway of an account; `None` for an account without events.
    pub fn gateway_of(&self, account: AccountNumber) -> Option<GatewayKind> {
        let state = self.read();
        let gateway = || state.gateways.get(&account).map_or(GatewayKind::UNASSIGNED, |found| found.gateway);
        state.rows.contains(account).then(gateway)
    }

    /// The accounts of a gateway, by number. The list is empty for [`GatewayKind::UNASSIGNED`].
    pub fn accounts_of_gateway(&self, gateway: GatewayKind) -> Vec<ServedAccount> {
        let mut accounts: Vec<AccountNumber> = {
            let state = self.read();
            state.gateways.iter().filter(|(_, found)| found.gateway == gateway).map(|(account, _)| *account).collect()
        };
        accounts.sort_unstable();
        // In parts, so that no commit waits until all rows are read.
        let served = accounts.chunks(ROSTER_CHUNK_ROWS).flat_map(|part| {
            let state = self.read();
            let find = |account: &AccountNumber| {
                state.account_at_gateway(*account).filter(|(by, _)| *by == gateway).map(|(_, served)| served)
            };
            part.iter().filter_map(find).collect::<Vec<_>>()
        });
        served.collect()
    }

    /// An account with its gateway. `None` if the gateway is [`GatewayKind::UNASSIGNED`], or the account is unknown.
    pub fn account_at_gateway(&self, account: AccountNumber) -> Option<(GatewayKind, ServedAccount)> {
        self.read().account_at_gateway(account)
    }

    /// The counts of a gateway's accounts by status.
    pub fn counts_of_gateway(&self, gateway: GatewayKind) -> AccountCounts {
        let state = self.read();
        let counts_of = |kind: GatewayKind| state.gateway_counts[usize::from(kind.code())];
        if gateway == GatewayKind::UNASSIGNED {
            let assigned = GatewayKind::ALL.into_iter().filter(|kind| *kind != gateway).map(counts_of);
            assigned.fold(state.rows.counts(), AccountCounts::minus)
        } else {
            counts_of(gateway)
        }
    }

    /// The accounts with pending effects, oldest first: in transition, with a registration in progress, or dropped.
    pub fn accounts_with_pending_effects(&self) -> Vec<AccountNumber> {
        let (chunks, registering, dropped) = {
            let state = self.read();
            (state.rows.chunks(), state.registering.clone(), state.dropped.clone())
        };
        let is_pending = |account: &AccountNumber| registering.contains(account) || dropped.contains(account);
        select_accounts(&chunks, |row| row.online_status.is_coming() || is_pending(&row.account))
    }

    /// At most `limit` wanted rows from index `from` on, and the index of the next wanted row, if there is one.
    pub fn select(
        &self,
        from: usize,
        limit: usize,
        is_wanted: impl Fn(AccountNumber, Status, OnlineStatus) -> bool,
    ) -> (Vec<(AccountNumber, Status, OnlineStatus)>, Option<usize>) {
        let chunks = self.read().rows.chunks();
        // Each chunk except the last is full.
        let (chunk, skipped) = (from / ROSTER_CHUNK_ROWS, from % ROSTER_CHUNK_ROWS);
        let rows = chunks.iter().skip(chunk).flat_map(|chunk| chunk.rows()).skip(skipped).zip(from..);
        let mut wanted = rows.filter(|(row, _)| is_wanted(row.account, row.status, row.online_status));
        let found: Vec<(RosterRow, usize)> = wanted.by_ref().take(limit).collect();
        let next = wanted.next().map(|(_, index)| index);
        (found.into_iter().map(|(row, _)| (row.account, row.status, row.online_status)).collect(), next)
    }

    /// The labels of an account. No labels for an unknown account.
    pub fn labels_of(&self, account: AccountNumber) -> Labels {
        self.read().labels.get(&account).map_or(Labels::NONE, |known| known.labels.clone())
    }

    /// The labels of an account after its event in `record`. `None` if only the account's history can tell: the labels
    /// changed again since, or this roster has not applied the event yet.
    pub fn labels_after(&self, account: AccountNumber, record: &JournalRecord) -> Option<Labels> {
        let state = self.read();
        if state.progress.position < record.position {
            return None;
        }
        match state.labels.get(&account) {
            Some(known) if known.version <= record.version => Some(known.labels.clone()),
            Some(known) if known.first_version <= record.version => None,
            Some(_) | None => Some(Labels::NONE),
        }
    }

    /// The counts of accounts by status.
    pub fn counts(&self) -> AccountCounts {
        self.read().rows.counts()
    }

    /// Updates the metrics: accounts by state, and the lag behind `head`, the last position of the journal.
    pub fn update_metrics(&self, metrics: &Metrics, head: u64) {
        let (counts, position) = {
            let state = self.read();
            (state.rows.counts(), state.progress.position)
        };
        for state in AccountState::ALL {
            metrics.accounts.with(*state).set(counts.of_state(*state));
            for gateway in GatewayKind::ALL {
                metrics.gateway_accounts.with((gateway, *state)).set(self.counts_of_gateway(gateway).of_state(*state));
            }
        }
        metrics.projection_lag.with(Projection::Roster).set(head.saturating_sub(position));
    }

    /// The number of registrations in progress, and the number of dropped accounts, which may be reconnected.
    pub fn pending_counts(&self) -> (usize, usize) {
        let state = self.read();
        (state.registering.len(), state.dropped.len())
    }

    /// Rebuilds a roster from all events while this one keeps serving, and compares the two. With `swap`, the new state
    /// replaces this one. `progress` gets the position of the last event applied. Returns the number of applied events, and
    /// the accounts that differ.
    pub fn rebuild(
        &self,
        journal: &Journal,
        swap: bool,
        mut progress: impl FnMut(u64),
    ) -> Result<(u64, Vec<AccountNumber>), journal::Error> {
        let fresh = Roster::new_empty(self.store);
        loop {
            let records = journal.read_after(fresh.position(), READ_RECORDS)?;
            if records.is_empty() {
                // Both are at the same position, unless a commit is being applied. Then this loop tries again.
                if let Some(differing) = self.swap_at_equal_position(&fresh, swap) {
                    return Ok((fresh.position(), differing));
                }
                thread::yield_now();
            }
            fresh.apply(&records);
            progress(fresh.position());
        }
    }

    /// Compares with `fresh`, and takes over its state if `swap` is set. Returns the accounts that differ. Does
    /// nothing and returns `None` if the two are at different positions.
    fn swap_at_equal_position(&self, fresh: &Roster, swap: bool) -> Option<Vec<AccountNumber>> {
        let mut state = self.write();
        let mut rebuilt = fresh.write();
        if state.progress.position != rebuilt.progress.position {
            return None;
        }
        let differing = state.differences(&rebuilt);
        let position = rebuilt.progress.position;
        if swap {
            // The list changed without an event, so it needs another entity tag.
            if !differing.is_empty() {
                rebuilt.progress.changed.0 = position;
            }
            *state = std::mem::take(&mut rebuilt);
            // `rebuild` returns this position.
            rebuilt.progress.position = position;
        }
        Some(differing)
    }

    /// The largest task id of any registration; 0 if there is none.
    pub fn last_task(&self) -> u32 {
        self.read().progress.last_task
    }

    /// Saves a checkpoint, so that the next start reads only later events. Blocks for a disk write; readers and commits
    /// do not wait.
    pub fn save_checkpoint(&self, store: &Store) -> Result<(), store::Error> {
        let checkpoint = RosterCheckpoint::of(&self.read());
        store.save_cache(CHECKPOINT, &checkpoint.encode(self.store))
    }

    fn accounts_where(&self, is_wanted: impl Fn(&RosterRow) -> bool) -> Vec<AccountNumber> {
        let chunks = self.read().rows.chunks();
        select_accounts(&chunks, is_wanted)
    }

    // Poisoning is ignored: after a panic all rows are still complete.
    fn read(&self) -> RwLockReadGuard<'_, RosterState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, RosterState> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RosterState {
    fn account_at_gateway(&self, account: AccountNumber) -> Option<(GatewayKind, ServedAccount)> {
        let GatewayAssignment { gateway, version } = *self.gateways.get(&account)?;
        let RosterRow { account, status, online_status } = self.rows.get(account)?;
        let may_reconnect = self.dropped.contains(&account);
        Some((gateway, ServedAccount { account, status, online_status, may_reconnect, version }))
    }
}

fn select_accounts(chunks: &[Arc<RowChunk>], is_wanted: impl Fn(&RosterRow) -> bool) -> Vec<AccountNumber> {
    let rows = chunks.iter().flat_map(|chunk| chunk.rows());
    rows.filter(is_wanted).map(|row| row.account).collect()
}
