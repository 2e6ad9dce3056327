//! Keeps Meta's id of each number that was found or added, across restarts.
//!
//! | key | format | value after the byte of the format |
//! |---|---|---|
//! | `cn`, account (8, big endian) | 1 | length of the WABA's id (2, little endian), that id, the number's id |
//!
//! Sizes in brackets are bytes. A row is durable after the next append to the journal. Without it the number is found by the form
//! in which Meta shows it, so a crash before that loses nothing. Ids of another WABA are ignored.
//!
//! Frozen: these keys and formats. Without its id, a number that Meta shows in an unknown form would not be found again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::AccountNumber;
use crate::limits::GRAPH_ID_BYTES;
use crate::store::{self, Store, Table};

const PREFIX: &[u8] = b"cn";
const FORMAT: u8 = 1;

/// The kept ids.
pub(super) struct KeptNumberIds {
    store: Store,
    waba_id: String,
    ids: Mutex<IdIndex>,
}

#[derive(Default)]
struct IdIndex {
    by_account: HashMap<AccountNumber, String>,
    owners: HashMap<String, AccountNumber>,
}

impl KeptNumberIds {
    /// Loads the ids of this WhatsApp Business account's numbers.
    pub(super) fn open(store: Store, waba_id: &str) -> Result<KeptNumberIds, store::Error> {
        let mut ids = IdIndex::default();
        for entry in store.scan_from(Table::ReportOffsets, PREFIX) {
            let (key, value) = entry?;
            let Some(account) = key.strip_prefix(PREFIX) else { break };
            let account =
                account.as_array().and_then(|account| AccountNumber::from_stored(u64::from_be_bytes(*account)));
            if let (Some(account), Some(id)) = (account, read_row(&value, waba_id)) {
                ids.insert(account, id);
            }
        }
        Ok(KeptNumberIds { store, waba_id: waba_id.to_owned(), ids: Mutex::new(ids) })
    }

    /// The id of an account's number.
    pub(super) fn id(&self, account: AccountNumber) -> Option<String> {
        self.lock().by_account.get(&account).cloned()
    }

    /// The account whose number has this id.
    pub(super) fn owner(&self, id: &str) -> Option<AccountNumber> {
        self.lock().owners.get(id).copied()
    }

    /// Keeps the id of an account's number. If it cannot be stored, it is kept until the next start.
    pub(super) fn keep(&self, account: AccountNumber, id: &str) {
        let mut ids = self.lock();
        if ids.by_account.get(&account).is_some_and(|kept| kept == id) {
            return;
        }
        ids.insert(account, id.to_owned());
        if let Err(error) = self.store.put(Table::ReportOffsets, &row_key(account), &row(&self.waba_id, id)) {
            tracing::warn!(%account, %error, "Meta's id of a number is not stored; after a restart the number is looked up");
        }
    }

    /// Forgets the id of an account's number, because Meta has no such number any more.
    pub(super) fn forget(&self, account: AccountNumber) {
        let mut ids = self.lock();
        if let Some(id) = ids.by_account.remove(&account) {
            ids.owners.remove(&id);
            if let Err(error) = self.store.remove(Table::ReportOffsets, &row_key(account)) {
                tracing::warn!(%account, %error, "an outdated id of a number is still stored; it is looked up after a restart");
            }
        }
    }

    // Each change is complete before the lock is released, so a panic elsewhere leaves the index consistent.
    fn lock(&self) -> MutexGuard<'_, IdIndex> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IdIndex {
    fn insert(&mut self, account: AccountNumber, id: String) {
        if let Some(before) = self.by_account.insert(account, id.clone()) {
            self.owners.remove(&before);
        }
        if let Some(other) = self.owners.insert(id, account).filter(|other| *other != account) {
            self.by_account.remove(&other);
        }
    }
}

fn row_key(account: AccountNumber) -> Vec<u8> {
    [PREFIX, &account.get().to_be_bytes()].concat()
}

fn row(waba_id: &str, id: &str) -> Vec<u8> {
    let length = u16::try_from(waba_id.len()).unwrap_or(u16::MAX);
    [&[FORMAT][..], &length.to_le_bytes(), waba_id.as_bytes(), id.as_bytes()].concat()
}

/// The number's id in a row. `None` if it is an id of another WABA, or the row has another format.
fn read_row(row: &[u8], waba_id: &str) -> Option<String> {
    let (length, rest) = row.strip_prefix(&[FORMAT])?.split_first_chunk()?;
    let (waba, id) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let id = str::from_utf8(id).ok().filter(|id| (1..=GRAPH_ID_BYTES).contains(&id.len()))?;
    (waba == waba_id.as_bytes()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::fixture::StorageFixture;

    #[test]
    fn ids_are_kept_for_their_waba() {
        let [account, other] = ["5511987654321", "15550783881"].map(|number| number.parse::<AccountNumber>().unwrap());
        let StorageFixture { store, .. } = &StorageFixture::new();
        let kept = KeptNumberIds::open(store.clone(), "7").unwrap();
        kept.keep(account, "110200345501442");
        kept.keep(account, "110200345501443");
        kept.keep(other, "1");
        kept.forget(other);
        assert_eq!(
            store.get(Table::ReportOffsets, b"cn\x00\x00\x05\x03\x5c\x10\xee\xb1").unwrap().unwrap()[..],
            *b"\x01\x01\x007110200345501443"
        );
        let reopened = KeptNumberIds::open(store.clone(), "7").unwrap();
        for kept in [kept, reopened] {
            assert_eq!(kept.id(account).as_deref(), Some("110200345501443"));
            assert_eq!((kept.owner("110200345501443"), kept.owner("110200345501442")), (Some(account), None));
            assert_eq!((kept.id(other), kept.owner("1")), (None, None));
        }
        assert_eq!(KeptNumberIds::open(store.clone(), "8").unwrap().id(account), None);
    }

    #[test]
    fn damaged_rows_are_ignored() {
        for row in [
            &b""[..],
            b"\x01",
            b"\x01\x01",
            b"\x01\x01\x007",
            b"\x02\x01\x0071",
            b"\x01\xff\xff71",
            b"\x01\x01\x007\xff",
        ] {
            assert_eq!(read_row(row, "7"), None, "{row:?}");
        }
        assert_eq!(read_row(b"\x01\x01\x0071", "7").as_deref(), Some("1"));
    }
}
