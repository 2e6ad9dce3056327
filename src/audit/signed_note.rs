//! Signed notes: a text with signatures (C2SP signed-note). Pure.
//!
//! ```text
//! muster.local/0123456789abcdef
//! 42
//! q1MKE+RZFJgrefm34/uplM/R8/si9xzqGvvwK0YMbR0=
//!
//! — muster.local/0123456789abcdef AbCd…
//! ```
//!
//! Frozen: the form of notes, signers and checkpoints. Auditors keep them, and verify later files with them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use super::IntegrityFault;
use crate::vault::{LogKey, PublicKey};

/// A signer: a name and a public key. Written as `name+id+key`, with the id in hex and the key in base64.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    pub(super) name: String,
    pub(super) key: PublicKey,
}

/// Why a note is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// The text is not a signed note.
    #[error("it is not a signed note")]
    NotANote,
    /// The note has no valid signature of this signer.
    #[error("{signer} did not sign it, or it was changed afterwards")]
    NotSigned {
        /// The name of the expected signer.
        signer: String,
    },
}

/// The byte for Ed25519 in key ids (C2SP).
const ED25519: u8 = 1;
const SIGNATURE_PREFIX: &str = "\u{2014} ";

impl Signer {
    /// Signs `text`, which must end with a line end.
    pub(super) fn sign(&self, text: &str, key: &LogKey) -> String {
        let signature = [&self.key_id()[..], &key.sign(text.as_bytes())].concat();
        format!("{text}\n{SIGNATURE_PREFIX}{} {}\n", self.name, STANDARD.encode(signature))
    }

    /// The text of a note that this signer signed. It may have other signatures too.
    pub(super) fn verify_note<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let (text, signatures) = note.rsplit_once("\n\n").ok_or(NoteError::NotANote)?;
        let text = &note[..=text.len()];
        let ours = |line: &str| {
            let (name, signature) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
            let signature = STANDARD.decode(signature).ok()?;
            let (id, signature) = signature.split_first_chunk::<4>()?;
            Some(name == self.name && *id == self.key_id() && self.key.verifies(text.as_bytes(), signature))
        };
        let is_signed = signatures.lines().any(|line| ours(line) == Some(true));
        if is_signed { Ok(text) } else { Err(NoteError::NotSigned { signer: self.name.clone() }) }
    }

    /// The checkpoint in a file that this signer signed.
    pub(super) fn verify_checkpoint(&self, note: &str) -> Result<LogCheckpoint, IntegrityFault> {
        let text = self
            .verify_note(note)
            .map_err(|cause| IntegrityFault::new(format!("its checkpoint is not valid: {cause}")))?;
        LogCheckpoint::parse(text).ok_or_else(|| IntegrityFault::new("its checkpoint is malformed"))
    }

    /// Whether a line of the note claims to be a signature of this signer, valid or not.
    pub(super) fn is_named_in(&self, note: &str) -> bool {
        let has_our_id = |signature: Vec<u8>| signature.starts_with(&self.key_id());
        let claims = |line: &str| {
            let (name, signature) = line.strip_prefix(SIGNATURE_PREFIX)?.split_once(' ')?;
            Some(name == self.name && STANDARD.decode(signature).map_or(true, has_our_id))
        };
        note.lines().any(|line| claims(line) == Some(true))
    }

    /// Parses the written form of a signer.
    pub fn parse(written: &str) -> Option<Signer> {
        let mut parts = written.trim().splitn(3, '+');
        let (name, id, key) = (parts.next()?, parts.next()?, parts.next()?);
        let key = STANDARD.decode(key).ok()?;
        let (&ED25519, key) = key.split_first()? else { return None };
        let signer = Signer { name: name.to_owned(), key: PublicKey(*key.as_array()?) };
        (signer.to_string() == written.trim() && super::encode_hex(&signer.key_id()) == id).then_some(signer)
    }

    /// The signer that a file names. It must be `expected`, if given.
    pub(super) fn parse_expected(written: &str, expected: Option<&Signer>) -> Result<Signer, IntegrityFault> {
        let named = Signer::parse(written).ok_or_else(|| IntegrityFault::new("its public key is malformed"))?;
        match expected.filter(|expected| **expected != named) {
            Some(expected) => Err(IntegrityFault::new(format!("it is signed by {named}, not by {expected}"))),
            None => Ok(named),
        }
    }

    fn key_id(&self) -> [u8; 4] {
        let hash = Sha256::new().chain_update(&self.name).chain_update([b'\n', ED25519]).chain_update(self.key.0);
        hash.finalize().first_chunk().copied().unwrap_or_default()
    }
}

impl std::fmt::Display for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = [&[ED25519][..], &self.key.0].concat();
        write!(f, "{}+{}+{}", self.name, super::encode_hex(&self.key_id()), STANDARD.encode(key))
    }
}

/// Whether a line of a note has the form of a signature.
pub(super) fn is_signature(line: &str) -> bool {
    line.starts_with(SIGNATURE_PREFIX)
}

/// A checkpoint: the number of events in a log, and the root over them (C2SP tlog-checkpoint).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogCheckpoint {
    /// The name of the log.
    pub origin: String,
    /// How many events the log has.
    pub size: u64,
    /// The root over these events.
    pub root: crate::journal::Root,
}

impl LogCheckpoint {
    pub(super) fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root.0))
    }

    pub(super) fn parse(text: &str) -> Option<LogCheckpoint> {
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let root = crate::journal::Root(*STANDARD.decode(root).ok()?.as_array()?);
        let checkpoint = LogCheckpoint { origin: origin.to_owned(), size: size.parse().ok()?, root };
        (checkpoint.to_text() == text).then_some(checkpoint)
    }
}
