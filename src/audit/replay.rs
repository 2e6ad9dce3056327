//! Replays the journal and compares the result with the served state. It calls no gateway and no receiver.

use std::ops::ControlFlow;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::account_state::AccountStateView;
use super::history::AsOf;
use super::{Audit, Error};
use crate::domain::{AccountNumber, EventId, Timestamp};
use crate::journal::JournalRecord;
use crate::limits::NAMED_DIFFERENCES;
use crate::projections::Roster;

/// How far to replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayEnd {
    /// To the end; the result is compared with the served state.
    End,
    /// To this event.
    Event(EventId),
    /// To the event before the first one that is later than this time.
    Time(Timestamp),
}

/// The result of a replay.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Replayed)]
pub struct ReplayReport {
    /// The number of events that were folded.
    pub events: u64,
    /// The number of accounts after them.
    pub accounts: u64,
    /// The number of online accounts.
    pub online: u64,
    /// The number of banned accounts.
    pub banned: u64,
    /// The number of accounts whose served state differs from the events; left out unless the replay went to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub differences: Option<u64>,
    /// The first few of these accounts; left out if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    #[serde(rename = "differing")]
    pub differing_accounts: Vec<String>,
    /// The state of the requested account at that point.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = AccountStateView, required = false)]
    pub state: Option<Value>,
}

impl Audit {
    /// Replays the journal from its first record. Calls `progress` with the current and the last position.
    pub fn replay(
        &self,
        until: ReplayEnd,
        account: Option<AccountNumber>,
        mut progress: impl FnMut(u64, u64),
    ) -> Result<ReplayReport, Error> {
        let head = self.journal.head();
        let as_of = match until {
            ReplayEnd::End => AsOf::Now,
            ReplayEnd::Time(time) => AsOf::Time(time),
            ReplayEnd::Event(id) => AsOf::Position(self.journal.position_of(id)?),
        };
        let state = account.map(|account| self.state(account, as_of)).transpose()?;
        if until == ReplayEnd::End {
            let (events, differing) = self.roster.rebuild(&self.journal, false, |position| progress(position, head))?;
            let (accounts, online, banned) = count_accounts(&self.roster);
            let named = differing.iter().take(NAMED_DIFFERENCES).map(ToString::to_string).collect();
            let differences = Some(differing.len() as u64);
            return Ok(ReplayReport {
                events,
                accounts,
                online,
                banned,
                differences,
                differing_accounts: named,
                state,
            });
        }
        let fresh = self.roster.empty();
        let is_included = |record: &JournalRecord| match until {
            ReplayEnd::End => true,
            ReplayEnd::Event(id) => record.position <= id.position,
            ReplayEnd::Time(time) => record.at <= time,
        };
        let mut events = 0;
        self.journal.scan(
            0,
            head,
            |_| true,
            |record| {
                if !is_included(&record) {
                    return ControlFlow::Break(());
                }
                events = record.position;
                progress(record.position, head);
                fresh.apply(&[record]);
                ControlFlow::Continue(())
            },
        )?;
        let (accounts, online, banned) = count_accounts(&fresh);
        Ok(ReplayReport { events, accounts, online, banned, differences: None, differing_accounts: Vec::new(), state })
    }
}

/// The number of accounts, of those online, and of those banned.
fn count_accounts(roster: &Roster) -> (u64, u64, u64) {
    let counts = roster.counts();
    (counts.total(), counts.online(), counts.banned())
}
