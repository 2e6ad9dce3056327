//! The journal as a transparency log: signs checkpoints and other statements about the journal.
//!
//! The last signed checkpoint is saved outside the store (`log/checkpoint`). It must hold for all time, so a start detects
//! missing and altered events.

use std::sync::{Arc, Mutex, PoisonError};

use super::event_source::{checkpoint_origin, log_name};
use super::signed_note::{LogCheckpoint, NoteError, Signer};
use super::{Error, encode_hex};
use crate::journal::{Journal, Root};
use crate::store::Store;
use crate::vault::LogKey;

/// The log and its signing key. Cheap to clone.
#[derive(Clone)]
pub struct TransparencyLog {
    inner: Arc<TransparencyLogInner>,
}

struct TransparencyLogInner {
    store: Store,
    key: LogKey,
    signer: Signer,
    /// The origin of its checkpoints.
    origin: String,
    /// The last saved checkpoint.
    saved_checkpoint: Mutex<Option<LogCheckpoint>>,
}

// Frozen: the names of these files. A start checks the saved checkpoint.
/// The names of the sidecar files.
const CHECKPOINT_FILE: &str = "checkpoint";
const PUBLIC_KEY_FILE: &str = "public-key";

impl TransparencyLog {
    /// Opens the log of `journal` with its key. Fails if the last saved checkpoint does not hold.
    pub fn open(store: &Store, journal: &Journal, key: LogKey) -> Result<TransparencyLog, Error> {
        let signer = Signer { name: log_name(store.id()), key: key.public_key() };
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
                origin: checkpoint_origin(&signer.name, journal.generations().current()),
                signer,
                saved_checkpoint: Mutex::new(saved),
            }),
        })
    }

    /// Signs a checkpoint of the current durable head. Saves it before returning it.
    pub fn sign_checkpoint(&self, journal: &Journal) -> Result<String, Error> {
        let (size, root) = journal.root();
        self.sign_and_save(size, root)
    }

    /// Saves a checkpoint if the journal grew since the last one.
    pub fn save_checkpoint(&self, journal: &Journal) -> Result<(), Error> {
        let (size, root) = journal.root();
        let saved = self.saved_checkpoint().map_or(0, |saved| saved.size);
        if size > saved { self.sign_and_save(size, root).map(drop) } else { Ok(()) }
    }

    /// The last saved checkpoint.
    pub fn saved_checkpoint(&self) -> Option<LogCheckpoint> {
        self.inner.saved_checkpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn sign_and_save(&self, size: u64, root: Root) -> Result<String, Error> {
        let TransparencyLogInner { store, saved_checkpoint: saved, .. } = &*self.inner;
        let checkpoint = self.checkpoint(size, root);
        let note = self.sign(&checkpoint.to_text());
        // Held during the write: concurrent calls write the same file, and the later checkpoint must win.
        let mut saved = saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.as_ref().is_none_or(|saved| size > saved.size) {
            store.save_sidecar(CHECKPOINT_FILE, &note)?;
            *saved = Some(checkpoint);
        }
        Ok(note)
    }

    /// The origin of its checkpoints: its name, and the generation from 1 on.
    pub(super) fn origin(&self) -> &str {
        &self.inner.origin
    }

    /// The signed size and root of the log.
    pub(super) fn sign_root(&self, size: u64, root: Root) -> String {
        self.sign(&self.checkpoint(size, root).to_text())
    }

    fn checkpoint(&self, size: u64, root: Root) -> LogCheckpoint {
        LogCheckpoint { origin: self.inner.origin.clone(), size, root }
    }

    /// Signs a text, which must end with a line end.
    pub(super) fn sign(&self, text: &str) -> String {
        self.inner.signer.sign(text, &self.inner.key)
    }

    /// The name and public key that sign.
    pub fn signer(&self) -> &Signer {
        &self.inner.signer
    }
}

/// The last saved checkpoint, after checking it against the journal.
pub(super) fn check_saved_checkpoint(store: &Store, journal: &Journal) -> Result<Option<LogCheckpoint>, Error> {
    let (Some(note), Some(signer)) = (store.load_sidecar(CHECKPOINT_FILE)?, load_signer(store)?) else {
        return Ok(None);
    };
    let invalid = |cause: NoteError| Error::InvalidCheckpoint { cause };
    let text = signer.verify_note(&note).map_err(invalid)?;
    let checkpoint = LogCheckpoint::parse(text).ok_or(invalid(NoteError::NotANote))?;
    let (size, head) = (checkpoint.size, journal.head());
    match journal.root_at(size)? {
        None => Err(Error::JournalTruncated { size, head }),
        Some(root) if root != checkpoint.root => {
            Err(Error::RootMismatch { size, root: encode_hex(&root.0), expected: encode_hex(&checkpoint.root.0) })
        }
        Some(_) => Ok(Some(checkpoint)),
    }
}

/// The signer of a store's log, as saved in the store.
pub(super) fn load_signer(store: &Store) -> Result<Option<Signer>, Error> {
    match store.load_sidecar(PUBLIC_KEY_FILE)? {
        Some(written) => Signer::parse(&written).map(Some).ok_or(Error::LogKeyMismatch),
        None => Ok(None),
    }
}

/// Saves the sidecar files of a restored store.
pub(super) fn save_restored_checkpoint(store: &Store, signer: &Signer, checkpoint: &str) -> Result<(), Error> {
    store.save_sidecar(PUBLIC_KEY_FILE, &format!("{signer}\n"))?;
    Ok(store.save_sidecar(CHECKPOINT_FILE, checkpoint)?)
}
