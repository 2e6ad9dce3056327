//! The state of the roster: the fold of all events up to a position.

use std::collections::{BTreeSet, HashMap};

use super::account_counts::AccountCounts;
use super::roster_rows::{RosterRow, RosterRows};
use crate::domain::{AccountNumber, Event, GatewayKind, Labels, OnlineStatus, Status};
use crate::journal::JournalRecord;

/// The fold of all events up to `progress`.
#[derive(Default)]
pub(super) struct RosterState {
    pub(super) rows: RosterRows,
    pub(super) progress: RosterProgress,
    /// Accounts with a registration in progress.
    pub(super) registering: BTreeSet<AccountNumber>,
    /// Accounts that are offline although their callers want them online, and may be reconnected.
    pub(super) dropped: BTreeSet<AccountNumber>,
    /// Accounts at another gateway than [`GatewayKind::UNASSIGNED`].
    pub(super) gateways: HashMap<AccountNumber, GatewayAssignment>,
    /// The counts of the accounts in `gateways` by status, indexed by the gateway's code.
    pub(super) gateway_counts: [AccountCounts; GatewayKind::ALL.len()],
    /// The labels of accounts that have some, or once had.
    pub(super) labels: HashMap<AccountNumber, LabelHistory>,
}

/// The gateway of an account, and the version of its last event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GatewayAssignment {
    pub(super) gateway: GatewayKind,
    pub(super) version: u64,
}

/// The labels of an account, and when they changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct LabelHistory {
    pub(super) labels: Labels,
    /// The version of the account after its first change of labels.
    pub(super) first_version: u64,
    /// The version of the account after the change that made `labels`.
    pub(super) version: u64,
}

/// How far the roster has followed the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct RosterProgress {
    /// The position of the last event applied; 0 for none.
    pub(super) position: u64,
    /// The position and time of the last event that changed a row. The time matters for a store that was restored from
    /// an earlier backup: other events then have the same positions, but not the same microsecond.
    pub(super) changed: (u64, i64),
    /// The largest task id seen; 0 for none.
    pub(super) last_task: u32,
}

impl RosterState {
    /// Applies one event; an event already applied changes nothing.
    pub(super) fn apply(&mut self, record: &JournalRecord) {
        if record.position <= self.progress.position {
            return;
        }
        debug_assert_eq!(record.position, self.progress.position + 1, "the roster must catch up before it follows");
        self.progress.position = record.position;
        let Some((account, event)) = record.account_event() else { return };
        let before = self.counted_row(account);
        self.apply_gateway(account, event, record.version);
        self.apply_drop(account, event);
        if self.apply_row(account, event) {
            self.progress.changed = (record.position, record.at.0);
        }
        self.update_counts(before, self.counted_row(account));
        match event.awaits_code() {
            Some(true) => {
                self.registering.insert(account);
            }
            Some(false) => {
                self.registering.remove(&account);
            }
            None => {}
        }
        if let Event::RegistrationRequested { task, .. } = event {
            self.progress.last_task = self.progress.last_task.max(task.get());
        }
        if let Event::LabelsChanged { labels, .. } = event {
            let first_version = self.labels.get(&account).map_or(record.version, |known| known.first_version);
            let changed = LabelHistory { labels: labels.clone(), first_version, version: record.version };
            self.labels.insert(account, changed);
        }
    }

    /// The accounts whose rows or labels differ.
    pub(super) fn differences(&self, other: &RosterState) -> Vec<AccountNumber> {
        let mut differing = self.rows.differences(&other.rows);
        let found: BTreeSet<AccountNumber> = differing.iter().copied().collect();
        let labelled: BTreeSet<&AccountNumber> = self.labels.keys().chain(other.labels.keys()).collect();
        let is_missing = |account: &&AccountNumber| {
            !found.contains(account) && self.labels.get(account) != other.labels.get(account)
        };
        differing.extend(labelled.into_iter().filter(is_missing));
        differing
    }

    /// Counts the accounts in `gateways` from scratch.
    pub(super) fn recount(&mut self) {
        self.gateway_counts = Default::default();
        let counted: Vec<_> = self.gateways.keys().map(|account| self.counted_row(*account)).collect();
        counted.into_iter().for_each(|after| self.update_counts(None, after));
    }

    /// The gateway and row to count for an account; `None` if it is not in `gateways`.
    fn counted_row(&self, account: AccountNumber) -> Option<(GatewayKind, RosterRow)> {
        let assignment = self.gateways.get(&account)?;
        Some((assignment.gateway, self.rows.get(account)?))
    }

    fn update_counts(&mut self, before: Option<(GatewayKind, RosterRow)>, after: Option<(GatewayKind, RosterRow)>) {
        if before == after {
            return;
        }
        if let Some((gateway, row)) = before {
            self.gateway_counts[usize::from(gateway.code())].remove(row.status, row.online_status);
        }
        if let Some((gateway, row)) = after {
            self.gateway_counts[usize::from(gateway.code())].add(row.status, row.online_status);
        }
    }

    fn apply_gateway(&mut self, account: AccountNumber, event: &Event, version: u64) {
        if let Event::GatewayAssigned { gateway } = event {
            if *gateway == GatewayKind::UNASSIGNED {
                self.gateways.remove(&account);
            } else {
                self.gateways.insert(account, GatewayAssignment { gateway: *gateway, version });
            }
        } else if let Some(assignment) = self.gateways.get_mut(&account) {
            assignment.version = version;
        }
    }

    /// Updates whether an account is dropped. Call it before the row changes, because a drop depends on the previous
    /// online status.
    fn apply_drop(&mut self, account: AccountNumber, event: &Event) {
        // An account without its secrets is not reconnected.
        if event.definition().resulting_status.is_none() && !matches!(event, Event::SecretsErased { .. }) {
            return;
        }
        if self.rows.get(account).is_some_and(|row| event.is_drop(row.online_status)) {
            self.dropped.insert(account);
        } else {
            self.dropped.remove(&account);
        }
    }

    /// Adds the row at an account's first event; later events change it if they change a status. Returns whether it
    /// changed.
    fn apply_row(&mut self, account: AccountNumber, event: &Event) -> bool {
        let (status, online_status) = match event.definition().resulting_status {
            Some(statuses) => statuses,
            None if self.rows.contains(account) => return false,
            None => (Status::Normal, OnlineStatus::Offline),
        };
        self.rows.upsert(RosterRow { account, status, online_status })
    }
}
