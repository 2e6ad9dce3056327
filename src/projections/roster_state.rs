//! What the events up to a position lead to: the fold under the account list.

use std::collections::{BTreeSet, HashMap};

use super::account_counts::AccountCounts;
use super::roster_rows::{RosterRow, RosterRows};
use crate::domain::{AccountNumber, Event, GatewayKind, OnlineStatus, Status};
use crate::journal::JournalRecord;

/// What the events up to `progress` lead to.
#[derive(Default)]
pub(super) struct RosterState {
    pub(super) rows: RosterRows,
    pub(super) progress: RosterProgress,
    /// Accounts whose registration waits.
    pub(super) waiting: BTreeSet<AccountNumber>,
    /// Accounts that are offline against their callers' wish, and may come back.
    pub(super) dropped: BTreeSet<AccountNumber>,
    /// Accounts that another gateway than the simulator serves.
    pub(super) gateways: HashMap<AccountNumber, GatewayAssignment>,
    /// How these stand, by the number of their gateway.
    pub(super) gateway_counts: [AccountCounts; GatewayKind::ALL.len()],
}

/// Who serves an account, and the version of its last event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct GatewayAssignment {
    pub(super) gateway: GatewayKind,
    pub(super) version: u64,
}

/// How far the roster has followed the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct RosterProgress {
    /// The position of the last event applied; 0 for none.
    pub(super) position: u64,
    /// The position and the time of the last event that changed a row. The time is for a store that was put back to an
    /// earlier backup: other events take the same positions then, but not at the same microsecond.
    pub(super) changed: (u64, i64),
    /// The largest task id seen; 0 for none.
    pub(super) last_task: u32,
}

impl RosterState {
    /// The state after one more event; one that is in here already changes nothing.
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
                self.waiting.insert(account);
            }
            Some(false) => {
                self.waiting.remove(&account);
            }
            None => {}
        }
        if let Event::RegistrationRequested { task, .. } = event {
            self.progress.last_task = self.progress.last_task.max(task.get());
        }
    }

    /// Counts the accounts that other gateways than the simulator serve, from the first.
    pub(super) fn recount(&mut self) {
        self.gateway_counts = Default::default();
        let counted: Vec<_> = self.gateways.keys().map(|account| self.counted_row(*account)).collect();
        counted.into_iter().for_each(|after| self.update_counts(None, after));
    }

    /// What an account is counted as, if another gateway than the simulator serves it.
    fn counted_row(&self, account: AccountNumber) -> Option<(GatewayKind, RosterRow)> {
        let served = self.gateways.get(&account)?;
        Some((served.gateway, self.rows.get(account)?))
    }

    fn update_counts(&mut self, before: Option<(GatewayKind, RosterRow)>, after: Option<(GatewayKind, RosterRow)>) {
        if before == after {
            return;
        }
        if let Some((gateway, row)) = before {
            self.gateway_counts[usize::from(gateway.code())].remove(&row);
        }
        if let Some((gateway, row)) = after {
            self.gateway_counts[usize::from(gateway.code())].add(&row);
        }
    }

    fn apply_gateway(&mut self, account: AccountNumber, event: &Event, version: u64) {
        if let Event::GatewayAssigned { gateway } = event {
            match gateway {
                GatewayKind::Simulator => self.gateways.remove(&account),
                GatewayKind::Bridge | GatewayKind::CloudApi => {
                    self.gateways.insert(account, GatewayAssignment { gateway: *gateway, version })
                }
            };
        } else if let Some(served) = self.gateways.get_mut(&account) {
            served.version = version;
        }
    }

    /// Whether an account was dropped; before its row follows, because that depends on where it stood.
    fn apply_drop(&mut self, account: AccountNumber, event: &Event) {
        // One without its secrets does not come back.
        if event.resulting_status().is_none() && !matches!(event, Event::SecretsErased { .. }) {
            return;
        }
        if self.rows.get(account).is_some_and(|row| event.is_drop(row.online_status)) {
            self.dropped.insert(account);
        } else {
            self.dropped.remove(&account);
        }
    }

    /// The first event of an account adds its row, whatever it is; later ones change it if they lead elsewhere. Says
    /// whether it was changed.
    fn apply_row(&mut self, account: AccountNumber, event: &Event) -> bool {
        let (status, online_status) = match event.resulting_status() {
            Some(standing) => standing,
            None if self.rows.contains(account) => return false,
            None => (Status::Normal, OnlineStatus::Offline),
        };
        self.rows.upsert(RosterRow { account, status, online_status })
    }
}
