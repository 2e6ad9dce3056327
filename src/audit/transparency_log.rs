//! The journal as a log that signs what it says of itself: checkpoints, and what hangs on them.
//!
//! The last checkpoint that was signed is kept outside the store (`log/checkpoint`), so that a store which comes back
//! shorter, or with another past, is found: a checkpoint that was handed out must hold for ever.

use std::sync::{Arc, Mutex, PoisonError};

use super::signed_note::{LogCheckpoint, NoteError, Signer};
use super::{Error, encode_hex};
use crate::journal::{Journal, Root};
use crate::store::Store;
use crate::vault::LogKey;

/// The log, which can sign. Cheap to clone.
#[derive(Clone)]
pub struct TransparencyLog {
    inner: Arc<TransparencyLogInner>,
}

struct TransparencyLogInner {
    store: Store,
    key: LogKey,
    signer: Signer,
    /// The checkpoint that was saved last.
    saved_checkpoint: Mutex<Option<LogCheckpoint>>,
}

/// The names of the notes.
const CHECKPOINT_FILE: &str = "checkpoint";
const PUBLIC_KEY_FILE: &str = "public-key";

impl TransparencyLog {
    /// The log of `journal`, with its key. Fails if the checkpoint that was saved last does not hold.
    pub fn open(store: &Store, journal: &Journal, key: LogKey) -> Result<TransparencyLog, Error> {
        let signer = Signer { name: log_name(store), key: key.public_key() };
        let written = format!("{signer}\n");
        match store.load_sidecar(PUBLIC_KEY_FILE)? {
            Some(known) if known == written => {}
            Some(_) => return Err(Error::LogKeyMismatch),
            None => store.save_sidecar(PUBLIC_KEY_FILE, &written)?,
        }
        let saved = check_saved_checkpoint(store, journal)?;
        Ok(TransparencyLog {
            inner: Arc::new(TransparencyLogInner {
                store: store.clone(),
                key,
                signer,
                saved_checkpoint: Mutex::new(saved),
            }),
        })
    }

    /// Signs a checkpoint of what is durable now, and saves it before anyone has it.
    pub fn sign_checkpoint(&self, journal: &Journal) -> Result<String, Error> {
        let (size, root) = journal.root();
        self.sign_and_save(size, root)
    }

    /// Saves a checkpoint if there is more than the last one says.
    pub fn save_checkpoint(&self, journal: &Journal) -> Result<(), Error> {
        let (size, root) = journal.root();
        let saved = self.saved_checkpoint().map_or(0, |kept| kept.size);
        if size > saved { self.sign_and_save(size, root).map(drop) } else { Ok(()) }
    }

    /// The checkpoint that was saved last.
    pub fn saved_checkpoint(&self) -> Option<LogCheckpoint> {
        self.inner.saved_checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sign_and_save(&self, size: u64, root: Root) -> Result<String, Error> {
        let TransparencyLogInner { store, signer, saved_checkpoint: saved, .. } = &*self.inner;
        let checkpoint = LogCheckpoint { origin: signer.name.clone(), size, root };
        let note = self.sign(&checkpoint.to_text());
        // Held while it is written: two at once write the same file, and the later one must win.
        let mut saved = saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.as_ref().is_none_or(|saved| size > saved.size) {
            store.save_sidecar(CHECKPOINT_FILE, &note)?;
            *saved = Some(checkpoint);
        }
        Ok(note)
    }

    /// Signs a text, which ends with a line end.
    pub(super) fn sign(&self, text: &str) -> String {
        self.inner.signer.sign(text, &self.inner.key)
    }

    /// Who signs.
    pub fn signer(&self) -> &Signer {
        &self.inner.signer
    }
}

/// The checkpoint that was saved last, which is checked against the journal.
pub(super) fn check_saved_checkpoint(store: &Store, journal: &Journal) -> Result<Option<LogCheckpoint>, Error> {
    let (Some(note), Some(signer)) = (store.load_sidecar(CHECKPOINT_FILE)?, load_signer(store)?) else {
        return Ok(None);
    };
    let unsound = |cause: NoteError| Error::InvalidCheckpoint { cause };
    let text = signer.verify_note(&note).map_err(unsound)?;
    let checkpoint = LogCheckpoint::parse(text).ok_or(unsound(NoteError::NotANote))?;
    let (size, head) = (checkpoint.size, journal.head());
    match journal.root_at(size)? {
        None => Err(Error::JournalTruncated { size, head }),
        Some(root) if root != checkpoint.root => {
            Err(Error::RootMismatch { size, root: encode_hex(&root.0), expected: encode_hex(&checkpoint.root.0) })
        }
        Some(_) => Ok(Some(checkpoint)),
    }
}

/// Who signs the log of a store, as far as the store knows.
pub(super) fn load_signer(store: &Store) -> Result<Option<Signer>, Error> {
    match store.load_sidecar(PUBLIC_KEY_FILE)? {
        Some(written) => Signer::parse(&written).map(Some).ok_or(Error::LogKeyMismatch),
        None => Ok(None),
    }
}

/// The name of a store's log.
pub(super) fn log_name(store: &Store) -> String {
    format!("{LOG_NAME_PREFIX}{}", store.id())
}

/// The `source` of the events in the log of this name.
pub(super) fn event_source(name: &str) -> String {
    format!("urn:muster:{}", name.strip_prefix(LOG_NAME_PREFIX).unwrap_or(name))
}

/// What stands before the store's id in the name of its log.
const LOG_NAME_PREFIX: &str = "muster.local/";

/// Puts the notes of a restored store in their place.
pub(super) fn save_restored_checkpoint(store: &Store, signer: &Signer, checkpoint: &str) -> Result<(), Error> {
    store.save_sidecar(PUBLIC_KEY_FILE, &format!("{signer}\n"))?;
    Ok(store.save_sidecar(CHECKPOINT_FILE, checkpoint)?)
}
