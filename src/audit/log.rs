//! The journal as a log that signs what it says of itself: checkpoints, and what hangs on them.
//!
//! The last checkpoint that was signed is kept outside the store (`log/checkpoint`), so that a store which comes back
//! shorter, or with another past, is found: a checkpoint that was handed out must hold for ever.

use std::sync::{Arc, Mutex, PoisonError};

use super::note::{Checkpoint, Malformed, Signer};
use super::{Error, hex};
use crate::journal::{Journal, Root};
use crate::store::Store;
use crate::vault::LogKey;

/// The log, which can sign. Cheap to clone.
#[derive(Clone)]
pub struct Log {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    key: LogKey,
    signer: Signer,
    /// The checkpoint that was saved last.
    saved: Mutex<Option<Checkpoint>>,
}

/// The names of the notes.
const CHECKPOINT: &str = "checkpoint";
const PUBLIC_KEY: &str = "public-key";

impl Log {
    /// The log of `journal`, with its key. Fails if the checkpoint that was saved last does not hold.
    pub fn open(store: &Store, journal: &Journal, key: LogKey) -> Result<Log, Error> {
        let signer = Signer { name: name(store), key: key.public() };
        let written = format!("{signer}\n");
        match store.load_note(PUBLIC_KEY)? {
            Some(known) if known == written => {}
            Some(_) => return Err(Error::OtherKey),
            None => store.save_note(PUBLIC_KEY, &written)?,
        }
        let saved = check_saved(store, journal)?;
        Ok(Log { inner: Arc::new(Inner { store: store.clone(), key, signer, saved: Mutex::new(saved) }) })
    }

    /// Signs a checkpoint of what is durable now, and saves it before anyone has it.
    pub fn checkpoint(&self, journal: &Journal) -> Result<String, Error> {
        let (size, root) = journal.root();
        self.checkpoint_of(size, root)
    }

    /// Saves a checkpoint if there is more than the last one says.
    pub fn keep(&self, journal: &Journal) -> Result<(), Error> {
        let (size, root) = journal.root();
        let saved = self.kept().map_or(0, |kept| kept.size);
        if size > saved { self.checkpoint_of(size, root).map(drop) } else { Ok(()) }
    }

    /// The checkpoint that was saved last.
    pub fn kept(&self) -> Option<Checkpoint> {
        self.inner.saved.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn checkpoint_of(&self, size: u64, root: Root) -> Result<String, Error> {
        let Inner { store, signer, saved, .. } = &*self.inner;
        let checkpoint = Checkpoint { origin: signer.name.clone(), size, root };
        let note = self.sign(&checkpoint.text());
        // Held while it is written: two at once write the same file, and the later one must win.
        let mut saved = saved.lock().unwrap_or_else(PoisonError::into_inner);
        if saved.as_ref().is_none_or(|saved| size > saved.size) {
            store.save_note(CHECKPOINT, &note)?;
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
pub(super) fn check_saved(store: &Store, journal: &Journal) -> Result<Option<Checkpoint>, Error> {
    let (Some(note), Some(signer)) = (store.load_note(CHECKPOINT)?, saved_signer(store)?) else { return Ok(None) };
    let unsound = |cause: Malformed| Error::CheckpointUnsound { cause };
    let text = signer.open(&note).map_err(unsound)?;
    let checkpoint = Checkpoint::parse(text).ok_or(unsound(Malformed::NoNote))?;
    let (size, head) = (checkpoint.size, journal.head());
    match journal.root_at(size)? {
        None => Err(Error::Shorter { size, head }),
        Some(root) if root != checkpoint.root => {
            Err(Error::OtherPast { size, root: hex(&root.0), expected: hex(&checkpoint.root.0) })
        }
        Some(_) => Ok(Some(checkpoint)),
    }
}

/// Who signs the log of a store, as far as the store knows.
pub(super) fn saved_signer(store: &Store) -> Result<Option<Signer>, Error> {
    match store.load_note(PUBLIC_KEY)? {
        Some(written) => Signer::parse(&written).map(Some).ok_or(Error::OtherKey),
        None => Ok(None),
    }
}

/// The name of a store's log.
pub(super) fn name(store: &Store) -> String {
    format!("{NAME}{}", store.id())
}

/// The `source` of the events in the log of this name.
pub(super) fn source_of(name: &str) -> String {
    format!("urn:muster:{}", name.strip_prefix(NAME).unwrap_or(name))
}

/// What stands before the store's id in the name of its log.
const NAME: &str = "muster.local/";

/// Puts the notes of a restored store in their place.
pub(super) fn restore_notes(store: &Store, signer: &Signer, checkpoint: &str) -> Result<(), Error> {
    store.save_note(PUBLIC_KEY, &format!("{signer}\n"))?;
    Ok(store.save_note(CHECKPOINT, checkpoint)?)
}
