//! Compares a kept checkpoint with the log itself, with the proofs of a service, and with files. Services and files are not
//! trusted.

use std::io::{BufRead, Read};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::account_bundle::{Bundle, ProvedEvent};
use super::backup_reader::{BackupReader, is_backup};
use super::bundle_verification::check_generations;
use super::export_verification::verify_export_log;
use super::kept_checkpoint::{CheckpointCheck, KeptCheckpoint, check_note};
use super::log_proofs::ConsistencyProof;
use super::proved_log::ProvedLog;
use super::signed_note::Signer;
use super::{Audit, Error, IntegrityFault, transparency_log};
use crate::journal::{self, Root};
use crate::limits::{BUNDLE_FILE_BYTES, CHECKPOINT_BYTES};

/// The generations of the log, with the proof of where each began.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = Generations)]
pub struct LogGenerations {
    /// The signed size and root of the log.
    pub(super) checkpoint: String,
    /// The events that began the generations, in order, each with the proof that it is in the log; empty in generation 0.
    pub(super) generations: Vec<ProvedEvent>,
}

impl Audit {
    /// The generations of the log, with the proof of where each began.
    pub fn generations(&self) -> Result<LogGenerations, Error> {
        let (size, root) = self.journal.root();
        let checkpoint = self.log()?.sign_root(size, root);
        Ok(LogGenerations { checkpoint, generations: self.prove_generations(size)?.unwrap_or_default() })
    }

    /// Compares a kept checkpoint with the log.
    pub fn check_checkpoint(&self, note: &str) -> Result<CheckpointCheck, Error> {
        self.compare_checkpoint(note, self.signer()?, |size| self.journal.root_at(size))
    }

    /// Like [`check_checkpoint`](Audit::check_checkpoint), but hashes the events again, and needs no key that signs. The
    /// checkpoint must be signed by `signer`, or, without one, by the log.
    pub fn check_checkpoint_by_events(&self, note: &str, signer: Option<&Signer>) -> Result<CheckpointCheck, Error> {
        let own = transparency_log::load_signer(&self.store)?;
        let signer = signer.or(own.as_ref()).ok_or(Error::LogKeyMissing)?;
        self.compare_checkpoint(note, signer, |size| self.journal.compute_root_at(size))
    }

    fn compare_checkpoint(
        &self,
        note: &str,
        signer: &Signer,
        root_at: impl FnOnce(u64) -> Result<Option<Root>, journal::Error>,
    ) -> Result<CheckpointCheck, Error> {
        check_note(note, signer, |kept| {
            let head = self.journal.head();
            if let Some(result) = kept.check_position(self.source.generations(), head) {
                return Ok(result);
            }
            let size = kept.size();
            let root = root_at(size)?.ok_or(Error::NotInLog { position: size, size: head })?;
            Ok(kept.compare_root(head, root))
        })
    }
}

/// Compares a kept checkpoint with the log that a service shows. `prove` gets the service's proof that the log of the
/// first size is the beginning of the log of the second size.
pub fn check_against_service<E: From<Error>>(
    kept: &KeptCheckpoint,
    signer: &Signer,
    shown: &LogGenerations,
    prove: impl FnOnce(u64, u64) -> Result<Option<ConsistencyProof>, E>,
) -> Result<CheckpointCheck, E> {
    let untrusted = |fault| Error::from(IntegrityFault::new(format!("the service does not prove its log: {fault}")));
    let log = signer.verify_checkpoint(&shown.checkpoint).map_err(untrusted)?;
    let source = check_generations(&shown.generations, &log, &signer.name).map_err(untrusted)?;
    if let Some(result) = kept.check_position(source.generations(), log.size) {
        return Ok(result);
    }
    let proof = if kept.size() == 0 { None } else { prove(kept.size(), log.size)? };
    Ok(kept.check_growth(&log, proof.as_ref()))
}

/// Compares a kept checkpoint with the log in a file: another checkpoint, a bundle, an export, or a backup. Both must be
/// signed by `signer`, or, without one, by the signer that the file names.
pub fn check_against_file(
    note: &str,
    mut file: impl BufRead,
    signer: Option<&Signer>,
) -> Result<CheckpointCheck, Error> {
    let unreadable = |source| Error::Io { what: "read the file to compare with".to_owned(), source };
    let start = file.fill_buf().map_err(unreadable)?.trim_ascii_start();
    if is_backup(start) {
        let mut backup = BackupReader::open(file)?;
        let source = backup.read_source(signer)?;
        return check_note(note, &source.signer, |kept| {
            let contents = backup.read_contents(&source, None, Some(kept.size()))?;
            let log = ProvedLog {
                checkpoint: contents.checkpoint,
                generation: source.generation,
                generations: Some(contents.generations),
                root: contents.watched_root,
            };
            log.check(kept)
        });
    }
    let (signer, log) = if let Some(object) = start.strip_prefix(b"{") {
        // The first field of a bundle is its format. An export has an event or its last line there.
        if object.trim_ascii_start().starts_with(br#""format""#) {
            let mut bytes = Vec::new();
            file.take(BUNDLE_FILE_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
            let bundle: Bundle = serde_json::from_slice(&bytes)
                .map_err(|error| IntegrityFault::new(format!("it is not a bundle: {error}")))?;
            let (signer, checkpoint, source) = bundle.check_log(signer)?;
            (signer, ProvedLog::new(checkpoint, source.generations().clone()))
        } else {
            let (_, signer, log) = verify_export_log(file, signer)?;
            (signer, log)
        }
    } else {
        let signer = signer.ok_or(Error::PublicKeyRequired)?.clone();
        let mut text = String::new();
        file.take(CHECKPOINT_BYTES as u64).read_to_string(&mut text).map_err(unreadable)?;
        let log = ProvedLog::from_note(&text, &signer)?;
        (signer, log)
    };
    check_note(note, &signer, |kept| log.check(kept))
}
