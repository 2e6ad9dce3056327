//! The account list as JSON and CSV.

use serde::Serialize;
use utoipa::ToSchema;

use super::csv::format_csv_row;
use super::labels_view::LabelsView;
use super::status_codes::{OnlineStatusCode, StatusCode};
use super::{Audit, QueryPage};
use crate::domain::{AccountNumber, LabelFilter, OnlineStatus, Status};
use crate::journal::StreamId;

// Frozen: the columns and their order, because spreadsheets and scripts read them. New ones come last.
/// The columns of accounts as CSV.
pub const ACCOUNT_COLUMNS: [&str; 5] = ["whatsApp", "status", "onlineStatus", "version", "labels"];

/// A filter for accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// Only accounts with this status.
    pub status: Option<Status>,
    /// Only accounts with this online status.
    pub online_status: Option<OnlineStatus>,
    /// Only accounts whose number starts with these digits.
    pub prefix: String,
    /// Only accounts whose labels match all of these.
    pub labels: Vec<LabelFilter>,
}

/// An entry of the account list; the fields keep this order.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountRow {
    /// The account number.
    pub(crate) whats_app: String,
    /// 1 normal, 2 banned.
    #[schema(value_type = StatusCode)]
    pub(crate) status: u8,
    /// 1 online-coming, 2 online, 3 offline-coming, 4 offline.
    #[schema(value_type = OnlineStatusCode)]
    pub(crate) online_status: u8,
    /// The version: the number of events in the account's history.
    pub(crate) version: u64,
    pub(crate) labels: LabelsView,
}

impl AccountRow {
    /// The CSV header of the list, with its line end. [`ACCOUNT_COLUMNS`] has its names.
    pub const CSV_HEADER: &[u8] = b"whatsApp,status,onlineStatus,version,labels\r\n";

    /// The row as JSON, without a line end.
    pub fn to_json(&self) -> Vec<u8> {
        // Texts and integers always serialize.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The row as CSV, without a line end. The labels are a JSON object.
    pub fn to_csv(&self) -> Vec<u8> {
        let AccountRow { whats_app, status, online_status, version, labels } = self;
        let numbers = format!("{whats_app},{status},{online_status},{version}");
        // Texts always serialize.
        let labels = serde_json::to_string(labels).unwrap_or_default();
        format!("{numbers},{}", format_csv_row([labels])).into_bytes()
    }
}

impl Audit {
    /// Rows of the account list that match `filter`, from index `from`, at most `limit`.
    pub fn accounts(&self, filter: &AccountFilter, from: u64, limit: usize) -> QueryPage<AccountRow> {
        let is_wanted = |number: AccountNumber, status: Status, online_status: OnlineStatus| {
            filter.status.is_none_or(|it| it == status)
                && filter.online_status.is_none_or(|it| it == online_status)
                && number.to_string().starts_with(&filter.prefix)
                && (filter.labels.is_empty() || {
                    let labels = self.roster.labels_of(number);
                    filter.labels.iter().all(|wanted| wanted.matches(&labels))
                })
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let (found, next) = self.roster.select(from, limit, is_wanted);
        let row = |(account, status, online_status): (AccountNumber, Status, OnlineStatus)| {
            let version = self.journal.stream_head(StreamId::Account(account)).version;
            let (status, online_status) = (status.code(), online_status.code());
            let labels = LabelsView(self.roster.labels_of(account));
            AccountRow { whats_app: account.to_string(), status, online_status, version, labels }
        };
        QueryPage { items: found.into_iter().map(row).collect(), next: next.map(|next| next as u64) }
    }
}
