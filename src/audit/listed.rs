//! The account list as others read it: in JSON and as CSV.

use super::{Audit, Page};
use crate::domain::{AccountNumber, OnlineStatus, Status};
use crate::journal::Stream;

/// Which accounts are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// With this status.
    pub status: Option<Status>,
    /// With this online status.
    pub online_status: Option<OnlineStatus>,
    /// Whose numbers begin with these digits.
    pub prefix: String,
}

/// One account in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    account: AccountNumber,
    status: Status,
    online_status: OnlineStatus,
    /// How many events it has.
    version: u64,
}

impl Listed {
    /// The header of the list as CSV, with its line end.
    pub const CSV_HEAD: &[u8] = b"whatsApp,status,onlineStatus,version\r\n";

    /// It as a line of JSON, without a line end.
    pub fn json(&self) -> Vec<u8> {
        let Listed { account, version, .. } = self;
        let (status, online_status) = (self.status.code(), self.online_status.code());
        let row = format!(
            r#"{{"whatsApp":"{account}","status":{status},"onlineStatus":{online_status},"version":{version}}}"#
        );
        row.into_bytes()
    }

    /// It as a row of CSV, without a line end. There are digits in it, and nothing that is to be quoted.
    pub fn csv(&self) -> Vec<u8> {
        let Listed { account, version, .. } = self;
        format!("{account},{},{},{version}", self.status.code(), self.online_status.code()).into_bytes()
    }
}

impl Audit {
    /// Rows of the account list from the `from`th on, at most `limit` that are wanted, as `written` writes them.
    pub fn accounts(&self, wanted: &Accounts, from: u64, limit: usize, written: impl Fn(&Listed) -> Vec<u8>) -> Page {
        let is_wanted = |number: AccountNumber, status: Status, online_status: OnlineStatus| {
            wanted.status.is_none_or(|it| it == status)
                && wanted.online_status.is_none_or(|it| it == online_status)
                && number.to_string().starts_with(&wanted.prefix)
        };
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let (found, next) = self.roster.select(from, limit, is_wanted);
        let line = |(account, status, online_status)| {
            let version = self.journal.head_of(Stream::Account(account)).version;
            written(&Listed { account, status, online_status, version })
        };
        Page { lines: found.into_iter().map(line).collect(), next: next.map(|next| next as u64) }
    }
}
