//! What the events up to a position lead to: the fold under the account list.

use std::collections::{BTreeSet, HashMap};

use super::counts::Counts;
use super::rows::{Row, Rows};
use crate::domain::{AccountNumber, Event, GatewayKind, OnlineStatus, Status};
use crate::journal::Recorded;

/// What the events up to `progress` lead to.
#[derive(Default)]
pub(super) struct State {
    pub(super) rows: Rows,
    pub(super) progress: Progress,
    /// Accounts whose registration waits.
    pub(super) waiting: BTreeSet<AccountNumber>,
    /// Accounts that are offline against their callers' wish, and may come back.
    pub(super) dropped: BTreeSet<AccountNumber>,
    /// Accounts that another gateway than the simulator serves.
    pub(super) served: HashMap<AccountNumber, Served>,
    /// How these stand, by the number of their gateway.
    pub(super) counts: [Counts; GatewayKind::ALL.len()],
}

/// Who serves an account, and the version of its last event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Served {
    pub(super) gateway: GatewayKind,
    pub(super) version: u64,
}

/// How far the roster has followed the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Progress {
    /// The position of the last event applied; 0 for none.
    pub(super) position: u64,
    /// The position and the time of the last event that changed a row. The time is for a store that was put back to an
    /// earlier backup: other events take the same positions then, but not at the same microsecond.
    pub(super) changed: (u64, i64),
    /// The largest task id seen; 0 for none.
    pub(super) last_task: u32,
}

impl State {
    /// The state after one more event; one that is in here already changes nothing.
    pub(super) fn apply(&mut self, record: &Recorded) {
        if record.position <= self.progress.position {
            return;
        }
        debug_assert_eq!(record.position, self.progress.position + 1, "the roster must catch up before it follows");
        self.progress.position = record.position;
        let Some((account, event)) = record.event() else { return };
        let before = self.counted(account);
        self.follow_gateway(account, event, record.version);
        self.follow_drops(account, event);
        if self.follow_row(account, event) {
            self.progress.changed = (record.position, record.at.0);
        }
        self.count(before, self.counted(account));
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
    pub(super) fn count_all(&mut self) {
        self.counts = Default::default();
        let counted: Vec<_> = self.served.keys().map(|account| self.counted(*account)).collect();
        counted.into_iter().for_each(|after| self.count(None, after));
    }

    /// What an account is counted as, if another gateway than the simulator serves it.
    fn counted(&self, account: AccountNumber) -> Option<(GatewayKind, Row)> {
        let served = self.served.get(&account)?;
        Some((served.gateway, self.rows.get(account)?))
    }

    fn count(&mut self, before: Option<(GatewayKind, Row)>, after: Option<(GatewayKind, Row)>) {
        if before == after {
            return;
        }
        if let Some((gateway, row)) = before {
            self.counts[usize::from(gateway.code())].remove(&row);
        }
        if let Some((gateway, row)) = after {
            self.counts[usize::from(gateway.code())].add(&row);
        }
    }

    fn follow_gateway(&mut self, account: AccountNumber, event: &Event, version: u64) {
        if let Event::GatewayAssigned { gateway } = event {
            match gateway {
                GatewayKind::Simulator => self.served.remove(&account),
                GatewayKind::Bridge | GatewayKind::CloudApi => {
                    self.served.insert(account, Served { gateway: *gateway, version })
                }
            };
        } else if let Some(served) = self.served.get_mut(&account) {
            served.version = version;
        }
    }

    /// Whether an account was dropped; before its row follows, because that depends on where it stood.
    fn follow_drops(&mut self, account: AccountNumber, event: &Event) {
        // One without its secrets does not come back.
        if event.standing().is_none() && !matches!(event, Event::SecretsErased { .. }) {
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
    fn follow_row(&mut self, account: AccountNumber, event: &Event) -> bool {
        let (status, online_status) = match event.standing() {
            Some(standing) => standing,
            None if self.rows.contains(account) => return false,
            None => (Status::Normal, OnlineStatus::Offline),
        };
        self.rows.set(Row { account, status, online_status })
    }
}
