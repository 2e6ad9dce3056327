//! Accounts, their state, their history.

use serde::Serialize;
use utoipa::ToSchema;

use super::events::EventPage;
use super::{Call, PageReader, Problem};
use crate::audit::{
    self, AccountFilter, AccountRow, AccountWithCauses, AsOf, Audit, EventFilter, EventView, FieldChange, HistoryOrder,
};
use crate::domain::{AccountNumber, EventId};

/// Which accounts to list.
#[derive(Clone)]
pub struct AccountQuery {
    /// Only matching accounts are listed.
    pub filter: AccountFilter,
    /// Where the previous page ended.
    pub cursor: Option<u64>,
}

/// A page of the account list.
#[derive(Serialize, ToSchema)]
pub struct AccountPage {
    /// In the order of their first import.
    pub accounts: Vec<AccountRow>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
}

/// Which events of an account to list.
#[derive(Clone)]
pub struct HistoryQuery {
    /// The account.
    pub account: AccountNumber,
    /// The order of the events.
    pub order: HistoryOrder,
    /// Only matching events are listed.
    pub filter: EventFilter,
    /// Where the read starts.
    pub start: HistoryStart,
}

/// Where a read of a history starts, in its order.
#[derive(Clone, Copy)]
pub enum HistoryStart {
    /// At the first event in the order.
    First,
    /// Behind this version of the present history.
    Behind(u64),
    /// Where the previous page ended: at this version of this generation. A restore may have lost it.
    Cursor(EventId),
}

/// The difference between two versions of an account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Difference)]
pub struct AccountDiff {
    /// The account number.
    pub whats_app: String,
    /// The first version.
    pub from: u64,
    /// The second version.
    pub to: u64,
    /// The fields that differ.
    pub changes: Vec<FieldChange>,
}

impl HistoryStart {
    fn resolve(self, audit: &Audit, account: AccountNumber) -> Result<Option<u64>, audit::Error> {
        match self {
            HistoryStart::First => Ok(None),
            HistoryStart::Behind(version) => Ok(Some(version)),
            HistoryStart::Cursor(cursor) => audit.resolve_version(account, cursor).map(Some),
        }
    }
}

/// Lists accounts.
pub async fn list_accounts(call: &Call, query: AccountQuery, limit: usize) -> Result<AccountPage, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || {
        let page = audit.accounts(&query.filter, query.cursor.unwrap_or(0), limit);
        Ok(AccountPage { accounts: page.items, next: page.next.map(|next| next.to_string()) })
    })
    .await
}

/// Reads at most `most` accounts.
pub fn read_accounts(call: &Call, query: AccountQuery, most: u64) -> Result<PageReader<AccountRow>, Problem> {
    let audit = call.api().audit().clone();
    let AccountQuery { filter, cursor } = query;
    PageReader::new(call, cursor, most, move |from, limit| Ok(audit.accounts(&filter, from.unwrap_or(0), limit)))
}

/// Shows the state of an account.
pub async fn show_account(call: &Call, account: AccountNumber, as_of: AsOf) -> Result<AccountWithCauses, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || Ok(audit.account_at(account, as_of)?)).await
}

/// Lists the events of an account.
pub async fn show_history(call: &Call, query: HistoryQuery, limit: usize) -> Result<EventPage, Problem> {
    let audit = call.api().audit().clone();
    let HistoryQuery { account, order, filter, start } = query;
    call.read_blocking(move || {
        let from = start.resolve(&audit, account)?;
        let page = audit.history(account, order, from, &filter, limit)?;
        let last = page.next.and(page.items.last()).map(EventView::version_id);
        Ok(EventPage { events: page.items, next: last.map(|last| last.to_string()) })
    })
    .await
}

/// Reads at most `most` events of an account. Fails immediately if the account is unknown.
pub async fn read_history(call: &Call, query: HistoryQuery, most: u64) -> Result<PageReader<EventView>, Problem> {
    show_history(call, query.clone(), 1).await?;
    let audit = call.api().audit().clone();
    let HistoryQuery { account, order, filter, start } = query;
    let from = start.resolve(&audit, account)?;
    PageReader::new(call, from, most, move |from, limit| Ok(audit.history(account, order, from, &filter, limit)?))
}

/// Compares two versions of an account.
pub async fn diff_account(call: &Call, account: AccountNumber, from: u64, to: u64) -> Result<AccountDiff, Problem> {
    let audit = call.api().audit().clone();
    call.read_blocking(move || {
        Ok(AccountDiff { whats_app: account.to_string(), from, to, changes: audit.diff(account, from, to)? })
    })
    .await
}
