//! What follows from the journal, kept for questions.

use bytes::Bytes;

use crate::domain::AccountNumber;

/// The account list, rendered. Cheap to clone.
#[derive(Clone)]
pub struct Roster {}

/// The account list as it was at one moment; it shares its bytes with all others.
pub struct AccountList {}

impl Roster {
    /// The list as it is now. It has every command in it that was answered before.
    pub fn list(&self) -> AccountList {
        todo!()
    }

    /// The list with one account alone, or empty if it is unknown.
    pub fn list_of(&self, _account: AccountNumber) -> AccountList {
        todo!()
    }

    /// The accounts that are online or on their way there, oldest first.
    pub fn desired_online(&self) -> Vec<AccountNumber> {
        todo!()
    }
}

impl AccountList {
    /// A strong entity tag, quotes included: equal for equal lists.
    pub fn etag(&self) -> String {
        todo!()
    }

    /// The JSON list between `head` and `tail`, in pieces.
    pub fn render(&self, _head: &'static str, _tail: &'static str) -> Vec<Bytes> {
        todo!()
    }

    /// The same, as one gzip stream.
    pub fn render_gzip(&self, _head: &'static str, _tail: &'static str) -> Vec<Bytes> {
        todo!()
    }
}
