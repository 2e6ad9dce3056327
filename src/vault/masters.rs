//! The master keys that are known: the one that seals, and during a rotation the one before it too.
//!
//! While the key is rotated a note beside the store holds each of the two sealed with the other, so that whoever has
//! either has both. It is in a file of its own and not in the store, whose old pages keep what was removed: with it a key
//! that was retired would open the next one.

use zeroize::Zeroizing;

use super::cipher::{self, Key};
use super::purpose::Purpose;
use super::source::Source;
use super::{Error, master_key};
use crate::store::{Store, Table, Value};

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
/// The place there of the beginning of the note of the last rotation whose every value is sealed anew, and that is
/// recorded.
const RECORDED: &[u8] = b"master key rotation";
/// The note of a rotation that is not over: the next key sealed with the last one, and the last one sealed with the next,
/// in hexadecimal digits, a line each. A third line says that it undoes another one.
pub(super) const ROTATION: &str = "rotation";
/// The third line of the note of a rotation that undoes another one.
const UNDOES: &str = "undoes";
/// Digits of the note that tell it from others: they are random.
const NOTE_ID_DIGITS: usize = 64;

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
        if let Some(note) = store.load_note(ROTATION)? {
            return Masters::amid(given, &note).ok_or_else(|| source.wrong());
        }
        store.remove_note(ROTATION)?;
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

    /// Both keys, from one of them and the note of a rotation.
    pub(super) fn amid(given: Key, note: &str) -> Option<Masters> {
        let mut lines = note.lines();
        let (next, last) = (lines.next()?, lines.next()?);
        let key = |purpose: Purpose, digits| {
            let clear = cipher::open(&given, &purpose.bound_to(None), &unhex(digits)?)?;
            clear.first_chunk().map(|key| Zeroizing::new(*key))
        };
        if let Some(current) = key(Purpose::NextMasterKey, next) {
            return Some(Masters { current, last: Some(given), is_given: false });
        }
        let last = key(Purpose::LastMasterKey, last)?;
        Some(Masters { current: given, last: Some(last), is_given: true })
    }

    /// The note of a rotation from `last` to `next`, which may undo another one.
    pub(super) fn note(last: &Key, next: &Key, undoes: bool) -> Result<String, Error> {
        let sealed = |key: &Key, with: &Key, purpose: Purpose| -> Result<String, Error> {
            Ok(hex(&cipher::seal(with, &purpose.bound_to(None), &**key, &cipher::draw()?)))
        };
        let (next_key, last_key) =
            (sealed(next, last, Purpose::NextMasterKey)?, sealed(last, next, Purpose::LastMasterKey)?);
        let kind = if undoes { format!("{UNDOES}\n") } else { String::new() };
        Ok(format!("{next_key}\n{last_key}\n{kind}"))
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

/// Whether this note is of a rotation that undoes another one.
pub(super) fn undoes(note: &str) -> bool {
    note.lines().nth(2) == Some(UNDOES)
}

/// Whether the rotation of this note is recorded, and all is sealed anew.
pub(super) fn is_recorded(store: &Store, note: &str) -> Result<bool, Error> {
    Ok(store.get(Table::Keys, RECORDED)?.is_some_and(|id| Some(&*id) == note.as_bytes().get(..NOTE_ID_DIGITS)))
}

/// Remembers that.
pub(super) fn remember_recorded(store: &Store, note: &str) -> Result<(), Error> {
    Ok(store.put(Table::Keys, RECORDED, note.as_bytes().get(..NOTE_ID_DIGITS).unwrap_or_default())?)
}

/// What is the same before and after something that must see everything sealed with one master key; an error while some
/// is sealed with one and some with another.
pub fn sealed_as_one(store: &Store) -> Result<Option<Value>, Error> {
    match store.load_note(ROTATION)? {
        Some(note) if !is_recorded(store, &note)? => Err(Error::RotationUnderWay),
        Some(_) | None => Ok(store.get(Table::Keys, MASTER_KEY_CHECK)?),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
