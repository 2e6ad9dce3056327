//! The master keys that are known: the one that seals, and during a rotation the one before it too.
//!
//! While the key is rotated the store holds each of the two sealed with the other, so that whoever has either has both.

use super::cipher::{self, Key};
use super::purpose::Purpose;
use super::source::Source;
use super::{Error, master_key};
use crate::store::{Store, Table};
use zeroize::Zeroizing;

/// The master keys. No `Debug`.
pub(super) struct Masters {
    /// Seals everything.
    pub(super) current: Key,
    /// Opens what is not sealed with the current one yet.
    pub(super) last: Option<Key>,
    /// Whether the current one is what the setting gives.
    pub(super) is_given: bool,
}

/// The place, beside the accounts' data keys, of a text sealed with the master key: by it a wrong one is told.
pub(super) const MASTER_KEY_CHECK: &[u8] = b"master key check";
/// The place of a rotation that is not over: whether it is recorded (1), the next key sealed with the last one, the last
/// one sealed with the next.
pub(super) const ROTATION: &[u8] = b"master key rotation";

impl Masters {
    /// The keys of `store`. The first time, the file of the master key is made, if it is to be in a file.
    pub(super) fn open(store: &Store, source: &Source) -> Result<Masters, Error> {
        let check = store.get(Table::Keys, MASTER_KEY_CHECK)?;
        let given = match (source.read()?, source, &check) {
            (Some(given), _, _) => given,
            (None, Source::File(path), None) => master_key::make(path)?,
            (None, Source::File(path), Some(_)) => return Err(Error::Missing { path: path.clone() }),
            (None, Source::Command(_) | Source::Environment(_), _) => return Err(source.wrong()),
        };
        if let Some(rotation) = store.get(Table::Keys, ROTATION)? {
            return Masters::amid(given, &rotation).ok_or_else(|| source.wrong());
        }
        let masters = Masters { current: given, last: None, is_given: true };
        let aad = Purpose::MasterKeyCheck.bound_to(None);
        match check {
            Some(sealed) if masters.open_sealed(&aad, &sealed).is_none() => return Err(source.wrong()),
            Some(_) => {}
            None => {
                store.put(Table::Keys, MASTER_KEY_CHECK, &masters.check()?)?;
                store.flush()?;
            }
        }
        Ok(masters)
    }

    /// Both keys, from one of them and what is stored of a rotation.
    fn amid(given: Key, rotation: &[u8]) -> Option<Masters> {
        let (_told, both) = rotation.split_first()?;
        let (next, last) = both.split_at_checked(both.len() / 2)?;
        let key = |purpose: Purpose, sealed| {
            let clear = cipher::open(&given, &purpose.bound_to(None), sealed)?;
            clear.first_chunk().map(|key| Zeroizing::new(*key))
        };
        if let Some(current) = key(Purpose::NextMasterKey, next) {
            return Some(Masters { current, last: Some(given), is_given: false });
        }
        let last = key(Purpose::LastMasterKey, last)?;
        Some(Masters { current: given, last: Some(last), is_given: true })
    }

    /// What is stored of a rotation from `last` to `next`, which is not recorded yet.
    pub(super) fn rotation(last: &Key, next: &Key) -> Result<Vec<u8>, Error> {
        let sealed = |key: &Key, with: &Key, purpose: Purpose| -> Result<Vec<u8>, Error> {
            Ok(cipher::seal(with, &purpose.bound_to(None), &**key, &cipher::draw()?))
        };
        let both = [sealed(next, last, Purpose::NextMasterKey)?, sealed(last, next, Purpose::LastMasterKey)?];
        Ok([vec![0], both.concat()].concat())
    }

    /// Seals with the current key.
    pub(super) fn seal(&self, aad: &[u8], clear: &[u8], nonce: &[u8; cipher::NONCE_BYTES]) -> Vec<u8> {
        cipher::seal(&self.current, aad, clear, nonce)
    }

    /// Opens what either key sealed.
    pub(super) fn open_sealed(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let with = |key: &Key| cipher::open(key, aad, sealed);
        with(&self.current).or_else(|| self.last.as_ref().and_then(with))
    }

    /// The text by which a wrong key is told, sealed with the current one.
    pub(super) fn check(&self) -> Result<Vec<u8>, Error> {
        Ok(self.seal(&Purpose::MasterKeyCheck.bound_to(None), MASTER_KEY_CHECK, &cipher::draw()?))
    }
}
