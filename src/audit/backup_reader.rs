//! Reads a backup and verifies it, up to its signature.

use std::io::Read;

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::backup::{
    BackupHeader, BackupHeaderV1, BackupHeaderV2, BackupTrailer, FRAME_HEADER_BYTES, MAGIC_1, MAGIC_2, MAGIC_3,
    signed_text,
};
use super::event_source::{checkpoint_origin, log_name};
use super::signed_note::{LogCheckpoint, Signer};
use super::{Error, IntegrityFault, encode_hex};
use crate::domain::Generation;
use crate::journal::{Generations, JournalRestorer, RestoredJournal, Root};
use crate::limits::BLOCK_BYTES;
use crate::store::{Store, StoreId, Table};
use crate::vault::MasterKeyId;

/// The result of a successful verification of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupVerification {
    /// Events in the backup.
    pub events: u64,
    /// The signer of the backup.
    pub public_key: String,
    /// The id of the master key that opens the backup; null if it is not recorded, as in backups of version 0.1.
    pub master_key: Option<MasterKeyId>,
    /// The generation of the log; 0 if it was never restored to an earlier state.
    pub generation: u32,
}

/// Verifies a backup without restoring it. It must be signed by `signer`, if there is one.
pub fn verify_backup(backup: impl Read, signer: Option<&Signer>) -> Result<BackupVerification, Error> {
    let mut backup = BackupReader::open(backup)?;
    let source = backup.read_source(signer)?;
    let contents = backup.read_contents(&source, None, None)?;
    let BackupSource { signer, master_key, generation, .. } = source;
    let (public_key, generation) = (signer.to_string(), generation.number());
    Ok(BackupVerification { events: contents.checkpoint.size, public_key, master_key, generation })
}

/// What a backup was taken of.
pub(super) struct BackupSource {
    pub(super) store: StoreId,
    pub(super) signer: Signer,
    pub(super) master_key: Option<MasterKeyId>,
    pub(super) generation: Generation,
}

/// What a backup has, verified.
pub(super) struct BackupContents {
    pub(super) checkpoint: LogCheckpoint,
    /// The checkpoint, signed.
    pub(super) note: String,
    pub(super) generations: Generations,
    /// The root at the watched size, if the backup has that many events.
    pub(super) watched_root: Option<Root>,
}

/// The largest value of a frame in bytes. Blocks are the largest values.
const MAX_VALUE_BYTES: usize = 2 * BLOCK_BYTES;
/// The largest key of a frame in bytes.
const MAX_KEY_BYTES: usize = 1024;

/// A frame that was read: its kind, key and value.
pub(super) type BackupFrame = (u8, Vec<u8>, Vec<u8>);

#[derive(Clone, Copy)]
enum BackupFormat {
    One,
    Two,
    Three,
}

/// Whether a file that starts so is a backup, of any version.
pub(super) fn is_backup(start: &[u8]) -> bool {
    start.starts_with(b"muster backup ")
}

/// A backup that is being read.
pub(super) struct BackupReader<R> {
    backup: R,
    format: BackupFormat,
    digest: Sha256,
    /// How many frames were read.
    count: u64,
}

impl<R: Read> BackupReader<R> {
    pub(super) fn open(mut backup: R) -> Result<BackupReader<R>, Error> {
        let mut magic = Vec::new();
        read_up_to(&mut backup, MAGIC_3.len(), &mut magic)?;
        let format = match &magic[..] {
            MAGIC_1 => BackupFormat::One,
            MAGIC_2 => BackupFormat::Two,
            MAGIC_3 => BackupFormat::Three,
            _ => return Err(IntegrityFault::new("it is not a Muster backup, or is from a newer version").into()),
        };
        Ok(BackupReader { backup, format, digest: Sha256::new_with_prefix(magic), count: 0 })
    }

    /// Reads the first frame. The backup must be signed by `signer`, if there is one.
    pub(super) fn read_source(&mut self, signer: Option<&Signer>) -> Result<BackupSource, Error> {
        let Some((b'h', _, header)) = self.next_frame()? else {
            return Err(IntegrityFault::new("it has no header").into());
        };
        let header = parse_header(self.format, &header)
            .map_err(|error| IntegrityFault::new(format!("its header is malformed: {error}")))?;
        let signer = Signer::parse_expected(&header.public_key, signer)?;
        let store = header.store.parse().map_err(|_| IntegrityFault::new("its store has no id"))?;
        if log_name(store) != signer.name {
            let words = format!("it is from the store {store}, but signed for {}", signer.name);
            return Err(IntegrityFault::new(words).into());
        }
        let generation = Generation::new(header.generation)
            .ok_or_else(|| IntegrityFault::new(format!("its generation {} is too large", header.generation)))?;
        Ok(BackupSource { store, signer, master_key: header.master_key, generation })
    }

    /// Reads and verifies all that follows the header. Writes it into `store`, which must be empty, if there is one.
    /// Keeps the root at `watched_size`.
    pub(super) fn read_contents(
        mut self,
        source: &BackupSource,
        store: Option<&Store>,
        watched_size: Option<u64>,
    ) -> Result<BackupContents, Error> {
        let mut journal = JournalRestorer::new(store.cloned(), watched_size);
        let (checkpoint, note) = loop {
            let sha256 = encode_hex(&self.digest.clone().finalize());
            let Some((kind, key, value)) = self.next_frame()? else {
                return Err(IntegrityFault::new("it is truncated: the last frame is missing").into());
            };
            match kind {
                b'b' => {
                    let first = key.as_array().map(|key| u64::from_be_bytes(*key));
                    let first = first.ok_or_else(|| IntegrityFault::new("one of its blocks has no position"))?;
                    journal.append_block(first, value)?;
                }
                b't' => {
                    let (table, key) = parse_row_key(&key)?;
                    if let Some(store) = store {
                        store.put(table, key, &value)?;
                    }
                }
                b'e' => break check_trailer(&value, &sha256, source)?,
                _ => return Err(IntegrityFault::new(format!("it has a frame of the unknown kind {kind}")).into()),
            }
        };
        if self.next_frame()?.is_some() {
            return Err(IntegrityFault::new("it has data after its last frame").into());
        }
        let RestoredJournal { size, root, generations, watched_root } = journal.finish()?;
        if generations.current() != source.generation {
            let words =
                format!("it names generation {}, but its events are of {}", source.generation, generations.current());
            return Err(IntegrityFault::new(words).into());
        }
        if (checkpoint.size, checkpoint.root) != (size, root) {
            return Err(IntegrityFault::new(format!(
                "it has {size} events with the root {}, but its checkpoint has {} with {}",
                encode_hex(&root.0),
                checkpoint.size,
                encode_hex(&checkpoint.root.0)
            ))
            .into());
        }
        Ok(BackupContents { checkpoint, note, generations, watched_root })
    }

    /// The next frame; `None` at the end.
    pub(super) fn next_frame(&mut self) -> Result<Option<BackupFrame>, Error> {
        self.count += 1;
        let truncated = || IntegrityFault::new(format!("it is truncated within frame {}", self.count));
        let mut frame = Vec::new();
        read_up_to(&mut self.backup, FRAME_HEADER_BYTES, &mut frame)?;
        if frame.is_empty() {
            return Ok(None);
        }
        let length = |at: usize| Some(u32::from_le_bytes(*frame.get(at..)?.first_chunk()?) as usize);
        let (key, value) = (length(1).ok_or_else(truncated)?, length(5).ok_or_else(truncated)?);
        let damaged = || IntegrityFault::new(format!("frame {} is damaged", self.count));
        if key > MAX_KEY_BYTES || value > MAX_VALUE_BYTES {
            return Err(damaged().into());
        }
        read_up_to(&mut self.backup, key + value + 4, &mut frame)?;
        let (body, checksum) = frame.split_last_chunk::<4>().ok_or_else(truncated)?;
        if body.len() != FRAME_HEADER_BYTES + key + value {
            return Err(truncated().into());
        }
        if crc32fast::hash(body) != u32::from_le_bytes(*checksum) {
            return Err(damaged().into());
        }
        let found = (
            body[0],
            body[FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + key].to_vec(),
            body[FRAME_HEADER_BYTES + key..].to_vec(),
        );
        self.digest.update(&frame);
        Ok(Some(found))
    }
}

/// The header of a backup. Those of earlier formats are upcast.
fn parse_header(format: BackupFormat, json: &[u8]) -> Result<BackupHeader, serde_json::Error> {
    match format {
        BackupFormat::One => {
            let BackupHeaderV1 { store, public_key } = serde_json::from_slice(json)?;
            Ok(BackupHeader { store, public_key, master_key: None, generation: 0 })
        }
        BackupFormat::Two => {
            let BackupHeaderV2 { store, public_key, master_key } = serde_json::from_slice(json)?;
            Ok(BackupHeader { store, public_key, master_key, generation: 0 })
        }
        BackupFormat::Three => serde_json::from_slice(json),
    }
}

/// The table of a row, and its key there.
fn parse_row_key(key: &[u8]) -> Result<(Table, &[u8]), IntegrityFault> {
    let (table, key) =
        key.iter().position(|byte| *byte == b'/').map_or((key, &[][..]), |at| (&key[..at], &key[at + 1..]));
    let known = Table::ALL.into_iter().find(|known| known.name().as_bytes() == table);
    let unknown = || IntegrityFault::new(format!("it has an unknown table {:?}", String::from_utf8_lossy(table)));
    Ok((known.ok_or_else(unknown)?, key))
}

/// Verifies the last frame. Returns the checkpoint and its signed note.
fn check_trailer(
    trailer: &[u8],
    sha256: &str,
    source: &BackupSource,
) -> Result<(LogCheckpoint, String), IntegrityFault> {
    let signer = &source.signer;
    let trailer: BackupTrailer = serde_json::from_slice(trailer)
        .map_err(|error| IntegrityFault::new(format!("its last frame is malformed: {error}")))?;
    if trailer.sha256 != sha256 {
        return Err(IntegrityFault::new("its bytes are not the signed ones"));
    }
    let signed = signer
        .verify_note(&trailer.signature)
        .map_err(|cause| IntegrityFault::new(format!("its signature is not valid: {cause}")))?;
    let checkpoint = signer.verify_checkpoint(&trailer.checkpoint)?;
    if signed != signed_text(signer, &trailer.sha256, &trailer.checkpoint)
        || checkpoint.origin != checkpoint_origin(&signer.name, source.generation)
    {
        return Err(IntegrityFault::new("the signed text differs from its last frame"));
    }
    Ok((checkpoint, trailer.checkpoint))
}

/// Reads up to `bytes` more bytes.
fn read_up_to(from: &mut impl Read, bytes: usize, into: &mut Vec<u8>) -> Result<(), Error> {
    let read = from.take(bytes as u64).read_to_end(into);
    read.map(drop).map_err(|source| Error::Io { what: "read the backup".to_owned(), source })
}
