//! The master keys that are known: the one that seals, and during a rotation the one before it too.
//!
//! While the key is rotated a note beside the store holds each of the two sealed with the other, so that whoever has
//! either has both. It is in a file of its own and not in the store, whose old pages keep what was removed: with it a key
//! that was retired would open the next one.

use zeroize::Zeroizing;

use super::aad::AadContext;
use super::cipher::{self, SymmetricKey};
use super::master_key_source::MasterKeySource;
use super::{Error, master_key_file};
use crate::store::{Store, StoredValue, Table};

/// The master keys. No `Debug`.
pub(super) struct MasterKeyRing {
    /// Seals everything.
    pub(super) current: SymmetricKey,
    /// Opens what is not sealed with the current one yet.
    pub(super) previous: Option<SymmetricKey>,
    /// Whether the current one is what the setting gives.
    pub(super) matches_setting: bool,
}

/// The place, beside the accounts' data keys, of a text sealed with the master key: by it a wrong one is told.
pub(super) const MASTER_KEY_CHECK: &[u8] = b"master key check";
/// The place there of the beginning of the note of the last rotation whose every value is sealed anew, and that is
/// recorded.
const ROTATION_RECORDED: &[u8] = b"master key rotation";
/// The note of a rotation that is not over: the next key sealed with the last one, and the last one sealed with the next,
/// in hexadecimal digits, a line each. A third line says that it undoes another one.
pub(super) const ROTATION_FILE: &str = "rotation";
/// The third line of the note of a rotation that undoes another one.
const UNDO_LINE: &str = "undoes";
/// Digits of the note that tell it from others: they are random.
const ROTATION_ID_DIGITS: usize = 64;

impl MasterKeyRing {
    /// The keys of `store`. The first time, the file of the master key is made, if it is to be in a file.
    pub(super) fn open(store: &Store, source: &MasterKeySource) -> Result<MasterKeyRing, Error> {
        let check = store.get(Table::Keys, MASTER_KEY_CHECK)?;
        let given = match (source.read()?, source, &check) {
            (Some(given), _, _) => given,
            (None, MasterKeySource::File(path), None) => master_key_file::create(path)?,
            (None, MasterKeySource::File(path), Some(_)) => return Err(Error::MasterKeyMissing { path: path.clone() }),
            (None, MasterKeySource::Command(_) | MasterKeySource::Environment(_), _) => {
                return Err(source.wrong_key_error());
            }
        };
        if let Some(note) = store.load_sidecar(ROTATION_FILE)? {
            return MasterKeyRing::from_rotation_file(given, &note).ok_or_else(|| source.wrong_key_error());
        }
        store.remove_sidecar(ROTATION_FILE)?;
        let masters = MasterKeyRing { current: given, previous: None, matches_setting: true };
        let aad = AadContext::MasterKeyCheck.aad_for(None);
        match check {
            Some(sealed) if masters.open_sealed(&aad, &sealed).is_none() => return Err(source.wrong_key_error()),
            Some(_) => {}
            None => {
                store.put(Table::Keys, MASTER_KEY_CHECK, &masters.seal_key_check()?)?;
                store.flush()?;
            }
        }
        Ok(masters)
    }

    /// Both keys, from one of them and the note of a rotation.
    pub(super) fn from_rotation_file(given: SymmetricKey, note: &str) -> Option<MasterKeyRing> {
        let mut lines = note.lines();
        let (next, last) = (lines.next()?, lines.next()?);
        let key = |purpose: AadContext, digits| {
            let clear = cipher::open(&given, &purpose.aad_for(None), &decode_hex(digits)?)?;
            clear.first_chunk().map(|key| Zeroizing::new(*key))
        };
        if let Some(current) = key(AadContext::NextMasterKey, next) {
            return Some(MasterKeyRing { current, previous: Some(given), matches_setting: false });
        }
        let last = key(AadContext::PreviousMasterKey, last)?;
        Some(MasterKeyRing { current: given, previous: Some(last), matches_setting: true })
    }

    /// The note of a rotation from `last` to `next`, which may undo another one.
    pub(super) fn encode_rotation_file(
        last: &SymmetricKey,
        next: &SymmetricKey,
        undoes: bool,
    ) -> Result<String, Error> {
        let sealed = |key: &SymmetricKey, with: &SymmetricKey, purpose: AadContext| -> Result<String, Error> {
            Ok(encode_hex(&cipher::seal(with, &purpose.aad_for(None), &**key, &cipher::random_bytes()?)))
        };
        let (next_key, last_key) =
            (sealed(next, last, AadContext::NextMasterKey)?, sealed(last, next, AadContext::PreviousMasterKey)?);
        let kind = if undoes { format!("{UNDO_LINE}\n") } else { String::new() };
        Ok(format!("{next_key}\n{last_key}\n{kind}"))
    }

    /// Seals with the current key.
    pub(super) fn seal(&self, aad: &[u8], clear: &[u8], nonce: &[u8; cipher::NONCE_BYTES]) -> Vec<u8> {
        cipher::seal(&self.current, aad, clear, nonce)
    }

    /// Opens what either key sealed.
    pub(super) fn open_sealed(&self, aad: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let with = |key: &SymmetricKey| cipher::open(key, aad, sealed);
        with(&self.current).or_else(|| self.previous.as_ref().and_then(with))
    }

    /// The text by which a wrong key is told, sealed with the current one.
    pub(super) fn seal_key_check(&self) -> Result<Vec<u8>, Error> {
        Ok(self.seal(&AadContext::MasterKeyCheck.aad_for(None), MASTER_KEY_CHECK, &cipher::random_bytes()?))
    }
}

/// Whether this note is of a rotation that undoes another one.
pub(super) fn is_undo(note: &str) -> bool {
    note.lines().nth(2) == Some(UNDO_LINE)
}

/// Whether the rotation of this note is recorded, and all is sealed anew.
pub(super) fn is_rotation_recorded(store: &Store, note: &str) -> Result<bool, Error> {
    Ok(store
        .get(Table::Keys, ROTATION_RECORDED)?
        .is_some_and(|id| Some(&*id) == note.as_bytes().get(..ROTATION_ID_DIGITS)))
}

/// Remembers that.
pub(super) fn mark_rotation_recorded(store: &Store, note: &str) -> Result<(), Error> {
    Ok(store.put(Table::Keys, ROTATION_RECORDED, note.as_bytes().get(..ROTATION_ID_DIGITS).unwrap_or_default())?)
}

/// What is the same before and after something that must see everything sealed with one master key; an error while some
/// is sealed with one and some with another.
pub fn master_key_token(store: &Store) -> Result<Option<StoredValue>, Error> {
    match store.load_sidecar(ROTATION_FILE)? {
        Some(note) if !is_rotation_recorded(store, &note)? => Err(Error::RotationUnderWay),
        Some(_) | None => Ok(store.get(Table::Keys, MASTER_KEY_CHECK)?),
    }
}

fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode_hex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}
