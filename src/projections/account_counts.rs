//! The number of accounts for each status and online status.

use crate::domain::{OnlineStatus, Status};
use crate::metrics::AccountState;

/// The number of accounts for each pair of status and online status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccountCounts {
    /// Indexed by the codes of status and online status, minus 1.
    by_state: [[u64; 4]; 2],
}

impl AccountCounts {
    /// Counts one more account.
    pub(super) fn add(&mut self, status: Status, online_status: OnlineStatus) {
        *self.count_mut(status, online_status) += 1;
    }

    /// Counts one account less.
    pub(super) fn remove(&mut self, status: Status, online_status: OnlineStatus) {
        *self.count_mut(status, online_status) -= 1;
    }

    /// These counts minus `others`, which count some of the same accounts.
    pub(super) fn minus(mut self, others: AccountCounts) -> AccountCounts {
        let pairs = self.by_state.iter_mut().flatten().zip(others.by_state.iter().flatten());
        pairs.for_each(|(all, other)| *all = all.saturating_sub(*other));
        self
    }

    fn count_mut(&mut self, status: Status, online_status: OnlineStatus) -> &mut u64 {
        &mut self.by_state[usize::from(status.code() - 1)][usize::from(online_status.code() - 1)]
    }

    /// All pairs of status and online status, with their numbers of accounts.
    pub fn by_state(&self) -> impl Iterator<Item = (Status, OnlineStatus, u64)> {
        let of_status = (1..).map_while(Status::from_code).zip(self.by_state);
        of_status.flat_map(|(status, counts)| {
            let counts = (1..).map_while(OnlineStatus::from_code).zip(counts);
            counts.map(move |(online_status, accounts)| (status, online_status, accounts))
        })
    }

    /// The number of accounts in a combined state.
    pub fn of_state(&self, state: AccountState) -> u64 {
        let counted =
            self.by_state().filter(|(status, online_status, _)| combined_state(*status, *online_status) == state);
        counted.map(|(_, _, accounts)| accounts).sum()
    }

    /// The number of accounts.
    pub fn total(&self) -> u64 {
        self.by_state().map(|(_, _, accounts)| accounts).sum()
    }

    /// The number of online accounts.
    pub fn online(&self) -> u64 {
        let online = self.by_state().filter(|(_, online_status, _)| *online_status == OnlineStatus::Online);
        online.map(|(_, _, accounts)| accounts).sum()
    }

    /// The number of banned accounts.
    pub fn banned(&self) -> u64 {
        let banned = self.by_state().filter(|(status, _, _)| *status == Status::Banned);
        banned.map(|(_, _, accounts)| accounts).sum()
    }
}

/// The state in the metrics: banned, or the online status of an account that is not banned.
fn combined_state(status: Status, online_status: OnlineStatus) -> AccountState {
    match (status, online_status) {
        (Status::Banned, _) => AccountState::Banned,
        (Status::Normal, OnlineStatus::OnlineComing) => AccountState::OnlineComing,
        (Status::Normal, OnlineStatus::Online) => AccountState::Online,
        (Status::Normal, OnlineStatus::OfflineComing) => AccountState::OfflineComing,
        (Status::Normal, OnlineStatus::Offline) => AccountState::Offline,
    }
}
