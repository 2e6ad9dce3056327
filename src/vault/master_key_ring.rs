//! The known master keys: the current one, and during a rotation the previous one too.
//!
//! During a rotation, a sidecar file holds each of the two keys sealed with the other, so either one opens both. The
//! file is not in the store, because old pages of the store keep removed data. With such a page, a retired key could
//! open the next one.

use zeroize::Zeroizing;

use super::Error;
use super::aad::AadContext;
use super::cipher::{self, SymmetricKey};
use super::master_key_id::{MasterKeyId, NeededKey};
use super::master_key_source::MasterKeySource;
use crate::store::{Store, StoredValue, Table};

/// The master keys. It has no `Debug`, because it holds secrets.
pub(super) struct MasterKeyRing {
    /// Seals everything.
    pub(super) current: SymmetricKey,
    /// Opens what is not resealed with the current key yet.
    pub(super) previous: Option<SymmetricKey>,
    /// Whether the setting gives the current key.
    pub(super) matches_setting: bool,
}

// Frozen: these rows and the lines of the rotation file. A newer program completes a rotation that an older one began.
/// The table key of a text sealed with the master key; it detects a wrong master key.
pub(super) const MASTER_KEY_CHECK: &[u8] = b"master key check";
/// The table key of the id of the last rotation that resealed everything and was recorded.
const ROTATION_RECORDED: &[u8] = b"master key rotation";
/// The sidecar file of an unfinished rotation. It holds two lines in hexadecimal digits: the next key sealed with the
/// last one, and the last key sealed with the next one. The third line marks an undo; it is empty otherwise. The fourth
/// has the ids of both keys. Each further line has the id of a key, a space, and the file in which the key is kept, as it
/// is shown. Version 0.2 wrote four lines, version 0.1 only the first two, and the third in an undo.
pub(super) const ROTATION_FILE: &str = "rotation";
/// The third line of the file, if the rotation undoes another one.
const UNDO_LINE: &str = "undoes";
/// The lines before those that say where keys are kept.
const LINES_BEFORE_KEPT_KEYS: usize = 4;
/// The first digits of the file identify the rotation, because they are random.
const ROTATION_ID_DIGITS: usize = 64;

impl MasterKeyRing {
    /// Loads the keys of `store`. With `may_create`, the first opening creates the default master key file.
    pub(super) fn open(store: &Store, source: &MasterKeySource, may_create: bool) -> Result<MasterKeyRing, Error> {
        let check = store.get(Table::Keys, MASTER_KEY_CHECK)?;
        let rotation_file = store.load_sidecar(ROTATION_FILE)?;
        let needed = match &rotation_file {
            Some(file) => NeededKey::either(parse_rotation_ids(file)),
            None => NeededKey::new(MasterKeyId::load(store)?),
        };
        let configured = match source.load(may_create && check.is_none()) {
            Ok(configured) => configured,
            Err(cause) if check.is_some() => {
                return Err(Error::NeededKeyUnavailable { needed, cause: Box::new(cause) });
            }
            Err(error) => return Err(error),
        };
        if let Some(file) = rotation_file {
            let wrong = source.wrong_key_error(&configured, needed);
            return MasterKeyRing::from_rotation_file(configured, &file).ok_or(wrong);
        }
        store.remove_sidecar(ROTATION_FILE)?;
        let key_ring = MasterKeyRing { current: configured, previous: None, matches_setting: true };
        match check {
            Some(sealed) if !key_ring.opens_key_check(&sealed) => {
                return Err(source.wrong_key_error(&key_ring.current, needed));
            }
            Some(_) => key_ring.id().save(store)?,
            None => {
                key_ring.id().save(store)?;
                store.put(Table::Keys, MASTER_KEY_CHECK, &key_ring.seal_key_check()?)?;
                store.flush()?;
            }
        }
        Ok(key_ring)
    }

    /// Both keys, from one of them and the rotation file.
    pub(super) fn from_rotation_file(configured: SymmetricKey, file: &str) -> Option<MasterKeyRing> {
        let mut lines = file.lines();
        let (next, last) = (lines.next()?, lines.next()?);
        let key = |purpose: AadContext, digits| {
            let clear = cipher::open(&configured, &purpose.aad_for(None), &decode_hex(digits)?)?;
            clear.first_chunk().map(|key| Zeroizing::new(*key))
        };
        if let Some(current) = key(AadContext::NextMasterKey, next) {
            return Some(MasterKeyRing { current, previous: Some(configured), matches_setting: false });
        }
        let last = key(AadContext::PreviousMasterKey, last)?;
        Some(MasterKeyRing { current: configured, previous: Some(last), matches_setting: true })
    }

    /// The rotation file from `last` to `next`, optionally marked as an undo.
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
        let kind = if undoes { UNDO_LINE } else { "" };
        let ids = [last, next].map(MasterKeyId::of);
        Ok(format!("{next_key}\n{last_key}\n{kind}\n{} {}\n", ids[0], ids[1]))
    }

    /// The key that a rotation replaces, before and while it runs.
    pub(super) fn oldest(&self) -> &SymmetricKey {
        self.previous.as_ref().unwrap_or(&self.current)
    }

    /// The id of the current key.
    pub(super) fn id(&self) -> MasterKeyId {
        MasterKeyId::of(&self.current)
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

    /// Whether `sealed` is the text that detects a wrong master key, sealed with one of these keys.
    pub(super) fn opens_key_check(&self, sealed: &[u8]) -> bool {
        self.open_sealed(&AadContext::MasterKeyCheck.aad_for(None), sealed).is_some()
    }

    /// The text that detects a wrong master key, sealed with the current one.
    pub(super) fn seal_key_check(&self) -> Result<Vec<u8>, Error> {
        Ok(self.seal(&AadContext::MasterKeyCheck.aad_for(None), MASTER_KEY_CHECK, &cipher::random_bytes()?))
    }
}

/// The ids in a rotation file: of the last key, then of the next. Empty if an older version wrote the file.
fn parse_rotation_ids(file: &str) -> Vec<MasterKeyId> {
    file.lines().nth(3).into_iter().flat_map(str::split_whitespace).filter_map(|id| id.parse().ok()).collect()
}

/// The rotation file with one more line, which says where a key is kept.
pub(super) fn add_kept_key(file: &str, line: &str) -> String {
    let mut lines: Vec<&str> = file.lines().collect();
    lines.resize(lines.len().max(LINES_BEFORE_KEPT_KEYS), "");
    if !kept_keys(file).any(|known| known == line) {
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

/// The lines that say where keys are kept.
pub(super) fn kept_keys(file: &str) -> impl Iterator<Item = &str> {
    file.lines().skip(LINES_BEFORE_KEPT_KEYS)
}

/// The files in which the key with this id is kept, for sentences. `None` if there is none.
pub(super) fn describe_kept_key(file: &str, id: MasterKeyId) -> Option<String> {
    let files = kept_keys(file).filter_map(|line| line.strip_prefix(&format!("{id} ")));
    Some(files.collect::<Vec<_>>().join(" and ")).filter(|files| !files.is_empty())
}

/// Whether this rotation file marks an undo.
pub(super) fn is_undo(file: &str) -> bool {
    file.lines().nth(2) == Some(UNDO_LINE)
}

/// Whether the rotation of this file is recorded and everything is resealed.
pub(super) fn is_rotation_recorded(store: &Store, file: &str) -> Result<bool, Error> {
    Ok(store
        .get(Table::Keys, ROTATION_RECORDED)?
        .is_some_and(|id| Some(&*id) == file.as_bytes().get(..ROTATION_ID_DIGITS)))
}

/// Whether everything is resealed with the next key, but the last one is not retired yet. Backups may need either.
pub fn has_recorded_rotation(store: &Store) -> Result<bool, Error> {
    store.load_sidecar(ROTATION_FILE)?.map_or(Ok(false), |file| is_rotation_recorded(store, &file))
}

/// Remembers that the rotation of this file is recorded and everything is resealed.
pub(super) fn mark_rotation_recorded(store: &Store, file: &str) -> Result<(), Error> {
    Ok(store.put(Table::Keys, ROTATION_RECORDED, file.as_bytes().get(..ROTATION_ID_DIGITS).unwrap_or_default())?)
}

/// A token that changes when the master key does. Compare it before and after an operation that needs one master key
/// throughout, such as a backup. Fails while a rotation is incomplete.
pub fn master_key_token(store: &Store) -> Result<Option<StoredValue>, Error> {
    match store.load_sidecar(ROTATION_FILE)? {
        Some(file) if !is_rotation_recorded(store, &file)? => Err(Error::RotationUnderWay),
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
